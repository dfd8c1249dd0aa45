"""Cleaning: margins, bands, screenshots' channels and hot pixels go; the micrograph stays as it was."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from facetem.data.micrograph import micrograph_from_array


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(5).integers(60, 190, (300, 260)).astype(np.uint8)


def test_a_data_band_with_a_scale_bar_is_cut_away(noise: np.ndarray) -> None:
    band = np.zeros((40, 260), np.uint8)
    band[12:16, 20:120] = 255  # the bar
    band[8:24, 130:170:3] = 255  # the letters
    loaded = micrograph_from_array(np.vstack([noise, band]), 0.4)
    assert_array_equal(loaded.image, noise)
    assert loaded.metadata["margins_cut"] == {"bottom": 40}


def test_a_blended_band_is_cut_away_with_its_soft_edge(noise: np.ndarray) -> None:
    soft = (noise[:2] * 0.3).astype(np.uint8)
    loaded = micrograph_from_array(np.vstack([noise, soft, np.zeros((30, 260), np.uint8)]), 0.4)
    assert_array_equal(loaded.image, noise)


@pytest.mark.parametrize("scale", [2.0**-60, 2.0**40])
def test_the_intensity_scale_of_a_file_changes_nothing_that_is_done_to_it(
    noise: np.ndarray, scale: float
) -> None:
    soft = noise[:2] * 0.3
    image = np.vstack([noise, soft, np.zeros((30, 260))]).astype(np.float32)
    here, there = (micrograph_from_array(factor * image, 0.2) for factor in (1, np.float32(scale)))
    assert there.metadata == here.metadata
    assert_array_equal(there.image, np.float32(scale) * here.image)


def test_frames_and_repeated_borders_are_cut_away(noise: np.ndarray) -> None:
    framed = np.pad(np.pad(noise, ((3, 0), (0, 0)), mode="edge"), 4, constant_values=255)
    loaded = micrograph_from_array(framed, 0.4)
    assert loaded.image.shape == (299, 260)  # the row that was repeated goes with its copies
    assert_array_equal(loaded.image, noise[1:])


def test_a_whole_micrograph_is_not_cut(noise: np.ndarray) -> None:
    loaded = micrograph_from_array(noise, 0.4)
    assert_array_equal(loaded.image, noise)
    assert "margins_cut" not in loaded.metadata
    assert "outliers_replaced" not in loaded.metadata


def test_a_counting_camera_at_low_dose_is_not_taken_for_a_band() -> None:
    counts = np.random.default_rng(0).poisson(0.1, (200, 200))  # nine pixels in ten are zero
    assert_array_equal(micrograph_from_array(counts, 0.4).image, counts)


def test_a_dark_particle_at_the_edge_is_not_taken_for_a_margin() -> None:
    image = np.random.default_rng(0).normal(100, 10, (200, 200))
    image[150:] -= 60
    assert micrograph_from_array(image, 0.4).image.shape == (200, 200)


def test_grey_screenshots_are_grey_and_transparent_rows_go(noise: np.ndarray) -> None:
    rgba = np.dstack([noise, noise, noise, np.full_like(noise, 255)])
    rgba[:3, :, 3] = 0
    assert_array_equal(micrograph_from_array(rgba, 0.4).image, noise[3:])
    rgba[100:105, 100:150, 0] = 255  # a small coloured label is no reason to refuse
    assert micrograph_from_array(rgba, 0.4).image.shape == (297, 260)


def test_hot_and_dead_pixels_take_the_median_of_their_neighbours() -> None:
    image = np.random.default_rng(0).normal(1000, 30, (200, 200)).astype(np.float32)
    spoilt = image.copy()
    spoilt[20, 30], spoilt[100:102, 50], spoilt[150, 199] = 60000, 65535, -5000
    loaded = micrograph_from_array(spoilt, 0.4)
    assert loaded.metadata["outliers_replaced"] == 4
    assert loaded.image.max() < 1200
    assert loaded.image.min() > 800
    untouched = spoilt == image
    assert_array_equal(loaded.image[untouched], image[untouched])


def test_a_spot_as_wide_as_the_lens_makes_it_is_no_outlier_unless_it_is_an_x_ray() -> None:
    """A lone bright spot of 3 px, 15 standard deviations high, is a column of atoms; one of 80 is an X-ray."""
    y, x = np.mgrid[:200, :200]
    image = np.random.default_rng(0).normal(1, 0.02, (200, 200))
    spot = np.exp(-((y - 100) ** 2 + (x - 100) ** 2) / (2 * 1.3**2))
    assert "outliers_replaced" not in micrograph_from_array(image + 0.3 * spot, 0.4).metadata
    loaded = micrograph_from_array(image + 1.6 * spot, 0.4)
    assert loaded.metadata["outliers_replaced"] > 3
    assert loaded.image[100, 100] < 1.6


def test_bright_atom_columns_are_no_outliers() -> None:
    y, x = np.mgrid[:200, :200]
    columns = 100 + 900 * np.exp(-((y % 12 - 6) ** 2 + (x % 12 - 6) ** 2) / 2.0)
    counts = np.random.default_rng(0).poisson(columns)
    assert "outliers_replaced" not in micrograph_from_array(counts, 0.25).metadata


def test_an_overexposed_hole_beside_the_film_is_no_band(noise: np.ndarray) -> None:
    """It fills more than half of the upper lines, as paper does, and the film beside it none of it."""
    image = noise.copy()
    image[:90, :160] = 255
    loaded = micrograph_from_array(image, 0.4)
    assert loaded.image.shape == noise.shape
    assert "margins_cut" not in loaded.metadata
    assert loaded.metadata["clipped"] == pytest.approx(90 * 160 / noise.size, abs=1e-3)


def test_a_vacuum_without_noise_is_no_repeated_line() -> None:
    """Of a simulated particle: its neighbouring lines hardly differ, but there is nothing along them either."""
    y, x = np.mgrid[:256, :256] - 128.0
    away = np.hypot(y, x)
    particle = np.cos(2 * np.pi * x / 6) * np.cos(2 * np.pi * y / 7) * (away < 50)
    image = 1 + 0.2 * particle + 0.01 * np.exp(-away / 30) * np.cos(away / 3)
    assert micrograph_from_array(image, 0.4).image.shape == (256, 256)
