"""Scattering factors and projected potentials against physics that the code does not use."""

import math

import pytest
import torch

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.core.physics import BOHR_RADIUS, ELECTRON_MASS, ELEMENTARY_CHARGE, PLANCK
from facetem.core.structure import Structure
from facetem.hrtem.gridding import Kernel
from facetem.hrtem.potential import projected_potential
from facetem.hrtem.scattering import (
    DEBYE_WALLER,
    POTENTIAL_PER_FACTOR,
    debye_waller_factor,
    scattering_factor,
)
from facetem.hrtem.settings import WIDEST_BAND, Multislice

BANDS = (2 / 3, 0.8, WIDEST_BAND)


def factor(number: int, k: float) -> float:
    return float(scattering_factor(number, torch.tensor(k**2, dtype=torch.float64)))


def fourier_sum(structure: Structure, grid: Grid, band: float = Multislice.potential_band) -> torch.Tensor:
    """The projected potential [V Å], one Fourier coefficient of one atom after the other."""
    ky, kx = grid.frequencies(dtype=torch.float64)
    k2 = ky**2 + kx**2
    spectrum = torch.zeros(grid.shape, dtype=torch.complex128)
    for (x, y, _), number in zip(structure.positions, structure.numbers.tolist(), strict=True):
        vibrating = scattering_factor(number, k2) * torch.exp(-DEBYE_WALLER.get(number, 0.0) * k2 / 4)
        spectrum += vibrating * torch.exp(-2j * torch.pi * (kx * x + ky * y))
    spectrum *= k2 <= (band * grid.nyquist) ** 2
    area = grid.extent[0] * grid.extent[1]
    return torch.fft.ifft2(spectrum * POTENTIAL_PER_FACTOR / area, norm="forward").real


def test_hydrogen_is_known_in_closed_form() -> None:
    """Mott-Bethe with the exact charge density of the 1s state, f_x = (1 + (pi a0 k)^2)^-2."""
    for k in (0.05, 0.3, 1.0, 2.0):
        f_x = (1 + (math.pi * BOHR_RADIUS * k) ** 2) ** -2
        exact = (1 - f_x) / (2 * math.pi**2 * BOHR_RADIUS * k**2)
        assert factor(1, k) == pytest.approx(exact, rel=0.01)
    assert factor(1, 0) == pytest.approx(BOHR_RADIUS, rel=0.01)


@pytest.mark.parametrize("number", [6, 14, 29, 47, 79])
def test_fast_electrons_see_the_bare_nucleus(number: int) -> None:
    """At large k no electron screens: f_e k^2 -> Z / (2 pi^2 a0) (Mott-Bethe, f_x -> 0)."""
    assert factor(number, 60.0) * 60.0**2 == pytest.approx(number / (2 * math.pi**2 * BOHR_RADIUS), rel=0.02)


@pytest.mark.parametrize(("number", "forward"), [(6, 2.51), (14, 5.83), (29, 5.60), (47, 8.67), (79, 10.6)])
def test_forward_scattering(number: int, forward: float) -> None:
    """f_e(0) [Å] of Doyle & Turner, Acta Cryst. A24 (1968) 390; tables agree to a few percent here."""
    assert factor(number, 0) == pytest.approx(forward, rel=0.05)


def test_potential_per_factor() -> None:
    """h^2 / (2 pi m0 e) = 47.878 V Å^2, from the constants that the code does not compute it from."""
    assert pytest.approx(47.878, abs=1e-3) == POTENTIAL_PER_FACTOR
    from_planck = PLANCK**2 / (2 * math.pi * ELECTRON_MASS * ELEMENTARY_CHARGE) * 1e20
    assert pytest.approx(from_planck, rel=1e-7) == POTENTIAL_PER_FACTOR


def test_debye_waller_is_the_blur_of_a_gaussian() -> None:
    """A Gaussian of <u^2> = B / (8 pi^2) has the transform exp(-2 pi^2 <u^2> k^2)."""
    k2 = torch.linspace(0, 4, 9, dtype=torch.float64)
    u2 = DEBYE_WALLER[79] / (8 * math.pi**2)
    torch.testing.assert_close(
        debye_waller_factor(79, k2, DEBYE_WALLER), torch.exp(-2 * math.pi**2 * u2 * k2)
    )
    assert torch.equal(debye_waller_factor(79, k2, {}), torch.ones_like(k2))


