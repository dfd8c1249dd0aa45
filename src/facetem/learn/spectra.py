"""The power spectrum of a classifier's view in rings: what the optics pass, and whether there is a lattice at all."""

from __future__ import annotations

import torch
from torch import Tensor

from facetem.core.grid import Grid
from facetem.data.draw import PIXEL
from facetem.learn.normalise import normalise

RINGS = 100  # up to 1.25 / Å, the end of the pixels' own band
LATTICE = (0.3, 0.625)  # 1/Å: spacings of 1.6 to 3.3 Å, the strong reflections of every close-packed metal
TINY = 1e-9  # of the power of white noise: a ring that is empty


def ring_spectra(images: Tensor) -> tuple[Tensor, Tensor]:
    """Of images (n, y, x) on any scale: the logarithm of the mean power in each ring (n, `RINGS`), and of the strongest
    spot over its ring's mean, within `LATTICE` (n,).

    A lattice puts its power into few spots; a glass, a film and noise spread it over the ring.
    """
    scaled = normalise(images)[:, 0]
    height, width = scaled.shape[-2:]
    grid = Grid((height, width), PIXEL)
    band = 0.5 / PIXEL
    ring = (
        (torch.sqrt(grid.squared_frequency(scaled.device)) / band * RINGS)
        .long()
        .clamp_max(RINGS - 1)
        .flatten()
    )
    window = torch.outer(*(torch.hann_window(n, device=scaled.device) for n in (height, width)))
    power = torch.fft.fft2(scaled * window).abs().square().flatten(1)
    pixels = torch.bincount(ring, minlength=RINGS).clamp_min(1)
    nothing = torch.zeros(len(power), RINGS, device=power.device)
    mean = nothing.index_add(1, ring, power) / pixels
    strongest = nothing.scatter_reduce(1, ring.expand_as(power), power, "amax")
    spots = torch.log(strongest / mean.clamp_min(TINY) + TINY)
    first, last = (round(end / band * RINGS) for end in LATTICE)
    return torch.log(mean + TINY), spots[:, first:last].amax(1)
