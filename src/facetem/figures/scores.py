"""How well the networks do: confusion, reliability, accuracy, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from facetem.core.shares import wilson_interval
from facetem.core.words import spoken
from facetem.figures.style import (
    INK,
    PALETTE,
    SOFT,
    tidy,
)


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
                          color="white" if share[i, j] > 0.55 else INK)  # fmt: skip
    words = [spoken(name) for name in names]
    axes.set_xticks(range(n), words, rotation=40, ha="right", fontsize=9)
    axes.set_yticks(range(n), [f"{w}  {share[i, i]:.0%}" for i, w in enumerate(words)], fontsize=9)
    axes.set_xlabel("predicted", color=INK)
    axes.set_ylabel("true, with the share found", color=INK)
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
    tidy(axes, "confidence", "share correct")
    axes.plot([0, 1], [0, 1], color=SOFT, lw=1, ls="--", zorder=1)
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
    axes.text(0.02, 0.97, "area: share of the images; bars: 95 %", fontsize=8, color=SOFT)
    return figure


def accuracy_against(x: ArrayLike, correct: ArrayLike, label: str, bins: int = 6) -> Figure:
    """Accuracy in `bins` equally filled bins of a property `x` (n,), with 95 % intervals; `label` has the unit."""
    values, right = np.asarray(x, dtype=float), np.asarray(correct, dtype=bool)
    if values.shape != right.shape or values.ndim != 1:
        raise ValueError(f"x and correct must be (n,), got {values.shape} and {right.shape}")
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    tidy(axes, label, "accuracy")
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


def training_curves(minutes: Sequence[float], quantities: Mapping[str, Sequence[float]]) -> Figure:
    """One panel per quantity over the minutes that training took: every report, and their running mean."""
    across = min(4, max(1, len(quantities)))
    down = -(-max(1, len(quantities)) // across)
    figure = Figure(figsize=(3.4 * across, 2.6 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes, (name, values) in zip(panels, quantities.items(), strict=False):
        tidy(axes, "minutes", name)
        axes.plot(minutes, values, color=SOFT, lw=0.8, alpha=0.7)
        width = max(1, len(values) // 12)
        kernel = np.ones(width)
        # Where the window reaches beyond the ends, the mean is of what there is.
        mean = np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")
        axes.plot(minutes, mean, color=PALETTE[4], lw=1.8)
        # The first steps of an untrained network would flatten all that follows.
        low, high = np.nanquantile(values, [0.0, 0.95])
        axes.set_ylim(low - 0.08 * (high - low) - 1e-9, high + 0.15 * (high - low) + 1e-9)
    for axes in panels[len(quantities) :]:
        axes.set_visible(False)
    return figure


def methods_against(
    x: Sequence[float], methods: Mapping[str, Sequence[float]], *, x_label: str, y_label: str
) -> Figure:
    """One line per method over `x`, each named at its end; the last, which is ours, stands out."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    tidy(axes, x_label, y_label)
    markers = "osv^D*PX"
    for i, (name, values) in enumerate(methods.items()):
        own = i == len(methods) - 1
        axes.plot(
            x,
            values,
            color=PALETTE[4] if own else SOFT,
            lw=2.6 if own else 1.2,
            marker=markers[i % len(markers)],
            ms=6 if own else 4.5,
            label=name,
            zorder=3 if own else 2,
        )
    axes.legend(frameon=False, fontsize=8.5, labelcolor=INK, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
