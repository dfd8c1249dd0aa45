"""The product: a micrograph goes in, every particle's shape and the restored field come out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facetem.analysis.large import agreed, views_along
from facetem.analysis.lattice import LatticeScale, lattice_scale, lattice_spots
from facetem.analysis.particles import BLUR, SMALLEST, Outline, find_particles
from facetem.analysis.result import ParticleResult, particle_result
from facetem.analysis.view import View, beam_energy, contrast_around, out_of_focus
from facetem.core.pixels import FIELD, PIXEL
from facetem.data.micrograph import Micrograph, micrograph_of, resample
from facetem.data.signals import Signal
from facetem.learn.matter import Matter

if TYPE_CHECKING:
    from facetem.learn.predictor import Prediction
    from facetem.learn.restoration import Restoration
    from facetem.learn.support import LatticeSupport

RESTORER_VIEWS = 2  # of each place; three take half as long again, and outline no better
_ENOUGH = 3  # judged particles, to say something of the whole micrograph
_BATCH = 16  # crops: what a laptop classifies at once without a noticeable share of its memory

Progress = Callable[[str, int, int], None]  # step, done, total


class ShapeClassifier(Protocol):
    """Crops (n, 256, 256) at 0.4 Å/px to one prediction each. It may say what it knows particles of: `matter`."""

    def classify(self, crops: Any) -> Sequence[Prediction]: ...


class ContrastRestorer(Protocol):
    """A field (y, x) at 0.4 Å/px to the restored field, its spread, the denoised field and the particle probability on
    the same pixels, and the support of its lattice."""

    def restore(self, field: Any, progress: Any = None, *, views: int = RESTORER_VIEWS) -> Restoration: ...


@dataclass(frozen=True)
class Analysis:
    """A micrograph and what was found in it.

    Parameters
    ----------
    micrograph : Micrograph
        As read.
    field, denoised, restored, spread, mask : (y, x) float32
        Input, the same without noise, restored image (vacuum near 1), its uncertainty in the same units, and particle
        probability, all at `sampling` [Å/px].
    support : LatticeSupport
        Whether the lattice of the restored image is in the input.
    scale : LatticeScale or None
        The pixel size that would make the lattice that of a learnt metal; None where too little of it is seen.
    particles, outlines : list
        In the same order.
    learnt : Matter
        What the classifier knows particles of.
    inverted : bool
        Whether nothing was found in the field, and particles in its negative.
    provenance : dict
        Version, weights, device, and what the file was: enough to repeat it.
    """

    micrograph: Micrograph
    field: NDArray[np.float32]
    denoised: NDArray[np.float32]
    restored: NDArray[np.float32]
    spread: NDArray[np.float32]
    mask: NDArray[np.float32]
    support: LatticeSupport
    scale: LatticeScale | None
    particles: list[ParticleResult]
    outlines: list[Outline]
    learnt: Matter
    provenance: dict[str, Any]
    sampling: float = PIXEL
    inverted: bool = False

    def signal(self, name: str = "restored", *, outlines: bool = True) -> Any:
        """One of the images as a HyperSpy Signal2D, with the names, unit and place of the micrograph's axes.

        Parameters
        ----------
        name
            `field`, `denoised`, `restored`, `spread` or `mask`, as here, or `labels`: the number of each pixel's
            particle, 0 beside them.
        outlines
            Whether it is plotted with the particles' outlines and verdicts, coloured as in a report.

        Raises
        ------
        InputError
            If there is no such image, or HyperSpy is not installed.
        """
        from facetem.analysis.signals import analysis_signal

        return analysis_signal(self, name, outlines=outlines)

    @property
    def warning(self) -> str:
        """A sentence if the lattice contradicts the pixel size, and one if the micrograph as a whole looks unlike what
        the networks learnt from; else empty."""
        return "; ".join(
            text for text in (self._of_scale, self._of_contrast, self._of_pixels, self._of_shapes) if text
        )

    @property
    def _of_scale(self) -> str:
        if self.scale is None or not self.scale.disagrees:
            return ""
        return self.scale.doubt(self.micrograph.sampling)

    @property
    def _of_contrast(self) -> str:
        if not self.inverted:
            return ""
        return (
            "no particle was found, but the negative of this image shows some: the contrast may be inverted, so give "
            "the image as the camera recorded it"
        )

    @property
    def _of_pixels(self) -> str:
        clipped = self.micrograph.metadata.get("clipped")
        return (
            f"{clipped:.1%} of the pixels are as bright or as dark as the file can hold: contrast was lost when it was "
            "written, so give the camera's own file"
            if clipped
            else ""
        )

    @property
    def _of_shapes(self) -> str:
        judged = [p for p in self.particles if p.judged]
        strange = sum(not p.known for p in judged)
        if len(judged) < _ENOUGH or strange <= len(judged) / 2:
            return ""
        return (
            f"{strange} of {len(judged)} particles that could be judged resemble no learnt shape: this micrograph "
            f"may be unlike those that facetem learnt from ({self.learnt.metal}, {self.learnt.size}, on amorphous "
            "carbon), so check the outlines before using any of its numbers"
        )


def analyze(
    source: str | os.PathLike[str] | Micrograph | Signal | ArrayLike,
    *,
    sampling: float | None = None,
    frame: int | None = None,
    classifier: ShapeClassifier | None = None,
    restorer: ContrastRestorer | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Analysis:
    """Find, classify and restore the particles of one micrograph.

    Parameters
    ----------
    source : path, Micrograph, HyperSpy Signal2D or (y, x) array
    sampling : float, optional
        Pixel size [Å/px]; required for an array, optional for a file or a signal that knows its own.
    frame : int, optional
        Of a movie in a file or a signal, from 0; by default its frames are summed, each moved back by its drift.
    classifier, restorer : optional
        The shipped networks by default.
    progress : callable, optional
        Called with (step, done, total).

    Raises
    ------
    InputError
        If the micrograph cannot be used (see `load_micrograph`).
    """
    tell = progress or (lambda step, done, total: None)
    tell("read", 0, 1)
    micrograph = micrograph_of(source, sampling, frame)
    image = resample(micrograph.image, micrograph.sampling, PIXEL)
    restorer = restorer or _shipped_restorer(device)
    restoration = restorer.restore(
        image, progress=lambda done, total: tell("restore", done, total), views=RESTORER_VIEWS
    )
    outlines = outlines_in(restoration.mask)
    inverted = not outlines and _particles_in_negative(image, restorer)
    classifier = classifier or _shipped_classifier(device)
    learnt: Matter = getattr(classifier, "matter", None) or Matter()  # others' need not say
    predictions: list[Prediction] = []
    for first in range(0, len(outlines), _BATCH):
        batch = outlines[first : first + _BATCH]
        seen = [views_along(image, outline) for outline in batch]
        told = classifier.classify(np.stack([views[0] for views in seen]))
        predictions += [
            agreed(one, views, widest=learnt.widest) for one, views in zip(told, seen, strict=True)
        ]
        tell("classify", len(predictions), len(outlines))
    finest = (
        2.2 * micrograph.sampling
    )  # a tenth above what its pixels could hold: there is no noise to compare with
    views = [View.of(outline, image.shape) for outline in outlines]
    spots = [lattice_spots(image[view.box], view.inside, sampling=PIXEL, finest=finest) for view in views]
    energy = beam_energy(micrograph)
    particles = [
        particle_result(
            outline,
            prediction,
            learnt=learnt,
            seen=view.share_within(FIELD / 2, outline.centroid),
            spots=lattice,
            invented=restoration.support.within(view.inside, view.corner).invented,
            contrast=contrast_around(image[view.box], restoration.mask[view.box], view.inside),
            out_of_focus=out_of_focus(restoration, outline, energy),
        )
        for outline, prediction, view, lattice in zip(outlines, predictions, views, spots, strict=True)
    ]
    return Analysis(
        micrograph=micrograph,
        field=image,
        denoised=np.asarray(restoration.denoised, dtype=np.float32),
        restored=np.asarray(restoration.image, dtype=np.float32),
        spread=np.asarray(restoration.spread, dtype=np.float32),
        mask=np.asarray(restoration.mask, dtype=np.float32),
        support=restoration.support,
        scale=lattice_scale(spots, learnt.elements),
        particles=particles,
        outlines=outlines,
        learnt=learnt,
        provenance=_provenance(source, classifier, restorer) | {"learnt": learnt.as_dict()},
        inverted=inverted,
    )


def _particles_in_negative(image: NDArray[np.float32], restorer: ContrastRestorer) -> bool:
    """Whether the restorer marks particles in the image with dark and bright exchanged."""
    negative = 2 * image.mean(dtype=np.float64) - image
    return bool(outlines_in(restorer.restore(negative.astype(image.dtype), views=RESTORER_VIEWS).mask))


def outlines_in(mask: NDArray[np.float32]) -> list[Outline]:
    """The particles in a restorer's mask."""
    return find_particles(mask, sampling=PIXEL, blur=BLUR, min_diameter=SMALLEST)


def _provenance(source: Any, classifier: ShapeClassifier, restorer: ContrastRestorer) -> dict[str, Any]:
    from datetime import UTC, datetime
    from importlib.metadata import PackageNotFoundError, version

    from facetem.data.digest import digest_of

    try:
        release = version("facetem")
    except PackageNotFoundError:
        release = "not installed"
    told: dict[str, Any] = {"facetem": release, "analysed": datetime.now(UTC).isoformat(timespec="seconds")}
    if isinstance(source, (str, os.PathLike)) and Path(source).exists():
        told["file"] = str(Path(source).resolve())
        told["sha256"] = digest_of(source)
    # A network says which weights it carries and where it runs in its own `provenance`, if it has one.
    for name, network in (("classifier", classifier), ("restorer", restorer)):
        told[name] = dict(getattr(network, "provenance", None) or {"name": type(network).__name__})
    return told


def _shipped_classifier(device: str) -> ShapeClassifier:
    from facetem.learn.predictor import load_classifier

    return load_classifier(device=device)


def _shipped_restorer(device: str) -> ContrastRestorer:
    from facetem.learn.restoration import load_restorer

    return load_restorer(device=device)
