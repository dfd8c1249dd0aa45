"""`facetem compare`: two samples, shape by shape."""

from __future__ import annotations

from pathlib import Path

import typer

from facetem.analysis.population import shape_fractions
from facetem.analysis.sample import compare_folders, load_counts
from facetem.app.command import check_suffix, whole_file
from facetem.app.results import print_difference


def run_compare(first: Path, second: Path, output: Path | None) -> None:
    """Print how the second sample differs from the first, and draw both."""
    if output is not None:
        check_suffix(output, (".svg", ".png"))
    difference = compare_folders(first, second)
    samples = [load_counts(folder) for folder in (first, second)]
    print_difference(difference, (int(samples[0][1].sum()), int(samples[1][1].sum())))
    if output is None:
        return
    from facetem.figures import png, svg
    from facetem.figures.samples import fraction_bars

    found = [shape_fractions(*sample) for sample in samples]
    figure = fraction_bars(
        difference.shapes,
        None,
        [(one.corrected, one.low, one.high) for one in found],
        [first.name, second.name],
    )
    with whole_file(output) as path:
        path.write_bytes(svg(figure) if output.suffix.lower() == ".svg" else png(figure))
    typer.echo(f"{output}: fractions of both")
