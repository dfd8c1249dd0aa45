"""An analysis as napari shows it: what its layers and its table are made of. Without napari and Qt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from facetem.analysis.analyze import Analysis
from facetem.analysis.report import verdict_colours
from facetem.analysis.result import ParticleResult
from facetem.analysis.signals import axes_of, label_image

if TYPE_CHECKING:
    from facetem.app.napari.reader import Layer

COLUMNS = ("#", "shape", "confidence", "diameter (nm)", "x (nm)", "y (nm)", "remarks")


def result_layers(analysis: Analysis, name: str, origin: Sequence[float] = (0.0, 0.0)) -> list[Layer]:
    """The restored image and the particles' labels, in nm.

    Parameters
    ----------
    name
        Of the layer that was analysed.
    origin
        Where the middle of its first pixel is (y, x) [nm].
    """
    axes, nm = axes_of(analysis), analysis.sampling / 10
    start = [a + b * axes.angstrom / 10 for a, b in zip(origin, axes.offset, strict=True)]
    there: dict[str, Any] = {"scale": (nm, nm), "translate": start, "units": ("nm", "nm")}
    low, high = np.percentile(analysis.restored, (0.1, 99.9))
    image = {"name": f"{name}, restored", "colormap": "gray", "contrast_limits": (float(low), float(high))}
    labels = {
        "name": f"{name}, particles",
        "opacity": 0.9,
        "features": features(analysis.particles),
        "metadata": {"facetem": analysis.provenance},
    }
    return [
        (analysis.restored, image | there, "image"),
        (label_image(analysis), labels | there, "labels"),
    ]


def label_colours(analysis: Analysis) -> dict[int | None, str]:
    """The colour of every particle's number, that of its verdict in a report; nothing (0) and the rest are clear."""
    colours = verdict_colours(analysis)
    clear: dict[int | None, str] = {None: "#00000000", 0: "#00000000"}
    return clear | {p.index: colours[p.verdict] for p in analysis.particles}


def features(particles: Sequence[ParticleResult]) -> dict[str, list[Any]]:
    """A column for each thing that is told of particles; row 0 is the background, as napari counts."""
    told = {
        "index": [p.index for p in particles],
        "shape": [p.words for p in particles],
        "confidence": [p.confidence if p.known else float("nan") for p in particles],
        "diameter_nm": [p.diameter_nm for p in particles],
        "family": [p.family if p.known else "" for p in particles],
        "facet_ratio": [p.facet_ratio if p.known and p.facet_ratio else float("nan") for p in particles],
        "lies": [p.lies for p in particles],
        "remarks": ["; ".join(p.remarks) for p in particles],
    }
    nothing = float("nan")
    empty: dict[str, Any] = {
        "index": 0, "confidence": nothing, "diameter_nm": nothing, "facet_ratio": nothing
    }  # fmt: skip
    return {name: [empty.get(name, ""), *column] for name, column in told.items()}


def table_rows(analysis: Analysis, origin: Sequence[float] = (0.0, 0.0)) -> list[tuple[Any, ...]]:
    """A row of `COLUMNS` for each particle; positions in the viewer's own nm."""
    rows = []
    for particle, (y, x) in zip(analysis.particles, centres(analysis, origin), strict=True):
        confidence = f"{particle.confidence:.2f}" if particle.known else ""
        size = round(particle.diameter_nm, 1)
        place = (round(float(x), 1), round(float(y), 1))
        rows.append((particle.index, particle.words, confidence, size, *place, "; ".join(particle.remarks)))
    return rows


def centres(analysis: Analysis, origin: Sequence[float] = (0.0, 0.0)) -> list[tuple[float, float]]:
    """Where the particles are (y, x) in the viewer [nm]."""
    axes = axes_of(analysis)
    step = analysis.sampling / 10
    start = [a + b * axes.angstrom / 10 for a, b in zip(origin, axes.offset, strict=True)]
    return [(start[0] + step * o.centroid[0], start[1] + step * o.centroid[1]) for o in analysis.outlines]
