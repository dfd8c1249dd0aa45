"""Clean images of specimens under optics drawn for them, some shown again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from facetem.data.conditions import draw_loss, draw_microscope, draw_optics, draw_stray
from facetem.data.draw import image_shape
from facetem.data.items import Item
from facetem.data.recipe import Recipe
from facetem.data.specimens import WAVE_BAND, scattered_away, wave_grid
from facetem.data.windows import upload
from facetem.hrtem.optics import clean_images

OPTICS, VIEW, RENEWAL = range(3)  # what a generator of a sample is for


def generator(recipe: Recipe, seed: int, index: int, purpose: int, round: int = 0) -> np.random.Generator:
    """The generator of specimen `index` at its showing number `round`, for one purpose."""
    return np.random.default_rng([recipe.seed, seed, index, purpose, round])


@dataclass(frozen=True, slots=True)
class Shot:
    """The image that specimen `index` has had since the showing number `round`."""

    index: int
    round: int


class Imager:
    """Images specimens; see `SampleStream`."""

    def __init__(
        self, recipe: Recipe, *, renewal: float, seed: int, device: torch.device, memory: float
    ) -> None:
        self._recipe, self._renewal, self._seed = recipe, renewal, seed
        self._device, self._memory = device, memory
        self._grid, self._shape = wave_grid(recipe), image_shape(recipe)
        self._kept: dict[int, tuple[int, Tensor, float]] = {}  # of an index: round, image, defocus

    def shot(self, index: int, round: int) -> Shot:
        """The last time, up to `round`, that the specimen was imaged afresh."""
        if self._renewal >= 1 or round == 0:
            return Shot(index, round)
        chances = generator(self._recipe, self._seed, index, RENEWAL).random(round)
        afresh = np.flatnonzero(chances < self._renewal)
        return Shot(index, int(afresh[-1]) + 1 if len(afresh) else 0)

    def images(self, items: Mapping[Shot, Item]) -> tuple[Tensor, dict[Shot, float]]:
        """Clean image, target, mask and thickness of each (n, 4, y, x); its defocus [Å]."""
        values = items.values()
        truths = (
            upload([item.target for item in values], self._device).float(),
            (upload([item.mask for item in values], self._device) > 0).float(),
            upload([item.thickness for item in values], self._device).float(),
        )
        thickness = dict(zip(items, truths[2], strict=True))
        clean: dict[Shot, tuple[Tensor, float]] = {}
        due: list[Shot] = []
        for shot in items:
            round, image, defocus = self._kept.get(shot.index, (-1, None, 0.0))
            if image is not None and round == shot.round:
                clean[shot] = image, defocus
            else:
                due.append(shot)
        # The caches of a CPU hold the waves of one image and no more; a GPU wants many at once.
        at_once = 1 if self._device.type == "cpu" else 64
        for first in range(0, len(due), at_once):
            some = due[first : first + at_once]
            new = self._imaged(
                {shot: items[shot] for shot in some}, torch.stack([thickness[s] for s in some])
            )
            clean |= new
            for shot, (image, defocus) in new.items():
                self._keep(shot, image, defocus)
        images = torch.stack([clean[shot][0].float() for shot in items])
        return torch.stack([images, *truths], dim=1), {shot: focus for shot, (_, focus) in clean.items()}

    def _imaged(self, items: Mapping[Shot, Item], thickness: Tensor) -> dict[Shot, tuple[Tensor, float]]:
        optics, losses, strays = [], [], []
        for shot, item in items.items():
            rng = generator(self._recipe, self._seed, shot.index, OPTICS, shot.round)
            microscope = draw_microscope(self._recipe, item.energy, rng)
            optics.append(draw_optics(microscope, item.energy, rng))
            losses.append(draw_loss(microscope, rng))
            strays.append(draw_stray(microscope, optics[-1], rng))
        parts = upload([item.wave for item in items.values()], self._device).float()
        waves = torch.complex(parts[:, 0], parts[:, 1])
        images = clean_images(
            waves,
            self._grid,
            energies=[item.energy for item in items.values()],
            optics=optics,
            shape=self._shape,
            band=WAVE_BAND,
        )
        images = images + images.new_tensor(strays)[:, None, None] * scattered_away(
            waves, self._grid, self._shape
        )
        images = images * torch.exp(-thickness.new_tensor(losses)[:, None, None] * thickness)
        if self._renewal < 1:
            images = images.half()  # as they are kept, so that no sample depends on whether they were
        return {
            shot: (image, float(lens.aberrations.defocus))
            for shot, image, lens in zip(items, images, optics, strict=True)
        }

    def _keep(self, shot: Shot, image: Tensor, defocus: float) -> None:
        """Keep an image to be shown again. Once the memory is full the specimens in it stay: of those that are
        seen once an epoch, the one to be forgotten is the next to be needed as likely as any."""
        if self._renewal >= 1:
            return
        known = shot.index in self._kept
        if known or (len(self._kept) + 1) * image.nbytes <= self._memory:
            self._kept[shot.index] = shot.round, image.clone(), defocus
