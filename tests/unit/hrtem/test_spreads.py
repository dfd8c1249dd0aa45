"""Widths of a Gaussian, and the focal spread of a lens from its chromatic aberration."""

import numpy as np
import pytest

from facetem.core.errors import InputError
from facetem.core.physics import wavelength
from facetem.hrtem.coherence import focal_spread, from_fwhm, from_half_width, to_fwhm, to_half_width


def test_widths_of_a_gaussian() -> None:
    """From the curve itself: where it has fallen to 1/e and to a half."""
    x = np.linspace(0, 10, 1_000_001)
    curve = np.exp(-(x**2) / (2 * 1.7**2))
    half_width, fwhm = (
        2**i * x[np.argmin(np.abs(curve - level))] for i, level in ((0, np.exp(-1)), (1, 0.5))
    )
    assert from_half_width(half_width) == pytest.approx(1.7, rel=1e-4)
    assert from_fwhm(fwhm) == pytest.approx(1.7, rel=1e-4)
    assert to_half_width(from_half_width(3.0)) == pytest.approx(3.0)
    assert to_fwhm(from_fwhm(3.0)) == pytest.approx(3.0)


@pytest.mark.parametrize("energy", [80e3, 200e3, 300e3])
def test_focal_spread_follows_the_momentum(energy: float) -> None:
    """A magnetic lens focuses by momentum squared over current squared: f ~ 1 / (lambda I)^2, Delta = Cc df / f."""
    step = 1.0
    relative = (wavelength(energy + step) ** -2 / wavelength(energy - step) ** -2 - 1) / (2 * step)
    assert focal_spread(1.5e7, energy, energy_spread=0.3) == pytest.approx(1.5e7 * relative * 0.3, rel=1e-4)
    tension = focal_spread(1.5e7, energy, energy_spread=0.0, tension_ripple=1e-6)
    assert tension == pytest.approx(1.5e7 * relative * 1e-6 * energy, rel=1e-4)
    lens = focal_spread(1.5e7, energy, energy_spread=0.0, lens_ripple=1e-6)
    assert lens == pytest.approx(1.5e7 * ((1 + 1e-6) ** 2 - 1), rel=1e-5)
    every = focal_spread(1.5e7, energy, energy_spread=0.3, tension_ripple=1e-6, lens_ripple=1e-6)
    assert every**2 == pytest.approx((1.5e7 * relative * 0.3) ** 2 + tension**2 + lens**2, rel=1e-4)


def test_focal_spread_names_what_is_wrong() -> None:
    for given, name in (
        ((-1.0, 2e5, 0.3), "Cc"),
        ((1e7, 0.0, 0.3), "energy"),
        ((1e7, 2e5, float("nan")), "energy_spread"),
    ):
        with pytest.raises(InputError, match=f"{name}: expected"):
            focal_spread(*given[:2], energy_spread=given[2])
