"""A particle in its surroundings: which pixels are its own, how it stands out of the others, how far from focus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facetem.analysis.particles import Outline
from facetem.core.contrast import contrast
from facetem.core.physics import wavelength
from facetem.data.micrograph import Micrograph

if TYPE_CHECKING:
    from facetem.learn.restoration import Restoration

MARGIN = 25  # px, 10 Å around a particle: for the taper of its spectrum, and to see what it stands out of


@dataclass(frozen=True)
class View:
    """A particle's surroundings: the `box` that they are of the field, and its own pixels in it."""

    box: tuple[slice, slice]
    inside: NDArray[np.bool_]

    @property
    def corner(self) -> tuple[int, int]:
        return self.box[0].start, self.box[1].start

    def share_within(self, half: float, centre: tuple[float, float]) -> float:
        """Share of its pixels that lie within `half` [px] of `centre` (y, x), along y and x."""
        y, x = np.nonzero(self.inside)
        near_y = np.abs(y + self.corner[0] - centre[0]) <= half
        near_x = np.abs(x + self.corner[1] - centre[1]) <= half
        return float((near_y & near_x).mean())

    @classmethod
    def of(cls, outline: Outline, shape: tuple[int, ...]) -> View:
        y0, x0, y1, x1 = outline.bbox
        box = (
            slice(max(0, y0 - MARGIN), min(shape[0], y1 + MARGIN)),
            slice(max(0, x0 - MARGIN), min(shape[1], x1 + MARGIN)),
        )
        beyond = [
            (own.start - side.start, side.stop - own.stop) for own, side in zip(outline.box, box, strict=True)
        ]
        return cls(box, np.pad(outline.inside, beyond))


def contrast_around(
    image: NDArray[np.float32], mask: NDArray[np.float32], inside: NDArray[np.bool_]
) -> float | None:
    """How far a particle stands out of what lies around it and is no particle; None if nothing does."""
    import torch

    around = ~inside & (mask < 0.5)
    if around.sum() < inside.sum() / 10:
        return None
    # The units of a camera are not those of the floor of `contrast`, which has none for a granularity of 1.
    granularity = float(image[around].std(dtype=np.float64))
    if granularity == 0:
        return None
    seen = inside | around  # other particles are left out
    pixels = (image[seen] - image[around].mean(dtype=np.float64)) / granularity
    return float(contrast(torch.from_numpy(pixels)[None], torch.from_numpy(inside[seen])[None]))


def beam_energy(micrograph: Micrograph) -> float | None:
    """[eV], if the file tells one that microscopes have."""
    told = micrograph.metadata.get("beam_energy_kev")
    return 1e3 * float(told) if isinstance(told, (int, float)) and 10 <= told <= 2000 else None


def out_of_focus(restoration: Restoration, outline: Outline, energy: float | None) -> float | None:
    """Distance from focus [Å] that the restorer reads where the particle is."""
    phase = restoration.out_of_focus(*outline.centroid)
    return None if energy is None or phase is None else phase / wavelength(energy)
