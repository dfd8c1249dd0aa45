"""What the README and the documentation show exists: every `facetem` command line has a command and options that are
there, every link leads to a file, and every page has its place on the site."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from facetem.app.cli import app

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
PAGES = sorted(
    path
    for path in [REPOSITORY / "README.md", *DOCS.rglob("*.md")]
    if "_build" not in path.relative_to(REPOSITORY).parts
)
COMMANDS: Any = typer.main.get_command(app)  # of click, or of the click that typer brings along
FENCE = re.compile(r"^(```+|~~~+).*?\n(.*?)^\1\s*$", re.DOTALL | re.MULTILINE)


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(REPOSITORY)) for path in paths]


def command_lines(text: str) -> list[str]:
    """What calls facetem in the fenced blocks of a page, and between backticks in its text."""
    blocks = [match[2].replace("\\\n", " ") for match in FENCE.finditer(text)]
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    starts = re.compile(r"(?:.*-m facetem\.app\.cli|.*\$\(which facetem\)\"?|\$? ?facetem) +(?=[a-z-])")
    called = ["facetem " + line[found.end() :] for line in lines if (found := starts.match(line))]
    prose = FENCE.sub("", text)
    return called + re.findall(r"`(facetem [^`]+)`", prose.replace("\n", " "))


def problems(line: str) -> list[str]:
    """What of a command line the program does not have."""
    words = shlex.split(re.split(r"\s[>|]\s|;|&&|…", line)[0], comments=True)[1:]
    command, path = COMMANDS, "facetem"
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        choices = words.pop(0).split("|")  # as in `facetem dataset make|verify|info`
        if choices[0].isupper():
            return []  # `facetem COMMAND --help`
        if missing := [name for name in choices if name not in command.commands]:
            return [f"no command {name} of {path}" for name in missing]
        command, path = command.commands[choices[0]], f"{path} {choices[0]}"
    known = {"--help", "-h"} | {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    options = [word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    return [f"no option {name} of {path}" for name in options if name not in known]


@pytest.mark.parametrize("page", names(PAGES))
def test_commands_and_options_exist(page: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    assert [f"{line}: {said}" for line in command_lines(text) for said in problems(line)] == []


def test_lines_are_found_in_blocks_and_in_text() -> None:
    text = "Say `facetem shapes`:\n\n```{code-cell}\n%%bash -e\nfacetem build cube -o a.xyz # small\n```\n"
    text += "```sh\ntorchrun -m facetem.app.cli train classifier \\\n  --budget 1m -o x\n```\n"
    assert [shlex.split(line, comments=True) for line in command_lines(text)] == [
        ["facetem", "build", "cube", "-o", "a.xyz"],
        ["facetem", "train", "classifier", "--budget", "1m", "-o", "x"],
        ["facetem", "shapes"],
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("facetem simulate scene.xyz --dosis 3", "no option --dosis of facetem simulate"),
        ("facetem dataset mend store", "no command mend of facetem dataset"),
        ("facetem dataset make|mend", "no command mend of facetem dataset"),
        ("facetem --loud", "no option --loud of facetem"),
    ],
)
def test_what_is_not_there_is_named(line: str, said: str) -> None:
    assert problems(line) == [said]


def test_a_renamed_option_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    dose = next(p for p in COMMANDS.commands["simulate"].params if "--dose" in p.opts)
    monkeypatch.setattr(dose, "opts", ["--electrons"])
    lines = command_lines((REPOSITORY / "README.md").read_text(encoding="utf-8"))
    assert "no option --dose of facetem simulate" in [said for line in lines for said in problems(line)]


@pytest.mark.parametrize("page", names(PAGES))
def test_links_lead_to_files(page: str) -> None:
    """The site's builder is told not to warn of links out of the documentation, so this is where a wrong one shows."""
    place = REPOSITORY / page
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", place.read_text(encoding="utf-8")))
    links = [
        link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"\w+:|#", link)
    ]
    assert [link for link in links if not (place.parent / link).exists()] == []
