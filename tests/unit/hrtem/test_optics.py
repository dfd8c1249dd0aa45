"""`Aberrations` and `Optics` check themselves, and say what they mean."""

from math import inf, nan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.optics import Optics, clean_images


def test_defocus_is_minus_c10() -> None:
    assert Aberrations(defocus=120.0).polar()["C10"] == -120.0


def test_azimuths_enter_with_their_multiplicity() -> None:
    polar = Aberrations(C12=2.0, phi12=0.3, C21=3.0, phi21=0.4, C23=4.0, phi23=0.5, C30=5.0).polar()
    assert set(polar) == {"C12", "C21", "C23", "C30"}  # a plain zero is left out
    assert polar["C12"] == pytest.approx(2 * np.exp(0.6j))
    assert polar["C21"] == pytest.approx(3 * np.exp(0.4j))
    assert polar["C23"] == pytest.approx(4 * np.exp(1.5j))
    assert polar["C30"] == 5


@pytest.mark.parametrize("name", ["defocus", "C12", "phi23", "C30", "C41", "phi56"])
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


def test_tensors_are_numbers_too() -> None:
    C21 = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    polar = Aberrations(defocus=torch.tensor(2.0), C21=C21, phi21=0.4).polar()
    assert set(polar) == {"C10", "C21"}
    assert complex(polar["C21"].detach()) == pytest.approx(3 * np.exp(0.4j))
    # Of a zero that is a tensor the derivative may be wanted.
    assert set(Aberrations(C30=torch.tensor(0.0)).polar()) == {"C30"}


@pytest.mark.parametrize("value", [torch.zeros(2), torch.tensor(1), torch.tensor(1j)])
def test_a_tensor_is_one_real_number(value: torch.Tensor) -> None:
    for make in (lambda v: Aberrations(C12=v), lambda v: Optics(focal_spread=v)):
        with pytest.raises(
            InputError, match=r"(C12|focal_spread): expected a number or a 0-dimensional real"
        ):
            make(value)


def test_a_lens_at_another_defocus_is_else_the_same() -> None:
    lens = Optics(Aberrations(defocus=7.0, C12=20.0, C30=-1e5), 25.0, 0.2, 30.0, 0.4)
    moved = lens.at(-50.0)
    assert moved == Optics(Aberrations(defocus=-50.0, C12=20.0, C30=-1e5), 25.0, 0.2, 30.0, 0.4)
    assert lens.aberrations.defocus == 7.0


def test_choices_are_named() -> None:
    grid = Grid((8, 8), 0.5)
    given = {"energies": [2e5], "optics": [Optics()]}
    wave = torch.ones(1, 8, 8, dtype=torch.complex64)
    with pytest.raises(InputError, match="temporal: expected average or envelope, got 'none'"):
        clean_images(wave, grid, **given, temporal="none")
    with pytest.raises(InputError, match="spatial: expected average or envelope, got 'none'"):
        clean_images(wave, grid, **given, spatial="none")
    with pytest.raises(InputError, match='nodes: expected None with temporal="envelope", got 5'):
        clean_images(wave, grid, **given, temporal="envelope", nodes=5)
    with pytest.raises(InputError, match="nodes: expected at least 1, got 0"):
        clean_images(wave, grid, **given, nodes=0)


SMALL = Grid((16, 20), 0.4)
COEFFICIENTS = {
    "defocus": 1e4,
    "C12": 1e3,
    "C21": 1e5,
    "C30": 3e7,
    "C34": 1e6,
    "C43": 1e7,
    "C50": 1e9,
    "C56": 1e9,
}


@given(
    numbers=st.fixed_dictionaries({name: st.floats(-size, size) for name, size in COEFFICIENTS.items()}),
    azimuths=st.fixed_dictionaries({f"phi{nm}": st.floats(-10, 10) for nm in ("12", "21", "34", "43", "56")}),
    spreads=st.tuples(st.floats(0, 100), st.floats(0, 2), st.floats(0, 2)),
    aperture=st.one_of(st.just(inf), st.floats(0.1, 100)),
    energy=st.floats(2e4, 3e5),
    temporal=st.sampled_from(["average", "envelope"]),
    precision=st.sampled_from([torch.complex64, torch.complex128]),
)
@settings(max_examples=100)
def test_any_lens_gives_a_finite_image(
    numbers: dict[str, float],
    azimuths: dict[str, float],
    spreads: tuple[float, float, float],
    aperture: float,
    energy: float,
    temporal: str,
    precision: torch.dtype,
) -> None:
    """And no intensity that is not there: the mean is at most that of the wave."""
    noise = torch.randn(SMALL.shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    wave = (1 + 0.2 * noise).to(precision)
    optics = Optics(Aberrations(**numbers, **azimuths), spreads[0], spreads[1], aperture, spreads[2])
    image = clean_images(wave[None], SMALL, energies=[energy], optics=[optics], temporal=temporal)
    assert bool(torch.isfinite(image).all())
    assert float(image.mean()) <= float(wave.abs().square().mean()) * (1 + 1e-5)
