"""The README's examples run as they stand, and its commands exist with the options that it shows."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facetem.app.cli import app

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language; all fences are read in turn, so that no closing one is taken for an opening."""
    fences = re.findall(
        r"^```(\w*)\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return [text for name, text in fences if name == language]


def commands() -> list[list[str]]:
    lines = [line for block in blocks("") for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("facetem ")]


def test_readme_has_examples() -> None:
    assert len(blocks("python")) >= 1
    assert len(commands()) >= 6


@pytest.mark.slow
@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("source", blocks("python"))
def test_python_examples_run(source: str) -> None:
    namespace: dict[str, object] = {}
    exec(compile(source, str(README), "exec"), namespace)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_and_options_exist(words: list[str]) -> None:
    command, *rest = words
    depth = 2 if command in ("train", "recipe", "dataset") else 1
    told = CliRunner().invoke(app, [*words[:depth], "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert told.exit_code == 0
    for option in (word for word in rest if word.startswith("-")):
        assert re.search(rf"(^|\s|│|,){re.escape(option)}\b", told.output), (
            f"{option} is not in the help of {command}"
        )


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", "\n".join(blocks("")), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", README.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (README.parent / link).exists(), link
