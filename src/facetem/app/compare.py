"""`facetem compare`: two samples, shape by shape."""

from __future__ import annotations

from pathlib import Path

import typer

from facetem.analysis.comparing import compare_folders
from facetem.app.command import check_suffix
from facetem.app.results import print_comparison
from facetem.core.files import whole_file


def run_compare(first: Path, second: Path, output: Path | None) -> None:
    """Print how the second sample differs from the first, and draw both."""
    if output is not None:
        check_suffix(output, (".svg", ".png"))
    found = compare_folders(first, second)
    print_comparison(found)
    if output is None:
        return
    from facetem.figures import png, svg
    from facetem.figures.samples import fraction_bars

    both = (found.first, found.second)
    figure = fraction_bars(
        found.difference.shapes,
        None,
        [(one.fractions.corrected, one.fractions.low, one.fractions.high) for one in both],
        [f"{one.name}, n = {one.n}" for one in both],
    )
    with whole_file(output) as path:
        path.write_bytes(svg(figure) if output.suffix.lower() == ".svg" else png(figure))
    typer.echo(f"{output}: fractions of both")
