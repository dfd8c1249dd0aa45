"""Means over specimens with their intervals: 95 %, by bootstrap.

A percentile interval of few specimens is too narrow: that of numbers has the levels of Student's t (Hesterberg, The
American Statistician 69 (2015) 371). A part of specimens that is 0 or 1 would have no width at all: two of each outcome
are added to what it is drawn from, as Agresti and Coull do (The American Statistician 52 (1998) 119).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

RESAMPLES = 2000
COVERAGE = 0.95


@dataclass(frozen=True)
class Mean:
    """A mean and its interval; NaN of nothing, and without a width of a single value that is no part."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


def mean_of(values: ArrayLike, *, seed: int = 0) -> Mean:
    """The mean of values (n,) that are numbers, or true or false: a part then."""
    some = np.asarray(values)
    added = np.array([0.0, 0.0, 1.0, 1.0]) if some.dtype == bool else np.empty(0)
    return _bootstrap(some.astype(float), added, seed)


def mean_over_classes(right: ArrayLike, classes: ArrayLike, *, seed: int = 0) -> Mean:
    """The mean over `classes` (n,) of the part of each that is `right` (n,): the macro-averaged accuracy.

    Specimens are drawn anew within each class, whose numbers are those of the test and no chance. Two of each outcome
    are added in all, in equal parts to every class.
    """
    _, which = np.unique(np.asarray(classes), return_inverse=True)
    numbers = np.bincount(which)
    hits = np.bincount(which, weights=np.asarray(right, dtype=float))
    part = (hits + 2 / len(numbers)) / (numbers + 4 / len(numbers))
    drawn = np.random.default_rng(seed).binomial(numbers, part, size=(RESAMPLES, len(numbers))) / numbers
    mean = float((hits / numbers).mean())
    low, high = np.quantile(drawn.mean(axis=1), [0.5 - COVERAGE / 2, 0.5 + COVERAGE / 2])
    return Mean(mean, float(min(low, mean)), float(max(high, mean)))


def difference_of(first: ArrayLike, second: ArrayLike, *, seed: int = 0) -> Mean:
    """How much more the mean of `second` (n,) is than that of `first` (n,), each specimen against itself.

    Of true and false, one pair of each of the four outcomes is added to what is drawn from (as Agresti and Min do by
    halves, Statistics in Medicine 24 (2005) 729).
    """
    one, other = np.asarray(first), np.asarray(second)
    added = np.array([-1.0, 0.0, 0.0, 1.0]) if one.dtype == bool else np.empty(0)
    return _bootstrap(other.astype(float) - one.astype(float), added, seed)


def _bootstrap(values: NDArray[np.float64], added: NDArray[np.float64], seed: int) -> Mean:
    n = len(values)
    if n == 0:
        return Mean(float("nan"), float("nan"), float("nan"))
    mean = float(values.mean())
    drawn = np.concatenate([values, added])
    k = len(drawn)
    if k < 2:
        return Mean(mean, mean, mean)
    draws = np.random.default_rng(seed).integers(k, size=(RESAMPLES, k))
    level = 0.5 + COVERAGE / 2
    wide = stats.norm.ppf(level) if len(added) else np.sqrt(k / (k - 1)) * stats.t.ppf(level, k - 1)
    low, high = np.quantile(drawn[draws].mean(axis=1), stats.norm.cdf([-wide, wide]))
    return Mean(mean, float(min(low, mean)), float(max(high, mean)))
