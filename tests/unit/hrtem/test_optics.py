"""`Aberrations` and `Optics` check themselves, and say what they mean."""

from math import inf, nan

import numpy as np
import pytest

from facetem.core.errors import InputError
from facetem.hrtem.optics import ORDERS, Aberrations, Optics


def test_defocus_is_minus_c10() -> None:
    assert Aberrations(defocus=120.0).polar()["C10"] == -120.0


def test_azimuths_enter_with_their_multiplicity() -> None:
    polar = Aberrations(C12=2.0, phi12=0.3, C21=3.0, phi21=0.4, C23=4.0, phi23=0.5, C30=5.0).polar()
    assert set(polar) == set(ORDERS)
    assert polar["C12"] == pytest.approx(2 * np.exp(0.6j))
    assert polar["C21"] == pytest.approx(3 * np.exp(0.4j))
    assert polar["C23"] == pytest.approx(4 * np.exp(1.5j))
    assert polar["C30"] == 5


@pytest.mark.parametrize("name", ["defocus", "C12", "phi23", "C30"])
@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_aberrations_are_finite(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name}: expected a finite number"):
        Aberrations(**{name: value})


@pytest.mark.parametrize("name", ["focal_spread", "angular_spread", "image_spread"])
@pytest.mark.parametrize("value", [-0.1, nan, inf])
def test_spreads_are_not_negative(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name}: expected a finite number >= 0"):
        Optics(**{name: value})


@pytest.mark.parametrize("aperture", [0.0, -20.0, nan])
def test_an_aperture_is_open(aperture: float) -> None:
    with pytest.raises(InputError, match="aperture: expected a semi-angle > 0 mrad"):
        Optics(aperture=aperture)