def test_an_element_without_a_factor_is_named() -> None:
    with pytest.raises(InputError, match="no scattering factor for atomic number 118"):
        scattering_factor(118, torch.zeros(1))


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize(("shape", "sampling"), [((96, 96), 0.25), ((80, 96), 0.3), ((96, 75), 0.25)])
def test_gridding_error_is_below_1e_4_of_the_peak(
    draw_cluster, shape: tuple[int, int], sampling: float, band: float
) -> None:
    """Spread atoms against the direct sum, at the field's edge as elsewhere. Measured: 2e-5, 4e-6 and 3e-5."""
    grid = Grid(shape, sampling)
    structure = draw_cluster(n=60, box=(shape[1] * sampling, shape[0] * sampling, 20.0))
    direct = fourier_sum(structure, grid, band)
    spread = projected_potential(structure, grid, Multislice(band=band, potential_band=band))[0]
    assert float((spread - direct).abs().max()) < 1e-4 * float(direct.max())


@pytest.mark.parametrize("number", [6, 79])
@pytest.mark.parametrize("band", BANDS)
def test_gridding_error_wherever_the_atom_is_in_its_pixel(band: float, number: int) -> None:
    """Measured: 1.6e-5 at 2/3, 3e-6 at 0.8, 3e-5 at 0.9 of Nyquist."""
    grid = Grid((48, 48), 0.25)
    for x, y in ((0.0, 0.0), (0.125, 0.125), (0.0625, 0.2), (11.99, 0.01), (-3.3, 17.1)):
        atom = Structure(
            torch.tensor([[x, y, 1.0]], dtype=torch.float64),
            torch.tensor([number]),
            torch.tensor([0]),
            torch.tensor([[12.0, 12.0, 2.0]], dtype=torch.float64),
        )
        direct = fourier_sum(atom, grid, band)
        spread = projected_potential(atom, grid, Multislice(band=band, potential_band=band))[0]
        assert float((spread - direct).abs().max()) < 1e-4 * float(direct.max())


def test_mean_potential_is_the_sum_of_forward_scattering(draw_cluster) -> None:
    structure = draw_cluster(n=30)
    potential = projected_potential(structure, Grid((96, 96), 0.25))[0]
    total = sum(factor(z, 0) for z in structure.numbers.tolist()) * POTENTIAL_PER_FACTOR
    assert float(potential.mean()) * 24.0**2 == pytest.approx(total, rel=1e-5)


def test_atoms_add_up(draw_cluster) -> None:
    """The potential of all atoms is the sum of the atoms' own, and outside the band there is nothing."""
    grid = Grid((64, 64), 0.25)
    structure = draw_cluster(n=4, box=(16.0, 16.0, 20.0))
    together = projected_potential(structure, grid)[0]
    alone = sum(
        projected_potential(
            Structure(
                structure.positions[i : i + 1],
                structure.numbers[i : i + 1],
                structure.batch[i : i + 1],
                structure.cell,
            ),
            grid,
        )[0]
        for i in range(4)
    )
    torch.testing.assert_close(together, alone, atol=1e-9, rtol=0)
    spectrum = torch.fft.fft2(together)
    outside = grid.squared_frequency(dtype=torch.float64) > (Multislice.potential_band * grid.nyquist) ** 2
    assert float(spectrum[outside].abs().max()) < 1e-9 * float(spectrum.abs().max())


@pytest.mark.parametrize("shape", [(4, 40), (40, 5), (2, 2), (7, 9)])
def test_a_field_narrower_than_the_kernel(draw_cluster, shape: tuple[int, int]) -> None:
    """The footprint of an atom then goes around the field more than once."""
    grid = Grid(shape, 0.25)
    structure = draw_cluster(n=5, box=(shape[1] * 0.25, shape[0] * 0.25, 20.0))
    for band in BANDS:
        direct = fourier_sum(structure, grid, band)
        spread = projected_potential(structure, grid, Multislice(band=band, potential_band=band))[0]
        assert float((spread - direct).abs().max()) < 1e-4 * float(direct.max())


@pytest.mark.parametrize("band", BANDS)
def test_kernel_spectrum_is_the_transform_of_the_kernel(band: float) -> None:
    """The trapezoidal sum over a fine grid agrees, at zero frequency (the kernel's area) and others."""
    kernel = Kernel(band)
    x = torch.linspace(-0.5, 0.5, 200001, dtype=torch.float64) * kernel.width
    spectrum = kernel.spectrum(30, "cpu", torch.float64)
    for i in (0, 3, 7):
        exact = torch.trapezoid(kernel(x) * torch.cos(2 * torch.pi * i / 30 * x), x)
        assert float(spectrum[i]) == pytest.approx(float(exact), rel=1e-6)
