"""The grid's frequencies, and resampling at a fixed field of view."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facetem.core.grid import Grid, fourier_crop, fourier_resample


def wave_packet(shape: tuple[int, int], orders: list[tuple[int, int, complex]]) -> torch.Tensor:
    """Sum of plane waves c exp(2 pi i (m y + n x)) over the field, x and y in [0, 1)."""
    y = torch.arange(shape[0], dtype=torch.float64)[:, None] / shape[0]
    x = torch.arange(shape[1], dtype=torch.float64)[None, :] / shape[1]
    terms = [c * torch.exp(2j * torch.pi * (m * y + n * x)) for m, n, c in orders]
    return torch.stack(terms).sum(0)


def test_frequencies_are_cycles_per_angstrom() -> None:
    grid = Grid((8, 10), 0.5)
    ky, kx = grid.frequencies(dtype=torch.float64)
    assert grid.extent == (4.0, 5.0)
    assert grid.nyquist == 1.0
    assert ky.shape == (8, 1)
    assert kx.shape == (1, 10)
    assert float(ky[1, 0]) == pytest.approx(1 / 4)
    assert float(kx[0, 1]) == pytest.approx(1 / 5)
    assert float(grid.squared_frequency(dtype=torch.float64)[4, 5]) == pytest.approx(1 + 1)


@pytest.mark.parametrize("shape", [(8,), (1, 8), (8, 0)])
def test_bad_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="grid shape"):
        Grid(shape, 0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("sampling", [0.0, -0.4, float("nan"), float("inf")])
def test_bad_sampling(sampling: float) -> None:
    with pytest.raises(ValueError, match="grid sampling must be a positive number of Å/px"):
        Grid((8, 8), sampling)


@given(
    have=st.tuples(st.integers(9, 24), st.integers(9, 24)),
    want=st.tuples(st.integers(9, 24), st.integers(9, 24)),
)
def test_resampling_evaluates_the_same_waves_on_other_pixels(
    have: tuple[int, int], want: tuple[int, int]
) -> None:
    orders = [(0, 0, 1.0), (4, 3, 0.5j), (-4, 2, 0.25), (1, -4, -0.3 + 0.1j)]
    resampled = fourier_resample(wave_packet(have, orders), want)
    torch.testing.assert_close(resampled, wave_packet(want, orders), atol=1e-12, rtol=0)


def test_a_real_image_stays_real_and_keeps_its_mean() -> None:
    image = torch.rand(12, 15, generator=torch.Generator().manual_seed(1))
    for shape in ((8, 8), (12, 15), (30, 21)):
        resampled = fourier_resample(image, shape)
        assert resampled.dtype == image.dtype
        assert float(resampled.mean()) == pytest.approx(float(image.mean()), rel=1e-6)


def test_cropping_takes_away_what_the_pixels_cannot_hold() -> None:
    orders = [(0, 0, 1.0), (2, 1, 0.5), (0, 9, 0.7)]
    coarse = fourier_resample(wave_packet((20, 20), orders), (10, 10))
    torch.testing.assert_close(coarse, wave_packet((10, 10), orders[:2]), atol=1e-12, rtol=0)


def test_padding_and_cropping_back_changes_nothing() -> None:
    spectrum = torch.randn(3, 9, 12, dtype=torch.complex128, generator=torch.Generator().manual_seed(2))
    before = spectrum.clone()
    torch.testing.assert_close(fourier_crop(fourier_crop(spectrum, (32, 25)), (9, 12)), spectrum)
    assert torch.equal(spectrum, before)


def test_oblong_pixels() -> None:
    """3 x 4 pixels over 6 x 4 Å (y, x): 2 Å high, 1 Å wide."""
    grid = Grid.over((6.0, 4.0), (3, 4))
    assert grid == Grid((3, 4), 2.0, 0.5)
    assert (grid.pixel, grid.pixel_area, grid.extent) == ((2.0, 1.0), 2.0, (6.0, 4.0))
    assert grid.nyquist == 0.25  # of the longer side
    ky, kx = grid.frequencies()
    assert ky.flatten().tolist() == pytest.approx([0, 1 / 6, -1 / 6])
    assert kx.flatten().tolist() == pytest.approx([0, 0.25, -0.5, -0.25])
    with pytest.raises(ValueError, match="grid aspect must be a positive number, got 0"):
        Grid((3, 4), 2.0, 0.0)
