"""Figures of the studies: how accuracy and restoration move with a condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from facetem.figures.style import INK, PALETTE, SOFT, tidy

COLOURS = (PALETTE[4], PALETTE[5], SOFT, PALETTE[2])
MARKERS = "os^D"


@dataclass(frozen=True)
class Band:
    """Means at the values of an axis, and their intervals."""

    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def against(
    values: Sequence[float] | Sequence[str], panels: Mapping[str, Mapping[str, Band]], *, label: str
) -> Figure:
    """One panel for each quantity, in it one line with its interval for each series, over the values of an axis."""
    figure = Figure(figsize=(4.6 * len(panels), 3.4), layout="constrained")
    named = any(isinstance(value, str) for value in values)
    x = np.arange(len(values)) if named else np.array(values, dtype=float)
    for axes, (quantity, series) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        tidy(axes, label, quantity)
        for i, (name, band) in enumerate(series.items()):
            _line(axes, x, band, name, i, named)
        if named:
            axes.set_xticks(x, [str(value) for value in values])
            axes.set_xlim(-0.5, len(values) - 0.5)
        elif min(x) > 0 and max(x) / min(x) > 50:
            axes.set_xscale("log")
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return figure


def _line(axes: Axes, x: np.ndarray, band: Band, name: str, i: int, named: bool) -> None:
    colour = COLOURS[i % len(COLOURS)]
    if named:
        reach = [np.subtract(band.mean, band.low), np.subtract(band.high, band.mean)]
        axes.errorbar(
            x,
            band.mean,
            yerr=np.maximum(reach, 0),
            color=colour,
            marker=MARKERS[i % 4],
            ls="",
            label=name,
            capsize=3,
        )
        return
    axes.fill_between(x, band.low, band.high, color=colour, alpha=0.18, lw=0)
    axes.plot(x, band.mean, color=colour, marker=MARKERS[i % 4], ms=4.5, lw=1.8, label=name)


def svg(figure: Figure) -> bytes:
    """The figure as vectors."""
    import io

    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
