"""Dynamical diffraction by crystals, against extinction distances in print and against Bloch waves."""

from math import pi, sqrt

import numpy as np
import pytest
import torch

from facetem.core.grid import Grid
from facetem.core.physics import interaction_parameter, wavelength
from facetem.core.structure import Structure
from facetem.hrtem.atomic import atomic_potential
from facetem.hrtem.multislice import exit_wave
from facetem.hrtem.settings import Multislice

ENERGY = 200e3
A, SHAPE = (
    4.078,
    (68, 96),
)  # gold along [110]: the cell is a wide and a / sqrt(2) high, in nearly square pixels
GRID = Grid(SHAPE, A / 96)
LIMIT = 3.5  # 1 / Å, of the beams
SETTINGS = Multislice(
    order=1, second_order=False, band=LIMIT / GRID.nyquist, potential_band=2 * LIMIT / GRID.nyquist
)


@pytest.mark.parametrize(
    ("number", "a", "printed", "bound"),
    [
        (13, 4.0496, {(1, 1, 1): 556, (2, 0, 0): 673, (2, 2, 0): 1057}, 0.01),
        (47, 4.0862, {(1, 1, 1): 224, (2, 0, 0): 255, (2, 2, 0): 363}, 0.06),
    ],
    ids=["Al", "Ag"],
)
def test_extinction_distances(
    number: int, a: float, printed: dict[tuple[int, int, int], float], bound: float
) -> None:
    """pi / (sigma V_g) at 100 kV, in Å, as Hirsch et al., Electron Microscopy of Thin Crystals (1965), have them."""
    for hkl, distance in printed.items():
        k2 = torch.tensor(sum(i * i for i in hkl) / a**2, dtype=torch.float64)
        volts = 4 * float(atomic_potential(number, k2, Multislice(debye_waller={}))) / a**3
        assert pi / (interaction_parameter(100e3) * volts) == pytest.approx(distance, rel=bound)


def gold(periods: int) -> tuple[Structure, list[torch.Tensor]]:
    """A film of gold along [110], and its planes: the layers of atoms."""
    y, x = GRID.extent
    z = (torch.arange(2 * periods, dtype=torch.float64) + 0.5) * A / sqrt(8)
    half = torch.arange(2 * periods) % 2 / 2
    positions = torch.stack([half * x, half * y, z], dim=1)
    cell = torch.tensor([[x, y, periods * A / sqrt(2)]], dtype=torch.float64)
    numbers = torch.full((len(z),), 79)
    return Structure(positions, numbers, torch.zeros_like(numbers), cell), [z]


def minima(values: np.ndarray) -> np.ndarray:
    """Places of the minima of a series, between its points by a parabola through three of them."""
    i = np.flatnonzero((values[1:-1] < values[:-2]) & (values[1:-1] <= values[2:])) + 1
    before, at, after = values[i - 1], values[i], values[i + 1]
    return i + (before - after) / (2 * (before - 2 * at + after))


def test_pendelloesung_of_gold_is_that_of_its_bloch_waves() -> None:
    """Direct beam of Au [110] at 200 kV: its period is 2 pi over the difference of two eigenvalues, of the state
    bound to the columns and of the one that is excited most.

    Zero-order Laue zone, 225 beams: i d psi / dz = (pi lambda k^2 - sigma V) psi. Measured: 35.4 Å; the multislice,
    whose layers are 1.44 Å apart, 35.9 Å.
    """
    y, x = GRID.extent
    h, k = (index.ravel() for index in np.meshgrid(np.arange(-20, 21), np.arange(-20, 21)))
    beams = ((h / x) ** 2 + (k / y) ** 2 <= LIMIT**2) & ((h + k) % 2 == 0)
    h, k = h[beams], k[beams]
    k2 = torch.as_tensor(((h[:, None] - h) / x) ** 2 + ((k[:, None] - k) / y) ** 2)
    volts = atomic_potential(79, k2, SETTINGS).numpy() * 2 / (x * y * A / sqrt(2))
    kinetic = -pi * wavelength(ENERGY) * ((h / x) ** 2 + (k / y) ** 2)
    eigenvalues, vectors = np.linalg.eigh(np.diag(kinetic) + interaction_parameter(ENERGY) * volts)
    direct = int(np.flatnonzero((h == 0) & (k == 0))[0])
    excited = np.abs(vectors[direct]) ** 2
    thickness = np.arange(1, 36) * A / sqrt(2)
    bloch = np.abs((np.exp(1j * np.outer(thickness, eigenvalues)) * excited).sum(axis=1)) ** 2

    def seen(periods: int) -> float:
        structure, planes = gold(periods)
        energies = torch.tensor([ENERGY], dtype=torch.float64)
        wave = exit_wave(structure, GRID, energies=energies, settings=SETTINGS, planes=planes)
        return float(wave.mean().abs() ** 2)

    multislice = np.array([seen(n) for n in range(1, 36)])
    assert np.abs(multislice - bloch).max() < 0.03
    bound, strongest = eigenvalues[excited > 0.05].max(), eigenvalues[np.argmax(excited)]
    period = 2 * pi / (bound - strongest)
    for intensity in (bloch, multislice):
        assert np.diff(minima(intensity)) * A / sqrt(2) == pytest.approx(period, rel=0.02)
