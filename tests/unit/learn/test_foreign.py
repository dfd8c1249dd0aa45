"""Reflections that gold does not have."""

import numpy as np
import pytest

from facetem.learn.foreign import foreign_spacings
from facetem.learn.matter import Matter

SIDE, PIXEL = 256, 0.4
GOLD = Matter().widest


def seen(spacings: dict[float, float], rng: np.random.Generator, *, diameter: float = 60.0) -> np.ndarray:
    """A round particle with fringes of these spacings [Å] and amplitudes, in random directions, in noise of vacuum."""
    at = PIXEL * (np.arange(SIDE) - SIDE / 2)
    y, x = np.meshgrid(at, at, indexing="ij")
    image = 1 + 0.1 * rng.normal(size=(SIDE, SIDE))
    for spacing, amplitude in spacings.items():
        turn, phase = rng.uniform(0, 2 * np.pi, 2)
        wave = np.cos(2 * np.pi * (x * np.cos(turn) + y * np.sin(turn)) / spacing + phase)
        image += amplitude * wave * (np.hypot(x, y) < diameter / 2)
    return image


def test_noise_and_gold_have_none() -> None:
    rng = np.random.default_rng(0)
    gold = {GOLD: 0.1, GOLD * np.sqrt(3 / 4): 0.07, GOLD * np.sqrt(3 / 8): 0.04}
    images = [seen(kind, rng) for kind in [{}, gold] for _ in range(100)]
    assert np.isnan(foreign_spacings(images, widest=GOLD)).all()


@pytest.mark.parametrize("spacing", [3.28, 3.53])  # bornite {222} of its cell of 10.9 Å, and CdSe {111}
def test_another_crystal_is_told_by_its_spacing(spacing: float) -> None:
    rng = np.random.default_rng(1)
    images = [seen({spacing: 0.1, 2.13: 0.1}, rng) for _ in range(20)]
    assert np.abs(foreign_spacings(images, widest=GOLD) / spacing - 1).max() < 0.04  # two bins of 1 / 102 Å


def test_a_faint_one_beside_the_metals_own_is_no_reason() -> None:
    """Twins make differences of their reflections."""
    rng = np.random.default_rng(2)
    images = [seen({3.4: 0.04, GOLD: 0.1}, rng) for _ in range(20)]
    assert np.isnan(foreign_spacings(images, widest=GOLD)).all()


def test_a_faint_one_beside_any_of_the_metals_own_is_no_reason() -> None:
    """{220} too, which is all that a particle along <111> shows."""
    rng = np.random.default_rng(5)
    images = [seen({3.4: 0.04, GOLD * np.sqrt(3 / 8): 0.1}, rng) for _ in range(10)]
    assert np.isnan(foreign_spacings(images, widest=GOLD)).all()


def test_what_is_wider_than_a_crystals_lattice_is_not_foreign() -> None:
    rng = np.random.default_rng(4)
    images = [seen({6.0: 0.1, GOLD: 0.05}, rng) for _ in range(5)]
    assert np.isnan(foreign_spacings(images, widest=GOLD)).all()


def test_what_is_foreign_depends_on_the_metal() -> None:
    image = seen({3.4: 0.1}, np.random.default_rng(3))
    assert np.isfinite(foreign_spacings(image[None], widest=GOLD))[0]
    assert np.isnan(foreign_spacings(image[None], widest=3.4))[0]
