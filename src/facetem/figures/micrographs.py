"""Micrographs with their particles: outlines, crops with probabilities, sizes, before and after."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from facetem.core.words import spoken
from facetem.figures.style import (
    GREY,
    INK,
    SOFT,
    display_range,
    dot,
    scale_bar,
    show,
    tidy,
)


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
        show(axes, picture, title)
        scale_bar(axes, image, sampling)
        for mark in marks:
            _outline(axes, mark)
    if colours:
        handles = [dot(colour) for colour in colours.values()]
        figure.legend(
            handles, [spoken(n) for n in colours], loc="outside lower center", ncols=5, frameon=False,
            fontsize=9, labelcolor=INK,
        )  # fmt: skip
    return figure


def gallery(cards: Sequence[Card], sampling: float, columns: int = 3) -> Figure:
    """Crop, restored crop and probabilities of each particle."""
    rows = max(1, math.ceil(len(cards) / columns))
    figure = Figure(figsize=(5.2 * columns, 1.95 * rows))
    # Places that are stated: to find them for two hundred panels takes longer than to draw these.
    places = {
        "left": 0.01,
        "right": 0.99,
        "bottom": 0.14 / rows,
        "top": 1 - 0.14 / rows,
        "wspace": 0.06,
        "hspace": 0.25,
    }
    ratios = [1, 1, 1.1] * columns
    axes = figure.subplots(rows, 3 * columns, squeeze=False, width_ratios=ratios, gridspec_kw=places)
    for panel in axes.flat:
        panel.set_axis_off()
    for i, card in enumerate(cards):
        first, second, bars = axes[i // columns, 3 * (i % columns) : 3 * (i % columns) + 3]
        show(first, card.noisy, "")
        show(second, card.restored, "")
        scale_bar(second, card.restored, sampling)
        first.set_title(card.title, loc="left", fontsize=9, color=INK, fontweight="bold")
        if card.probabilities:
            _probability_bars(bars, card.probabilities, card.colour)
    return figure


def size_histogram(diameters: Mapping[str, Sequence[float]], colours: Mapping[str, str]) -> Figure:
    """Stacked histogram of the diameters [nm] of each verdict."""
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    tidy(axes, "projected diameter (nm)", "particles")
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
            color=[colours.get(n, GREY) for n in names], label=[spoken(n) for n in names],
        )  # fmt: skip
        axes.set_xlim(edges[0] - step, edges[-1] + step)
        figure.legend(loc="outside upper right", ncols=3, frameon=False, fontsize=8, labelcolor=INK)
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
            show(panel, stack[i], title if i == 0 else "", None if title == "camera image" else shared)
            scale_bar(panel, stack[i], sampling)
    return figure


def restorations(
    rows: Sequence[tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]], sampling: float
) -> Figure:
    """Rows of image, restored image, its spread, the size of its error, and the target, from all but the error.

    Restored and target share their grey levels, and so do spread and error, from black for 0.
    """
    titles = ("image", "restored", "spread", "|error|", "target")
    figure = Figure(figsize=(2.6 * len(titles), 2.6 * len(rows) + 0.3), layout="constrained")
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    for i, (noisy, restored, spread, target) in enumerate(rows):
        error = np.abs(np.asarray(restored) - np.asarray(target))
        grey, most = display_range(target), float(np.percentile(error, 99))
        levels = (None, grey, (0.0, most), (0.0, most), grey)
        for panel, picture, title, level in zip(
            axes[i], (noisy, restored, spread, error, target), titles, levels, strict=True
        ):
            show(panel, picture, title if i == 0 else "", level)
        scale_bar(axes[i, 0], noisy, sampling)
        axes[i, 2].text(0.03, 0.04, f"white: {most:.2g}", transform=axes[i, 2].transAxes, color="white", fontsize=8,
                        path_effects=[patheffects.withStroke(linewidth=2, foreground="black")])  # fmt: skip
    return figure


def saliency_overlay(image: ArrayLike, weights: ArrayLike, sampling: float, title: str) -> Figure:
    """An image (y, x) beside itself under a map of what decided; `sampling` in Å/px.

    The map is drawn in levels of its own: full colour is where it is strongest (its 99.5th percentile), none is zero.
    """
    strength = np.asarray(weights, dtype=np.float64)
    strength = np.clip(strength / (np.percentile(strength, 99.5) or 1.0), 0, 1)
    figure = Figure(figsize=(8, 4.3), layout="constrained")
    for axes, words, over in zip(figure.subplots(1, 2), ("image", title), (False, True), strict=True):
        show(axes, image, words)
        if over:
            axes.imshow(strength, cmap="inferno", vmin=0, vmax=1, alpha=0.75 * np.sqrt(strength))
        scale_bar(axes, image, sampling)
    return figure


def _outline(axes: Axes, mark: Mark) -> None:
    halo = [patheffects.withStroke(linewidth=3, foreground="#000000B0"), patheffects.Normal()]
    axes.plot(mark.contour[:, 1], mark.contour[:, 0], color=mark.colour, lw=1.6, path_effects=halo)
    axes.text(mark.centroid[1], mark.centroid[0], mark.text, color="white", fontsize=9, ha="center", va="center",
              fontweight="bold", path_effects=[patheffects.withStroke(linewidth=2.5, foreground="black")])  # fmt: skip


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
        axes.text(0.02, i, spoken(name), va="center", fontsize=6.5, color=INK)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 1], ["0", "1"], fontsize=7)
    axes.invert_yaxis()
    axes.tick_params(length=0, colors=SOFT)
    for spine in axes.spines.values():
        spine.set_visible(False)
