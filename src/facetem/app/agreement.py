"""`facetem agreement`: labels given by hand beside the answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from facetem.analysis.agreement import read_agreement
from facetem.app.command import check_suffix
from facetem.app.results import print_agreement
from facetem.core.files import write_whole


def run_agreement(reports: Sequence[Path], output: Path | None) -> None:
    """Print how often answers and labels agree, and write the labelled particles."""
    if output is not None:
        check_suffix(output, (".csv",))
    found = read_agreement(reports)
    print_agreement(found)
    if output is not None:
        write_whole(output, found.csv())
        typer.echo(f"{output}: the labelled particles")
