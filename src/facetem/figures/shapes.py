"""The shape library as a sheet of pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from numpy.typing import NDArray

from facetem.figures.style import (
    INK,
    SOFT,
    scale_bar,
    show,
)


@dataclass(frozen=True)
class ShapeRow:
    """One shape of the library: its picture (y, x, 3), and images (y, x) by the axis that they look along."""

    title: str
    view: NDArray
    images: Mapping[str, NDArray]
    sampling: float


def shape_sheet(shapes: Sequence[ShapeRow], columns: int = 2) -> Figure:
    """A contact sheet: a picture of each shape and its images."""
    rows, panels = math.ceil(len(shapes) / columns), 3 * columns
    figure = Figure(figsize=(2.0 * panels, 2.25 * rows), layout="constrained")
    axes = figure.subplots(rows, panels, squeeze=False)
    for panel in axes.flat:
        panel.set_axis_off()
    for i, shape in enumerate(shapes):
        first, *others = axes[i // columns, 3 * (i % columns) : 3 * (i % columns) + 3]
        first.imshow(shape.view, interpolation="antialiased")
        first.set_title(shape.title, loc="left", fontsize=10, color=INK, fontweight="bold")
        for panel, (axis, image) in zip(others, shape.images.items(), strict=True):
            show(panel, image, "")
            panel.set_title(axis, loc="left", fontsize=9, color=SOFT)
            scale_bar(panel, image, shape.sampling)
    return figure
