"""What a sample holds, from what its particles were named: fractions of shapes that account for the classifier's
errors, and how two samples differ.

Of a shape t, a part C[t, j] is named j. What is named j is then a part sum_t f_t C[t, j] of the sample; the fractions f
that make the counts most probable are found by expectation maximisation, which keeps them positive and of sum 1
(Vardi & Lee, J. R. Stat. Soc. B 55 (1993) 569; in the remote sensing of areas this is a confusion matrix calibration).

Intervals are those of a Bayesian bootstrap (Rubin, Ann. Stat. 9 (1981) 130): the particles of the sample and the
held-out images that C was counted on are both drawn anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facetem.core.errors import InputError

DRAWS = 1000
COVERAGE = 0.95
PRIOR = 0.5  # of an image, shared by the names: none is impossible because it was not seen among a few
STEPS = 300  # of expectation maximisation

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fractions:
    """Fractions of the shapes of a sample of `n` particles that were named.

    Parameters
    ----------
    counts : (shape,)
        Particles by what they were named.
    corrected, low, high : (shape,)
        The fractions, corrected for the classifier's errors, and their intervals.
    draws : (draw, shape)
        What the intervals are quantiles of.
    """

    shapes: tuple[str, ...]
    counts: NDArray[np.int64]
    corrected: Array
    low: Array
    high: Array
    draws: Array

    @property
    def n(self) -> int:
        """Particles that were named."""
        return int(self.counts.sum())

    @property
    def named(self) -> Array:
        """The fractions of the names, as they are."""
        return self.counts / max(self.n, 1)


@dataclass(frozen=True)
class Difference:
    """How much larger each fraction of the second sample is, with its interval (shape,)."""

    shapes: tuple[str, ...]
    mean: Array
    low: Array
    high: Array

    @property
    def sure(self) -> list[str]:
        """Shapes whose interval does not hold 0."""
        return [
            s for s, low, high in zip(self.shapes, self.low, self.high, strict=True) if low > 0 or high < 0
        ]


def shape_fractions(
    shapes: Sequence[str], counts: ArrayLike, confusion: ArrayLike, *, seed: int = 0
) -> Fractions:
    """The fractions of the shapes of a sample.

    Parameters
    ----------
    counts : (shape,)
        Particles of the sample by what they were named.
    confusion : (true, named)
        Held-out images of each shape by what they were named; see `Classifier.confusion`.

    Raises
    ------
    InputError
        If no particle was named, or the arrays do not fit each other.
    """
    found, table = _checked(shapes, counts, confusion)
    rng = np.random.default_rng(seed)
    likely = (table + PRIOR / len(shapes)) / (table + PRIOR / len(shapes)).sum(1, keepdims=True)
    corrected = _most_probable(found[None] / found.sum(), likely[None])[0]
    draws = _draws(found, table, rng)
    low, high = np.quantile(draws, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2], axis=0)
    return Fractions(
        tuple(shapes),
        found.astype(np.int64),
        corrected,
        np.minimum(low, corrected),
        np.maximum(high, corrected),
        draws,
    )


def compare_samples(
    shapes: Sequence[str], first: ArrayLike, second: ArrayLike, confusion: ArrayLike, *, seed: int = 0
) -> Difference:
    """How the second sample differs from the first, both given by counts (shape,) as to `shape_fractions`.

    Both are corrected with the same draws of the classifier's errors, which they share.
    """
    one, table = _checked(shapes, first, confusion)
    other, _ = _checked(shapes, second, confusion)
    parts = [
        _draws(counts, table, np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2 + i]))
        for i, counts in enumerate((one, other))
    ]
    apart = parts[1] - parts[0]
    low, high = np.quantile(apart, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2], axis=0)
    means = [shape_fractions(shapes, counts, confusion, seed=seed).corrected for counts in (one, other)]
    return Difference(tuple(shapes), means[1] - means[0], low, high)


def _checked(shapes: Sequence[str], counts: ArrayLike, confusion: ArrayLike) -> tuple[Array, Array]:
    found, table = np.asarray(counts, dtype=np.float64), np.asarray(confusion, dtype=np.float64)
    k = len(shapes)
    if found.shape != (k,) or table.shape != (k, k):
        raise InputError(
            f"counts: expected {k} numbers and a confusion of {k} x {k}, got {found.shape} and {table.shape}"
        )
    if not (np.isfinite(found).all() and (found >= 0).all() and found.sum() > 0):
        raise InputError(f"counts: expected numbers >= 0 and at least one particle, got {found.tolist()}")
    if not (np.isfinite(table).all() and (table >= 0).all() and (table.sum(1) > 0).all()):
        raise InputError("confusion: expected numbers >= 0 and at least one image of each shape")
    return found, table


def _draws(
    counts: Array, table: Array, rng: np.random.Generator, other: np.random.Generator | None = None
) -> Array:
    """Fractions (draw, shape) of samples and confusions drawn anew; `other` draws the samples, if given."""
    prior = PRIOR / len(counts)
    likely = np.stack([rng.dirichlet(row + prior, DRAWS) for row in table], axis=1)
    shares = (other or rng).dirichlet(counts + prior, DRAWS)
    return _most_probable(shares, likely)


def _most_probable(shares: Array, likely: Array) -> Array:
    """The fractions (n, shape) that make shares (n, name) of names most probable, for C (n, shape, name)."""
    fractions = np.full_like(shares, 1 / shares.shape[-1])
    for _ in range(STEPS):
        expected = np.einsum("nt,ntj->nj", fractions, likely)
        fractions = fractions * np.einsum("ntj,nj->nt", likely, shares / np.maximum(expected, 1e-300))
    return fractions
