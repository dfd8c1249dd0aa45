"""A lattice that no learnt metal has: the sign by which other crystals are told where a network would name a shape.

The reciprocal lattice of an fcc crystal begins at {111}: neither a reflection nor the difference of two lies nearer to
frequency 0. What a particle shows there are the ends of its reflections' shape, and differences between the
reflections of its twins, both faint. An image with a sharp spot in that gap, with more than `SHARE` of the power of the
strongest spot beyond it, is of another crystal: oxides, sulphides and selenides have such lattices.

A spot stands out of what noise and amorphous matter have in its ring, an exponential distribution whose mean is the
median over ln 2 (as in `facetem.learn.support`), by `SIGNIFICANT`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facetem.data.draw import PIXEL

GOLD = 2.355  # Å: d of {111}; of copper, nickel, palladium, platinum, silver it is 2.03 to 2.36
GAP = (
    1.25,
    1.81,
)  # times it: the spacings that are looked at. Wider ones are the carbon's and the particle's own
BEYOND = (0.57, 1.06)  # times it: those of the metal's own strong reflections
SIGNIFICANT = 25.0  # times the mean of the ring: the largest of 10^5 values of noise is 12 times
SHARE = 0.5  # of the strongest reflection's power. 1 in 100 simulated images of gold has more in the gap
RING = 2  # bins on either side, whose median tells the noise


def foreign_spacings(images: ArrayLike, *, widest: float = GOLD) -> NDArray[np.float64]:
    """The spacing [Å] of the strongest reflection that a crystal of a widest spacing of `widest` cannot have (n,), of
    images (n, y, x) at 0.4 Å/px with the particle in the middle; NaN where there is none."""
    stack = np.asarray(images, dtype=np.float64)
    height, width = stack.shape[1:]
    k = np.hypot(np.fft.fftfreq(height, PIXEL)[:, None], np.fft.rfftfreq(width, PIXEL))
    ring = np.rint(k * min(height, width) * PIXEL).astype(int)
    gap, own = between(k, GAP, widest), between(k, BEYOND, widest)
    taper = np.outer(np.hanning(height), np.hanning(width))
    found = np.full(len(stack), np.nan)
    for i, image in enumerate(stack):
        power = np.abs(np.fft.rfft2((image - np.average(image, weights=taper)) * taper)) ** 2
        at = np.unravel_index(np.where(gap, power, 0).argmax(), power.shape)
        around = np.abs(ring - ring[at]) <= RING
        noise = np.median(power[around]) / np.log(2)
        if power[at] > max(SIGNIFICANT * noise, SHARE * power[own].max()):
            found[i] = 1 / k[at]
    return found


def between(k: NDArray[np.float64], spacings: tuple[float, float], widest: float = GOLD) -> NDArray[np.bool_]:
    """Which frequencies [1/Å] have spacings between two, in units of `widest`."""
    return (k > 1 / (spacings[1] * widest)) & (k < 1 / (spacings[0] * widest))
