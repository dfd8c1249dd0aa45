"""Frames of a place that drifts."""

import numpy as np
import pytest
from scipy.ndimage import fourier_shift, gaussian_filter

from facetem.data.movies import movie_words, summed


def scene(rng: np.random.Generator, side: int = 256, radius: float = 45) -> np.ndarray:
    """A particle with a lattice on a rough film; vacuum 1."""
    y, x = np.mgrid[:side, :side]
    film = gaussian_filter(rng.normal(size=(side, side)), 2)
    particle = gaussian_filter((np.hypot(y - 120, x - 140) < radius).astype(float), 2)
    lattice = np.cos(2 * np.pi * x / 6) + np.cos(2 * np.pi * (0.5 * x + 0.866 * y) / 6)
    return 1 + 0.05 * film / film.std() - particle * (0.05 + 0.06 * lattice)


def movie(rng: np.random.Generator, drift: np.ndarray, dose: float) -> np.ndarray:
    spectrum = np.fft.fft2(scene(rng))
    frames = [np.fft.ifft2(fourier_shift(spectrum, d)).real for d in drift]
    return rng.poisson(dose * np.stack(frames)).astype(np.uint16)


@pytest.mark.parametrize("step", [(0.0, 0.0), (0.7, -1.3), (2.0, 2.5)])
def test_frames_are_laid_over_each_other(step: tuple[float, float]) -> None:
    drift = np.arange(10)[:, None] * np.array(step)
    mean, found = summed(movie(np.random.default_rng(1), drift, dose=20.0))
    assert np.abs(found - drift).max() < 0.5
    lost = np.ceil(np.abs(drift).max(0))
    assert np.all(np.abs(np.array(mean.shape) - (256 - lost)) <= 1)


def test_the_lattice_survives_a_drift_that_a_plain_mean_washes_out() -> None:
    rng = np.random.default_rng(2)
    drift = np.arange(12)[:, None] * np.array([0.2, 0.9])
    frames = movie(rng, drift, dose=20.0)

    def fringes(image: np.ndarray) -> float:
        part = image[70:170, 90:190] - image[70:170, 90:190].mean()
        power = np.abs(np.fft.fft2(part * np.hanning(100)[:, None] * np.hanning(100))) ** 2
        return float(power[0:2, 15:19].max())  # 1/6 px along x

    still = movie(np.random.default_rng(2), 0 * drift, dose=20.0).mean(0)
    assert fringes(summed(frames)[0]) > 0.7 * fringes(still)
    assert fringes(frames.mean(0)) < 0.2 * fringes(still)


def test_what_is_no_drift_is_left_where_it_is() -> None:
    """Frames of different places have no shift in common."""
    rng = np.random.default_rng(3)
    frames = rng.poisson(20, size=(5, 128, 128))
    mean, drift = summed(frames)
    assert (drift == 0).all()
    np.testing.assert_allclose(mean, frames.mean(0))


def disc(side: int) -> np.ndarray:
    """A dark outline without detail; vacuum 1."""
    y, x = np.mgrid[:side, :side]
    return 1 - 0.1 * gaussian_filter((np.hypot(y - 0.47 * side, x - 0.55 * side) < 45).astype(float), 2)


@pytest.mark.parametrize("dose", [0.5, 2.0])
@pytest.mark.parametrize(("side", "seeds"), [(256, 3), (512, 2)])
@pytest.mark.parametrize("shows", ["nothing", "outline", "specimen"])
def test_noise_and_what_stands_still_in_it_have_no_drift(
    shows: str, side: int, seeds: int, dose: float
) -> None:
    """Where most of two tapered frames lies over each other, their noise correlates twice as strongly as on average;
    and of a faint specimen noise moves the peak: frames were moved by up to 62 px."""
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        clean = {"nothing": np.ones((side, side)), "outline": disc(side), "specimen": scene(rng, side)}[shows]
        frames = rng.poisson(dose * clean, size=(4, side, side))
        mean, drift = summed(frames)
        assert np.abs(drift).max() < 1
        np.testing.assert_allclose(mean, frames.mean(0))


def test_a_faint_specimen_that_moves_is_followed() -> None:
    """At 2 counts a pixel to about a pixel, as soon as a frame tells where it is."""
    rng = np.random.default_rng(4)
    clean = scene(rng, 512)
    drift = np.arange(6)[:, None] * np.array([6, -9])
    frames = rng.poisson(2 * np.stack([np.roll(clean, d, axis=(0, 1)) for d in drift]))
    assert np.abs(summed(frames)[1] - drift).max() < 2


def test_a_lattice_that_fills_the_field_is_followed() -> None:
    """It correlates with itself at every shift by a period, and nothing stands out of that but by the noise."""
    rng = np.random.default_rng(5)
    clean = 1 + 2 * (scene(rng, 256, radius=1000) - 1)
    drift = np.arange(5)[:, None] * np.array([2, 1])
    frames = rng.poisson(50 * np.clip(np.stack([np.roll(clean, d, axis=(0, 1)) for d in drift]), 0, None))
    assert np.abs(summed(frames)[1] - drift).max() < 0.5


def test_frames_without_contrast_have_no_drift() -> None:
    mean, drift = summed(np.ones((3, 64, 80)))
    assert (drift == 0).all()
    assert (mean == 1).all()


def test_a_movie_is_told_in_words() -> None:
    assert (
        movie_words({"frames_averaged": 6, "drift_px": [3.9, 12.0]}) == "sum of 6 frames, drift 12 × 3.9 px"
    )
    assert movie_words({"frames_averaged": 6, "drift_px": [0.0, 0.0]}) == "sum of 6 frames, no drift found"
    assert movie_words({"frame": 2}) == ""
