"""How a particle stands out of its surroundings, and how far it is from focus."""

from types import SimpleNamespace

import numpy as np
import pytest

from facetem.analysis.view import beam_energy, contrast_around, out_of_focus
from facetem.core.physics import wavelength
from facetem.data.micrograph import Micrograph


def test_contrast_does_not_depend_on_the_intensity_scale() -> None:
    image = np.random.default_rng(0).normal(1, 0.1, (60, 60)).astype(np.float32)
    inside = np.hypot(*(np.mgrid[:60, :60] - 30)) < 12
    image[inside] -= 0.3
    wanted = contrast_around(image, inside.astype(np.float32), inside)
    for scale in (1e-18, 1e-12, 1e12):
        found = contrast_around(np.float32(scale) * image, inside.astype(np.float32), inside)
        assert found == pytest.approx(wanted, rel=1e-4)
    for pedestal in (-2.0, 30.0):  # of a camera; signed counts in a file of unsigned ones
        found = contrast_around(image + np.float32(pedestal), inside.astype(np.float32), inside)
        assert found == pytest.approx(wanted, rel=1e-3)
    image[~inside] = 0
    assert contrast_around(image, inside.astype(np.float32), inside) is None


def test_other_particles_are_nothing_that_a_particle_stands_out_of() -> None:
    """Nor can it stand out where there is hardly anything else: a tenth of its own area at least."""
    image = np.random.default_rng(0).normal(1, 0.1, (60, 60)).astype(np.float32)
    y, x = np.mgrid[:60, :60]
    inside, other = np.hypot(y - 20, x - 20) < 10, np.hypot(y - 42, x - 42) < 10
    image[inside] -= 0.3
    alone = contrast_around(image, inside.astype(np.float32), inside)
    image[other] -= 0.9
    assert contrast_around(image, (inside | other).astype(np.float32), inside) == pytest.approx(
        alone, rel=0.1
    )
    little = inside | (np.arange(60 * 60).reshape(60, 60) >= 20)
    assert contrast_around(image, little.astype(np.float32), inside) is None


@pytest.mark.parametrize(
    ("told", "energy"), [(300, 300e3), (80.0, 80e3), (200e3, None), (0, None), (None, None)]
)
def test_a_beam_energy_is_one_that_microscopes_have(told: float | None, energy: float | None) -> None:
    """In keV, as files tell it; 200000 are volts, and nobody knows what else is wrong."""
    assert beam_energy(Micrograph(np.ones((64, 64)), 0.4, "a", {"beam_energy_kev": told})) == energy


def test_distance_from_focus_takes_the_wavelength() -> None:
    """Read is its product with the wavelength: 2 Å^2 are 10 nm at 300 kV."""
    restoration = SimpleNamespace(out_of_focus=lambda y, x: 2.0)
    outline = SimpleNamespace(centroid=(5.0, 6.0))
    found = out_of_focus(restoration, outline, 300e3)
    assert found == pytest.approx(2.0 / wavelength(300e3))
    assert found == pytest.approx(100, rel=0.02)
    assert out_of_focus(restoration, outline, None) is None
