"""Training samples: camera images of stored or freshly simulated specimens, with their targets.

`SampleStream` images specimens under fresh optics, cameras, shifts, turns and mirrors at every showing, as `chance`
has it: a sample does not depend on the batch that it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from facetem.atoms.placement import matrices
from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.core.pixels import PIXEL
from facetem.data.chance import Chance, Drawn, Exposure, Lens, Shot
from facetem.data.conditions import check_energies
from facetem.data.draw import image_shape, imaging_seed
from facetem.data.imaging import Imager
from facetem.data.items import Item
from facetem.data.recipe import Recipe, Split
from facetem.data.sources import LiveSource, Showing, Source, pairs
from facetem.data.turned import as_recorded
from facetem.data.windows import Windows, grown
from facetem.hrtem.camera import record_each


@dataclass(frozen=True)
class Batch:
    """Samples (n, y, x) at `PIXEL`: camera image `noisy` and noise-free `clean` (vacuum about 1), `target` (`turned`),
    `mask` (float 0 or 1), `thickness` [Å]; `labels` (n,) are indices into `SHAPES`, -1 for a shape that is none
    of them; `dose`, `defocus`, `energy` (n,) [e/Å^2, Å, eV]; `diameter` (n,), volume-equivalent, of the first
    particle in the image's own scale [Å]; `orientation` (n, 3, 3), from the axes of its shape to those of the image
    (x, y, beam), improper where the image is mirrored; `facet_ratio` (n,), see `items.facet_ratio`. NaN where there is
    no particle."""

    noisy: Tensor
    clean: Tensor
    target: Tensor
    mask: Tensor
    thickness: Tensor
    labels: Tensor
    dose: Tensor
    defocus: Tensor
    energy: Tensor
    diameter: Tensor
    orientation: Tensor
    facet_ratio: Tensor

    def first(self, n: int) -> Batch:
        """The first `n` samples."""
        return Batch(*(getattr(self, item.name)[:n] for item in fields(self)))

    def last(self, n: int) -> Batch:
        """The last `n` samples."""
        return Batch(*(getattr(self, item.name)[-n:] for item in fields(self)))

    def known(self) -> Batch:
        """The samples whose shape is one of the classes."""
        rows = (self.labels >= 0).cpu()
        return Batch(*(getattr(self, item.name)[rows] for item in fields(self)))


class SampleStream:
    """Draws batches.

    Parameters
    ----------
    recipe
        Of the specimens.
    size
        Side of the samples [px].
    renewal
        Chance that a specimen is imaged afresh when it is shown; otherwise its last clean image is shown
        again with a new camera, noise, shift and turn. 1 images it at every showing; less saves most of the
        time on a CPU.
    anywhere
        The window may lie anywhere on the (periodic) field, beside the particle too, as the patches of a
        micrograph do; otherwise the particle is near its middle.
    split, seed
        Of optics, camera and noise: every split has its own.
    device
        Where images are made. The same seed gives the same noise on the same kind of device.
    memory
        Bytes for clean images to be shown again; what is beyond is imaged again, alike.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        split: Split,
        size: int = 256,
        renewal: float = 1.0,
        anywhere: bool = False,
        seed: int = 0,
        device: str | torch.device = "cpu",
        memory: float = 4e9,
    ) -> None:
        shape = image_shape(recipe)
        if size > min(shape):
            raise InputError(f"size: expected at most {min(shape)} px, the recipe's field, got {size}")
        self.chance = Chance(recipe, size, renewal, anywhere, imaging_seed(split, seed))
        self._recipe, self.device = recipe, torch.device(device)
        self._turns = recipe.target != "phase"  # whose sign has a meaning
        self._imager = Imager(recipe, renewal=renewal, device=self.device, memory=memory)
        self._windows = Windows(size, shape)

    def draw(self, showings: Sequence[Showing]) -> Batch:
        """A batch of specimens, in the order given."""
        return self.image(showings, self.chance.draw([s.visit for s in showings], energies(showings)))

    def image(self, showings: Sequence[Showing], drawn: Sequence[Drawn]) -> Batch:
        """The batch, of what `chance` has drawn for these showings."""
        exposures, shots = [one.exposure for one in drawn], [one.shot for one in drawn]
        items: dict[Shot, Item] = {shot: s.item for shot, s in zip(shots, showings, strict=True)}
        lenses: dict[Shot, Lens] = {one.shot: one.lens for one in drawn}
        mates: dict[int, Shot] = {}
        for k, (showing, one) in enumerate(zip(showings, drawn, strict=True)):
            if one.mate and showing.mate:
                mates[k] = one.mate
                items[one.mate], lenses[one.mate] = showing.mate, one.lens
        images = self._imager.images(items, lenses)
        places = {shot: k for k, shot in enumerate(items)}
        samples = self._cut(images, exposures, [places[shot] for shot in shots])
        if mates:
            self._put_beside(
                samples,
                images,
                exposures,
                shots=[places[shot] for shot in shots],
                mates={k: places[shot] for k, shot in mates.items()},
            )
        clean, target, mask, thickness = samples.unbind(1)
        return Batch(
            self._noisy(clean, exposures),
            clean,
            as_recorded(target, clean) if self._turns else target,
            mask,
            thickness,
            labels=torch.tensor([showing.item.label for showing in showings]),
            dose=torch.tensor([exposure.camera.dose for exposure in exposures]),
            defocus=torch.tensor([float(one.lens.optics.aberrations.defocus) for one in drawn]),
            energy=torch.tensor([showing.item.energy for showing in showings]),
            diameter=torch.tensor([showing.item.diameter for showing in showings]),
            orientation=self._orientations(showings, exposures),
            facet_ratio=torch.tensor([showing.item.facet_ratio for showing in showings]),
        )

    def _orientations(self, showings: Sequence[Showing], exposures: Sequence[Exposure]) -> Tensor:
        lie = matrices(torch.tensor([showing.item.quaternion for showing in showings], dtype=torch.float64))
        turns = torch.from_numpy(np.stack([self._windows.turns[exposure.turn] for exposure in exposures]))
        return (turns @ lie).float()

    def _cut(self, images: Tensor, exposures: Sequence[Exposure], places: list[int]) -> Tensor:
        windows = self._windows.at(
            [one.turn for one in exposures], [one.corner for one in exposures], self.device
        )
        return self._windows.cut(images[places], windows)

    def _put_beside(
        self,
        samples: Tensor,
        images: Tensor,
        exposures: Sequence[Exposure],
        *,
        shots: list[int],
        mates: dict[int, int],
    ) -> None:
        """Show the mates' particles where they hide nothing of the first."""
        some = [exposures[k] for k in mates]
        mine = self._cut(grown(images[[shots[k] for k in mates], 2])[:, None], some, list(range(len(some))))
        others = images[list(mates.values())]
        others = torch.cat([others, grown(others[:, 2])[:, None]], dim=1)
        windows = self._windows.at(
            [one.turn for one in some], [one.other or one.corner for one in some], self.device
        )
        its = self._windows.cut(others, windows)
        place = (its[:, 4:] > 0) & (mine == 0)
        samples[list(mates)] = torch.where(place, its[:, :4], samples[list(mates)])

    def _noisy(self, clean: Tensor, exposures: Sequence[Exposure]) -> Tensor:
        grid = Grid((self._windows.size, self._windows.size), PIXEL)
        if self._recipe.images.drift[1] > 0:
            clean = _drifted(clean, grid, [exposure.drift for exposure in exposures])
        noisy = record_each(clean, grid, [one.camera for one in exposures], [one.noise for one in exposures])
        bands = {k: exposure.band for k, exposure in enumerate(exposures) if exposure.band is not None}
        if bands:
            noisy[list(bands)] = _low_pass(noisy[list(bands)], list(bands.values()))
        return noisy


