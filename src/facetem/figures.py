"""Every figure of the project, and the only module that imports matplotlib.

Functions take plain arrays and return a `Figure` made with the object interface, so that nothing is drawn on a
screen and no state is shared; `png` turns one into bytes. Colours are told apart by colour-blind readers and are
never the only carrier of a meaning.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

# Okabe and Ito's seven, and a wine red from Tol's muted scheme for the eighth shape.
PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#882255")
GREY = "#9AA3AD"  # "none of these"
PALE = "#E4E7EB"  # "not judged"
_INK = "#22262B"
_SOFT = "#6B727B"


@dataclass(frozen=True)
class Mark:
    """What is drawn on an image for one particle: outline (n, 2) and centroid as (y, x) [px], number, colour."""

    contour: NDArray
    centroid: tuple[float, float]
    text: str
    colour: str


@dataclass(frozen=True)
class Card:
    """One particle of the gallery: title, crops (y, x), probabilities per shape (none if not judged), colour."""

    title: str
    noisy: NDArray
    restored: NDArray
    probabilities: Mapping[str, float]
    colour: str


@dataclass(frozen=True)
class ShapeRow:
    """One shape of the library: its picture (y, x, 3), and images (y, x) by the axis that they look along."""

    title: str
    view: NDArray
    images: Mapping[str, NDArray]
    sampling: float


def shape_colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each shape name, in the order given; the ninth and later ones are grey."""
    return {name: PALETTE[i] if i < len(PALETTE) else GREY for i, name in enumerate(names)}


def display_range(image: ArrayLike) -> tuple[float, float]:
    """Black and white level that show an image well: its 0.5th and 99.5th percentile."""
    low, high = np.percentile(np.asarray(image), (0.5, 99.5))
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def grey_png(image: ArrayLike, levels: tuple[float, float] | None = None) -> bytes:
    """An image (y, x) as an 8-bit PNG, between `levels` (default: `display_range`)."""
    from imageio.v3 import imwrite

    values = np.asarray(image, dtype=np.float32)
    low, high = levels or display_range(values)
    scaled = np.clip((values - low) / (high - low), 0, 1)
    return imwrite("<bytes>", (255 * scaled + 0.5).astype(np.uint8), extension=".png")


