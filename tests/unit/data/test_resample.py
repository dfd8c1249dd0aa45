"""Resampling: what the new pixels can hold comes out exact, what they cannot is gone, and edges do not ring."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from facetem.data.axes import Axes
from facetem.data.micrograph import position_in, resample


def smooth(shape: tuple[int, int], sampling: float, wavelength: float) -> np.ndarray:
    """Cosines (y, x) that are even at the edges of a 60 x 90 Å field, sampled at the middle of each pixel."""
    y = (np.arange(shape[0]) + 0.5)[:, None] * sampling
    x = (np.arange(shape[1]) + 0.5)[None, :] * sampling
    return 5 + np.cos(2 * np.pi * y / wavelength) * np.cos(2 * np.pi * x / wavelength)


@pytest.mark.parametrize(("sampling", "to"), [(0.25, 0.4), (0.75, 0.4), (0.3, 0.6), (0.5, 0.5)])
def test_a_band_limited_image_is_resampled_exactly(sampling: float, to: float) -> None:
    shape = (round(60 / sampling), round(90 / sampling))
    out = resample(smooth(shape, sampling, 2.0 * 1.25), sampling, to)
    assert out.shape == (round(60 / to), round(90 / to))
    assert_allclose(out, smooth(out.shape, to, 2.5), atol=2e-5)


@pytest.mark.parametrize(("sampling", "to"), [(0.87, 0.4), (0.3313, 0.4), (0.0571, 0.4)])
def test_the_pixel_size_is_met_to_the_far_edge(sampling: float, to: float) -> None:
    # A field that is no whole number of new pixels: a spot near the end must land where it belongs.
    n = 700
    x = (np.arange(n) + 0.5) * sampling
    at = 0.87 * n * sampling
    row = np.exp(-((x - at) ** 2) / (2 * 1.0**2))
    out = resample(np.tile(row, (80, 1)), sampling, to)
    assert out.shape == (int(80 * sampling / to + 1e-6), int(n * sampling / to + 1e-6))
    centres = (np.arange(out.shape[1]) + 0.5) * to
    found = (out[10] * centres).sum() / out[10].sum()
    assert found == pytest.approx(at, abs=0.02)


def test_detail_beyond_the_new_pixels_is_gone() -> None:
    x = np.arange(400) * 0.2
    fringes = np.tile(np.sin(2 * np.pi * x / 0.7), (400, 1))  # 0.7 Å; pixels of 0.4 Å hold 0.8 Å
    assert np.abs(resample(fringes, 0.2, 0.4)[:, 10:-10]).max() < 0.05


def test_a_slope_does_not_ring_at_the_edges() -> None:
    slope = np.tile(np.linspace(0, 1, 301), (80, 1))
    out = resample(slope, 0.3, 0.4)
    expected = (position_in(np.arange(out.shape[1]), 0.4, 0.3)) / 300
    assert np.abs(out - expected).max() < 2e-3
    assert np.abs(resample(slope, 0.87, 0.4)).max() < 1.001


def test_mean_and_dtype_are_kept_and_the_input_too() -> None:
    image = np.random.default_rng(0).poisson(30, (130, 203)).astype(np.uint16)
    before = image.copy()
    out = resample(image, 0.52, 0.4)
    assert out.dtype == np.float32
    assert out.mean() == pytest.approx(image.mean(), rel=2e-3)
    assert (image == before).all()


def test_a_shape_can_be_asked_for() -> None:
    image = smooth((301, 277), 0.3313, 4.0)
    there = resample(image, 0.3313, 0.4)
    back = resample(there, 0.4, 0.3313, shape=image.shape)
    assert back.shape == image.shape
    assert_allclose(back[5:-8, 5:-8], image[5:-8, 5:-8], atol=0.02)


def test_positions_follow_the_pixels() -> None:
    assert position_in(np.array([0.0, 1.0]), 0.4, 0.4).tolist() == pytest.approx([0.0, 1.0])
    # the middle of a pixel of 0.8 Å lies between the first two of 0.4 Å
    assert position_in(np.array([0.0]), 0.8, 0.4).tolist() == [0.5]


def test_axes_of_coarser_pixels_begin_further_in() -> None:
    """At the middle of the first pixel: 0.1 Å from the corner for pixels of 0.2 Å, 0.2 Å for those of 0.4 Å."""
    assert Axes().resampled(0.2, 0.4).offset == pytest.approx((0.01, 0.01))  # nm
    there = Axes(unit="Å", angstrom=1.0, offset=(3.0, -2.0)).resampled(0.2, 0.4)
    assert there.offset == pytest.approx((3.1, -1.9))


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"image must be \(y, x\)"):
        resample(np.zeros((2, 3, 4)), 0.4, 0.4)
    with pytest.raises(ValueError, match="> 0"):
        resample(np.zeros((8, 8)), 0.4, 0.0)
