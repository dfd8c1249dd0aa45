"""Figures of the studies: how accuracy and restoration move with a condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from facetem.core.words import spoken
from facetem.figures.style import INK, MARKERS, SERIES, display_range, tidy


@dataclass(frozen=True)
class Band:
    """Means at the values of an axis, and their intervals."""

    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def against(values: Sequence[float | str], panels: Mapping[str, Mapping[str, Band]], *, label: str) -> Figure:
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
    colour = SERIES[i % len(SERIES)]
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


def grid(
    values: Sequence[Sequence[float]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    rows_label: str,
    columns_label: str,
) -> Figure:
    """Parts (rows, columns), in colours and numbers."""
    figure = Figure(figsize=(2.6 + 0.95 * len(columns), 1.7 + 0.7 * len(rows)), layout="constrained")
    axes = figure.subplots()
    _shares(axes, np.asarray(values, dtype=float), "{:.2f}", least=0.0)
    axes.set_xticks(range(len(columns)), columns, fontsize=9)
    axes.set_yticks(range(len(rows)), rows, fontsize=9)
    axes.set_xlabel(columns_label, color=INK, fontsize=9)
    axes.set_ylabel(rows_label, color=INK, fontsize=9)
    return figure


def _shares(
    axes: Axes, shares: NDArray[np.float64], form: str, *, least: float, full: float = 1.0, size: float = 9
) -> None:
    """Shares (rows, columns) of `full` as colours, and those of at least `least` as numbers."""
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=full)
    for i, row in enumerate(shares):
        for j, part in enumerate(row):
            if part >= least:
                colour = "white" if part > 0.55 * full else INK
                axes.text(j, i, form.format(part), ha="center", va="center", fontsize=size, color=colour)
    axes.tick_params(length=0)


def method_figure(
    shapes: Sequence[str],
    confusion: NDArray[np.int64],
    shown: Sequence[str],
    foci: Sequence[float],
    *,
    recorded: NDArray[np.float32],
    restored: NDArray[np.float32],
    target: NDArray[np.float32],
) -> Figure:
    """On the left how often each shape is named as what; on the right specimens as they are recorded at several foci
    [Å], restored from each, and their truth at the first (specimen, focus, y, x)."""
    n, m = recorded.shape[:2]
    figure = Figure(figsize=(6.2 + 1.35 * (2 * m + 1), max(4.8, 1.5 * n + 0.7)), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(5.6, 1.35 * (2 * m + 1)), squeeze=False)[0]
    axes = left.subplots()
    share = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    _shares(axes, 100 * share, "{:.0f}", least=0.5, full=100, size=8)
    words = [spoken(shape) for shape in shapes]
    axes.set_xticks(range(len(words)), words, rotation=40, ha="right", fontsize=8)
    axes.set_yticks(range(len(words)), words, fontsize=8)
    axes.set_xlabel("named", color=INK, fontsize=9)
    axes.set_ylabel("true", color=INK, fontsize=9)
    axes.set_title("a   shapes named, % of each", loc="left", fontsize=10, color=INK)
    grid = right.subplots(n, 2 * m + 1, squeeze=False)
    right.suptitle("b   recorded, restored and true", x=0.01, ha="left", fontsize=10, color=INK)
    for i in range(n):
        low, high = display_range(target[i, 0])
        for j in range(m):
            dark, bright = display_range(recorded[i, j])
            grid[i][j].imshow(recorded[i, j], cmap="gray", vmin=dark, vmax=bright)
            grid[i][m + j].imshow(restored[i, j], cmap="gray", vmin=low, vmax=high)
        grid[i][2 * m].imshow(target[i, 0], cmap="gray", vmin=low, vmax=high)
        grid[i][0].set_ylabel(spoken(shown[i]), fontsize=8, color=INK)
    for j, focus in enumerate(foci):
        grid[0][j].set_title(f"{focus / 10:g} nm", fontsize=8, color=INK)
        grid[0][m + j].set_title(f"restored, {focus / 10:g} nm", fontsize=8, color=INK)
    grid[0][2 * m].set_title(f"truth ({foci[0] / 10:g} nm)", fontsize=8, color=INK)
    for panel in grid.ravel():
        panel.set_xticks([])
        panel.set_yticks([])
    return figure
