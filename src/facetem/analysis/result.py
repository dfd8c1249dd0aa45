"""One particle as a row of the table: what was measured, what is claimed, and what makes it less certain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facetem.analysis.particles import Outline
from facetem.core.pixels import FIELD, PIXEL
from facetem.learn.orientation import TOLD
from facetem.learn.verdict import CANNOT_TELL, verdict, verdict_words

if TYPE_CHECKING:
    from facetem.learn.matter import Matter
    from facetem.learn.predictor import Prediction

_LEAST_SEEN = 0.85  # a tetrahedron of 80 Å has a tenth of its area outside the field
_TOO_LARGE = (
    f"larger than the {FIELD * PIXEL / 10:.1f} nm that the networks see: outline and size may be a part's"
)
_NOT_CONVEX = "not convex: particles that overlap, or none"
_CONVEX = 0.85  # of its convex hull that a particle fills: Marks decahedra with deep notches have 0.9
_FARTHEST = 180.0  # Å from focus; the networks learnt up to 200


@dataclass(frozen=True)
class ParticleResult:
    """One row of the table. Lengths in nm, positions of the centroid from the upper left corner of the field.

    `diameter_nm` is that of the disc of the same projected area; `confidence` is calibrated on simulated images;
    `judged` is False if the classifier could not see enough of the particle; `known` is False then, and also if the
    image resembles none of the shapes. `possible` are the shapes that the image leaves possible, the most probable
    first. `spacings_nm` are those of the lattice that its spectrum shows, the largest first, and `spot_signals` how
    many times the noise their spots are. `contrast` is that of the
    micrograph around it (`facetem.core.contrast`), `out_of_focus_nm` how far the restorer reads it to be from focus, on
    either side; None where the file does not tell the beam energy. `family`, the volume-equivalent
    `volume_diameter_nm`, the `facet_ratio` of cubic shapes (`Prediction`) and how the particle lies (`Orientation`),
    typically off by `orientation_error_deg`, are the network's answers; they mean nothing where it is not `known`.
    `remarks` says in words what makes the row less certain.
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
    orientation_error_deg: float | None = None
    facet_ratio: float | None = None
    spacings_nm: tuple[float, ...] = ()
    spot_signals: tuple[float, ...] = ()
    contrast: float | None = None
    out_of_focus_nm: float | None = None
    remarks: tuple[str, ...] = ()

    @property
    def named(self) -> bool:
        """Whether one shape is claimed."""
        return verdict(self.judged, self.known, self.possible) == "accepted"

    @property
    def whole(self) -> bool:
        """Whether outline and size are one whole particle's, as far as the report knows: the edge does not cut it, the
        networks saw all of it, and it is convex."""
        return not self.cut_by_edge and not {_TOO_LARGE, _NOT_CONVEX} & set(self.remarks)

    @property
    def verdict(self) -> str:
        """What is claimed, in words: the shape, "cannot tell", "none of these", or "not judged"."""
        told = verdict(self.judged, self.known, self.possible)
        return CANNOT_TELL if told == "abstained" else verdict_words(told, self.possible)

    @property
    def lies(self) -> str:
        """How it lies, in words; empty where that is not known."""
        off = self.orientation_error_deg
        if not self.known or (off is not None and off > TOLD):
            return ""
        near = "" if off is None else f"typically {max(1, round(off))}° off"
        if self.zone is None or self.zone_angle_deg is None:
            return near and f"orientation {near}"
        zone = f"{self.zone_angle_deg:.0f}° from [{' '.join(map(str, self.zone))}]"
        return f"{zone} ({near})" if near else zone

    @property
    def words(self) -> str:
        """The verdict, and between which shapes one cannot tell."""
        return verdict_words(verdict(self.judged, self.known, self.possible), self.possible)


def left_out_words(cut: int, doubtful: int) -> str:
    """How many particles have no part in statistics of sizes, and why."""
    told = [f"{cut} cut by the edge"] if cut else []
    if doubtful:
        told.append(f"{doubtful} with an outline that may be a part's, of several or of none")
    return f"left out: {', '.join(told) or 'none'}"


def what_hides(outline: Outline, seen: float) -> str:
    """Why the classifier cannot judge a particle of which it has the share `seen` in view, in words; empty if it
    can."""
    # A disc with a straight cut as long as its radius has lost 3 % of its area. Beyond the edge the classifier sees
    # a mirror image, which makes a symmetric particle of any part.
    if outline.edge_length > outline.equivalent_diameter / 2:
        return "cut through by the edge of the field"
    return _TOO_LARGE if seen < _LEAST_SEEN else ""


def particle_result(
    outline: Outline,
    prediction: Prediction,
    *,
    learnt: Matter,
    seen: float,
    spots: NDArray[np.float64],
    invented: bool,
    contrast: float | None,
    out_of_focus: float | None,
) -> ParticleResult:
    """The row of a particle: `learnt` is what the classifier knows, `seen` the share of the particle that it had in
    view, `spots` (n, 2) what `lattice_spots` finds in its spectrum. Lengths are in Å."""
    remarks = []
    hidden = what_hides(outline, seen) or prediction.hidden
    if hidden:
        remarks.append(hidden)
    elif outline.cut_by_edge:
        remarks.append("touches the edge of the field")
    elif not learnt.holds(outline.equivalent_diameter):
        remarks.append(f"outside the {learnt.size} of the training")
    if outline.solidity < _CONVEX:
        remarks.append(_NOT_CONVEX)
    if out_of_focus is not None and out_of_focus > _FARTHEST:
        remarks.append(f"about {out_of_focus / 10:.0f} nm from focus, at the end of what the networks learnt")
    if prediction.foreign is not None:
        remarks.append(f"a reflection of {prediction.foreign / 10:.3f} nm, which no learnt metal has")
    if invented:
        remarks.append("restored with lattice that has no support in the image")
    prediction = replace(prediction, hidden=hidden)
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
        judged=prediction.judged,
        known=prediction.known,
        probabilities={name: float(p) for name, p in prediction.probabilities.items()},
        possible=tuple(prediction.possible),
        family=prediction.family,
        volume_diameter_nm=float(prediction.diameter) / 10,
        quaternion=prediction.orientation.quaternion,
        zone=prediction.orientation.zone,
        zone_angle_deg=prediction.orientation.zone_angle,
        orientation_error_deg=prediction.orientation.error,
        facet_ratio=prediction.facet_ratio,
        spacings_nm=tuple(round(float(d) / 10, 4) for d in spots[:, 0]),
        spot_signals=tuple(round(float(signal), 1) for signal in spots[:, 1]),
        contrast=contrast,
        out_of_focus_nm=None if out_of_focus is None else out_of_focus / 10,
        remarks=tuple(remarks),
    )
