"""The tables of scattering factors and their forms, and the vibrations that come with the package."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from ase.data import atomic_masses, atomic_numbers

from facetem.core.errors import InputError
from facetem.hrtem.scattering import DEBYE_WALLER, Parametrization, scattering_factor

NAMES: tuple[Parametrization, ...] = get_args(Parametrization)
ELEMENTS = {"lobato": range(1, 104), "kirkland": range(1, 104), "weickenmeier_kohl": range(2, 99)}


def test_lobato_is_the_default() -> None:
    k2 = torch.linspace(0, 9, 10)
    assert torch.equal(scattering_factor(79, k2), scattering_factor(79, k2, "lobato"))


@pytest.mark.parametrize("name", NAMES)
def test_every_element_of_a_table(name: Parametrization) -> None:
    """Positive and falling: the potential of a neutral atom attracts everywhere, and most at its centre."""
    k2 = torch.linspace(0, 12, 481, dtype=torch.float64) ** 2
    for number in ELEMENTS[name]:
        factor = scattering_factor(number, k2, name)
        assert bool(torch.isfinite(factor).all()), number
        assert float(factor.min()) > 0, number
        assert float(factor.diff().max()) < 0, number


@pytest.mark.parametrize("name", NAMES)
def test_shape_and_precision_are_kept(name: Parametrization) -> None:
    k2 = torch.linspace(0, 25, 24).view(2, 3, 4)
    before = k2.clone()
    single = scattering_factor(29, k2, name)
    assert single.shape == k2.shape
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), scattering_factor(29, k2.double(), name), rtol=1e-5, atol=0)
    assert torch.equal(k2, before)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", [6, 79])
def test_smooth_down_to_the_forward_direction(name: Parametrization, number: int) -> None:
    """A parabola around k = 0, and a derivative that is the slope, at steps from 1e-6 / Å to 0.1 / Å."""
    k2 = torch.cat([torch.zeros(1, dtype=torch.float64), torch.logspace(-12, -2, 201, dtype=torch.float64)])
    k2.requires_grad_()
    factor = scattering_factor(number, k2, name)
    (slope,) = torch.autograd.grad(factor.sum(), k2, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), k2)
    slope = slope.detach()
    assert bool(torch.isfinite(bend).all())
    assert float(slope.max()) < 0
    assert float(slope.diff().min()) > -1e-9 * float(slope.abs().max())
    # Trapezoids of the slope make up the factor; at 1e-2 / Å^2 they are off by the cube of a step.
    step = k2.detach().diff()
    rise = (0.5 * (slope[1:] + slope[:-1]) * step).cumsum(0)
    torch.testing.assert_close(rise, (factor[1:] - factor[0]).detach(), rtol=2e-3, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weickenmeier_kohl_where_its_series_ends(dtype: torch.dtype) -> None:
    """Against the quotient in extended precision, just below and above the switch and far from it."""
    a, b = 0.4, np.array([0.54927, 1.72752, 6.71952, 0.02637, 0.07253, 35.45745], np.longdouble)
    weights = np.array([1, 1, 1, a, a, a], np.longdouble) / (3 * (1 + a))
    s2 = torch.tensor([1e-7, 2.7e-4, 2.82e-4, 2.821e-4, 2.9e-4, 1e-3, 0.1, 3.0], dtype=dtype)
    exact = s2.numpy().astype(np.longdouble)
    shape = [float(-(weights * np.expm1(-b * s)).sum() / s) for s in exact]
    ours = scattering_factor(79, 4 * s2, "weickenmeier_kohl")
    ratio = ours.double() / torch.tensor(shape, dtype=torch.float64)
    spread = float(ratio.max() / ratio.min()) - 1
    assert spread < (1e-6 if dtype == torch.float32 else 1e-14)
    assert float(ratio[0]) / 79 == pytest.approx(0.0239337, rel=1e-5)  # 1 / (8 pi^2 a0)


@pytest.mark.parametrize(
    ("name", "number"),
    [("lobato", 104), ("kirkland", 0), ("weickenmeier_kohl", 1), ("weickenmeier_kohl", 99)],
)
def test_an_element_that_a_table_lacks(name: Parametrization, number: int) -> None:
    known = f"expected {ELEMENTS[name][0]} to {ELEMENTS[name][-1]}"
    with pytest.raises(InputError, match=f"atomic number {number} in {name}: {known}"):
        scattering_factor(number, torch.zeros(1), name)


def test_an_unknown_table() -> None:
    with pytest.raises(
        InputError, match="parametrization: expected lobato, kirkland, weickenmeier_kohl, got 'peng'"
    ):
        scattering_factor(6, torch.zeros(1), "peng")  # pyright: ignore[reportArgumentType]


def debye(symbol: str, temperature: float) -> float:
    """B [Å^2] of a Debye solid of temperature `temperature` [K] at 293 K (Warren, X-ray Diffraction, eq. 11.77)."""
    x = np.linspace(1e-6, temperature / 293, 1000)
    phi = np.trapezoid(x / np.expm1(x), x) / x[-1]
    mass = atomic_masses[atomic_numbers[symbol]]
    # 6 h^2 / (m k_B) = 11492 Å^2 K u: hbar and k_B of CODATA 2018
    return 11492 / (mass * temperature) * (phi / x[-1] + 0.25)


# Debye temperatures from heat capacities: Kittel, Introduction to Solid State Physics, 7th ed., ch. 5, table 1.
@pytest.mark.parametrize(
    ("symbol", "temperature"),
    [
        ("Li", 344), ("Na", 158), ("Al", 428), ("K", 91), ("V", 380), ("Cr", 630), ("Fe", 470), ("Ni", 450),
        ("Cu", 343), ("Nb", 275), ("Mo", 450), ("Pd", 274), ("Ag", 225), ("Ta", 240), ("W", 400), ("Pt", 240),
        ("Au", 165), ("Pb", 105),
    ],
)  # fmt: skip
def test_vibrations_are_those_of_a_debye_solid(symbol: str, temperature: float) -> None:
    """Cubic metals. Heat capacities weigh the spectrum otherwise: 0.9 to 1.5 times the B of their Debye temperature."""
    assert 0.9 < DEBYE_WALLER[atomic_numbers[symbol]] / debye(symbol, temperature) < 1.5


def test_vibrations_at_hand() -> None:
    assert all(0.1 < B < 20 for B in DEBYE_WALLER.values())
    assert {number: DEBYE_WALLER[number] for number in (6, 46, 47, 78, 79)} == {
        6: 0.5, 46: 0.45, 47: 0.73, 78: 0.37, 79: 0.63,
    }  # fmt: skip
    assert math.isclose(math.sqrt(DEBYE_WALLER[79] / 8) / math.pi, 0.089, abs_tol=1e-3)  # Å along an axis
