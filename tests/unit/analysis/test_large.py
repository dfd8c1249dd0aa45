"""Particles that are larger than the classifier's view."""

from dataclasses import replace

import numpy as np
import pytest

from facetem.analysis.analyze import ShapeClassifier
from facetem.analysis.large import MOST, agreed, views_along
from facetem.analysis.particles import Outline, find_particles
from facetem.core.pixels import FIELD, PIXEL
from facetem.learn.matter import Matter
from facetem.learn.predictor import Prediction

FOREIGN = 3.53  # Å
GOLD = Matter().widest


def bar(length: int, side: int = 700) -> Outline:
    """An upright bar, 100 px wide."""
    mask = np.zeros((side, side), dtype=np.float32)
    mask[40 : 40 + length, 300:400] = 1
    return find_particles(mask, sampling=PIXEL)[0]


def fringes(spacing: float, rng: np.random.Generator, side: int = 700) -> np.ndarray:
    y = np.arange(side)[:, None] * PIXEL
    return (1 + 0.2 * np.cos(2 * np.pi * y / spacing) + 0.1 * rng.normal(size=(side, side))).astype(
        np.float32
    )


@pytest.fixture
def prediction(classifier: ShapeClassifier) -> Prediction:
    return replace(classifier.classify(np.zeros((1, FIELD, FIELD)))[0], foreign=None, familiar=True)


def test_a_particle_that_fits_is_seen_once_and_a_longer_one_all_along() -> None:
    image = np.random.default_rng(0).normal(size=(700, 700)).astype(np.float32)
    assert len(views_along(image, bar(200))) == 1
    outline = bar(600)
    views = views_along(image, outline)
    middle = round(outline.centroid[0]), round(outline.centroid[1])
    half = FIELD // 2
    for view, offset in zip(views, (0, -2 * half, -half, half, 2 * half), strict=True):
        y, x = middle[0] + offset, middle[1]
        inside = image[max(0, y - half) : y + half, x - half : x + half]
        assert np.array_equal(view[-len(inside) :] if y < half else view[: len(inside)], inside)


def test_what_fills_a_micrograph_is_seen_in_some_places_alone() -> None:
    field = np.ones((2000, 2000), dtype=np.float32)
    outline = find_particles(np.pad(field, 1), sampling=PIXEL)[0]
    assert MOST / 2 < len(views_along(np.pad(field, 1), outline)) <= MOST + 1


def test_what_most_views_show_is_told_and_what_few_show_is_not(prediction: Prediction) -> None:
    rng = np.random.default_rng(1)
    gold, other = fringes(2.355, rng), fringes(FOREIGN, rng)
    outline = bar(600)
    for rows, told in ((0, False), (250, False), (600, True), (700, True)):
        image = np.where(np.arange(700)[:, None] < rows, other, gold)
        answer = agreed(prediction, views_along(image, outline), widest=GOLD)
        assert answer.known is not told
        assert (answer.foreign == pytest.approx(FOREIGN, rel=0.03)) if told else (answer.foreign is None)


def test_the_spacing_that_is_told_is_the_median_of_the_views(prediction: Prediction) -> None:
    rng = np.random.default_rng(3)
    views = np.stack([fringes(spacing, rng, side=FIELD) for spacing in (3.2, 3.9, 3.5, 2.355)])
    assert agreed(prediction, views, widest=GOLD).foreign == pytest.approx(3.5, rel=0.03)


def test_a_spot_that_the_middle_shows_and_most_views_do_not_is_no_reason(prediction: Prediction) -> None:
    """Else it would be "none of these", and nothing would say why."""
    views = views_along(fringes(2.355, np.random.default_rng(1)), bar(600))
    answer = agreed(replace(prediction, foreign=FOREIGN), views, widest=GOLD)
    assert (answer.foreign, answer.known) == (None, True)
    strange = agreed(replace(prediction, foreign=FOREIGN, familiar=False), views, widest=GOLD)
    assert (strange.foreign, strange.known) == (None, False)


def test_the_lattice_of_a_learnt_metal_is_not_foreign(prediction: Prediction) -> None:
    views = views_along(fringes(3.2, np.random.default_rng(2)), bar(600))
    assert agreed(prediction, views, widest=GOLD).foreign == pytest.approx(3.2, rel=0.03)
    assert agreed(prediction, views, widest=Matter(("Au", "Pb")).widest).foreign is None


def test_of_a_particle_that_fits_the_answer_stays(prediction: Prediction) -> None:
    strange = replace(prediction, foreign=FOREIGN)
    assert agreed(strange, np.zeros((1, FIELD, FIELD), dtype=np.float32), widest=GOLD) is strange
