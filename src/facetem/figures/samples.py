"""Figures of whole samples: fractions of shapes with their intervals, and sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from facetem.core.words import spoken
from facetem.figures.style import INK, MARKERS, PALETTE, SOFT, shape_colours, tidy


def fraction_bars(
    shapes: Sequence[str],
    named: ArrayLike | None,
    corrected: Sequence[tuple[ArrayLike, ArrayLike, ArrayLike]],
    labels: Sequence[str],
) -> Figure:
    """Fractions of shapes: as they were `named` (bars), and corrected (mean, low, high), one set of points for each
    sample."""
    figure = Figure(figsize=(1.2 + 0.85 * len(shapes), 3.6), layout="constrained")
    axes = figure.subplots()
    tidy(axes, "", "fraction of the particles")
    x = np.arange(len(shapes))
    if named is not None:
        colours = [shape_colours(shapes)[shape] for shape in shapes]
        axes.bar(x, np.asarray(named), color=colours, alpha=0.35, width=0.7, label="as named")
    for k, ((mean, low, high), label) in enumerate(zip(corrected, labels, strict=True)):
        middle = np.asarray(mean)
        reach = [middle - np.asarray(low), np.asarray(high) - middle]
        axes.errorbar(
            x + 0.18 * (k - (len(corrected) - 1) / 2),
            middle,
            yerr=np.maximum(reach, 0),
            color=INK if len(corrected) == 1 else PALETTE[4 + k % 4],
            marker=MARKERS[k % 4],
            ms=5,
            ls="",
            capsize=3,
            label=f"corrected{', ' + label if label else ''}",
        )
    axes.axhline(0, color=SOFT, lw=0.6)
    axes.set_xticks(x, [spoken(shape) for shape in shapes], rotation=30, ha="right", fontsize=9)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return figure


def sizes_by_shape(diameters: Mapping[str, Sequence[float]]) -> Figure:
    """Every diameter [nm] as a dot, in a column for each shape that there is, with the median and the quartiles."""
    shown = {shape: np.asarray(values) for shape, values in diameters.items() if len(values)}
    colours = shape_colours(list(diameters))
    figure = Figure(figsize=(1.6 + 0.95 * max(1, len(shown)), 3.6), layout="constrained")
    axes = figure.subplots()
    tidy(axes, "", "projected diameter [nm]")
    rng = np.random.default_rng(0)
    for k, (shape, values) in enumerate(shown.items()):
        axes.plot(
            k + rng.uniform(-0.22, 0.22, len(values)), values, ".", color=colours[shape], ms=5, alpha=0.7
        )
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        axes.plot([k - 0.3, k + 0.3], [middle, middle], color=INK, lw=1.6)
        axes.plot([k, k], [low, high], color=INK, lw=1.0)
    names = [f"{spoken(shape)}\nn = {len(values)}" for shape, values in shown.items()]
    axes.set_xticks(range(len(shown)), names, rotation=30, ha="right", fontsize=9)
    return figure
