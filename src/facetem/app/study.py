"""`facetem study`: what decides whether a shape can be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from facetem.app.command import step_progress
from facetem.app.evaluate import test_recipe
from facetem.core.errors import InputError
from facetem.core.files import write_whole
from facetem.hrtem.simulate import resolve_device
from facetem.study.advice import Question, advise
from facetem.study.axes import STUDIES
from facetem.study.bench import Bench
from facetem.study.figure1 import figure_one, save_figure_one
from facetem.study.findings import Finding, save_finding, section
from facetem.study.jobs import Crew, crew_of
from facetem.study.matrix import MATRICES, run_matrix
from facetem.study.orientation_map import run_orientation_map
from facetem.study.sweeps import run_sweep

ALL, FIGURE, PLAN, ORIENTATION = "all", "figure1", "plan", "orientation"
QUICK, FULL = 2, 8  # specimens of each shape


@dataclass(frozen=True)
class Choice:
    """What a study is made of and by whom: see `facetem study --help`."""

    recipe: Path | None = None
    classifier: Path | None = None
    restorer: Path | None = None
    per_shape: int | None = None
    quick: bool = False
    workers: int = 1
    dask: str | None = None
    device: str = "auto"


def run_study(study: str, output: Path, choice: Choice, question: Question | None = None) -> None:
    """Do a study (or all), and write tables, figures and a page in words into the folder `output`."""
    known = (*STUDIES, FIGURE, PLAN, ALL)
    if study not in known:
        raise InputError(f"study: expected one of {', '.join(known)}, got {study!r}")
    if study == PLAN and question is None:
        raise InputError("plan: expected --preset, --dose and --diameter-nm with it")
    with step_progress("facetem") as progress:
        bench = Bench(
            output / "measured",
            recipe=test_recipe(choice.recipe),
            classifier=choice.classifier,
            restorer=choice.restorer,
            per_shape=choice.per_shape if choice.per_shape is not None else QUICK if choice.quick else FULL,
            workers=choice.workers,
            dask=choice.dask,
            device=resolve_device(choice.device),
            progress=progress,
        )
        bench.folder.mkdir(parents=True, exist_ok=True)
        findings: list[Finding] = []
        with crew_of(bench) as crew:
            for finding in _findings(crew, study, question, quick=choice.quick):
                save_finding(finding, output)
                findings.append(finding)
        if study in (FIGURE, ALL):
            save_figure_one(figure_one(bench), output)
    if findings:
        page = output / "README.md"
        write_whole(page, page_of(findings, bench))
        typer.echo(page.read_text(encoding="utf-8"))
    typer.echo(f"Written to {output}")


def _findings(crew: Crew, study: str, question: Question | None, *, quick: bool) -> Iterator[Finding]:
    """One after the other, so that what is done is written before the next begins."""
    if study == PLAN:
        assert question is not None
        yield advise(crew, question, quick=quick)
        return
    for name in STUDIES if study == ALL else [study]:
        for axis in STUDIES.get(name, ()):
            yield run_sweep(crew, name, axis, quick=quick)
        if name == ORIENTATION:
            yield run_orientation_map(crew)
        if name in MATRICES:
            yield run_matrix(crew, name, quick=quick)


def page_of(findings: list[Finding], bench: Bench) -> str:
    """What they say, in words and tables."""
    networks = "\n".join(f"- {name}: sha256 `{mark[:16]}`" for name, mark in bench.weights.items())
    lines = [
        "# Studies",
        "",
        f"{bench.n} specimens of the recipe `{bench.recipe.name}` (split `test`), the same at every value of an axis",
        "but where the axis changes them. Intervals are 95 %, by bootstrap over the specimens. The networks:",
        "",
        networks,
    ]
    for finding in findings:
        lines += section(finding)
    return "\n".join(lines) + "\n"
