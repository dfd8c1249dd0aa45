"""A data set at a glance: its images, and what its parameters were drawn as."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from facetem.core.words import spoken
from facetem.figures.style import INK, PALETTE, scale_bar, show, tidy

MANY = 9  # different names or whole numbers beyond which values are binned
BAR = PALETTE[4]


def contact_sheet(
    images: Sequence[ArrayLike], titles: Sequence[str], sampling: float, columns: int = 6
) -> Figure:
    """Images (y, x) of pixels of `sampling` [Å], each with a title of at most two lines."""
    columns = min(columns, max(1, len(images)))
    rows = max(1, math.ceil(len(images) / columns))
    figure = Figure(figsize=(2.3 * columns, 2.75 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for panel in axes.flat:
        panel.set_axis_off()
    for panel, image, title in zip(axes.flat, images, titles, strict=False):
        show(panel, image, "")
        scale_bar(panel, image, sampling)
        panel.set_title(title, loc="left", fontsize=7.5, color=INK)
    return figure


def parameter_histograms(columns: Mapping[str, Sequence[str | float]], width: int = 4) -> Figure:
    """How often each value of each parameter was drawn: bars of names, histograms of numbers."""
    rows = max(1, math.ceil(len(columns) / width))
    figure = Figure(figsize=(3.1 * width, 2.3 * rows), layout="constrained")
    axes = figure.subplots(rows, width, squeeze=False)
    for panel in axes.flat:
        panel.set_axis_off()
    for panel, (name, values) in zip(axes.flat, columns.items(), strict=False):
        panel.set_axis_on()
        tidy(panel, name, "")
        names, counts = np.unique(np.asarray(values), return_counts=True)
        if isinstance(values[0], str):
            panel.barh([spoken(str(n)) for n in names], counts, color=BAR, height=0.7)
            panel.tick_params(labelsize=7)
            panel.invert_yaxis()
        elif len(names) <= MANY:
            panel.bar([f"{n:g}" for n in names], counts, color=BAR, width=0.6)
        else:
            panel.hist(np.asarray(values, dtype=float), bins=20, color=BAR)
        (panel.xaxis if isinstance(values[0], str) else panel.yaxis).set_major_locator(
            MaxNLocator(4, integer=True)
        )
    return figure
