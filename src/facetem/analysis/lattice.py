"""Lattice spacings that a particle's spectrum shows, and the pixel size at which they would be those of a known
metal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facetem.atoms.shapes import lattice_constant
from facetem.core.errors import InputError

Array = NDArray[np.float64]

BAND = (0.25, 0.8)  # 1/Å: spacings of 1.25 to 4 Å
CHANCE = 1e-7  # that noise makes a spot of this strength at one frequency
RING = 2  # bins on either side of a frequency, whose median tells the noise there
LEAST = 256  # px of the spectrum
EDGE = 4.0  # px: width of the taper at the particle's outline
REFLECTIONS = (3, 4, 8, 11, 12)  # h^2 + k^2 + l^2 of fcc {111}, {200}, {220}, {311}, {222}
WIDTH = 0.012  # relative, of a measured spacing: strain, tilt, and the size of the particle
REACH = (0.8, 1.25)  # ratios of pixel sizes that are tried
AGREES = 0.05  # relative: what is nearer is no reason to doubt the pixel size
FEW = 4  # spots, and 2 particles, below which nothing is said
GOOD = 0.5  # fit, below which the spots are those of another lattice altogether
BETTER = 1.25  # times the fit of the stated pixel size, before another is offered


@dataclass(frozen=True)
class LatticeScale:
    """The pixel size at which the spots of a micrograph are best those of a metal.

    Parameters
    ----------
    element
        The metal.
    ratio
        That pixel size over the one stated.
    fit, stated_fit
        How well the spots agree with the metal's spacings at that and at the stated pixel size: 0 to 1.
    spots
        Their number.
    """

    element: str
    ratio: float
    fit: float
    stated_fit: float
    spots: int

    @property
    def disagrees(self) -> bool:
        """Whether the stated pixel size is to be doubted, if the particles are of this metal."""
        return abs(self.ratio - 1) > AGREES and self.fit > max(GOOD, BETTER * self.stated_fit)


def lattice_spacings(image: ArrayLike, inside: ArrayLike, *, sampling: float, finest: float = 0.0) -> Array:
    """Spacings [Å], the largest first and none below `finest`, of the spots in the power spectrum of the part of an
    image (y, x) that is `inside` (y, x; bool) a particle.

    A spot is a local maximum that noise would reach with a probability below `CHANCE`: its power is exponentially
    distributed about a mean that is the ring's median over ln 2, as in `facetem.learn.support`. Of a frequency and its
    negative, one counts.
    """
    from scipy.ndimage import gaussian_filter, maximum_filter

    pixels, region = np.asarray(image, dtype=np.float64), np.asarray(inside, dtype=bool)
    if pixels.shape != region.shape or pixels.ndim != 2 or not region.any():
        raise InputError(f"inside: expected some pixels of the image {pixels.shape}, got {region.shape}")
    taper = gaussian_filter(region.astype(np.float64), EDGE)
    level = float((pixels * taper).sum() / taper.sum())
    # The taper ends at 0, so that more zeros around it only make the bins finer.
    shape = (max(LEAST, pixels.shape[0]), max(LEAST, pixels.shape[1]))
    power = np.abs(np.fft.fft2((pixels - level) * taper, shape)) ** 2
    ky, kx = (np.fft.fftfreq(n, sampling) for n in shape)
    k = np.hypot(ky[:, None], kx)
    noise = _ring_medians(power, np.rint(k * max(shape) * sampling).astype(int)) / np.log(2)
    highest = maximum_filter(power, size=5, mode="wrap")
    half = (ky[:, None] > 0) | ((ky[:, None] == 0) & (kx > 0))
    last = min(BAND[1], 1 / finest) if finest > 0 else BAND[1]
    found = half & (k > BAND[0]) & (k < last) & (power == highest) & (power > -np.log(CHANCE) * noise)
    logs = np.log(np.maximum(power, np.finfo(power.dtype).tiny))
    lengths = []
    for y, x in np.argwhere(found):
        dy = _summit(*(float(logs[(y + s) % shape[0], x]) for s in (-1, 0, 1)))
        dx = _summit(*(float(logs[y, (x + s) % shape[1]]) for s in (-1, 0, 1)))
        lengths.append(np.hypot(ky[y] + dy * ky[1], kx[x] + dx * kx[1]))
    return np.sort(1 / np.array(lengths))[::-1] if lengths else np.empty(0)


def _summit(before: float, here: float, after: float) -> float:
    """How far the summit of the parabola through three values lies from the middle one [bins]: exact for logarithms of
    a Gaussian."""
    curvature = 2 * here - before - after
    return float(np.clip((after - before) / (2 * curvature), -0.5, 0.5)) if curvature > 0 else 0.0


def _ring_medians(power: Array, ring: NDArray[np.int64]) -> Array:
    """The median of the power over the ring that each frequency lies in."""
    medians = np.ones(ring.max() + 1)
    order = np.argsort(ring, axis=None)
    lengths, values = ring.ravel()[order], power.ravel()[order]
    ends = np.searchsorted(lengths, np.arange(len(medians) + 1))
    for r in range(len(medians)):
        some = values[ends[max(0, r - RING)] : ends[min(len(medians), r + RING + 1)]]
        medians[r] = np.median(some)
    return medians[ring]


def lattice_scale(spacings: Sequence[ArrayLike], elements: Sequence[str] = ("Au",)) -> LatticeScale | None:
    """The pixel size, relative to the one stated, that makes the spacings [Å] of each of the particles those of an fcc
    metal, of several of the one that fits best; None where there are too few.

    Of ratios from `REACH` the one with the best mean agreement, exp(-(d r / d_hkl - 1)^2 / (2 WIDTH^2)) with the
    nearest reflection. {111} and {200} are 15 % apart, so that one kind of spot alone fits two sizes: then the stated
    one is favoured, see `LatticeScale.disagrees`.

    Raises
    ------
    InputError
        If one of the elements is no fcc metal.
    """
    constants = {element: lattice_constant(element) for element in elements}
    seen = [np.asarray(some, dtype=np.float64) for some in spacings if len(np.asarray(some))]
    if len(seen) < 2 or sum(map(len, seen)) < FEW:
        return None
    d = np.concatenate(seen)
    scales = [_scale(d, element, constant) for element, constant in constants.items()]
    return max(scales, key=lambda scale: max(scale.fit, BETTER * scale.stated_fit))


def _scale(d: Array, element: str, constant: float) -> LatticeScale:
    metal = constant / np.sqrt(REFLECTIONS)
    ratios = np.linspace(*REACH, 451)
    apart = np.abs(ratios[:, None, None] * d[:, None] / metal - 1).min(axis=2)
    fits = np.exp(-((apart / WIDTH) ** 2) / 2).mean(axis=1)
    best = int(fits.argmax())
    stated = float(fits[np.abs(ratios - 1) <= WIDTH].max())
    return LatticeScale(element, float(ratios[best]), float(fits[best]), stated, len(d))