def png(figure: Figure, dpi: float = 150) -> bytes:
    """The figure as PNG bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()


def overview(
    image: ArrayLike, restored: ArrayLike, sampling: float, marks: Sequence[Mark], colours: Mapping[str, str]
) -> Figure:
    """The micrograph with the outlines beside the restored field; `sampling` in Å/px; `colours` is the legend."""
    ny, nx = np.shape(image)
    width = 12.0
    figure = Figure(figsize=(width, width / 2 * ny / nx + 0.75), layout="constrained")
    for axes, picture, title in zip(
        figure.subplots(1, 2), (image, restored), ("micrograph", "restored"), strict=True
    ):
        _show(axes, picture, title)
        _scale_bar(axes, image, sampling)
        for mark in marks:
            _outline(axes, mark)
    if colours:
        handles = [_dot(colour) for colour in colours.values()]
        figure.legend(
            handles, [n.replace("_", " ") for n in colours], loc="outside lower center", ncols=5, frameon=False,
            fontsize=9, labelcolor=_INK,
        )  # fmt: skip
    return figure


def gallery(cards: Sequence[Card], sampling: float, columns: int = 3) -> Figure:
    """Crop, restored crop and probabilities of each particle."""
    rows = max(1, math.ceil(len(cards) / columns))
    figure = Figure(figsize=(5.2 * columns, 1.95 * rows), layout="constrained")
    axes = figure.subplots(rows, 3 * columns, squeeze=False, width_ratios=[1, 1, 1.15] * columns)
    for panel in axes.flat:
        panel.set_axis_off()
    for i, card in enumerate(cards):
        first, second, bars = axes[i // columns, 3 * (i % columns) : 3 * (i % columns) + 3]
        _show(first, card.noisy, "")
        _show(second, card.restored, "")
        _scale_bar(second, card.restored, sampling)
        first.set_title(card.title, loc="left", fontsize=9, color=_INK, fontweight="bold")
        if card.probabilities:
            _probability_bars(bars, card.probabilities, card.colour)
    return figure


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
        first.set_title(shape.title, loc="left", fontsize=10, color=_INK, fontweight="bold")
        for panel, (axis, image) in zip(others, shape.images.items(), strict=True):
            _show(panel, image, "")
            panel.set_title(axis, loc="left", fontsize=9, color=_SOFT)
            _scale_bar(panel, image, shape.sampling)
    return figure


def size_histogram(diameters: Mapping[str, Sequence[float]], colours: Mapping[str, str]) -> Figure:
    """Stacked histogram of the diameters [nm] of each verdict."""
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    _tidy(axes, "projected diameter (nm)", "particles")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    names = [name for name, values in diameters.items() if len(values)]
    everything = (
        np.concatenate([np.asarray(diameters[n], dtype=float) for n in names]) if names else np.zeros(0)
    )
    if len(everything):
        step = next((s for s in (0.25, 0.5, 1, 2, 5, 10) if np.ptp(everything) / s <= 14), 20)
        edges = np.arange(math.floor(everything.min() / step), math.floor(everything.max() / step) + 2) * step
        axes.hist(
            [np.asarray(diameters[n]) for n in names], bins=list(edges), stacked=True, rwidth=0.92,
            color=[colours.get(n, GREY) for n in names], label=[n.replace("_", " ") for n in names],
        )  # fmt: skip
        axes.set_xlim(edges[0] - step, edges[-1] + step)
        figure.legend(loc="outside upper right", ncols=3, frameon=False, fontsize=8, labelcolor=_INK)
    return figure


def confusion_matrix(matrix: ArrayLike, names: Sequence[str]) -> Figure:
    """Counts (true, predicted), coloured by the share of each true shape; every row is labelled with its recall."""
    counts = np.asarray(matrix, dtype=float)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    n = len(names)
    figure = Figure(figsize=(3.2 + 0.55 * n, 1.9 + 0.55 * n), layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i in range(n):
        for j in range(n):
            if counts[i, j]:
                axes.text(j, i, f"{counts[i, j]:g}", ha="center", va="center", fontsize=9,
                          color="white" if share[i, j] > 0.55 else _INK)  # fmt: skip
    words = [name.replace("_", " ") for name in names]
    axes.set_xticks(range(n), words, rotation=40, ha="right", fontsize=9)
    axes.set_yticks(range(n), [f"{w}  {share[i, i]:.0%}" for i, w in enumerate(words)], fontsize=9)
    axes.set_xlabel("predicted", color=_INK)
    axes.set_ylabel("true, with the share found", color=_INK)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def reliability(confidence: ArrayLike, correct: ArrayLike, bins: int = 10) -> Figure:
    """Share of correct answers against the confidence they came with; on the diagonal, the confidence is honest.

    Parameters
    ----------
    confidence : (n,) in [0, 1]
    correct : (n,) bool
    """
    stated, right = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=bool)
    if stated.shape != right.shape or stated.ndim != 1:
        raise ValueError(f"confidence and correct must be (n,), got {stated.shape} and {right.shape}")
    figure = Figure(figsize=(4.6, 4.6), layout="constrained")
    axes = figure.subplots()
    _tidy(axes, "confidence", "share correct")
    axes.plot([0, 1], [0, 1], color=_SOFT, lw=1, ls="--", zorder=1)
    which = np.clip((stated * bins).astype(int), 0, bins - 1)
    for b in range(bins):
        inside = which == b
        n, hits = int(inside.sum()), int(right[inside].sum())
        if n:
            low, high = wilson_interval(hits, n)
            x = float(stated[inside].mean())
            axes.plot([x, x], [low, high], color=PALETTE[4], lw=1.5, alpha=0.6)
            axes.scatter(x, hits / n, s=14 + 160 * n / len(stated), color=PALETTE[4], zorder=3, lw=0)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    axes.set_aspect("equal")
    axes.text(0.02, 0.97, "area: share of the images; bars: 95 %", fontsize=8, color=_SOFT)
    return figure


def wilson_interval(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927): meaningful for few trials, where hits/n +- its error is not."""
    centre = (hits + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(hits * (n - hits) / n + z * z / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


def accuracy_against(x: ArrayLike, correct: ArrayLike, label: str, bins: int = 6) -> Figure:
    """Accuracy in `bins` equally filled bins of a property `x` (n,), with 95 % intervals; `label` has the unit."""
    values, right = np.asarray(x, dtype=float), np.asarray(correct, dtype=bool)
    if values.shape != right.shape or values.ndim != 1:
        raise ValueError(f"x and correct must be (n,), got {values.shape} and {right.shape}")
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    _tidy(axes, label, "accuracy")
    order = np.argsort(values, kind="stable")
    for part in np.array_split(order, min(bins, len(order)) or 1):
        if len(part):
            hits, n = int(right[part].sum()), len(part)
            low, high = wilson_interval(hits, n)
            middle = float(np.median(values[part]))
            axes.plot([middle, middle], [low, high], color=PALETTE[4], lw=1.5, alpha=0.6)
            axes.plot([values[part].min(), values[part].max()], [hits / n] * 2, color=PALETTE[4], lw=2.5)
    axes.set_ylim(0, 1.02)
    return figure


def before_after(noisy: ArrayLike, restored: ArrayLike, target: ArrayLike | None, sampling: float) -> Figure:
    """Rows of camera image, restored image and (for simulated images) the target; (y, x) or (n, y, x) each."""
    columns = {"camera image": noisy, "restored": restored}
    if target is not None:
        columns["target"] = target
    stacks = {
        title: np.asarray(a)[None] if np.ndim(a) == 2 else np.asarray(a) for title, a in columns.items()
    }
    rows = len(next(iter(stacks.values())))
    figure = Figure(figsize=(3 * len(stacks), 3 * rows + 0.3), layout="constrained")
    axes = figure.subplots(rows, len(stacks), squeeze=False)
    for i in range(rows):
        # Restored and target share their grey levels, or the comparison would flatter.
        shared = display_range(stacks["target"][i]) if target is not None else None
        for panel, (title, stack) in zip(axes[i], stacks.items(), strict=True):
            _show(panel, stack[i], title if i == 0 else "", None if title == "camera image" else shared)
            _scale_bar(panel, stack[i], sampling)
    return figure


def training_curves(curves: Mapping[str, Mapping[str, Sequence[float]]], x_label: str = "epoch") -> Figure:
    """One panel per quantity, e.g. {"loss": {"training": [...], "validation": [...]}, "accuracy": {...}}."""
    figure = Figure(figsize=(4.4 * max(1, len(curves)), 3.2), layout="constrained")
    panels = figure.subplots(1, max(1, len(curves)), squeeze=False)[0]
    for axes, (quantity, lines) in zip(panels, curves.items(), strict=False):
        _tidy(axes, x_label, quantity)
        for i, (name, values) in enumerate(lines.items()):
            axes.plot(
                np.arange(1, len(values) + 1), values, color=PALETTE[(4, 5, 2, 0)[i % 4]], lw=1.6, label=name
            )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, fontsize=9, labelcolor=_INK)
    return figure


def bar_length(width: float) -> float:
    """A round length, 1, 2 or 5 times a power of ten, of about a fifth of `width`, in its unit."""
    wanted = width / 5
    power = 10.0 ** math.floor(math.log10(wanted))
    return max(step * power for step in (1, 2, 5) if step * power <= wanted * 1.0001)


def _scale_bar(axes: Axes, image: ArrayLike, sampling: float) -> None:
    """Lower right: a camera's own bar, where it is burnt in, is at the lower left."""
    ny, nx = np.shape(image)
    length = bar_length(nx * sampling / 10)
    width, thick = length * 10 / sampling, 0.011 * nx
    x, y = 0.96 * nx - width, ny - 0.05 * nx
    axes.add_patch(Rectangle((x, y), width, thick, facecolor="white", edgecolor="black", lw=0.6))
    axes.text(x + width / 2, y - 0.015 * nx, f"{length:g} nm", color="white", fontsize=8, ha="center", va="bottom",
              path_effects=[patheffects.withStroke(linewidth=2.2, foreground="black")])  # fmt: skip


def _outline(axes: Axes, mark: Mark) -> None:
    halo = [patheffects.withStroke(linewidth=3, foreground="#000000B0"), patheffects.Normal()]
    axes.plot(mark.contour[:, 1], mark.contour[:, 0], color=mark.colour, lw=1.6, path_effects=halo)
    axes.text(mark.centroid[1], mark.centroid[0], mark.text, color="white", fontsize=9, ha="center", va="center",
              fontweight="bold", path_effects=[patheffects.withStroke(linewidth=2.5, foreground="black")])  # fmt: skip


def _show(axes: Axes, image: ArrayLike, title: str, levels: tuple[float, float] | None = None) -> None:
    low, high = levels or display_range(image)
    axes.imshow(np.asarray(image), cmap="gray", vmin=low, vmax=high, interpolation="antialiased")
    axes.set_axis_off()
    axes.autoscale(False)
    if title:
        axes.set_title(title, loc="left", fontsize=11, color=_INK)


def _probability_bars(axes: Axes, probabilities: Mapping[str, float], colour: str) -> None:
    axes.set_axis_on()
    names = list(probabilities)
    values = [probabilities[n] for n in names]
    best = int(np.argmax(values))
    axes.barh(
        names, values, color=[colour if i == best else "#CFD4DA" for i in range(len(names))], height=0.7
    )
    axes.set_yticks(range(len(names)), [])
    for i, name in enumerate(names):
        axes.text(0.02, i, name.replace("_", " "), va="center", fontsize=6.5, color=_INK)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 1], ["0", "1"], fontsize=7)
    axes.invert_yaxis()
    axes.tick_params(length=0, colors=_SOFT)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _tidy(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, color=_INK)
    axes.set_ylabel(y, color=_INK)
    axes.tick_params(colors=_SOFT, labelcolor=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#B9BFC7")


def _dot(colour: str) -> Line2D:
    return Line2D([], [], marker="o", ls="", color=colour, markersize=7)
