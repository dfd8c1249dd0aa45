"""The scale of an image says nothing."""

import numpy as np
import pytest
import torch

from facetem.learn.foreign import ForeignLattice
from facetem.learn.matter import Matter
from facetem.learn.normalise import levels, normalise
from facetem.learn.reflections import log_power
from facetem.learn.restorer import Spectrum
from facetem.learn.spectra import ring_spectra
from facetem.learn.support import lattice_support

SCALES = [1e-25, 1e-12, 1e-9, 1e-6, 1e-3, 1e6, 1e12, 1e25]


@pytest.fixture
def images() -> torch.Tensor:
    return 1 + 0.1 * torch.randn(2, 128, 128, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale", SCALES)
def test_a_factor_changes_nothing(images: torch.Tensor, scale: float) -> None:
    scaled = normalise(scale * images)
    torch.testing.assert_close(scaled, normalise(images), atol=2e-6, rtol=0)
    assert scaled.mean().abs() < 1e-5
    assert scaled.std() == pytest.approx(1, abs=1e-3)
    for there, here in zip(levels(scale * images), levels(images), strict=True):
        torch.testing.assert_close(there.double() / scale, here.double(), atol=0, rtol=1e-6)


def test_images_of_usual_scales_are_normalised_as_networks_have_learnt(images: torch.Tensor) -> None:
    mean, spread = images.mean((-2, -1), keepdim=True), images.std((-2, -1), keepdim=True)
    torch.testing.assert_close(normalise(images)[:, 0], (images - mean) / spread, atol=1e-6, rtol=0)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -0.1, 123.456, 1e-12, 1e12, 1e-30])
def test_what_is_the_same_everywhere_is_zeros_and_has_a_spectrum_of_numbers(value: float) -> None:
    images = torch.full((2, 256, 256), value)
    assert not normalise(images).any()
    seen = [log_power(normalise(images)), Spectrum(8).log_power(normalise(images)), *ring_spectra(images)]
    assert all(torch.isfinite(part).all() for part in seen)
    assert not ForeignLattice(256, Matter().widest)(images)[0].any()


def test_a_large_offset_leaves_what_differs(images: torch.Tensor) -> None:
    torch.testing.assert_close(normalise(images + 1000), normalise(images), atol=2e-3, rtol=0)


@pytest.mark.parametrize("scale", SCALES)
def test_the_support_of_a_lattice_is_that_at_any_scale(scale: float) -> None:
    rng = np.random.default_rng(0)
    fringes = 1 + 0.1 * np.cos(2 * np.pi * 0.4 * np.arange(96) / 2.355) + np.zeros((96, 1))
    for image, invented in (
        (fringes + 0.1 * rng.normal(size=(96, 96)), False),
        (1 + 0.1 * rng.normal(size=(96, 96)), True),
    ):
        assert lattice_support(image, fringes, sampling=0.4).invented is invented
        assert lattice_support(scale * image, fringes, sampling=0.4).invented is invented
