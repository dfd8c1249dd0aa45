"""Lattice spacings that a particle's spectrum shows, and the pixel size at which they would be those of a known
metal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facetem.atoms.shapes import lattice_constant
from facetem.core.errors import InputError
from facetem.learn.matter import metal_name

Array = NDArray[np.float64]

# 1/Å: spacings of 1.05 to 4 Å, so that {311} is seen of pixels that are 10 % too small or large.
BAND = (0.25, 0.95)
SEEN = 30.0  # times the mean power of the noise at a frequency: by chance, 1 in 10^13
SHARE = 0.02  # of the particle's clearest spot: what is fainter are fringes that its outline has around that
RING = 2  # bins on either side of a frequency, whose median tells the noise there
LEAST = 256  # px of the spectrum
EDGE = 4.0  # px: width of the taper at the particle's outline
REFLECTIONS = (3, 4, 8, 11, 12, 16)  # h^2 + k^2 + l^2 of fcc {111}, {200}, {220}, {311}, {222}, {400}
REACH = (0.8, 1.25)  # ratios of pixel sizes that are tried
AGREES = 0.025  # relative: what is nearer is no reason to doubt the pixel size
CLEAR = 700.0  # times the noise. Far from its zone axis a reflection is faint, and may lie 5 % from its place
ALIKE = 1.1  # times the fit of a pixel size, by which the best may exceed it and leave it possible


@dataclass(frozen=True)
class Rule:
    """What spots must show before a pixel size is doubted: their `width` (relative: strain, tilt, the size of the
    particle), how well they must fit another (`good`) and how many times `better` than the stated one, and how many
    `spots` and `kinds` of reflections they must be."""

    width: float
    good: float
    better: float
    spots: int
    kinds: int


BY_CLEAR = Rule(width=0.012, good=0.5, better=1.25, spots=1, kinds=1)
BY_FAINT = Rule(width=0.016, good=0.75, better=1.6, spots=4, kinds=2)


@dataclass(frozen=True)
class LatticeScale:
    """The pixel size at which the spots of a micrograph are best those of a metal.

    Parameters
    ----------
    element
        The metal.
    ratio
        That pixel size over the one stated; of several that fit as well, the nearest to 1.
    others
        Those: a single kind of spot can be {111} at one pixel size and {200} at another.
    fit, stated_fit
        How well the spots agree with the metal's spacings at that and at the stated pixel size: 0 to 1.
    spacing, metal_spacings
        [Å], of the clearest of these spots at the stated pixel size, and what the metal has at each of these ratios.
    spots, kinds
        Number of spots, and of reflections that they are at that ratio.
    clear
        Whether they are clear ones; else many faint ones were taken together.
    """

    element: str
    ratio: float
    others: tuple[float, ...]
    fit: float
    stated_fit: float
    spacing: float
    metal_spacings: tuple[float, ...]
    spots: int
    kinds: int
    clear: bool

    @property
    def disagrees(self) -> bool:
        """Whether the stated pixel size is to be doubted, if the particles are of this metal."""
        rule = self._rule
        return (
            abs(self.ratio - 1) > AGREES
            and self.kinds >= rule.kinds
            and self.fit > rule.good
            and self.fit > rule.better * self.stated_fit
        )

    @property
    def agrees(self) -> bool:
        """Whether the spots are the metal's at the stated pixel size; if they neither agree nor disagree, nothing can
        be said of it."""
        rule = self._rule
        return abs(self.ratio - 1) <= AGREES and self.kinds >= rule.kinds and self.fit > rule.good

    @property
    def _rule(self) -> Rule:
        return BY_CLEAR if self.clear else BY_FAINT

    def doubt(self, sampling: float) -> str:
        """What to say of a stated pixel size [Å/px] that disagrees."""
        sizes = [
            f"{spacing / 10:.4f} nm if that is {_percent(1 / ratio)} ({sampling * ratio / 10:.3g} nm is right)"
            for ratio, spacing in zip((self.ratio, *self.others), self.metal_spacings, strict=True)
        ]
        best = "" if self.others else f"; --sampling-nm {sampling * self.ratio / 10:.3g} analyses it so"
        return (
            f"the lattice does not fit a pixel size of {sampling / 10:.4g} nm: its clearest spacing measures "
            f"{self.spacing / 10:.4f} nm, where {metal_name(self.element)} has {' or '.join(sizes)}; check the pixel "
            f"size, or the metal{best}"
        )


def _percent(ratio: float) -> str:
    """A ratio of sizes in words, such as "10 % too large"."""
    return f"{100 * abs(ratio - 1):.0f} % too {'large' if ratio > 1 else 'small'}"


def lattice_spots(image: ArrayLike, inside: ArrayLike, *, sampling: float, finest: float = 0.0) -> Array:
    """Spots (n, 2) in the power spectrum of the part of an image (y, x) that is `inside` (y, x; bool) a particle: the
    spacing of each [Å], the largest first and none below `finest`, and its power over the noise's.

    A spot is a local maximum of `SEEN` times the noise and of `SHARE` of the clearest one. The noise's power is
    exponentially distributed about a mean that is the ring's median over ln 2, as in `facetem.learn.support`. Of a
    frequency and its negative, one counts.
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
    found = half & (k > BAND[0]) & (k < last) & (power == highest) & (power > SEEN * noise)
    logs = np.log(np.maximum(power, np.finfo(power.dtype).tiny))
    spots = []
    for y, x in np.argwhere(found):
        dy = _summit(*(float(logs[(y + s) % shape[0], x]) for s in (-1, 0, 1)))
        dx = _summit(*(float(logs[y, (x + s) % shape[1]]) for s in (-1, 0, 1)))
        spots.append((1 / np.hypot(ky[y] + dy * ky[1], kx[x] + dx * kx[1]), power[y, x] / noise[y, x]))
    told = np.array(sorted(spots, reverse=True)).reshape(-1, 2)
    return told[told[:, 1] >= SHARE * told[:, 1].max(initial=0.0)]


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


