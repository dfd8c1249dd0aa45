"""Stereographic triangles: how well a shape is told from every direction of the beam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from facetem.figures.style import INK, SOFT, shape_colours

Array = NDArray[np.float64]
COLOURS = "cividis"


@dataclass(frozen=True)
class Triangle:
    """The sector of one shape.

    Parameters
    ----------
    outline : (k, 2)
    corners : (3, 2)
    places : (m, 2)
        Where `accuracy` and `confidence` (m,) are given; NaN where they are not known.
    points : (n, 2)
        The images: as what each is `named`, whether that is `right`, and how `sure` it was (n,).
    """

    title: str
    outline: Array
    corners: Array
    corner_names: Sequence[str]
    places: Array
    accuracy: Array
    confidence: Array
    points: Array
    named: Sequence[str]
    right: NDArray[np.bool_]
    sure: Array


def triangles(found: Sequence[Triangle], names: Sequence[str]) -> Figure:
    """One column for each shape: the part told above, the mean confidence below. Images that were named wrongly are
    dots in the colour of the shape that they were taken for, of `names`."""
    columns = max(1, len(found))
    figure = Figure(figsize=(2.05 * columns + 1.0, 5.2), layout="constrained")
    axes = figure.subplots(2, columns, squeeze=False)
    colours = shape_colours(names)
    shown = None
    for column, one in enumerate(found):
        for row, values in enumerate((one.accuracy, one.confidence)):
            shown = _sector(axes[row][column], one, values) or shown
        axes[0][column].set_title(one.title, fontsize=9, color=INK)
        for (x, y), name, right in zip(one.points, one.named, one.right, strict=True):
            if not right:
                axes[0][column].plot(x, y, "o", ms=4.5, color=colours.get(name, SOFT), mec="white", mew=0.6)
        axes[0][column].plot(*one.points[one.right].T, ".", ms=2, color="white", alpha=0.8)
    for row, name in enumerate(("part told", "mean confidence")):
        axes[row][0].set_ylabel(name, color=INK, fontsize=9)
    if shown is not None:
        figure.colorbar(shown, ax=axes, shrink=0.6, pad=0.01)
    taken = sorted(
        {name for one in found for name, right in zip(one.named, one.right, strict=True) if not right}
    )
    handles = [
        Line2D([], [], marker="o", ls="", color=colours.get(name, SOFT), ms=5, label=name) for name in taken
    ]
    if handles:
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=8,
            frameon=False,
            fontsize=8,
            title="taken for",
            title_fontsize=8,
        )
    return figure


def _sector(axes: Axes, one: Triangle, values: Array):
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    known = np.isfinite(values)
    shown = None
    if known.sum() >= 3:
        x, y = one.places[known].T
        shown = axes.tripcolor(
            x, y, values[known], cmap=COLOURS, vmin=0, vmax=1, shading="gouraud", rasterized=True
        )
    axes.plot(*one.outline.T, color=INK, lw=1)
    middle = one.corners.mean(axis=0)
    size = np.ptp(one.outline, axis=0).max()
    for (x, y), name in zip(one.corners, one.corner_names, strict=True):
        away = np.array([x, y]) - middle
        dx, dy = away / np.linalg.norm(away) * 0.13 * size
        axes.text(x + dx, y + dy, name, fontsize=7, color=SOFT, ha="center", va="center")
    low, high = one.outline.min(axis=0), one.outline.max(axis=0)
    axes.set_xlim(low[0] - 0.28 * size, high[0] + 0.28 * size)
    axes.set_ylim(low[1] - 0.22 * size, high[1] + 0.22 * size)
    return shown
