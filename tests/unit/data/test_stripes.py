"""A camera's odd lines are mended; what the lens has imaged is not."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from facetem.data.micrograph import micrograph_from_array
from facetem.data.stripes import mend_lines


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Noise, and two particles with fringes along the columns and along the rows."""
    rng = np.random.default_rng(0)
    pixels = rng.normal(100, 10, (1024, 1200))
    along = np.arange(1200)
    pixels[300:450, 200:350] += 15 * np.cos(2 * np.pi * along[200:350] / 5.9)
    pixels[600:760, 700:900] += 15 * np.cos(2 * np.pi * along[600:760] / 6.1)[:, None] - 20
    return pixels.astype(np.float32)


def test_an_image_without_odd_lines_is_left_as_it_is(image: np.ndarray) -> None:
    mended = mend_lines(image)
    assert (mended.rows, mended.columns) == (0, 0)
    assert_array_equal(mended.image, image)


@pytest.mark.parametrize("mean", [0.1, 0.72, 1.7, 20.0])
def test_counted_electrons_make_no_odd_lines(mean: float) -> None:
    """Their medians are whole numbers, mostly the same; a line of the next one is none of another level."""
    rng = np.random.default_rng(2)
    counts = rng.poisson(mean, (1024, 1024)).astype(np.float32)
    assert_array_equal(mend_lines(counts).image, counts)
    counts[300] += np.ceil(mean)
    assert mend_lines(counts).rows == 1


def test_a_crystal_that_fills_the_field_is_left_as_it_is() -> None:
    fringes = 15 * np.cos(2 * np.pi * np.arange(600) / 5.9)
    pixels = np.random.default_rng(1).normal(100, 10, (512, 600)) + fringes
    assert mend_lines(pixels.astype(np.float32)).columns == 0


def test_lines_of_another_level_are_brought_to_that_of_their_neighbours(image: np.ndarray) -> None:
    striped = image.copy()
    striped[:, [50, 275, 276, 1100]] += np.float32([6, -8, 5, -6])  # two of them across a particle
    striped[[123, 650]] += np.float32([[7], [-9]])
    mended = mend_lines(striped)
    assert (mended.rows, mended.columns) == (2, 4)
    # A level is read from four medians of 256 or more pixels: 4 x 10 x 1.25 / sqrt(1024) = 1.6, and the fringes' own.
    assert np.abs(mended.image - image).max() < 4
    assert mend_lines(mended.image).columns == 0


def test_stuck_lines_are_filled_from_either_side(image: np.ndarray) -> None:
    stuck = image.copy()
    stuck[:, 40] = 0
    stuck[:, 500:502] = 4095
    mended = mend_lines(stuck)
    assert mended.columns == 3
    np.testing.assert_allclose(mended.image[:, 40], (image[:, 39] + image[:, 41]) / 2, rtol=1e-5)
    np.testing.assert_allclose(mended.image[:, 500], (2 * image[:, 499] + image[:, 502]) / 3, rtol=1e-5)
    untouched = np.delete(np.arange(1200), [40, 500, 501])
    assert_array_equal(mended.image[:, untouched], image[:, untouched])


def test_a_micrograph_says_what_was_mended_and_what_was_clipped(image: np.ndarray) -> None:
    spoilt = image.copy()
    spoilt[:, 500] = 4095
    told = micrograph_from_array(spoilt, 0.4).metadata
    assert told["lines_mended"] == {"rows": 0, "columns": 1}
    assert "clipped" not in told
    cut = micrograph_from_array(np.clip(image, 0, 110).astype(np.uint8), 0.4).metadata
    assert cut["clipped"] == pytest.approx(float((image >= 110).mean()), abs=5e-4)


@pytest.mark.parametrize("mean", [0.3, 4.0, 40.0])
def test_counted_electrons_are_not_clipped(mean: float) -> None:
    counts = np.random.default_rng(2).poisson(mean, (300, 300)).astype(np.uint16)
    assert "clipped" not in micrograph_from_array(counts, 0.4).metadata
