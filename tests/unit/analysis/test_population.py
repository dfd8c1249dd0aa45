"""Fractions of shapes in a sample, from names that are wrong in a known part of the cases."""

import numpy as np
import pytest

from facetem.analysis import population
from facetem.analysis.population import compare_samples, shape_fractions
from facetem.atoms.shapes import SHAPES as ALL
from facetem.core.errors import InputError

SHAPES = ("cube", "cuboctahedron", "icosahedron", "twin")
CHANCES = np.array(
    [[0.90, 0.08, 0.00, 0.02], [0.20, 0.70, 0.02, 0.08], [0.0, 0.02, 0.98, 0.0], [0.05, 0.15, 0.05, 0.75]]
)
HELD_OUT = 40  # images of each shape that the confusion was counted on
TRUE = np.array([0.1, 0.2, 0.6, 0.1])

ERRORS = np.array(  # of a classifier of all shapes, on a hundred images of each
    [
        [87, 6, 6, 0, 0, 0, 0, 1],
        [9, 79, 0, 11, 0, 0, 0, 1],
        [7, 0, 90, 1, 1, 0, 0, 1],
        [0, 6, 0, 94, 0, 0, 0, 0],
        [0, 0, 0, 1, 96, 0, 1, 2],
        [0, 0, 0, 0, 0, 100, 0, 0],
        [0, 0, 0, 0, 0, 1, 97, 2],
        [5, 0, 1, 0, 0, 0, 5, 89],
    ]
)


def drawn(
    rng: np.random.Generator,
    n: int,
    true: np.ndarray = TRUE,
    held_out: int = HELD_OUT,
    chances: np.ndarray = CHANCES,
) -> tuple[np.ndarray, np.ndarray]:
    """Counts of the names of a sample, and a confusion counted on images that are not the sample's."""
    counts = sum(rng.multinomial(m, row) for m, row in zip(rng.multinomial(n, true), chances, strict=True))
    return np.asarray(counts), np.stack([rng.multinomial(held_out, row) for row in chances])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough draws and steps for hundreds of samples: 50 steps or 5000 give the same quantiles of them to 1e-4."""
    monkeypatch.setattr(population, "DRAWS", 300)
    monkeypatch.setattr(population, "STEPS", 60)


def test_many_particles_and_a_known_confusion_give_the_truth() -> None:
    counts = np.round(1e6 * TRUE @ CHANCES)
    found = shape_fractions(SHAPES, counts, 1e6 * CHANCES)
    np.testing.assert_allclose(found.corrected, TRUE, atol=2e-3)
    assert np.abs(found.named - TRUE).max() > 0.03  # which the names alone do not
    assert (found.high - found.low).max() < 0.01


@pytest.mark.usefixtures("quick")
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


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("n", "true"),
    [
        (
            40,
            [0.45, 0.05, 0.30, 0.05, 0.03, 0.04, 0.04, 0.04],
        ),  # rare shapes, most of them seen once, twice or never
        (40, [0.02, 0, 0, 0.02, 0, 0.90, 0.06, 0]),  # nearly all of one shape, which is never mistaken
        (20, [0.95, 0.05, 0, 0, 0, 0, 0, 0]),  # ... and which often is
    ],
)
def test_intervals_of_every_shape_hold_the_truth(n: int, true: list[float]) -> None:
    """Frequent and rare: with next to no prior of the sample a shape of 3 % is held in 71 %, with half a particle of
    every name one of 95 % in 48 %. The lowest of 300 or 400 samples are 0.91, 0.90 and 0.92 (standard error of 150:
    0.025, and the least of eight is looked at)."""
    rng = np.random.default_rng(0)
    inside = []
    for seed in range(150):
        counts, confusion = drawn(rng, n, np.array(true), 100, ERRORS / ERRORS.sum(1, keepdims=True))
        found = shape_fractions(ALL, counts, confusion, seed=seed)
        inside.append((found.low <= np.array(true) + 1e-3) & (true <= found.high))
    held = dict(zip(ALL, np.mean(inside, 0), strict=True))
    assert min(held.values()) > 0.84, held


def test_a_shape_that_was_not_seen_may_be_there() -> None:
    """Of 40 particles none: at 95 %, 1 - 0.025^(1/40) = 9 % of the sample could be (Clopper and Pearson)."""
    found = shape_fractions(ALL, [14, 0, 16, 10, 0, 0, 0, 0], ERRORS)
    assert found.corrected.sum() == pytest.approx(1)
    for shape, estimate, high in zip(ALL, found.corrected, found.high, strict=True):
        if shape not in ("truncated_octahedron", "octahedron", "cube"):
            assert estimate < 0.01  # the estimate stays the most probable one
            assert 0.02 < high < 0.1, shape


@pytest.mark.parametrize("shape", ["tetrahedron", "cuboctahedron", "icosahedron"])
def test_a_handful_of_particles_is_no_sure_difference(shape: str) -> None:
    def sure(first: int, second: int, n: int) -> bool:
        other = "decahedron"
        counts = [[{shape: m, other: n - m}.get(name, 0) for name in ALL] for m in (first, second)]
        found = compare_samples(ALL, counts[0], counts[1], ERRORS)
        assert ((found.low <= found.mean) & (found.mean <= found.high)).all()
        return shape in found.sure

    assert not sure(0, 2, 40)  # Fisher's exact test: p = 0.49
    assert not sure(2, 0, 40)
    assert sure(0, 10, 40)  # 0.001
    assert sure(2, 20, 60)  # below 0.0001


@pytest.mark.usefixtures("quick")
def test_the_difference_lies_within_its_interval() -> None:
    rng = np.random.default_rng(0)
    for seed in range(30):
        first, second = rng.multinomial(8, np.full(8, 1 / 8), 2)
        found = compare_samples(ALL, first, second, ERRORS, seed=seed)
        assert ((found.low <= found.mean) & (found.mean <= found.high)).all()


@pytest.mark.usefixtures("quick")
def test_rare_shapes_of_equal_samples_do_not_differ() -> None:
    rng = np.random.default_rng(3)
    true = np.array([0.45, 0.05, 0.30, 0.05, 0.03, 0.04, 0.04, 0.04])
    alarms = dict.fromkeys(ALL, 0)
    for seed in range(100):
        chances = ERRORS / ERRORS.sum(1, keepdims=True)
        (first, confusion), (second, _) = (drawn(rng, 40, true, 100, chances) for _ in range(2))
        for shape in compare_samples(ALL, first, second, confusion, seed=seed).sure:
            alarms[shape] += 1
    assert max(alarms.values()) <= 13, alarms  # 5 % of 100, and four standard errors


def test_the_correction_is_nearer_to_the_truth_than_the_names() -> None:
    """Where there are particles enough: of few, it is the interval that is right, not the estimate that is better."""
    rng = np.random.default_rng(1)
    errors: dict[str, list[float]] = {"corrected": [], "named": []}
    for _ in range(20):
        found = shape_fractions(SHAPES, *drawn(rng, 3000, held_out=1000))
        for name, values in errors.items():
            values.append(np.abs(getattr(found, name) - TRUE).sum())
    assert np.mean(errors["corrected"]) < 0.6 * np.mean(errors["named"])


def test_samples_that_differ_are_told_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(population, "STEPS", 60)
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
