"""Other people's aberrations, each against the polynomial as its authors print it."""

from collections.abc import Callable
from math import pi

import numpy as np
import pytest
import torch

from facetem.core.errors import InputError
from facetem.core.physics import wavelength
from facetem.hrtem.aberrations import ORDERS, Aberrations, wave_aberration
from facetem.hrtem.notations import HAIDER, WAVIMG, from_haider, from_wavimg, to_haider, to_wavimg

LAM = wavelength(200e3)
SIZES = {1: 40.0, 2: 500.0, 3: 3e4, 4: 2e6, 5: 1e8}  # Å; some radians at 1 / Å


@pytest.fixture
def w() -> np.ndarray:
    """Scattering angles kx + i ky up to 1 / Å, complex."""
    random = np.random.default_rng(0)
    return LAM * (random.uniform(-1, 1, 300) + 1j * random.uniform(-1, 1, 300))


def ours(aberrations: Aberrations, w: np.ndarray) -> np.ndarray:
    kx, ky = (torch.as_tensor(part / LAM).view(1, 1, -1) for part in (w.real, w.imag))
    lam = torch.full((1, 1, 1), LAM, dtype=torch.float64)
    polar = {k: torch.tensor(v, dtype=torch.complex128).view(1, 1, 1) for k, v in aberrations.polar().items()}
    return wave_aberration(kx, ky, lam, polar).flatten().numpy()


def draw(name: str, random: np.random.Generator) -> complex:
    n, m = ORDERS[name]
    return SIZES[n] * complex(random.uniform(-1, 1), random.uniform(-1, 1) if m else 0.0)


Term = Callable[[np.ndarray, complex], np.ndarray]
PRINTED: dict[str, Term] = {
    "C1": lambda w, c: w * w.conj() * c / 2,
    "A1": lambda w, c: w.conj() ** 2 * c / 2,
    "B2": lambda w, c: w**2 * w.conj() * c,
    "A2": lambda w, c: w.conj() ** 3 * c / 3,
    "C3": lambda w, c: (w * w.conj()) ** 2 * c / 4,
    "S3": lambda w, c: w**3 * w.conj() * c,
    "A3": lambda w, c: w.conj() ** 4 * c / 4,
    "B4": lambda w, c: w**3 * w.conj() ** 2 * c,
    "D4": lambda w, c: w**4 * w.conj() * c,
    "A4": lambda w, c: w.conj() ** 5 * c / 5,
    "C5": lambda w, c: (w * w.conj()) ** 3 * c / 6,
    "S5": lambda w, c: w**4 * w.conj() ** 2 * c,
    "R5": lambda w, c: w**5 * w.conj() * c,
    "A5": lambda w, c: w.conj() ** 6 * c / 6,
}


@pytest.mark.parametrize("name", PRINTED)
def test_haider(w: np.ndarray, name: str) -> None:
    assert set(PRINTED) == set(HAIDER)
    value = draw(HAIDER[name], np.random.default_rng(list(PRINTED).index(name)))
    aberrations = from_haider({name: value})
    expected = 2 * pi / LAM * PRINTED[name](w, value).real
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(ours(aberrations, w), expected, atol=1e-10)
    assert to_haider(aberrations) == pytest.approx({name: value})


@pytest.mark.parametrize(
    ("theirs", "name", "factor"), [("B2", "C21", 3), ("S3", "C32", 4), ("B4", "C41", 5), ("D4", "C43", 5)]
)
def test_factors_of_the_table(theirs: str, name: str, factor: int) -> None:
    assert getattr(from_haider({theirs: 100j}), name) == pytest.approx(100 * factor)
    assert from_haider({"C1": -70.0, "A1": 20.0}).defocus == 70.0


@pytest.mark.parametrize("index", range(1, 15))
def test_wavimg(w: np.ndarray, index: int) -> None:
    """The sum over binomial terms in Dr Probe is |w|^(N - M) (x Re w^M + y Im w^M) / N, N = n + 1."""
    n, m = ORDERS[WAVIMG[index - 1]]
    value = draw(WAVIMG[index - 1], np.random.default_rng(index)) / 10  # nm
    aberrations = from_wavimg([(index, value.real, value.imag)])
    path = np.abs(w) ** (n + 1 - m) * (value.real * (w**m).real + value.imag * (w**m).imag) / (n + 1)
    np.testing.assert_allclose(ours(aberrations, w), 2 * pi / LAM * 10 * path, atol=1e-10)
    ((back, x, y),) = to_wavimg(aberrations)
    assert back == index
    assert complex(x, y) == pytest.approx(value)


def test_all_at_once_come_back(w: np.ndarray) -> None:
    random = np.random.default_rng(3)
    terms = {theirs: draw(name, random) for theirs, name in HAIDER.items()}
    aberrations = from_haider(terms)
    for back in (from_wavimg(to_wavimg(aberrations)), from_haider(to_haider(aberrations))):
        np.testing.assert_allclose(ours(back, w), ours(aberrations, w), atol=1e-9)


def test_tensors_are_converted_too() -> None:
    assert to_wavimg(Aberrations(defocus=torch.tensor(50.0, requires_grad=True))) == [(1, -5.0, 0.0)]


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(InputError, match=r"coefficients: expected names among C1, A1, .*, got 'B3'"):
        from_haider({"B3": 1.0})
    with pytest.raises(InputError, match="C30: expected a real coefficient"):
        from_haider({"C3": 1j})
    for index in (0, 15):
        with pytest.raises(InputError, match=f"entries: expected indices from 1 to 14, got {index}"):
            from_wavimg([(index, 1.0, 0.0)])
