"""A lattice that no learnt metal has: the sign by which other crystals are told where a network would name a shape.

The reciprocal lattice of an fcc crystal begins at {111}: neither a reflection nor the difference of two lies nearer to
frequency 0. What a particle shows there are the ends of its reflections' shape, and differences between the
reflections of its twins, both faint. An image with a sharp spot in that gap, with more than `SHARE` of the power of the
strongest spot beyond it, is of another crystal: oxides, sulphides and selenides have such lattices.

A spot stands out of what noise and amorphous matter have in its ring, an exponential distribution whose mean is the
median over ln 2 (as in `facetem.learn.support`), by `SIGNIFICANT`.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from facetem.core.pixels import PIXEL
from facetem.learn.normalise import normalise

# Spacings in units of the widest that a learnt metal has, d of its {111} (gold: 2.354 Å). Wider than those of the gap
# are the carbon's and the particle's own; beyond are the metal's.
# The gap begins beyond a / sqrt(2), where the ends of {111} reflections cut the axis of a cube seen along <111>.
GAP = (1.30, 1.81)
BEYOND = (0.5701, 1.06)
SIGNIFICANT = 25.0  # times the mean of the ring: the largest of 10^5 values of noise is 12 times
SHARE = 0.5  # of the strongest reflection's power. 1 in 100 simulated images of gold has more in the gap
RING = 2  # bins on either side, whose median tells the noise


class ForeignLattice(nn.Module):
    """Images (n, side, side) at 0.4 Å/px, with the particle in the middle -> whether each shows a reflection that a
    crystal of a widest spacing of `widest` [Å], as `Matter` tells it, cannot have (n; bool), and the spacing of its
    strongest spot in the gap (n,) [Å]."""

    def __init__(self, side: int, widest: float) -> None:
        super().__init__()
        k = np.hypot(np.fft.fftfreq(side, PIXEL)[:, None], np.fft.rfftfreq(side, PIXEL))
        ring = np.rint(k * side * PIXEL).astype(int)
        gap, own = ((k > 1 / (high * widest)) & (k < 1 / (low * widest)) for low, high in (GAP, BEYOND))
        rings = range(ring[gap].min(), ring[gap].max() + 1)
        self._taper = torch.from_numpy(np.outer(np.hanning(side), np.hanning(side))).float()
        self._gap, self._own = (torch.from_numpy(np.flatnonzero(part)) for part in (gap, own))
        self._spacing = torch.from_numpy(1 / k[gap]).float()
        self._ring = torch.from_numpy(ring[gap] - rings.start)
        self._around = [torch.from_numpy(np.flatnonzero(np.abs(ring - r) <= RING)) for r in rings]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        scaled = normalise(images)[:, 0]
        mean = (scaled * self._taper).sum((-2, -1), keepdim=True) / self._taper.sum()
        power = torch.fft.rfft2((scaled - mean) * self._taper).abs().square().flatten(1)
        strongest, at = power[:, self._gap].max(1)
        medians = torch.stack([_median(power[:, around]) for around in self._around], dim=1)
        noise = medians.gather(1, self._ring[at][:, None])[:, 0] / math.log(2)
        own = power[:, self._own].amax(1)
        return (strongest > SIGNIFICANT * noise) & (strongest > SHARE * own), self._spacing[at]


def _median(values: Tensor) -> Tensor:
    """Of each row; of an even number, the mean of the two in the middle."""
    ordered, n = values.sort(dim=1).values, values.shape[1]
    return (ordered[:, (n - 1) // 2] + ordered[:, n // 2]) / 2


@torch.inference_mode()
def foreign_spacings(images: ArrayLike, *, widest: float) -> NDArray[np.float64]:
    """The spacing [Å] of the reflection that `ForeignLattice` finds in images (n, side, side), (n,); NaN where it finds
    none."""
    stack = torch.as_tensor(np.asarray(images, dtype=np.float32))
    there, spacing = _finder(stack.shape[-1], widest)(stack)
    return torch.where(there, spacing, math.nan).double().numpy()


@lru_cache(maxsize=4)
def _finder(side: int, widest: float) -> ForeignLattice:
    return ForeignLattice(side, widest)
