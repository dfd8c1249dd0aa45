"""A lattice all around a particle, and all that is none."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from facetem.core.pixels import FIELD, PIXEL
from facetem.data.crop import crop
from facetem.learn.predictor import load_classifier
from facetem.learn.surroundings import lattice_around, words_for

AT = PIXEL * (np.arange(FIELD) - FIELD / 2)
Y, X = np.meshgrid(AT, AT, indexing="ij")


def fringes(spacing: float, turn: float) -> np.ndarray:
    return np.cos(2 * np.pi * (X * np.cos(turn) + Y * np.sin(turn)) / spacing)


def carbon(rng: np.random.Generator, blur: float = 1.0) -> np.ndarray:
    """Noise with the grain of an amorphous film, and a gold particle of 6 nm."""
    grain = gaussian_filter(rng.normal(size=(FIELD, FIELD)), blur)
    particle = 0.3 * fringes(2.355, 0.4) * (np.hypot(X, Y) < 30)
    return 1 + 0.1 * grain / grain.std() + 0.05 * rng.normal(size=(FIELD, FIELD)) + particle


@pytest.mark.parametrize("spacing", [1.48, 2.11, 3.12])  # MgO {220} and {200}, CeO2 {111}
@pytest.mark.parametrize("turn", [0.0, 0.7, 2.0])
def test_a_support_is_told_by_its_spacing(spacing: float, turn: float) -> None:
    rng = np.random.default_rng(0)
    found = lattice_around(carbon(rng) + 0.1 * fringes(spacing, turn))
    assert found == pytest.approx(spacing, rel=0.08)  # half a bin of 1 / 26 Å
    assert f"{found / 10:.3f} nm" in words_for(found)


def test_a_particle_that_fills_its_image_is_no_support() -> None:
    """Beyond the edges of a small image lies its mirror image, and in the corners the particle once more."""
    image = carbon(np.random.default_rng(4))
    middle = (FIELD / 2, FIELD / 2)
    for side in (120, 140, 180):
        first = (FIELD - side) // 2
        small = image[first : first + side, first : first + side]
        assert lattice_around(crop(small, (side / 2, side / 2), FIELD)) is None
    # At the edge of a field the corners show no more of its middle than they do elsewhere.
    near = (image + 0.1 * fringes(2.11, 0.7))[:, 20:]
    assert lattice_around(crop(near, (middle[0], middle[1] - 20), FIELD)) == pytest.approx(2.11, rel=0.08)


@pytest.mark.parametrize("blur", [0.5, 1.0, 2.0])
def test_carbon_has_none(blur: float) -> None:
    rng = np.random.default_rng(1)
    assert [lattice_around(carbon(rng, blur)) for _ in range(40)] == 40 * [None]
    assert words_for(None) == ""


def test_neighbours_are_no_support() -> None:
    """Whatever their lattice: it is not all around."""
    rng = np.random.default_rng(2)
    middle = 0.8 * PIXEL * FIELD / 2
    places = [(-middle, -middle), (-middle, middle), (middle, -middle)]
    for one, other in pairwise(np.linspace(0, np.pi, 12)):
        image = carbon(rng)
        for (y, x), turn in zip(places, (one, other, one), strict=True):
            image += 0.4 * fringes(2.355, turn) * (np.hypot(X - x, Y - y) < 22)
        assert lattice_around(image) is None


def test_the_edge_of_the_band_of_coarse_pixels_is_no_lattice() -> None:
    """Beyond what larger pixels held there is nothing, and next to nothing everything stands out."""
    rng = np.random.default_rng(3)
    for band in (0.5, 0.62, 0.71):  # 1 / Å, along the axes: the corners of the square lie farther out
        spectrum = np.fft.fft2(carbon(rng, 0.5))
        k = np.abs(np.fft.fftfreq(FIELD, PIXEL))
        coarse = np.fft.ifft2(spectrum * ((k < band)[:, None] & (k < band))).real
        assert lattice_around(coarse) is None


def test_of_a_particle_on_a_crystal_no_shape_is_claimed() -> None:
    rng = np.random.default_rng(4)
    classifier = load_classifier(device="cpu")
    image = carbon(rng)
    on_carbon, on_oxide = classifier.classify(
        np.stack([image, image + 0.1 * fringes(2.11, 1.0)]).astype(np.float32)
    )
    assert not on_carbon.hidden
    assert on_oxide.verdict == "not judged"
    assert "crystalline support" in on_oxide.hidden
    assert replace(on_oxide, foreign=3.3).verdict == "unknown"  # of a foreign crystal it does not matter
