"""Wavelength and interaction parameter against tabulated values."""

import math

import pytest

from facetem.core.physics import BOHR_RADIUS, HARTREE_E2, REST_ENERGY, interaction_parameter, wavelength

# Beam energy [eV] -> wavelength [Å], interaction parameter [rad / (V Å)].
# Kirkland, Advanced Computing in Electron Microscopy, tables 2.2 and 5.1, to the digits printed there.
KIRKLAND = {
    80e3: (0.041757, 1.00871e-3),
    100e3: (0.037014, 0.92440e-3),
    200e3: (0.025079, 0.72884e-3),
    300e3: (0.019687, 0.65262e-3),
}


@pytest.mark.parametrize("energy", KIRKLAND)
def test_tabulated_values(energy: float) -> None:
    lam, sigma = KIRKLAND[energy]
    assert wavelength(energy) == pytest.approx(lam, abs=1e-6)
    assert interaction_parameter(energy) == pytest.approx(sigma, rel=2e-5)


def test_constants() -> None:
    assert pytest.approx(510998.95, rel=1e-8) == REST_ENERGY
    # The Rydberg energy 13.605693 eV is e^2 / (4 pi eps0) / (2 a0).
    assert HARTREE_E2 / (2 * BOHR_RADIUS) == pytest.approx(13.605693, rel=1e-7)


def test_slow_electrons_obey_de_broglie() -> None:
    """12.2643 Å / sqrt(E) without relativity; at 1 eV it is negligible."""
    assert wavelength(1.0) == pytest.approx(12.2643, rel=1e-5)


def test_sigma_is_proportional_to_relativistic_mass_times_wavelength() -> None:
    """sigma = 2 pi m e lambda / h^2, so sigma / (gamma lambda) is a constant of nature."""
    constants = {
        energy: interaction_parameter(energy) / ((1 + energy / REST_ENERGY) * wavelength(energy))
        for energy in (1e3, 60e3, 200e3, 1e6)
    }
    assert max(constants.values()) / min(constants.values()) == pytest.approx(1, rel=1e-12)
    # m0 e / (2 pi hbar^2) [1 / (V Å^2)]
    assert constants[200e3] == pytest.approx(1 / (2 * math.pi * BOHR_RADIUS * HARTREE_E2), rel=1e-8)


@pytest.mark.parametrize("energy", [0.0, -200e3, math.nan, math.inf])
def test_bad_energy_is_named(energy: float) -> None:
    with pytest.raises(ValueError, match=r"energy must be a positive number of eV, got"):
        wavelength(energy)
