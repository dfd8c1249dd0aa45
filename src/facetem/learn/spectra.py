"""The power spectrum of a classifier's view in rings: what the optics pass, and whether there is a lattice at all."""

from __future__ import annotations

import torch
from torch import Tensor

from facetem.core.grid import Grid
from facetem.data.draw import PIXEL
from facetem.learn.normalise import normalise

RINGS = 48  # of 0.0125 / Å each
END = (
    0.6  # 1/Å: a camera of larger pixels may have recorded nothing beyond, which says nothing of the particle
)
LATTICE = 0.3  # 1/Å, to `END`: spacings of 1.7 to 3.3 Å, the strong reflections of every close-packed metal
TINY = 1e-9  # of the power of white noise: a ring that is empty


def ring_spectra(images: Tensor) -> tuple[Tensor, Tensor]:
    """Of images (n, y, x) on any scale: the logarithm of the mean power in each ring (n, `RINGS`), and of the strongest
    spot over its ring's mean, from `LATTICE` on (n,).

    A lattice puts its power into few spots; a glass, a film and noise spread it over the ring.
    """
    scaled = normalise(images)[:, 0]
    height, width = scaled.shape[-2:]
    grid = Grid((height, width), PIXEL)
    ring = (torch.sqrt(grid.squared_frequency(scaled.device)) / END * RINGS).long().clamp_max(RINGS).flatten()
    window = torch.outer(*(torch.hann_window(n, device=scaled.device) for n in (height, width)))
    power = torch.fft.fft2(scaled * window).abs().square().flatten(1)
    nothing = torch.zeros(
        len(power), RINGS + 1, device=power.device
    )  # the last takes what lies beyond the rings
    pixels = torch.bincount(ring, minlength=RINGS + 1).clamp_min(1)
    mean = (nothing.index_add(1, ring, power) / pixels)[:, :RINGS]
    strongest = nothing.scatter_reduce(1, ring.expand_as(power), power, "amax")[:, :RINGS]
    spots = torch.log(strongest / mean.clamp_min(TINY) + TINY)[:, round(LATTICE / END * RINGS) :].amax(1)
    return torch.log(mean + TINY), spots
