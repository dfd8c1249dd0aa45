"""What an atom scatters out of the band and back into it, against the atom computed by other ways."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from facetem.core.grid import Grid, fourier_resample
from facetem.core.physics import interaction_parameter
from facetem.core.structure import Structure
from facetem.hrtem.atomic import atomic_potential, second_order
from facetem.hrtem.multislice import exit_wave
from facetem.hrtem.potential import projected_potential
from facetem.hrtem.settings import Multislice

ENERGY = 200e3
GRID = Grid((64, 64), 0.25)


def gauss(low: float, high: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    x, w = np.polynomial.legendre.leggauss(n)
    return low + (high - low) * (x + 1) / 2, w * (high - low) / 2


def beyond(number: int, k: float, limit: float) -> float:
    """Half the integral of v(q) v(k - q) over all q but those where q and k - q are both within `limit`."""

    def v(squared: np.ndarray) -> np.ndarray:
        return atomic_potential(number, torch.as_tensor(squared), Multislice()).numpy()

    total = 0.0
    borders = sorted({max(limit - k, 0.0), limit, 2 * limit, 5 * limit, 30.0})
    for low, high in itertools.pairwise(borders):
        for q, w in zip(*gauss(low, high, 32), strict=True):
            # The angle between q and k from which on k - q is outside.
            cosine = (k**2 + q**2 - limit**2) / (2 * k * q) if k else np.inf
            first = 0.0 if q > limit else np.arccos(np.clip(cosine, -1, 1))
            angle, along = gauss(first, np.pi, 32)
            other = k**2 + q**2 - 2 * k * q * np.cos(angle)
            total += w * q * v(np.array([q**2]))[0] * 2 * float(v(other) @ along)
    return total / 2


@pytest.mark.parametrize("number", [29, 79])
@pytest.mark.parametrize("limit", [4 / 3, 1.8])
def test_second_order_is_that_of_the_atom(number: int, limit: float) -> None:
    """As an integral over the frequencies in between, without a box. Measured: 0.15 to 0.4 %."""
    k = [0.0, 0.7, limit]
    exact = np.array([beyond(number, x, limit) for x in k])
    ours = second_order(number, torch.tensor(k, dtype=torch.float64), limit, Multislice()).numpy()
    np.testing.assert_allclose(ours, exact, rtol=6e-3)


@pytest.mark.parametrize("number", [21, 47, 92])
@pytest.mark.parametrize("limit", [0.5, 1.0, 2.0, 4.0])
def test_an_atom_takes_electrons_and_gives_none(number: int, limit: float) -> None:
    """>= 0 at k = 0, and less of it the further the band goes."""
    k = torch.tensor([0.0], dtype=torch.float64)
    loss, next_loss = (float(second_order(number, k, x, Multislice())) for x in (limit, 1.5 * limit))
    assert loss > next_loss > 0


def gold(grid: Grid) -> Structure:
    side = grid.extent[0]
    return Structure(
        torch.tensor([[side / 2, side / 2, 0.0]], dtype=torch.float64),
        torch.tensor([79]),
        torch.tensor([0]),
        torch.tensor([[side, side, 1e-6]], dtype=torch.float64),
    )


# Measured without and with it: 8.5 % and 1.0 %, 2.8 % and 0.8 %, 4.1 % and 1.6 % of the scattered wave.
@pytest.mark.parametrize(
    ("band", "potential_band", "factor"), [(2 / 3, 2 / 3, 6.0), (2 / 3, 0.9, 2.5), (0.9, 0.9, 2.0)]
)
def test_gold_is_nearer_to_its_phase_object(band: float, potential_band: float, factor: float) -> None:
    """exp(i sigma v) of the whole potential on fine pixels, cut at the band afterwards."""
    fine = Grid((1024, 1024), 16.0 / 1024)
    v = projected_potential(gold(fine), fine)[0]
    spectrum = torch.fft.fft2(torch.exp(1j * interaction_parameter(ENERGY) * v))
    inside = fine.squared_frequency(dtype=torch.float64) <= (band * GRID.nyquist) ** 2
    exact = fourier_resample(torch.fft.ifft2(spectrum * inside), GRID.shape)
    settings = Multislice(band=band, potential_band=potential_band)
    energies = torch.tensor([ENERGY], dtype=torch.float64)
    with_it, without = (
        float(torch.linalg.vector_norm(exit_wave(gold(GRID), GRID, energies=energies, settings=s)[0] - exact))
        for s in (settings, replace(settings, second_order=False))
    )
    assert without > factor * with_it
    assert with_it < 0.02 * float(torch.linalg.vector_norm(exact - 1))


def test_light_elements_have_none() -> None:
    """Up to calcium it is left out: too little, and light atoms are many."""
    calcium, scandium = (replace(gold(GRID), numbers=torch.tensor([z])) for z in (20, 21))
    energies = torch.tensor([ENERGY], dtype=torch.float64)
    for atom, has_it in ((calcium, False), (scandium, True)):
        a, b = (
            exit_wave(atom, GRID, energies=energies, settings=Multislice(second_order=s))
            for s in (True, False)
        )
        assert torch.equal(a, b) is not has_it
