"""Partial coherence: where the focus and the illumination are sampled, and how wide they spread.

A spread is a standard deviation throughout, along one axis where there are two. Microscopes and papers also state a
half width at 1/e of the maximum, exp(-(x / h)^2), h = sqrt(2) s, or a full width at half maximum,
w = sqrt(8 ln 2) s; the functions below convert, and nothing else does.
"""

from math import ceil, factorial, hypot, isfinite, log, pi, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facetem.core.errors import InputError
from facetem.core.physics import REST_ENERGY

FOCAL_REACH, FOCAL_GAP = 3.0, 2.5  # standard deviations, rad: see `even_nodes`
TILT_ERROR = (
    1e-2  # of the damping of the two beams that a tilt moves most; images are right to 2e-4 of vacuum
)
FEW = 6  # nodes along an axis, up to which Gauss-Hermite needs fewer than even spacing
MOST = 1000  # foci, directions of illumination: beyond, a number has the wrong unit, or the lens is hopeless


def even_nodes(phase: Tensor) -> tuple[Tensor, Tensor]:
    """Foci [standard deviations] and weights (node, n, 1, 1) of n averages over a Gaussian focal spread.

    Steps h apart, an average that should have damped two beams of relative phase a [rad per standard
    deviation] to exp(-a^2 / 2) brings them back at a = 2 pi / h, as too few Gauss-Hermite nodes do. So h follows
    `phase` (n, 1, 1), the largest a of each image, with `FOCAL_GAP` to spare, and the foci end at `FOCAL_REACH`:
    images are right to about 1e-3 of vacuum. An image has its own nodes, whatever it is averaged beside.

    Raises
    ------
    InputError
        If an image needs more than `MOST` foci.
    """
    phase = phase.detach()  # the number of nodes is a step function: nothing flows through it
    half = torch.ceil(FOCAL_REACH * (phase + FOCAL_GAP) / (2 * pi))
    half = torch.where(phase > 0, half, torch.zeros_like(half))
    most = int(half.max())
    if 2 * most + 1 > MOST:
        raise InputError(
            f"focal_spread: expected one that needs at most {MOST} foci, got one that needs {2 * most + 1} in this band"
        )
    index = torch.arange(-most, most + 1, device=phase.device, dtype=phase.dtype)[:, None, None, None]
    offsets = index * FOCAL_REACH / half.clamp_min(1)
    weights = torch.exp(-0.5 * offsets**2) * (index.abs() <= half)
    return offsets, weights / weights.sum(0)


