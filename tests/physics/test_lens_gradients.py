"""Gradients flow from an image to the lens: all aberrations, all spreads, all models of coherence."""

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from facetem.core.grid import Grid
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.optics import Optics, clean_images

GRID = Grid((12, 12), 0.5)
ENERGY = 200e3
# A step of every number that an image notices: Å, rad, mrad.
SCALES = {"1": 20.0, "2": 300.0, "3": 3e4, "4": 1e6, "5": 1e8}
NAMES = [item.name for item in fields(Aberrations)]


def scale(name: str) -> float:
    if name.startswith("phi"):
        return 0.5
    return SCALES["1" if name == "defocus" else name[1]]


def lens(numbers: Tensor) -> Optics:
    """Of (28,) numbers near 1: the aberrations in units of `SCALES`, then focal, angular and image spread."""
    aberrations = Aberrations(
        **{name: scale(name) * x for name, x in zip(NAMES, numbers[: len(NAMES)], strict=True)}
    )
    focal, angular, image = numbers[len(NAMES) :]
    return Optics(
        aberrations, focal_spread=10.0 * focal, angular_spread=0.1 * angular, image_spread=0.3 * image
    )


@pytest.fixture
def wave() -> Tensor:
    noise = torch.randn(12, 12, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    return 1 + 0.3 * noise


@pytest.fixture
def numbers() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 0.6 + 0.4 * torch.rand(len(NAMES) + 3, dtype=torch.float64, generator=generator)


def image(wave: Tensor, numbers: Tensor, temporal: str = "average", spatial: str = "envelope") -> Tensor:
    return clean_images(
        wave[None],
        GRID,
        energies=[ENERGY],
        optics=[lens(numbers)],
        shape=(8, 8),
        temporal=temporal,
        spatial=spatial,
    )


@pytest.mark.parametrize(
    ("temporal", "spatial"), [("average", "envelope"), ("envelope", "envelope"), ("average", "average")]
)
def test_gradients_are_finite_differences(wave: Tensor, numbers: Tensor, temporal: str, spatial: str) -> None:
    """Of two patterns' overlap with the image, with respect to every number of the lens, in double precision."""
    patterns = torch.randn(2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def overlaps(values: Tensor) -> Tensor:
        return (image(wave, values, temporal, spatial) * patterns).mean((-1, -2))

    numbers.requires_grad_()
    (gradient,) = torch.autograd.grad(overlaps(numbers)[0], numbers)
    assert bool((gradient != 0).all())  # the image notices each of them
    assert torch.autograd.gradcheck(overlaps, (numbers,), eps=1e-5, rtol=1e-3, atol=1e-7)


def test_functional_gradient_is_the_same(wave: Tensor, numbers: Tensor) -> None:
    def misfit(values: Tensor) -> Tensor:
        return (image(wave, values, spatial="average") - 1).square().sum()

    functional = torch.func.grad(misfit)(numbers)
    leaf = numbers.clone().requires_grad_()
    (expected,) = torch.autograd.grad(misfit(leaf), leaf)
    torch.testing.assert_close(functional, expected)


def test_numbers_and_tensors_give_one_image(wave: Tensor, numbers: Tensor) -> None:
    plain = clean_images(
        wave[None].to(torch.complex64),
        GRID,
        energies=[ENERGY],
        optics=[lens_of_floats(numbers)],
        shape=(8, 8),
    )
    assert plain.dtype == torch.float32
    torch.testing.assert_close(image(wave, numbers).float(), plain, rtol=1e-4, atol=1e-4)


def lens_of_floats(numbers: Tensor) -> Optics:
    made = lens(numbers)
    aberrations = Aberrations(**{name: float(getattr(made.aberrations, name)) for name in NAMES})
    spreads = {n: float(getattr(made, n)) for n in ("focal_spread", "angular_spread", "image_spread")}
    return Optics(aberrations, **spreads)


def test_gradient_to_the_foci_of_a_series(wave: Tensor) -> None:
    """A series may be given its foci as a tensor; each image depends on its own focus alone."""
    foci = torch.tensor([-40.0, 0.0, 60.0], dtype=torch.float64, requires_grad=True)
    lenses = [Optics().at(focus) for focus in foci]
    series = clean_images(wave.expand(3, -1, -1), GRID, energies=[ENERGY] * 3, optics=lenses)
    (gradient,) = torch.autograd.grad(series[1].square().sum(), foci)
    assert gradient[0] == gradient[2] == 0
    assert abs(float(gradient[1])) > 1e-3