def lattice_scale(spots: Sequence[ArrayLike], elements: Sequence[str] = ("Au",)) -> LatticeScale | None:
    """The pixel size, relative to the one stated, that makes the spots (n, 2) of the particles, as `lattice_spots`
    tells them, those of an fcc metal, of several of the one that fits best; None where too few are seen.

    Of ratios from `REACH` the one with the best mean agreement, exp(-(d r / d_hkl - 1)^2 / (2 width^2)) with the
    nearest reflection, weighted by the spots' amplitudes. The clear spots decide, of one particle or of many; where
    there are none, all of them, under a stricter rule. {111} and {200} are 15 % apart, so that one kind of spot alone
    fits two sizes: then the stated one is favoured.

    Raises
    ------
    InputError
        If one of the elements is no fcc metal.
    """
    constants = {element: lattice_constant(element) for element in elements}
    seen = np.concatenate(
        [np.empty((0, 2)), *(np.asarray(some, dtype=float).reshape(-1, 2) for some in spots)]
    )
    clear = seen[:, 1] >= CLEAR
    seen = seen[clear] if clear.any() else seen
    rule = BY_CLEAR if clear.any() else BY_FAINT
    if len(seen) < rule.spots:
        return None
    scales = [_scale(seen, element, constant, bool(clear.any())) for element, constant in constants.items()]
    return max(scales, key=lambda scale: max(scale.fit, rule.better * scale.stated_fit))


def _scale(spots: Array, element: str, constant: float, clear: bool) -> LatticeScale:
    rule = BY_CLEAR if clear else BY_FAINT
    d, weight = spots[:, 0], np.sqrt(spots[:, 1])
    metal = constant / np.sqrt(REFLECTIONS)
    ratios = np.linspace(*REACH, 451)
    apart = np.abs(ratios[:, None, None] * d[:, None] / metal - 1)
    agreement = np.exp(-((apart.min(axis=2) / rule.width) ** 2) / 2)
    fits = (agreement * weight).sum(axis=1) / weight.sum()
    stated = float(fits[np.abs(ratios - 1) <= AGREES].max())
    possible = _summits(ratios, fits, 4 * rule.width)
    best = int(np.flatnonzero(ratios == possible[0])[0])
    near = apart[best].min(axis=1) < 2 * rule.width
    clearest = float(d[np.where(near, weight, 0.0).argmax()])
    return LatticeScale(
        element=element,
        ratio=possible[0],
        others=possible[1:],
        fit=float(fits[best]),
        stated_fit=stated,
        spacing=clearest,
        metal_spacings=tuple(
            float(metal[np.abs(ratio * clearest / metal - 1).argmin()]) for ratio in possible
        ),
        spots=len(d),
        kinds=len(set(apart[best].argmin(axis=1)[near].tolist())),
        clear=clear,
    )


def _summits(ratios: Array, fits: Array, apart: float) -> tuple[float, ...]:
    """The ratios that fit about as well as the best one, one of those that lie within `apart`; the nearest to 1
    first."""
    found: list[float] = []
    for at in fits.argsort()[::-1]:
        far = all(abs(ratios[at] - ratio) > apart for ratio in found)
        if far and fits[at] * ALIKE >= fits.max():
            found.append(float(ratios[at]))
    return tuple(sorted(found, key=lambda ratio: abs(float(np.log(ratio)))))
