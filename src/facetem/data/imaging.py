"""Clean images of specimens under optics drawn for them, some shown again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from facetem.data.chance import Lens, Shot
from facetem.data.draw import image_shape
from facetem.data.items import Item
from facetem.data.recipe import Recipe
from facetem.data.specimens import WAVE_BAND, scattered_away, wave_grid
from facetem.data.windows import upload
from facetem.hrtem.optics import clean_images


class Imager:
    """Images specimens; see `SampleStream`."""

    def __init__(self, recipe: Recipe, *, renewal: float, device: torch.device, memory: float) -> None:
        self._renewal, self._device, self._memory = renewal, device, memory
        self._grid, self._shape = wave_grid(recipe), image_shape(recipe)
        self._kept: dict[int, tuple[Shot, Tensor]] = {}  # of an index, its last one under its own lens

    def images(self, items: Mapping[Shot, Item], lenses: Mapping[Shot, Lens]) -> Tensor:
        """Clean image, target, mask and thickness of each (n, 4, y, x)."""
        values = items.values()
        truths = (
            upload([item.target for item in values], self._device).float(),
            (upload([item.mask for item in values], self._device) > 0).float(),
            upload([item.thickness for item in values], self._device).float(),
        )
        thickness = dict(zip(items, truths[2], strict=True))
        clean: dict[Shot, Tensor] = {}
        due: list[Shot] = []
        for shot in items:
            before, image = self._kept.get(shot.index, (None, None))
            if image is not None and before == shot:
                clean[shot] = image
            else:
                due.append(shot)
        # The caches of a CPU hold the waves of one image and no more; a GPU wants many at once.
        at_once = 1 if self._device.type == "cpu" else 256
        for first in range(0, len(due), at_once):
            some = due[first : first + at_once]
            new = self._imaged(
                {shot: items[shot] for shot in some},
                [lenses[shot] for shot in some],
                torch.stack([thickness[s] for s in some]),
            )
            clean |= new
            for shot, image in new.items():
                self._keep(shot, image)
        images = torch.stack([clean[shot].float() for shot in items])
        return torch.stack([images, *truths], dim=1)

    def _imaged(
        self, items: Mapping[Shot, Item], lenses: Sequence[Lens], thickness: Tensor
    ) -> dict[Shot, Tensor]:
        parts = upload([item.wave for item in items.values()], self._device).float()
        waves = torch.complex(parts[:, 0], parts[:, 1])
        images = clean_images(
            waves,
            self._grid,
            energies=[item.energy for item in items.values()],
            optics=[lens.optics for lens in lenses],
            shape=self._shape,
            band=WAVE_BAND,
        )
        stray, loss = images.new_tensor([(lens.stray, lens.loss) for lens in lenses]).T[..., None, None]
        images = images + stray * scattered_away(waves, self._grid, self._shape)
        images = images * torch.exp(-loss * thickness)
        if self._renewal < 1:
            images = images.half()  # as they are kept, so that no sample depends on whether they were
        return dict(zip(items, images, strict=True))

    def _keep(self, shot: Shot, image: Tensor) -> None:
        """Keep an image to be shown again. Once the memory is full the specimens in it stay: of those that are
        seen once an epoch, the one to be forgotten is the next to be needed as likely as any."""
        if self._renewal >= 1 or shot.under != shot.index:
            return
        known = shot.index in self._kept
        if known or (len(self._kept) + 1) * image.nbytes <= self._memory:
            self._kept[shot.index] = shot, image.clone()
