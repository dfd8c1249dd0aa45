import math

import numpy as np
import pytest
import torch
from torch import Tensor

from facetem.core.errors import InputError
from facetem.learn.conformal import ConformalSets, conformal_quantile


def simulated(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Probabilities (n, 8) of an overconfident network, and labels drawn from the honest ones."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, 8, generator=generator)
    labels = torch.multinomial(torch.softmax(logits, 1), 1, generator=generator)[:, 0]
    return torch.softmax(1.7 * logits, 1), labels


@pytest.mark.parametrize(
    ("n", "coverage", "rank"),
    [
        (9, 0.9, 9),
        (19, 0.9, 18),
        (10, 0.9, 10),
        (320, 0.9, 289),
        (4, 0.5, 3),
        (24, 0.56, 14),  # 25 * 0.56, which floating point has just above
    ],
)
def test_the_quantile_is_the_stated_order_statistic(n: int, coverage: float, rank: int) -> None:
    scores = torch.randperm(n, generator=torch.Generator().manual_seed(n)).double()
    assert conformal_quantile(scores, coverage) == rank - 1


def test_too_few_images_state_nothing() -> None:
    assert conformal_quantile(torch.rand(8), 0.9) == math.inf
    probabilities, labels = simulated(8, 0)
    assert ConformalSets.fit(probabilities, labels).possible(probabilities).all()


def test_of_exchangeable_scores_the_new_one_is_covered_exactly_as_often_as_its_rank_says() -> None:
    """With n continuous scores the chance is ceil((n + 1) c) / (n + 1): 18 / 20 for 19 scores and 0.88."""
    draws = torch.rand(20000, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    covered = np.mean([float(row[-1]) <= conformal_quantile(row[:-1], 0.88) for row in draws])
    assert covered == pytest.approx(0.9, abs=4 * math.sqrt(0.9 * 0.1 / len(draws)))


def test_a_shape_that_is_just_as_probable_as_the_bound_asks_is_possible() -> None:
    """Else ties, which short floating-point numbers have, would be covered less often than stated."""
    sets = ConformalSets(torch.tensor([0.25, 0.5, 0.75]))
    assert sets.possible(torch.tensor([[0.5, 0.5]]), 0.5).all()


@pytest.mark.parametrize("coverage", [0.7, 0.9, 0.97])
def test_sets_hold_the_true_shape_as_often_as_stated_though_the_probabilities_do_not(coverage: float) -> None:
    n = 20000
    sets = ConformalSets.fit(*simulated(n, 1))
    probabilities, labels = simulated(n, 2)
    inside = sets.possible(probabilities, coverage)
    covered = float(inside.gather(1, labels[:, None]).float().mean())
    error = math.sqrt(2 * coverage * (1 - coverage) / n)  # of both halves
    assert covered == pytest.approx(coverage, abs=4 * error)
    # What an uncalibrated network's own probabilities would promise is not kept.
    ranked = probabilities.sort(1, descending=True)
    greedy = ranked.values.cumsum(1) - ranked.values < coverage
    naive = torch.zeros_like(inside).scatter(1, ranked.indices, greedy)
    if coverage == 0.97:
        assert float(naive.gather(1, labels[:, None]).float().mean()) < coverage - 8 * error


def test_sets_grow_with_the_coverage_and_are_never_empty() -> None:
    probabilities, labels = simulated(400, 5)
    sets = ConformalSets.fit(probabilities, labels)
    smaller = sets.possible(probabilities, 0.05)
    assert (smaller.sum(1) == 1).all()
    assert smaller.gather(1, probabilities.argmax(1, keepdim=True)).all()
    for coverage in (0.5, 0.8, 0.95):
        larger = sets.possible(probabilities, coverage)
        assert (larger | ~smaller).all()
        smaller = larger


@pytest.mark.parametrize("coverage", [0.0, 1.0, 90.0, -1.0, float("nan")])
def test_a_coverage_is_a_part_of_one(coverage: float) -> None:
    sets = ConformalSets(torch.rand(10))
    with pytest.raises(InputError, match="coverage: expected a number between 0 and 1"):
        sets.possible(torch.full((1, 8), 0.125), coverage)
