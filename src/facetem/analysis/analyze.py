"""The product: a micrograph goes in, every particle's shape and the restored field come out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facetem.analysis.lattice import LatticeScale, lattice_scale, lattice_spacings
from facetem.analysis.particles import Outline, find_particles
from facetem.analysis.view import View, beam_energy, contrast_around, out_of_focus
from facetem.data.crop import crop
from facetem.data.micrograph import Micrograph, load_micrograph, micrograph_of, resample
from facetem.data.signals import Signal
from facetem.learn.verdict import CANNOT_TELL, NONE_OF_THESE, listed, verdict, verdict_words

if TYPE_CHECKING:
    from facetem.learn.predictor import Prediction
    from facetem.learn.restoration import Restoration
    from facetem.learn.support import LatticeSupport

PIXEL = 0.4  # Å/px of both networks
FIELD = 256  # px of the classifier
# Projected diameters [Å] of particles of 40 to 80 Å volume-equivalent diameter: a tetrahedron's is up to a quarter
# larger. A tetrahedron of 80 Å has a tenth of its area outside the field.
_TRAINED = (36.0, 100.0)
_LEAST_SEEN = 0.85
_MASK_BLUR = 2.5  # Å: about a lattice spacing; finer than this the outlines are noise
_SMALLEST = 20.0  # Å: half of the smallest particle that the networks know
_CONVEX = 0.85  # of its convex hull that a particle fills: Marks decahedra with deep notches have 0.9
_FARTHEST = 180.0  # Å from focus; the networks learnt up to 200
_ENOUGH = 3  # judged particles, to say something of the whole micrograph
NOT_JUDGED = "not judged"
_BATCH = 16  # crops: what a laptop classifies at once without a noticeable share of its memory

Progress = Callable[[str, int, int], None]  # step, done, total


class ShapeClassifier(Protocol):
    """Crops (n, 256, 256) at 0.4 Å/px to one prediction each."""

    def classify(self, crops: Any) -> Sequence[Prediction]: ...


class ContrastRestorer(Protocol):
    """A field (y, x) at 0.4 Å/px to the restored field, its spread, the particle probability on the same pixels, and
    the support of its lattice."""

    def restore(self, field: Any, progress: Any = None) -> Restoration: ...


@dataclass(frozen=True)
class ParticleResult:
    """One row of the table. Lengths in nm, positions of the centroid from the upper left corner of the field.

    `diameter_nm` is that of the disc of the same projected area; `confidence` is calibrated on simulated images;
    `judged` is False if the classifier could not see enough of the particle; `known` is False then, and also if the
    image resembles none of the shapes. `possible` are the shapes that the image leaves possible, the most probable
    first. `spacings_nm` are those of the lattice that its spectrum shows, the largest first. `contrast` is that of the
    micrograph around it (`facetem.core.contrast`), `out_of_focus_nm` how far the restorer reads it to be from focus, on
    either side; None where the file does not tell the beam energy. `family`, the
    volume-equivalent `volume_diameter_nm` and how the particle lies (`Orientation`) are the network's answers; they
    mean nothing where it is not `known`. `remarks` says in words what makes the row less certain.
    """

    index: int
    x_nm: float
    y_nm: float
    diameter_nm: float
    feret_nm: float
    circularity: float
    cut_by_edge: bool
    shape: str
    confidence: float
    judged: bool
    known: bool
    probabilities: dict[str, float]
    possible: tuple[str, ...]
    family: str
    volume_diameter_nm: float
    quaternion: tuple[float, float, float, float]
    zone: tuple[int, int, int] | None
    zone_angle_deg: float | None
    spacings_nm: tuple[float, ...] = ()
    contrast: float | None = None
    out_of_focus_nm: float | None = None
    remarks: tuple[str, ...] = ()

    @property
    def named(self) -> bool:
        """Whether one shape is claimed."""
        return self.judged and verdict(self.known, self.possible) == "accepted"

    @property
    def verdict(self) -> str:
        """What is claimed, in words: the shape, "cannot tell", "none of these", or "not judged"."""
        if not self.judged:
            return NOT_JUDGED
        return {
            "accepted": listed(self.possible),
            "abstained": CANNOT_TELL,
            "unknown": NONE_OF_THESE,
        }[verdict(self.known, self.possible)]

    @property
    def words(self) -> str:
        """The verdict, and between which shapes one cannot tell."""
        return verdict_words(self.known, self.possible) if self.judged else NOT_JUDGED


@dataclass(frozen=True)
class Analysis:
    """A micrograph and what was found in it.

    Parameters
    ----------
    micrograph : Micrograph
        As read.
    field, restored, spread, mask : (y, x) float32
        Input, restored image (vacuum near 1), its uncertainty in the same units, and particle probability, all at
        `sampling` [Å/px].
    support : LatticeSupport
        Whether the lattice of the restored image is in the input.
    scale : LatticeScale or None
        The pixel size that would make the lattice that of gold; None where too little of it is seen.
    particles, outlines : list
        In the same order.
    provenance : dict
        Version, weights, device, and what the file was: enough to repeat it.
    """

    micrograph: Micrograph
    field: NDArray[np.float32]
    restored: NDArray[np.float32]
    spread: NDArray[np.float32]
    mask: NDArray[np.float32]
    support: LatticeSupport
    scale: LatticeScale | None
    particles: list[ParticleResult]
    outlines: list[Outline]
    provenance: dict[str, Any]
    sampling: float = PIXEL

    def signal(self, name: str = "restored", *, outlines: bool = True) -> Any:
        """One of the images as a HyperSpy Signal2D, with the names, unit and place of the micrograph's axes.

        Parameters
        ----------
        name
            `field`, `restored`, `spread` or `mask`, as here, or `labels`: the number of each pixel's particle, 0 beside
            them.
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
        return "; ".join(text for text in (self._of_scale, self._of_pixels, self._of_shapes) if text)

    @property
    def _of_scale(self) -> str:
        if self.scale is None or not self.scale.disagrees:
            return ""
        size = self.micrograph.sampling * self.scale.ratio / 10
        return (
            f"the lattice is that of gold if a pixel is {size:.4g} nm and not {self.micrograph.sampling / 10:.4g} nm: "
            f"check the pixel size, or the metal; --sampling-nm {size:.4g} analyses it so"
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
            "may be unlike those that facetem learnt from (gold, 4 to 8 nm, on amorphous carbon), so check the "
            "outlines before using any of its numbers"
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
    micrograph = _read(source, sampling, frame)
    image = resample(micrograph.image, micrograph.sampling, PIXEL)
    restorer = restorer or _shipped_restorer(device)
    restoration = restorer.restore(image, progress=lambda done, total: tell("restore", done, total))
    outlines = find_particles(restoration.mask, sampling=PIXEL, blur=_MASK_BLUR, min_diameter=_SMALLEST)
    classifier = classifier or _shipped_classifier(device)
    predictions: list[Prediction] = []
    for first in range(0, len(outlines), _BATCH):
        batch = outlines[first : first + _BATCH]
        predictions += classifier.classify(np.stack([crop(image, o.centroid, FIELD) for o in batch]))
        tell("classify", len(predictions), len(outlines))
    finest = (
        2.2 * micrograph.sampling
    )  # a tenth above what its pixels could hold: there is no noise to compare with
    views = [View.of(outline, image.shape) for outline in outlines]
    spacings = [
        lattice_spacings(image[view.box], view.inside, sampling=PIXEL, finest=finest) for view in views
    ]
    energy = beam_energy(micrograph)
    particles = [
        _result(
            outline,
            prediction,
            seen=view.share_within(FIELD / 2, outline.centroid),
            spacings=lattice,
            invented=restoration.support.within(view.inside, view.corner).invented,
            contrast=contrast_around(image[view.box], restoration.mask[view.box], view.inside),
            out_of_focus=out_of_focus(restoration, outline, energy),
        )
        for outline, prediction, view, lattice in zip(outlines, predictions, views, spacings, strict=True)
    ]
    return Analysis(
        micrograph=micrograph,
        field=image,
        restored=np.asarray(restoration.image, dtype=np.float32),
        spread=np.asarray(restoration.spread, dtype=np.float32),
        mask=np.asarray(restoration.mask, dtype=np.float32),
        support=restoration.support,
        scale=lattice_scale(spacings),
        particles=particles,
        outlines=outlines,
        provenance=_provenance(source, classifier, restorer),
    )


def _read(source: Any, sampling: float | None, frame: int | None) -> Micrograph:
    if isinstance(source, Micrograph):
        return source
    if isinstance(source, (str, os.PathLike)):
        return load_micrograph(source, sampling=sampling, frame=frame)
    return micrograph_of(source, sampling, frame)


def _result(
    outline: Outline,
    prediction: Prediction,
    *,
    seen: float,
    spacings: NDArray[np.float64],
    invented: bool,
    contrast: float | None,
    out_of_focus: float | None,
) -> ParticleResult:
    remarks = []
    # A disc with a straight cut as long as its radius has lost 3 % of its area. Beyond the edge the classifier sees
    # a mirror image, which makes a symmetric particle of any part.
    cut_through = outline.edge_length > outline.equivalent_diameter / 2
    too_large = seen < _LEAST_SEEN
    if outline.cut_by_edge:
        remarks.append(
            "cut through by the edge of the field" if cut_through else "touches the edge of the field"
        )
    if too_large:
        wide = f"{FIELD * PIXEL / 10:.1f} nm"
        remarks.append(
            f"larger than the {wide} that the networks see: its outline and size may be those of a part"
        )
    elif not (outline.cut_by_edge or _TRAINED[0] <= outline.equivalent_diameter <= _TRAINED[1]):
        remarks.append("outside the 4 to 8 nm of the training")
    if outline.solidity < _CONVEX:
        remarks.append("not convex: particles that overlap, or none")
    if out_of_focus is not None and out_of_focus > _FARTHEST:
        remarks.append(f"about {out_of_focus / 10:.0f} nm from focus, at the end of what the networks learnt")
    if prediction.foreign is not None:
        remarks.append(f"a reflection of {prediction.foreign / 10:.3f} nm, which gold does not have")
    if invented:
        remarks.append("restored with lattice that has no support in the image")
    # Of another crystal it does not matter how much of it is seen.
    judged = prediction.foreign is not None or not (cut_through or too_large)
    return ParticleResult(
        index=outline.label,
        x_nm=(outline.centroid[1] + 0.5) * PIXEL / 10,
        y_nm=(outline.centroid[0] + 0.5) * PIXEL / 10,
        diameter_nm=outline.equivalent_diameter / 10,
        feret_nm=outline.feret / 10,
        circularity=outline.circularity,
        cut_by_edge=outline.cut_by_edge,
        shape=prediction.shape,
        confidence=float(prediction.confidence),
        judged=judged,
        known=bool(prediction.known) and judged,
        probabilities={name: float(p) for name, p in prediction.probabilities.items()},
        possible=tuple(prediction.possible),
        family=prediction.family,
        volume_diameter_nm=float(prediction.diameter) / 10,
        quaternion=prediction.orientation.quaternion,
        zone=prediction.orientation.zone,
        zone_angle_deg=prediction.orientation.zone_angle,
        spacings_nm=tuple(round(float(d) / 10, 4) for d in spacings),
        contrast=contrast,
        out_of_focus_nm=None if out_of_focus is None else out_of_focus / 10,
        remarks=tuple(remarks),
    )


def _provenance(source: Any, classifier: ShapeClassifier, restorer: ContrastRestorer) -> dict[str, Any]:
    import hashlib
    from datetime import UTC, datetime
    from importlib.metadata import PackageNotFoundError, version

    try:
        release = version("facetem")
    except PackageNotFoundError:
        release = "not installed"
    told: dict[str, Any] = {"facetem": release, "analysed": datetime.now(UTC).isoformat(timespec="seconds")}
    if isinstance(source, (str, os.PathLike)) and Path(source).is_file():
        told["file"] = str(Path(source).resolve())
        with Path(source).open("rb") as stream:
            told["sha256"] = hashlib.file_digest(stream, "sha256").hexdigest()
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
