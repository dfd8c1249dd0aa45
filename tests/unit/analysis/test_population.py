"""Fractions of shapes in a sample, from names that are wrong in a known part of the cases."""

import numpy as np
import pytest

from facetem.analysis.population import compare_samples, shape_fractions
from facetem.core.errors import InputError

SHAPES = ("cube", "cuboctahedron", "icosahedron", "twin")
CHANCES = np.array(
    [[0.90, 0.08, 0.00, 0.02], [0.20, 0.70, 0.02, 0.08], [0.0, 0.02, 0.98, 0.0], [0.05, 0.15, 0.05, 0.75]]
)
HELD_OUT = 40  # images of each shape that the confusion was counted on
TRUE = np.array([0.1, 0.2, 0.6, 0.1])


def drawn(
    rng: np.random.Generator, n: int, true: np.ndarray = TRUE, held_out: int = HELD_OUT
) -> tuple[np.ndarray, np.ndarray]:
    """Counts of the names of a sample, and a confusion counted on images that are not the sample's."""
    counts = sum(rng.multinomial(m, row) for m, row in zip(rng.multinomial(n, true), CHANCES, strict=True))
    return np.asarray(counts), np.stack([rng.multinomial(held_out, row) for row in CHANCES])


def test_many_particles_and_a_known_confusion_give_the_truth() -> None:
    counts = np.round(1e6 * TRUE @ CHANCES)
    found = shape_fractions(SHAPES, counts, 1e6 * CHANCES)
    np.testing.assert_allclose(found.corrected, TRUE, atol=2e-3)
    assert np.abs(found.named - TRUE).max() > 0.03  # which the names alone do not
    assert (found.high - found.low).max() < 0.01


@pytest.mark.parametrize("n", [40, 200])
@pytest.mark.parametrize("true", [TRUE, np.array([0.0, 0.0, 0.5, 0.5]), np.array([0.25] * 4)])
def test_intervals_hold_the_truth_as_often_as_they_say(n: int, true: np.ndarray) -> None:
    rng = np.random.default_rng(n)
    inside = []
    for _ in range(60):
        counts, confusion = drawn(rng, n, true)
        found = shape_fractions(SHAPES, counts, confusion)
        # A fraction that is 0 is held by an interval from (almost) 0.
        inside.append((found.low <= true + 1e-3) & (true <= found.high))
    assert np.mean(inside) > 0.9


def test_the_correction_is_nearer_to_the_truth_than_the_names() -> None:
    """Where there are particles enough: of few, it is the interval that is right, not the estimate that is better."""
    rng = np.random.default_rng(1)
    errors: dict[str, list[float]] = {"corrected": [], "named": []}
    for _ in range(20):
        found = shape_fractions(SHAPES, *drawn(rng, 3000, held_out=1000))
        for name, values in errors.items():
            values.append(np.abs(getattr(found, name) - TRUE).sum())
    assert np.mean(errors["corrected"]) < 0.6 * np.mean(errors["named"])


def test_samples_that_differ_are_told_and_others_are_not() -> None:
    rng = np.random.default_rng(2)
    other = np.array([0.1, 0.2, 0.3, 0.4])
    false_alarms, found = 0, 0
    for _ in range(20):
        (first, confusion), (same, _), (second, _) = (drawn(rng, 200, t) for t in (TRUE, TRUE, other))
        false_alarms += len(compare_samples(SHAPES, first, same, confusion).sure)
        found += {"icosahedron", "twin"} <= set(compare_samples(SHAPES, first, second, confusion).sure)
    assert found == 20
    assert false_alarms <= 8  # 5 % of 80, and four standard errors


@pytest.mark.parametrize(
    ("counts", "confusion", "told"),
    [
        ([0, 0, 0, 0], CHANCES, "at least one particle"),
        ([1, 2, 3], CHANCES, "expected 4 numbers"),
        ([1, 2, 3, -1], CHANCES, ">= 0"),
        ([1, 2, 3, 4], np.zeros((4, 4)), "at least one image of each shape"),
    ],
)
def test_what_cannot_be_is_refused(counts: list[int], confusion: np.ndarray, told: str) -> None:
    with pytest.raises(InputError, match=told):
        shape_fractions(SHAPES, counts, confusion)
