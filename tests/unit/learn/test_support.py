"""Fields with fringes, with and without them in the noisy image."""

import numpy as np
import pytest

from facetem.core.errors import InputError
from facetem.learn.support import WINDOW, lattice_support

PIXEL = 0.4


def disc(shape: tuple[int, int] = (256, 256), radius: float = 80) -> np.ndarray:
    y, x = np.indices(shape)
    return np.hypot(y - shape[0] / 2, x - shape[1] / 2) < radius


def fringes(spacing: float, turn: float, shape: tuple[int, int] = (256, 256)) -> np.ndarray:
    y, x = np.indices(shape) * PIXEL
    return np.cos(2 * np.pi / spacing * (x * np.cos(turn) + y * np.sin(turn)))


def noisy(image: np.ndarray, sigma: float = 0.3, seed: int = 0) -> np.ndarray:
    return image + np.random.default_rng(seed).normal(0, sigma, image.shape)


def test_lattice_that_is_in_the_image_is_supported() -> None:
    truth = 1 + 0.2 * disc() * fringes(2.35, 0.4)
    support = lattice_support(noisy(truth), truth, sampling=PIXEL)
    particle = support.within(disc())
    assert particle.lattice.sum() > 0
    assert not particle.invented
    assert not support.suspect.any()


def test_lattice_that_the_image_does_not_have_is_invented() -> None:
    found = 0
    for seed in range(20):
        truth = 1 + 0.1 * disc() * fringes(2.35, 0.4)
        other = 1 + 0.1 * disc() * fringes(2.35, 1.5)
        found += lattice_support(noisy(truth, seed=seed), other, sampling=PIXEL).within(disc()).invented
    assert found == 20


def test_chance_supports_no_lattice_of_noise_alone() -> None:
    other = 1 + 0.1 * fringes(2.04, 0.8)
    for seed in range(20):
        support = lattice_support(noisy(np.ones((256, 256)), seed=seed), other, sampling=PIXEL)
        assert support.invented
        assert support.suspect.all()


def test_the_windows_tell_where() -> None:
    """Two particles: one as it is, one with the lattice of another."""
    shape = (256, 512)
    left, right = np.zeros(shape, bool), np.zeros(shape, bool)
    left[:, :256], right[:, 256:] = disc(), disc()
    true = fringes(2.35, 0.4, shape)
    image = noisy(1 + 0.1 * (left | right) * true, 0.1)
    support = lattice_support(
        image, 1 + 0.1 * (left * true + right * fringes(2.35, 1.3, shape)), sampling=PIXEL
    )
    assert not support.within(left).invented
    assert support.within(right).invented
    assert (support.centres[support.suspect][:, 1] > 250).all()


def test_a_faint_higher_order_does_not_make_a_lattice_invented() -> None:
    truth = 1 + 0.1 * disc() * fringes(2.35, 0.4)
    restored = truth + 0.03 * disc() * fringes(1.44, 1.2)
    support = lattice_support(noisy(truth), restored, sampling=PIXEL).within(disc())
    assert 0 < support.share < 0.3
    assert not support.invented


def test_no_lattice_is_no_alarm() -> None:
    smooth = 1 - 0.2 * disc()
    support = lattice_support(noisy(smooth), smooth, sampling=PIXEL)
    assert support.lattice.sum() == 0
    assert support.share == 0
    assert not support.suspect.any()


def test_neither_noise_nor_what_is_wider_than_a_lattice_is_taken_for_one() -> None:
    """Nobody invents a lattice who leaves noise where it was, or draws fringes of 4.5 Å."""
    rough = noisy(np.ones((128, 128)), 0.5)
    wide = noisy(1 + 0.2 * fringes(4.5, 0.0, (128, 128)), 1e-3)
    for restored in (rough, wide):
        image = noisy(np.ones((128, 128)), 0.1, seed=1)
        assert lattice_support(image, restored, sampling=PIXEL).lattice.sum() == 0


@pytest.mark.parametrize("coloured", [0.0, 1.5])
def test_noise_of_any_colour_is_not_taken_for_support(coloured: float) -> None:
    """The level of noise is that of each ring, as a camera's transfer leaves it."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(5).normal(0, 1, (512, 512))
    image = 1 + (gaussian_filter(noise, coloured) if coloured else noise)
    other = 1 + 0.1 * fringes(2.6, 0.7, (512, 512))
    assert lattice_support(image, other, sampling=PIXEL).suspect.mean() > 0.98


def test_a_particle_between_the_centres_of_windows_is_judged_by_the_nearest() -> None:
    truth = 1 + 0.1 * fringes(2.35, 0.4)
    support = lattice_support(noisy(truth), truth, sampling=PIXEL)
    inside = np.zeros(truth.shape, dtype=bool)
    inside[3:9, 2:8] = True
    near = support.within(inside)
    assert len(near.lattice) == 1
    np.testing.assert_array_equal(near.centres, [[WINDOW / 2, WINDOW / 2]])


@pytest.mark.parametrize("other", [(100, 101), (20, 20), (100,)])
def test_images_that_cannot_be_compared_are_refused_in_one_line(other: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="of one shape") as caught:
        lattice_support(
            np.ones((20, 20) if other == (20, 20) else (100, 100)), np.ones(other), sampling=PIXEL
        )
    assert "\n" not in str(caught.value)
