"""What chance decides of a showing: lens, window, camera, noise. Numbers alone, no image.

What is drawn depends on the seed, the specimen and the number of the showing alone: not on the batch that it is in,
nor on the process that draws it. So other processes can draw ahead for a GPU, which would wait for this longer than it
takes to make the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from facetem.data.conditions import draw_camera, draw_loss, draw_microscope, draw_optics, draw_stray
from facetem.data.draw import image_shape
from facetem.data.recipe import Recipe
from facetem.data.sources import Visit
from facetem.data.specimens import WAVE_BAND
from facetem.hrtem.camera import Camera
from facetem.hrtem.optics import Optics

OPTICS, VIEW, RENEWAL = range(3)  # what a generator of a sample is for
NEIGHBOUR_DISTANCE = (85.0, 150.0)  # px between the middles of the fields of two particles shown together


@dataclass(frozen=True, slots=True)
class Shot:
    """The image that specimen `index` has had since the showing number `round` under the lens of specimen `under`: its
    own, or the one that it is shown beside."""

    index: int
    round: int
    under: int


@dataclass(frozen=True, slots=True)
class Lens:
    """How a specimen is imaged: its optics, the part of the electrons lost in the particle [1/Å] (`draw_loss`), and the
    part of those scattered far that arrives all the same (`draw_stray`)."""

    optics: Optics
    loss: float
    stray: float


@dataclass(frozen=True, slots=True)
class Exposure:
    """What is drawn for a showing apart from its optics. `corner` of the window (y, x) [px], and that on the mate's
    field, if it is shown beside; `turn` in quarters, plus 4 if mirrored; `drift` (y, x) [Å]."""

    corner: tuple[int, int]
    other: tuple[int, int] | None
    turn: int
    camera: Camera
    noise: int
    band: float | None
    drift: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Drawn:
    """All that chance decides of a showing: its exposure, image and lens, and the image of a mate shown beside it."""

    exposure: Exposure
    shot: Shot
    lens: Lens
    mate: Shot | None


@dataclass(frozen=True)
class Chance:
    """Draws for the showings of a recipe; the parameters are those of `SampleStream`."""

    recipe: Recipe
    size: int
    renewal: float
    anywhere: bool
    seed: int

    def draw(self, visits: Sequence[Visit], energies: Sequence[tuple[float, float | None]]) -> list[Drawn]:
        """What is drawn for visits whose specimens, and their mates, are seen with beams of `energies` [eV]."""
        return [self._drawn(visit, *pair) for visit, pair in zip(visits, energies, strict=True)]

    def _drawn(self, visit: Visit, energy: float, other: float | None) -> Drawn:
        exposure, shot = self._exposure(visit), self.shot(visit.index, visit.round)
        mate = None
        if exposure.other and visit.mate is not None and other == energy:  # or no micrograph could show both
            mate = Shot(visit.mate, shot.round, visit.index)
        return Drawn(exposure, shot, self._lens(shot, energy), mate)

    def shot(self, index: int, round: int) -> Shot:
        """The last time, up to `round`, that the specimen was imaged afresh."""
        if self.renewal >= 1 or round == 0:
            return Shot(index, round, index)
        chances = self._generator(index, RENEWAL).random(round)
        afresh = np.flatnonzero(chances < self.renewal)
        return Shot(index, int(afresh[-1]) + 1 if len(afresh) else 0, index)

    def _generator(self, index: int, purpose: int, round: int = 0) -> np.random.Generator:
        """The generator of specimen `index` at its showing number `round`, for one purpose."""
        return np.random.default_rng([self.recipe.seed, self.seed, index, purpose, round])

    def _lens(self, shot: Shot, energy: float) -> Lens:
        rng = self._generator(shot.index, OPTICS, shot.round)
        microscope = draw_microscope(self.recipe, energy, rng)
        optics = draw_optics(microscope, energy, rng)
        loss = draw_loss(microscope, rng)
        return Lens(optics, loss, draw_stray(microscope, optics, energy, WAVE_BAND, rng))

    def _exposure(self, visit: Visit) -> Exposure:
        rng = self._generator(visit.index, VIEW, visit.round)
        shape = image_shape(self.recipe)
        shift = [int(rng.integers(full)) if self.anywhere else 0 for full in shape]
        corner = [int(rng.integers(full - self.size + 1)) - s for full, s in zip(shape, shift, strict=True)]
        other = None
        if rng.random() < self.recipe.images.neighbour:
            turn, distance = rng.uniform(0, 2 * np.pi), rng.uniform(*NEIGHBOUR_DISTANCE)
            # The fields are periodic, so the mate's can be rolled to any place.
            other = (
                corner[0] - round(distance * np.sin(turn)),
                corner[1] - round(distance * np.cos(turn)),
            )
        recorded = self.recipe.images
        exposure = Exposure(
            (corner[0], corner[1]),
            other,
            turn=int(rng.integers(8)),
            camera=draw_camera(self.recipe, rng),
            noise=int(rng.integers(2**62)),
            band=float(rng.uniform(*recorded.band)) if rng.random() < recorded.coarse else None,
            drift=(0.0, 0.0),
        )
        way, length = rng.uniform(0, 2 * np.pi), rng.uniform(*recorded.drift)
        return replace(exposure, drift=(float(length * np.sin(way)), float(length * np.cos(way))))
