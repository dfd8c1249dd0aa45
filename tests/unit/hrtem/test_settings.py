"""Settings of the multislice: what is allowed gives an image, and what is not is named."""

from dataclasses import fields, replace
from math import inf, nan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.core.structure import Structure
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.multislice import exit_wave
from facetem.hrtem.optics import Optics, clean_images
from facetem.hrtem.scattering import DEBYE_WALLER
from facetem.hrtem.settings import ACCURACIES, STEEPEST_TILT, WIDEST_BAND, Multislice, settings_of

GRID = Grid((12, 10), 0.3)


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False, allow_subnormal=False)


factors = st.dictionaries(st.sampled_from([6, 8, 22, 79]), numbers(0.0, 3.0), max_size=3)
multislices = st.builds(
    lambda projection, order, **others: Multislice(
        projection=projection, order=max(order, 3) if projection == "finite" else order, **others
    ),
    sampling=numbers(0.1, 1.0),
    slice_thickness=numbers(0.3, 30.0),
    light_thickness=numbers(0.3, 60.0),
    order=st.sampled_from([1, 2, 3, 4]),
    band=numbers(0.2, WIDEST_BAND),
    potential_band=numbers(0.2, WIDEST_BAND),
    second_order=st.booleans(),
    projection=st.sampled_from(["infinite", "finite"]),
    parametrization=st.sampled_from(["lobato", "kirkland", "weickenmeier_kohl"]),
    debye_waller=factors,
    absorption=factors,
    tilt=st.tuples(numbers(-STEEPEST_TILT, STEEPEST_TILT), numbers(-STEEPEST_TILT, STEEPEST_TILT)),
)
optics = st.builds(
    Optics,
    aberrations=st.builds(
        Aberrations,
        defocus=numbers(-500, 500),
        C12=numbers(0, 50),
        C21=numbers(0, 1e3),
        C30=numbers(-1e5, 1e5),  # ten times that asks for more directions of light than are allowed
    ),
    focal_spread=numbers(0, 60),
    angular_spread=numbers(0, 0.5),
    aperture=st.one_of(st.just(inf), numbers(1, 50)),
    image_spread=numbers(0, 1),
)


@st.composite
def specimens(draw: st.DrawFn) -> Structure:
    n, seed = draw(st.integers(1, 6)), draw(st.integers(0, 2**31))
    box = np.array([3.0, 3.6, draw(st.sampled_from([0.5, 4.0, 31.0]))])
    rng = np.random.default_rng(seed)
    return Structure(
        torch.as_tensor(rng.uniform(0, 1, (n, 3)) * box),
        torch.as_tensor(rng.choice([6, 8, 22, 79], n)),
        torch.zeros(n, dtype=torch.int64),
        torch.as_tensor(box)[None],
    )


@settings(max_examples=400)
@given(
    specimens(),
    multislices,
    optics,
    st.sampled_from([30e3, 80e3, 300e3]),
    st.sampled_from(["average", "envelope"]),
)
def test_any_valid_settings_give_a_finite_image(structure, multislice, lens, energy, spatial) -> None:
    energies = torch.tensor([energy], dtype=torch.float64)
    wave = exit_wave(structure, GRID, energies=energies, settings=multislice)
    image = clean_images(
        wave, GRID, energies=[energy], optics=[lens], band=multislice.band * GRID.nyquist, spatial=spatial
    )
    assert bool(torch.isfinite(wave).all())
    assert bool(torch.isfinite(image).all())
    if multislice.projection == "infinite":
        assert float(wave.abs().square().mean()) < 1 + 1e-3


no_length = st.one_of(st.just(0.0), st.just(inf), st.just(nan), numbers(-100.0, -1e-9))
no_factor = st.one_of(st.just(inf), st.just(nan), numbers(-10.0, -1e-9))
no_angle = st.one_of(st.just(inf), st.just(nan), numbers(STEEPEST_TILT + 1e-6, 1e9))
INVALID = {
    "sampling": no_length,
    "slice_thickness": no_length,
    "light_thickness": no_length,
    "order": st.one_of(st.integers(5), st.integers(max_value=0), st.just(2.5), st.just("3")),
    "band": st.one_of(no_length, numbers(WIDEST_BAND + 1e-6, 10.0)),
    "potential_band": st.one_of(no_length, numbers(WIDEST_BAND + 1e-6, 10.0)),
    "projection": st.sampled_from(["", "none", "Infinite", None]),
    "parametrization": st.sampled_from(["", "peng", "Lobato", None]),
    "debye_waller": no_factor.map(lambda B: {6: 0.5, 79: B}),
    "absorption": no_factor.map(lambda r: {79: r}),
    "columns": st.sampled_from(
        [
            ((4.0, 0.1),),
            ((4.0, 0.2, 2.0), (4.0, 0.1, 1.0)),
            ((5.0, 0.1, 1.0), (4.0, 0.1, 1.0)),
            ((4.0, 0.0, 1.0),),
        ]
    ),
    "tilt": st.one_of(no_angle.map(lambda a: (0.0, a)), no_angle.map(lambda a: (-a, 0.0)), st.just((1.0,))),
}


