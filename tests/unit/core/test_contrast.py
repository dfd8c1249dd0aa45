"""The definition of particle/substrate contrast on images whose contrast is known."""

import pytest
import torch

from facetem.core.contrast import FLOOR, contrast


@pytest.fixture
def mask() -> torch.Tensor:
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[16:48, 16:48] = True
    return mask


def checkerboard(size: int) -> torch.Tensor:
    """+1 and -1 in turn, mean zero in any even window."""
    i = torch.arange(size)
    return 1.0 - 2.0 * ((i[:, None] + i[None, :]) % 2)


def test_ratio_of_fringes_to_granularity(mask: torch.Tensor) -> None:
    """Fringes of amplitude 0.3 on a support of amplitude 0.1, same mean: 3."""
    image = 1 + checkerboard(64) * torch.where(mask, 0.3, 0.1)
    assert float(contrast(image, mask)) == pytest.approx(3.0, rel=1e-5)


def test_mean_darkness_counts(mask: torch.Tensor) -> None:
    image = 1 + 0.1 * checkerboard(64) - 0.4 * mask
    assert float(contrast(image, mask)) == pytest.approx((0.4**2 + 0.1**2) ** 0.5 / 0.1, rel=1e-5)


def test_a_particle_that_drowns_has_one(mask: torch.Tensor) -> None:
    noise = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    assert float(contrast(1 + 0.1 * noise, mask)) == pytest.approx(1.0, abs=0.06)


def test_scale_does_not_matter_unless_the_support_is_empty(mask: torch.Tensor) -> None:
    image = 1 + checkerboard(64) * torch.where(mask, 0.3, 0.1)
    assert float(contrast(100 * image, mask)) == pytest.approx(float(contrast(image, mask)), rel=1e-4)
    bare = torch.where(mask, 1 + 0.3 * checkerboard(64), 1.0)
    assert float(contrast(bare, mask)) == pytest.approx(0.3 / FLOOR, rel=1e-4)


def test_a_particle_everywhere_or_nowhere_has_a_contrast_too() -> None:
    """A number, not NaN: one crop that a particle fills would spoil the mean of them all."""
    everywhere = torch.ones(8, 8, dtype=torch.bool)
    assert float(contrast(torch.full((8, 8), 2.0), everywhere)) == pytest.approx(2 / FLOOR)
    assert float(contrast(torch.rand(8, 8), ~everywhere)) == 0


def test_batches_and_inputs(mask: torch.Tensor) -> None:
    images = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1))
    before = images.clone()
    together = contrast(images, mask)
    assert together.shape == (3,)
    for image, value in zip(images, together, strict=True):
        assert float(contrast(image, mask)) == pytest.approx(float(value), rel=1e-5)
    assert torch.equal(images, before)
