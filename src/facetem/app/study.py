"""`facetem study`: what decides whether a shape can be read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import typer

from facetem.app.command import step_progress
from facetem.app.evaluate import test_recipe
from facetem.core.errors import InputError
from facetem.hrtem.simulate import resolve_device
from facetem.study.axes import STUDIES
from facetem.study.bench import Bench
from facetem.study.figure1 import figure_one, save_figure_one
from facetem.study.sweeps import Sweep, run_sweep, save_sweep, summary

ALL, FIGURE = "all", "figure1"
QUICK, FULL = 2, 25  # specimens of each shape


def run_study(
    study: str,
    output: Path,
    *,
    recipe: Path | None,
    classifier: Path | None,
    restorer: Path | None,
    per_shape: int | None,
    quick: bool,
    workers: int,
    device: str,
) -> None:
    """Move the axes of a study (or of all), and write tables, figures and a page in words into the folder `output`."""
    if study not in (ALL, FIGURE, *STUDIES):
        raise InputError(f"study: expected one of {', '.join([*STUDIES, FIGURE, ALL])}, got {study!r}")
    sweeps: list[Sweep] = []
    with step_progress("facetem") as progress:
        bench = Bench(
            output / "measured",
            recipe=test_recipe(recipe),
            classifier=classifier,
            restorer=restorer,
            per_shape=per_shape if per_shape is not None else QUICK if quick else FULL,
            workers=workers,
            device=resolve_device(device),
            progress=progress,
        )
        bench.folder.mkdir(parents=True, exist_ok=True)
        if study in (FIGURE, ALL):
            save_figure_one(figure_one(bench), output)
        if study == FIGURE:
            typer.echo(f"Written to {output}")
            return
        for name in STUDIES if study == ALL else (study,):
            for axis in STUDIES[name]:
                sweeps.append(run_sweep(bench, name, axis, quick=quick))
                save_sweep(sweeps[-1], output, pictures)
    page = output / "README.md"
    page.write_text(page_of(sweeps, bench), encoding="utf-8")
    typer.echo(page.read_text(encoding="utf-8"))
    typer.echo(f"Written to {output}")


def pictures(sweep: Sweep, short: pd.DataFrame) -> dict[str, bytes]:
    """The figure of a sweep, by suffix."""
    from facetem.figures import png
    from facetem.figures.studies import Band, against, svg

    def band(name: str) -> Band:
        return Band(*(short[column].tolist() for column in (name, f"{name}_low", f"{name}_high")))

    figure = against(
        short["value"].tolist(),
        {
            "part of the images": {
                "shape right": band("right"),
                "family right": band("family_right"),
                "answered with one shape": band("accepted"),
            },
            "PSNR to best focus [dB]": {"restored": band("psnr_restored"), "as recorded": band("psnr_raw")},
        },
        label=sweep.axis.label,
    )
    return {".png": png(figure), ".svg": svg(figure)}


def page_of(sweeps: list[Sweep], bench: Bench) -> str:
    """What the sweeps say, in tables."""
    lines = [
        "# Studies",
        "",
        f"{bench.n} specimens of the recipe `{bench.recipe.name}` (split `test`), the same at every value of an axis",
        "but where the axis changes them; intervals are 95 %, by bootstrap over the specimens.",
    ]
    for sweep in sweeps:
        short = summary(sweep)
        stem = f"{sweep.study}-{sweep.name.replace(' ', '-')}"
        lines += [
            "",
            f"## {sweep.study}: {sweep.name}",
            "",
            f"![accuracy and restoration against {sweep.axis.label}]({stem}.png)",
            "",
            f"| {sweep.axis.label} | shape right | family right | one shape | restored [dB] | as recorded [dB] |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for row in short.to_dict("records"):
            value = row["value"] if isinstance(row["value"], str) else f"{row['value']:g}"
            interval = f"{row['right_low']:.3f} to {row['right_high']:.3f}"
            lines.append(
                f"| {value} | {row['right']:.3f} ({interval}) | {row['family_right']:.3f} | {row['accepted']:.3f} | "
                f"{row['psnr_restored']:.2f} | {row['psnr_raw']:.2f} |"
            )
    return "\n".join(lines) + "\n"