def gauss_nodes(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss-Hermite nodes [standard deviations] and weights, which sum to 1, of a Gaussian average.

    Raises
    ------
    InputError
        If `count` is not at least 1.
    """
    if count < 1:
        raise InputError(f"nodes: expected at least 1, got {count!r}")
    offsets, masses = np.polynomial.hermite_e.hermegauss(count)
    return offsets, masses / masses.sum()


def gauss_count(phase: float, error: float) -> int:
    """Fewest Gauss-Hermite nodes that damp beams of relative phase `phase` [rad per deviation] to within `error`.

    n nodes integrate f with the remainder n! f^(2n) / (2n)! somewhere (Abramowitz & Stegun, 25.4.46, for the
    weight exp(-x^2 / 2)); f = cos(a x) bounds it by n! a^(2n) / (2n)!.
    """
    n = 1
    while factorial(n) / factorial(2 * n) * phase ** (2 * n) > error:
        n += 1
    return n


def _axis_nodes(phase: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights along one axis: the shorter of Gauss-Hermite and even spacing.

    Two at least where there is a spread, so that a small one has its small effect, and a gradient.
    """
    if phase == 0:
        return gauss_nodes(1)
    if phase <= 2 and gauss_count(phase, TILT_ERROR) <= FEW:
        return gauss_nodes(max(2, gauss_count(phase, TILT_ERROR)))
    half = ceil(FOCAL_REACH * (phase + FOCAL_GAP) / (2 * pi))
    offsets = np.arange(-half, half + 1) * FOCAL_REACH / half
    weights = np.exp(-0.5 * offsets**2)
    return offsets, weights / weights.sum()


def tilt_nodes(phase: Tensor) -> tuple[Tensor, Tensor]:
    """Directions of illumination [standard deviations] and weights of n averages over a round Gaussian.

    Parameters
    ----------
    phase : (n, 1, 1)
        The largest phase [rad] that a tilt by one standard deviation puts between two beams of each image.

    Returns
    -------
    offsets : (node, 2, n, 1, 1)
        y and x. A grid of one-dimensional rules, for each image its own, padded with nodes of no weight.
    weights : (node, n, 1, 1)

    Raises
    ------
    InputError
        If an image needs more than `MOST` directions, as those of an uncorrected lens without an aperture do.
    """
    rules = [_axis_nodes(a) for a in phase.detach().flatten().tolist()]
    most = max(len(offsets) for offsets, _ in rules) ** 2
    if most > MOST:
        raise InputError(
            f'spatial: expected at most {MOST} directions of illumination for "average", got a lens and a band that '
            f"need {most}; set an aperture or use the envelope"
        )
    places, weights = np.zeros((most, 2, len(rules))), np.zeros((most, len(rules)))
    for i, (offsets, masses) in enumerate(rules):
        n = len(offsets) ** 2
        places[:n, :, i] = np.stack(np.meshgrid(offsets, offsets, indexing="ij"), -1).reshape(n, 2)
        weights[:n, i] = np.outer(masses, masses).flatten()
    return phase.new_tensor(places)[..., None, None], phase.new_tensor(weights)[..., None, None]


# --- spreads -------------------------------------------------------------------------------------------------


def from_half_width(width: float) -> float:
    """Standard deviation of a Gaussian whose half width at 1/e of its maximum is `width`."""
    return width / sqrt(2)


def to_half_width(deviation: float) -> float:
    """Half width at 1/e of the maximum of a Gaussian with this standard deviation."""
    return deviation * sqrt(2)


def from_fwhm(width: float) -> float:
    """Standard deviation of a Gaussian whose full width at half maximum is `width`."""
    return width / sqrt(8 * log(2))


def to_fwhm(deviation: float) -> float:
    """Full width at half maximum of a Gaussian with this standard deviation."""
    return deviation * sqrt(8 * log(2))


def focal_spread(
    Cc: float,  # noqa: N803 -- the symbol that data sheets and papers give it
    energy: float,
    *,
    energy_spread: float,
    tension_ripple: float = 0.0,
    lens_ripple: float = 0.0,
) -> float:
    """Standard deviation of the focus [Å] from the chromatic aberration.

    Delta = Cc sqrt((kappa dE / E)^2 + (kappa dU / U)^2 + (2 dI / I)^2), kappa = (1 + E/E0) / (1 + E/2E0), E0 = mc^2
    (Reimer & Kohl, Transmission Electron Microscopy, 5th ed. (2008), ch. 2; Kirkland, Advanced Computing in
    Electron Microscopy, 2nd ed. (2010), ch. 3). The focal length of a magnetic lens follows E (1 + E/2E0) / I^2,
    whose logarithmic derivatives are kappa and -2.

    Parameters
    ----------
    Cc
        Coefficient of chromatic aberration [Å]; 1 mm = 1e7 Å.
    energy
        Of the beam [eV].
    energy_spread
        Standard deviation of the source's energies [eV].
    tension_ripple, lens_ripple
        Standard deviations of high tension and of the current of the objective lens, relative to their means.

    Raises
    ------
    InputError
        If a number is negative or not finite, or `energy` is zero.
    """
    given = {"Cc": Cc, "energy_spread": energy_spread}
    given |= {"tension_ripple": tension_ripple, "lens_ripple": lens_ripple}
    for name, value in given.items():
        if not (isfinite(value) and value >= 0):
            raise InputError(f"{name}: expected a finite number >= 0, got {value!r}")
    if not (isfinite(energy) and energy > 0):
        raise InputError(f"energy: expected a finite number of eV > 0, got {energy!r}")
    kappa = (1 + energy / REST_ENERGY) / (1 + energy / (2 * REST_ENERGY))
    return Cc * hypot(kappa * energy_spread / energy, kappa * tension_ripple, 2 * lens_ripple)
