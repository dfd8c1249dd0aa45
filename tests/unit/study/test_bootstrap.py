"""Intervals: as often right as they say, whatever they are of."""

import numpy as np
import pytest
from scipy import stats

from facetem.study.bootstrap import difference_of, mean_of, mean_over_classes

TRIALS = 200
# The part that is covered of so many trials, four standard errors below what is stated.
LEAST = 0.95 - 4 * np.sqrt(0.95 * 0.05 / TRIALS)


@pytest.mark.parametrize("n", [8, 16, 96])
@pytest.mark.parametrize("chance", [0.5, 0.85, 0.97])
def test_an_interval_of_a_part_covers_the_true_one(n: int, chance: float) -> None:
    rng = np.random.default_rng(n)
    means = [mean_of(rng.random(n) < chance) for _ in range(TRIALS)]
    covered = np.mean([one.low <= chance <= one.high for one in means])
    assert LEAST < covered <= 1
    # And says something: at 96 specimens it is as narrow as a normal one, plus what the added outcomes cost.
    width = np.mean([one.high - one.low for one in means])
    assert width < 2.6 * 1.96 * np.sqrt(max(chance * (1 - chance), 0.04) / n) + 0.08


@pytest.mark.parametrize("n", [8, 16, 96])
def test_an_interval_of_numbers_covers_the_true_mean(n: int) -> None:
    rng = np.random.default_rng(n)
    covered = [one.low <= 24.0 <= one.high for one in (mean_of(rng.normal(24, 2, n)) for _ in range(TRIALS))]
    assert np.mean(covered) > LEAST


def test_an_interval_of_few_numbers_is_that_of_students_t() -> None:
    values = np.random.default_rng(0).normal(size=8)
    one = mean_of(values)
    half = stats.t.ppf(0.975, 7) * values.std(ddof=1) / np.sqrt(8)
    assert one.high - one.low == pytest.approx(2 * half, rel=0.07)


def test_two_of_each_outcome_are_added_to_a_part_and_one_to_a_difference() -> None:
    """As the module says: 2 right of 20 where none of 16 was; of differences -1, 0, 0, 1 and 16 zeros."""
    part, error = 2 / 20, np.sqrt(0.1 * 0.9 / 20)
    assert mean_of(np.zeros(16, dtype=bool)).high == pytest.approx(part + 1.96 * error, abs=0.03)
    same = np.ones(16, dtype=bool)
    assert difference_of(same, same).high == pytest.approx(1.96 * np.sqrt(2 / 20 / 20), abs=0.02)


def test_all_right_is_not_sure_to_be_right_always() -> None:
    all_right = mean_of(np.ones(16, dtype=bool))
    assert all_right.mean == all_right.high == 1
    assert 0.7 < all_right.low < 0.9  # Wilson: 0.81


@pytest.mark.parametrize("numbers", [(90, 10), (8, 8, 8, 8), (200, 200, 200)])
def test_an_interval_over_classes_is_that_of_their_mean(numbers: tuple[int, ...]) -> None:
    """Of classes as large as they are by design, some of which are told far worse than others."""
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(len(numbers)), numbers)
    chance = np.linspace(0.97, 0.6, len(numbers))
    means = [mean_over_classes(rng.random(len(classes)) < chance[classes], classes) for _ in range(TRIALS)]
    covered = np.mean([one.low <= chance.mean() <= one.high for one in means])
    assert covered > LEAST
    error = np.sqrt(np.mean(chance * (1 - chance) / numbers) / len(numbers))
    assert np.mean([one.high - one.low for one in means]) < 1.25 * 2 * 1.96 * error + 0.05


def test_all_of_every_class_right_is_not_sure_to_be() -> None:
    all_right = mean_over_classes(np.ones(64, dtype=bool), np.arange(64) % 8)
    assert all_right.mean == all_right.high == 1
    assert 0.85 < all_right.low < 0.98
    one_wrong = mean_over_classes(np.arange(100) < 90, np.arange(100) >= 90)  # all ten of the second class
    assert one_wrong.mean == 0.5
    assert one_wrong.low < 0.5 < one_wrong.high < 0.66  # Wilson: 0.28 of the second


@pytest.mark.parametrize("n", [16, 96])
def test_an_interval_of_a_difference_covers_the_true_one(n: int) -> None:
    rng = np.random.default_rng(n)
    covered = []
    for _ in range(TRIALS):
        hard = rng.random(n)
        one = difference_of(hard > 0.2, hard > 0.35)
        covered.append(one.low <= -0.15 <= one.high)
    assert np.mean(covered) > LEAST


def test_a_difference_on_the_same_specimens_is_surer_than_that_of_others() -> None:
    rng = np.random.default_rng(1)
    hard = rng.random(200)
    first, second = hard > 0.3, hard > 0.4  # what is wrong at first is wrong at second
    difference = difference_of(first, second)
    assert difference.mean == pytest.approx(-np.mean((hard > 0.3) & (hard <= 0.4)))
    assert difference.low < difference.mean < difference.high < 0
    widths = [part.high - part.low for part in (mean_of(first), mean_of(second))]
    assert difference.high - difference.low < 0.6 * np.hypot(*widths)  # of two samples apart


def test_nothing_has_no_mean() -> None:
    assert np.isnan(mean_of(np.empty(0)).mean)