@pytest.mark.parametrize("name", INVALID)
@given(st.data())
@settings(max_examples=40)
def test_invalid_settings_are_named(name: str, data) -> None:
    value = data.draw(INVALID[name])
    with pytest.raises(InputError, match=f"^{name}: expected .*"):
        Multislice(**{name: value})


def test_every_setting_has_its_invalid_values() -> None:
    assert {f.name for f in fields(Multislice)} == {*INVALID, "second_order"}


@pytest.mark.parametrize("order", [1, 2])
def test_finite_projection_needs_curvature(order: int) -> None:
    with pytest.raises(InputError, match=f"projection: finite needs order 3 or 4, got order {order}"):
        Multislice(projection="finite", order=order)


def test_accuracies() -> None:
    assert settings_of("standard") == Multislice()
    own = Multislice(order=2)
    assert settings_of(own) is own
    for name, each in ACCURACIES.items():
        assert settings_of(name) is each
    samplings = [ACCURACIES[name].sampling for name in ("draft", "standard", "reference")]
    assert samplings == sorted(samplings, reverse=True)
    with pytest.raises(
        InputError, match="accuracy: expected draft, standard, reference or a Multislice, got 'fast'"
    ):
        settings_of("fast")  # pyright: ignore[reportArgumentType]


def test_columns_of_atoms_get_finer_settings() -> None:
    """Above each phase its own; never coarser than what was asked for."""
    own = Multislice(slice_thickness=3.5, columns=((4.0, 0.2, 5.0), (8.0, 0.1, 2.0)))
    plain = replace(own, columns=())
    assert own.fitted(4.0) == plain
    assert own.fitted(4.1) == replace(plain, sampling=0.2)
    assert own.fitted(20.0) == replace(plain, sampling=0.1, slice_thickness=2.0)
    assert Multislice(columns=()).fitted(100.0) == Multislice(columns=())


def test_settings_are_values() -> None:
    """Equal ones are the same key, and what the caller does with his tables later has no effect."""
    vibrations = {79: 0.5}
    first, second = Multislice(debye_waller=vibrations), Multislice(debye_waller=dict(vibrations))
    assert first == second
    assert hash(first) == hash(second)
    vibrations[79] = 1.0
    assert first.debye_waller == {79: 0.5}
    assert Multislice().debye_waller == dict(DEBYE_WALLER)
    assert first != replace(first, debye_waller={79: 1.0})
    assert hash(Multislice(tilt=[1.0, 2.0])) == hash(Multislice(tilt=(1.0, 2.0)))  # pyright: ignore[reportArgumentType]


def test_other_settings_are_another_calculation() -> None:
    """None of them is lost on the way to the wave, also where tables of elements are kept."""
    structure = Structure(
        torch.tensor([[1.0, 1.0, 1.0], [2.0, 2.0, 4.1], [1.5, 0.7, 9.0]], dtype=torch.float64),
        torch.tensor([79, 6, 79]),
        torch.zeros(3, dtype=torch.int64),
        torch.tensor([[3.0, 3.6, 10.0]], dtype=torch.float64),
    )
    base = Multislice(slice_thickness=2.0)
    others = [
        base,
        replace(base, slice_thickness=4.0),
        replace(base, light_thickness=2.0, order=2),
        replace(base, order=4),
        replace(base, band=0.8),
        replace(base, potential_band=0.8),
        replace(base, second_order=False),
        replace(base, projection="finite"),
        replace(base, parametrization="kirkland"),
        replace(base, debye_waller={}),
        replace(base, absorption={6: 0.1}),
        replace(base, absorption={79: 0.1}),
        replace(base, tilt=(3.0, 0.0)),
        replace(base, tilt=(0.0, 3.0)),
    ]
    energies = torch.tensor([2e5], dtype=torch.float64)
    waves = [exit_wave(structure, GRID, energies=energies, settings=s) for s in others]
    for i, wave in enumerate(waves):
        assert all(float((wave - other).abs().max()) > 1e-6 for other in waves[:i]), others[i]
    for some, wave in zip(others, waves, strict=True):
        assert torch.equal(exit_wave(structure, GRID, energies=energies, settings=some), wave)
