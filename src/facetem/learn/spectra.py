"""The power spectrum of a classifier's view in rings: what the optics pass, and whether there is a lattice at all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from facetem.core.grid import Grid
from facetem.core.pixels import PIXEL
from facetem.learn.normalise import normalise

RINGS = 48  # of 0.0125 / Å each
END = (
    0.6  # 1/Å: a camera of larger pixels may have recorded nothing beyond, which says nothing of the particle
)
LATTICE = 0.3  # 1/Å, to `END`: spacings of 1.7 to 3.3 Å, the strong reflections of every close-packed metal
TINY = 1e-9  # of the power of white noise: a ring that is empty


@dataclass(frozen=True)
class Rings:
    """Which ring each frequency of images of one shape is in (y * x,), and how many each has (`RINGS` + 1,): the last
    takes what lies beyond the rings."""

    of: Tensor
    pixels: Tensor

    @classmethod
    def on(cls, shape: tuple[int, int], device: torch.device) -> Rings:
        frequency = torch.sqrt(Grid(shape, PIXEL).squared_frequency(device))
        ring = (frequency / END * RINGS).long().clamp_max(RINGS).flatten()
        return cls(ring, torch.bincount(ring, minlength=RINGS + 1).clamp_min(1))


def ring_spectra(images: Tensor, rings: Rings | None = None) -> tuple[Tensor, Tensor]:
    """Of images (n, y, x) on any scale: the logarithm of the mean power in each ring (n, `RINGS`), and of the strongest
    spot over its ring's mean, from `LATTICE` on (n,).

    A lattice puts its power into few spots; a glass, a film and noise spread it over the ring. `rings` are those of
    the images' shape, if they are at hand.
    """
    scaled = normalise(images)[:, 0]
    height, width = scaled.shape[-2:]
    rings = rings or Rings.on((height, width), scaled.device)
    window = torch.outer(*(torch.hann_window(n, device=scaled.device) for n in (height, width)))
    power = torch.fft.fft2(scaled * window).abs().square().flatten(1)
    nothing = power.new_zeros(power.shape[0], RINGS + 1)
    mean = (nothing.index_add(1, rings.of, power) / rings.pixels)[:, :RINGS]
    strongest = nothing.scatter_reduce(1, rings.of.expand_as(power), power, "amax")[:, :RINGS]
    spots = torch.log(strongest / mean.clamp_min(TINY) + TINY)[:, round(LATTICE / END * RINGS) :].amax(1)
    return torch.log(mean + TINY), spots
