"""An analysis in HyperSpy: its images as signals, its particles as markers on them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facetem.analysis.analyze import Analysis
from facetem.analysis.report import result_dict, verdict_colours
from facetem.core.errors import InputError
from facetem.data.axes import Axes
from facetem.data.signals import acquisition, hyperspy, make_signal

IMAGES = ("field", "denoised", "restored", "spread", "mask", "labels")
SIZE, WIDTH = 2.2, 1.6  # of the words in units of HyperSpy, 3 or 4 points; of the outlines in points


def analysis_signal(analysis: Analysis, name: str, *, outlines: bool) -> Any:
    """See `Analysis.signal`."""
    if name not in IMAGES:
        raise InputError(f"signal: expected one of {', '.join(IMAGES)}, got {name!r}")
    hs = hyperspy()
    data = label_image(analysis) if name == "labels" else getattr(analysis, name)
    axes = axes_of(analysis)
    told = result_dict(analysis)
    signal = make_signal(
        data,
        axes.described(data.shape, analysis.sampling),
        title=f"{analysis.micrograph.name}, {name}",
        # As text: HyperSpy keeps trees of its own, but neither None nor lists of them.
        about={key: json.dumps(told[key], ensure_ascii=False) for key in ("provenance", "particles")},
        more=acquisition(analysis.micrograph.metadata),
    )
    if outlines and analysis.outlines:
        _mark(hs, signal, analysis, axes)
    return signal


def axes_of(analysis: Analysis) -> Axes:
    """The axes of the images of an analysis, in the field of its micrograph."""
    return analysis.micrograph.axes.resampled(analysis.micrograph.sampling, analysis.sampling)


def label_image(analysis: Analysis) -> NDArray[np.int32]:
    """The number of the particle that each pixel (y, x) of the field is in, 0 beside them."""
    labels = np.zeros(analysis.field.shape, dtype=np.int32)
    for outline in analysis.outlines:
        labels[outline.box][outline.inside] = outline.label
    return labels


def _mark(hs: Any, signal: Any, analysis: Analysis, axes: Axes) -> None:
    """Outlines and verdicts, which HyperSpy keeps with the signal and draws whenever it is plotted."""
    step = analysis.sampling / axes.angstrom

    def place(pixels: NDArray[np.float64]) -> NDArray[np.float64]:  # (y, x) [px] -> (x, y) [unit]
        return (np.asarray(axes.offset) + step * np.asarray(pixels))[..., ::-1]

    colours = verdict_colours(analysis)
    seen = [colours[particle.verdict] for particle in analysis.particles]
    points = max(len(outline.contour) for outline in analysis.outlines)
    # Equally many points each: HyperSpy cannot print the metadata of a signal with polygons of different lengths.
    verts = np.stack([place(_with_points(outline.contour, points)) for outline in analysis.outlines])
    polygons = hs.plot.markers.Polygons(verts=verts, facecolors="none", edgecolors=seen, linewidths=WIDTH)
    tops = place(np.array([outline.contour[outline.contour[:, 0].argmin()] for outline in analysis.outlines]))
    words = [f"{particle.index} {particle.verdict}" for particle in analysis.particles]
    texts = hs.plot.markers.Texts(
        offsets=tops,
        texts=words,
        color=seen,
        sizes=SIZE,
        horizontalalignment="center",
        verticalalignment="bottom",
    )
    signal.add_marker([polygons, texts], permanent=True, plot_marker=False)


def _with_points(contour: NDArray[np.float64], points: int) -> NDArray[np.float64]:
    """The same outline (n, 2) with more points."""
    wanted = np.linspace(0, len(contour) - 1, points)
    return np.stack([np.interp(wanted, np.arange(len(contour)), along) for along in contour.T], axis=1)