def energies(showings: Sequence[Showing]) -> list[tuple[float, float | None]]:
    """Of the beams [eV] with which specimens, and their mates, are seen."""
    return [(showing.item.energy, showing.mate.energy if showing.mate else None) for showing in showings]


def _drifted(images: Tensor, grid: Grid, drifts: Sequence[tuple[float, float]]) -> Tensor:
    """Images (n, y, x) of specimens that move evenly along a vector d (y, x) [Å] while they are taken: sinc(k . d)."""
    ky, kx = grid.frequencies(images.device, images.dtype)
    dy, dx = images.new_tensor(drifts).T[..., None, None]
    return torch.fft.ifft2(torch.fft.fft2(images) * torch.sinc(ky * dy + kx * dx)).real


def _low_pass(images: Tensor, bands: Sequence[float]) -> Tensor:
    """Images (n, y, x) as pixels of 1 / (2 `band`) [Å] would have held them, on their own pixels."""
    grid = Grid((images.shape[-2], images.shape[-1]), PIXEL)
    ky, kx = grid.frequencies(images.device, images.dtype)
    band = images.new_tensor(bands)[:, None, None]
    inside = (ky.abs() <= band) & (kx.abs() <= band)
    return torch.fft.ifft2(torch.fft.fft2(images) * inside).real


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
    """Specimens 0 to `n` of a split, simulated and imaged once; on the CPU. `seed` is that of optics, camera and
    noise, of which every split has its own."""
    source = LiveSource(recipe, split=split, n=n, device=device, batch=_at_once(device))
    return image_set(source, recipe, split=split, n=n, size=size, device=device, seed=seed, progress=progress)


def image_set(
    source: Source,
    recipe: Recipe,
    *,
    split: Split,
    n: int,
    size: int = 256,
    device: str = "cpu",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Batch:
    """Specimens 0 to `n` of a source, imaged once under the conditions of `recipe`; on the CPU. Two that follow each
    other are a pair, which may be shown side by side. `split` and `seed` are those of optics, camera and noise.

    Of recipes that differ in the range of one condition, the draws of all others are the same.

    Raises
    ------
    InputError
        If `recipe` has no microscope for the beams of the specimens.
    """
    check_energies(recipe, source.recipe)
    stream = SampleStream(recipe, split=split, size=size, seed=seed, device=device)
    step = _at_once(device)
    groups = (pairs(range(first, min(first + step, n))) for first in range(0, n, step))
    parts: list[Batch] = []
    done = 0
    for showings in filter(None, source.load(groups)):
        batch = stream.draw(showings)
        parts.append(Batch(*(getattr(batch, item.name).cpu() for item in fields(Batch))))
        done += len(showings)
        if progress:
            progress(done, n)
    return Batch(*(torch.cat([getattr(part, item.name) for part in parts]) for item in fields(Batch)))


def _at_once(device: str) -> int:
    return 2 if device == "cpu" else 32
