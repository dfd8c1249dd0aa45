"""A lattice all around a particle: that of a crystalline support, through which the networks have not learnt to see.

They have learnt particles on amorphous carbon. On an oxide the fringes of both cross, and the shape that is named is
often wrong, with confidence. Carbon has no spot in its power spectrum, a neighbouring particle has its spots on one
side: a spot of one spatial frequency that stands out in all four corners of an image is of what lies beneath.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import convolve

from facetem.core.pixels import PIXEL

Array = NDArray[np.float64]

CORNER = 64  # px: side of the corners, 26 Å; a particle of 8 nm leaves as much of a field of 256 px
SPACINGS = (1.2, 4.0)  # Å: of the lattices that are looked for
# Times the mean of the ring, in each corner: the highest of 800 images on carbon is 6; 3 nm of MgO have 14 to 20,000.
SIGNIFICANT = 12.0
QUIET = 0.1  # of the rings' median: in a ring below, beyond what the pixels held, there is no noise to compare with
# Times the power around it: what stands out but is no spot lies on the edge of the band that the pixels held.
PROMINENT = 4.0
AROUND = (2.5, 4.5)  # px of the spectrum: beyond a spot, which a window widens
_ENDS = (slice(None, CORNER), slice(-CORNER, None))


@lru_cache(maxsize=1)
def _spectrum() -> tuple[Array, Array, NDArray[np.int64], Array]:
    """The window, spacing [Å] and ring of each place of half a spectrum, and the weights of what lies around it."""
    window = np.outer(np.hanning(CORNER), np.hanning(CORNER))
    k = np.hypot(np.fft.fftfreq(CORNER, PIXEL)[:, None], np.fft.rfftfreq(CORNER, PIXEL))
    with np.errstate(divide="ignore"):
        spacing = 1 / k
    reach = math.ceil(AROUND[1])
    distance = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1])
    around = ((distance > AROUND[0]) & (distance < AROUND[1])).astype(float)
    return window, spacing, np.rint(k * CORNER * PIXEL).astype(int), around / around.sum()


def lattice_around(image: ArrayLike) -> float | None:
    """The spacing [Å] of the lattice all around the middle of an image (y, x) at 0.4 Å/px; None if none is seen, or if
    the image continues as its mirror image so soon (`data.crop`) that its corners show its middle."""
    window, spacing, ring, around = _spectrum()
    pixels = torch.as_tensor(image).double().numpy()
    if _continued(pixels) or _continued(pixels.T):
        return None
    corners = np.stack([pixels[rows, columns] for rows in _ENDS for columns in _ENDS])
    mean = (corners * window).sum((1, 2), keepdims=True) / window.sum()
    power = np.abs(np.fft.rfft2((corners - mean) * window)) ** 2
    # Of noise the power is distributed exponentially: its mean is the median over ln 2.
    rings = [np.median(power[:, np.abs(ring - r) <= 1], axis=1) for r in range(ring.max() + 1)]
    noise = np.stack(rings, axis=1) / math.log(2)
    inside = (spacing > SPACINGS[0]) & (spacing < SPACINGS[1])
    usual = np.median(noise[:, np.unique(ring[inside])], axis=1, keepdims=True)
    heard = np.where(noise > QUIET * usual, noise, np.inf)[:, ring]
    stands_out = (inside * power / heard > SIGNIFICANT).all(axis=0)
    if not stands_out.any():
        return None
    is_spot = np.stack([one > PROMINENT * convolve(one, around, mode="wrap") for one in power]).all(axis=0)
    strength = np.where(stands_out & is_spot, power.min(axis=0), 0.0)
    return float(spacing.flat[strength.argmax()]) if strength.any() else None


def _continued(pixels: Array) -> bool:
    """Whether what the image's first or last rows show lies farther in than a corner reaches: at its edge a mirror
    image begins with the same row once more, which no camera records."""
    same = np.flatnonzero((pixels[1:] == pixels[:-1]).all(axis=1)) + 1  # rows where a mirror image begins
    return bool(((same > CORNER / 2) & (same < len(pixels) - CORNER / 2)).any())


def words_for(spacing: float | None) -> str:
    """What a lattice around a particle means for its shape; empty without one."""
    if spacing is None:
        return ""
    return f"lies in a lattice of {spacing / 10:.3f} nm all around: a crystalline support, which no training has seen"
