"""Training samples: camera images of stored or freshly simulated specimens, with their targets.

`SampleStream` images the specimens of a `Source` under fresh optics, cameras, shifts, turns and mirrors at
every draw.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.data.conditions import draw_camera, draw_loss, draw_microscope, draw_optics
from facetem.data.draw import PIXEL, image_shape
from facetem.data.recipe import Recipe, Split
from facetem.data.sources import Item, LiveSource, Source
from facetem.data.specimens import WAVE_BAND, wave_grid
from facetem.hrtem.camera import record
from facetem.hrtem.optics import clean_images


@dataclass(frozen=True)
class Batch:
    """Samples (n, y, x) at `PIXEL`: camera image `noisy` and noise-free `clean` (vacuum about 1), `target`,
    `mask` (float 0 or 1), `thickness` [Å]; `labels` (n,) are indices into `SHAPES`; `dose`, `defocus` (n,)
    [e/Å^2, Å]."""

    noisy: Tensor
    clean: Tensor
    target: Tensor
    mask: Tensor
    thickness: Tensor
    labels: Tensor
    dose: Tensor
    defocus: Tensor


class SampleStream:
    """Draws batches from a source.

    Parameters
    ----------
    source
        Of specimens.
    size
        Side of the samples [px].
    renewal
        Chance that a specimen is imaged afresh when it is drawn; otherwise its last clean image is shown
        again with a new camera, noise, shift and turn. 1 images it at every draw; less saves most of the
        time on a CPU.
    anywhere
        The window may lie anywhere on the (periodic) field, beside the particle too, as the patches of a
        micrograph do; otherwise the particle is near its middle.
    """

    def __init__(
        self,
        source: Source,
        *,
        size: int = 256,
        renewal: float = 1.0,
        anywhere: bool = False,
    ) -> None:
        self.source = source
        self._anywhere = anywhere
        self._size, self._renewal = size, renewal
        self._images: dict[int, tuple[Tensor, float]] = {}
        self._grid = wave_grid(source.recipe)
        self._shape = image_shape(source.recipe)
        if size > min(self._shape):
            raise InputError(f"size: expected at most {min(self._shape)} px, the recipe's field, got {size}")

    def _clean(self, index: int, item: Item, rng: np.random.Generator) -> tuple[Tensor, float]:
        if index not in self._images or rng.random() < self._renewal:
            microscope = draw_microscope(self.source.recipe, item.energy, rng)
            optics = draw_optics(microscope, item.energy, rng)
            lost = draw_loss(microscope, rng)
            image = clean_images(
                item.wave[None],
                self._grid,
                energies=[item.energy],
                optics=[optics],
                shape=self._shape,
                band=WAVE_BAND,
            )[0] * torch.exp(-lost * item.thickness)
            if self._renewal == 1:
                return image, float(optics.aberrations.defocus)
            self._images[index] = image.half(), float(optics.aberrations.defocus)
        image, defocus = self._images[index]
        return image.float(), defocus

    def draw(self, indices: list[int], rng: np.random.Generator) -> Batch:
        """A batch of the specimens at `indices`, in that order; the same `rng` gives the same batch."""
        stacks: tuple[list[Tensor], ...] = ([], [], [], [], [])
        beside: tuple[Tensor, ...] | None = None
        labels, doses, foci = [], [], []
        for index in indices:
            item = self.source.item(index)
            clean, defocus = self._clean(index, item, rng)
            images = clean, item.target, item.mask, item.thickness
            if beside is not None and rng.random() < self.source.recipe.images.neighbour:
                composed = _beside(images, beside, rng)
            else:
                composed = images
            beside = images
            if self._anywhere:
                shift = [int(rng.integers(full)) for full in self._shape]
                composed = tuple(torch.roll(image, shift, dims=(-2, -1)) for image in composed)
            top, left = (int(rng.integers(full - self._size + 1)) for full in self._shape)
            quarter, mirror = int(rng.integers(4)), bool(rng.integers(2))
            window = np.s_[top : top + self._size, left : left + self._size]
            clean, *truths = (_turned(image[window], quarter, mirror) for image in composed)
            camera = draw_camera(self.source.recipe, rng)
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            noisy = record(clean[None], Grid((self._size, self._size), PIXEL), [camera], generator)[0]
            recorded = self.source.recipe.images
            if rng.random() < recorded.coarse:
                noisy = _low_pass(noisy, float(rng.uniform(*recorded.band)))
            for stack, image in zip(stacks, (noisy, clean, *truths), strict=True):
                stack.append(image)
            labels.append(item.label)
            doses.append(camera.dose)
            foci.append(defocus)
        return Batch(
            *(torch.stack(stack) for stack in stacks),
            labels=torch.tensor(labels, device=stacks[0][0].device),
            dose=torch.tensor(doses),
            defocus=torch.tensor(foci),
        )


def _low_pass(image: Tensor, band: float) -> Tensor:
    """The image (y, x) as pixels of 1 / (2 `band`) [Å] would have held it, on its own pixels."""
    grid = Grid((image.shape[-2], image.shape[-1]), PIXEL)
    ky, kx = grid.frequencies(image.device, image.dtype)
    inside = (ky.abs() <= band) & (kx.abs() <= band)
    return torch.fft.ifft2(torch.fft.fft2(image) * inside).real


def _turned(image: Tensor, quarter: int, mirror: bool) -> Tensor:
    turned = torch.rot90(image, quarter, dims=(-2, -1))
    return turned.flip(-1) if mirror else turned


def draw_set(
    recipe: Recipe,
    *,
    split: Split,
    n: int,
    size: int = 256,
    device: str = "cpu",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Batch:
    """Specimens 0 to `n` of a split, each imaged once; on the CPU. `seed` is that of optics, camera and noise."""
    source = LiveSource(recipe, split=split, n=n, device=device, batch=2 if device == "cpu" else 32)
    stream = SampleStream(source, size=size)
    rng = np.random.default_rng([recipe.seed, seed])
    parts: list[Batch] = []
    for index in range(n):
        batch = stream.draw([index], rng)
        parts.append(Batch(*(getattr(batch, item.name).cpu() for item in fields(Batch))))
        if progress:
            progress(index + 1, n)
    return Batch(*(torch.cat([getattr(part, item.name) for part in parts]) for item in fields(Batch)))


NEIGHBOUR_DISTANCE = (85.0, 150.0)  # px between the middles of the fields of two particles shown together
FRINGES = 12  # px around a particle that belong to its image: its Fresnel fringes


def _beside(
    images: tuple[Tensor, ...], other: tuple[Tensor, ...], rng: np.random.Generator
) -> tuple[Tensor, ...]:
    """(clean, target, mask, thickness) with the particle of `other` beside, where it hides nothing of the first.

    The fields are periodic, so the other one can be rolled to any place. Both keep the optics they had.
    """
    turn = rng.uniform(0, 2 * np.pi)
    distance = rng.uniform(*NEIGHBOUR_DISTANCE)
    shift = (round(distance * np.sin(turn)), round(distance * np.cos(turn)))
    rolled = [torch.roll(image, shift, dims=(-2, -1)) for image in other]
    mine, its = (_grown(mask) for mask in (images[2], rolled[2]))
    place = (its > 0) & (mine == 0)
    return tuple(torch.where(place, b, a) for a, b in zip(images, rolled, strict=True))


def _grown(mask: Tensor) -> Tensor:
    side = 2 * FRINGES + 1
    rows = torch.nn.functional.max_pool2d(mask[None], (side, 1), stride=1, padding=(FRINGES, 0))
    return torch.nn.functional.max_pool2d(rows, (1, side), stride=1, padding=(0, FRINGES))[0]
