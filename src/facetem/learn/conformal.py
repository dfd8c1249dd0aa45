"""Sets of shapes that hold the true one as often as is stated, whatever the network: split-conformal prediction.

A held-out image scores 1 - p, with p the calibrated probability of its true shape. Of n such scores and a new image
that is drawn like theirs, the new one's score is at most the ceil((n + 1) c)-th smallest in a part of at least c of
all draws, so the shapes that score no more than that form a set that holds the true one with a chance of at least c
(Sadinle, Lei and Wasserman, J. Am. Stat. Assoc. 114 (2019) 223; Angelopoulos et al., ICLR 2021, theorem 1). Of the
scores known for this, it gives the smallest sets on average; benchmarks/confidence.py compares it with the adaptive
ones of Romano, Sesia and Candès (NeurIPS 2020) and of Angelopoulos et al.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from facetem.core.errors import InputError

COVERAGE = 0.95  # stated where nothing else is asked for


def check_coverage(coverage: float) -> None:
    """Raises `InputError` unless a coverage lies between 0 and 1."""
    if not 0 < coverage < 1:
        raise InputError(f"coverage: expected a number between 0 and 1, such as 0.9; got {coverage:g}")


def conformal_quantile(scores: Tensor, coverage: float) -> float:
    """The ceil((n + 1) coverage)-th smallest of the scores (n,); infinite if n is too small to state so much."""
    rank = math.ceil((len(scores) + 1) * coverage - 1e-9)  # 0.9 * 10 is 9, not a little more
    return float(scores.sort().values[rank - 1]) if rank <= len(scores) else math.inf


@dataclass(frozen=True)
class ConformalSets:
    """Scores (n,) of held-out images: kept whole, so that a set of any coverage can be had."""

    scores: Tensor

    @classmethod
    def fit(cls, probabilities: Tensor, labels: Tensor) -> ConformalSets:
        """Of calibrated probabilities (n, classes) of images that fixed none of them, and true labels (n,)."""
        own = probabilities.gather(1, labels[:, None])[:, 0]
        return cls((1 - own).sort().values.float())

    def possible(self, probabilities: Tensor, coverage: float = COVERAGE) -> Tensor:
        """Which shapes (n, classes; bool) are in the set of each image; the most probable one always is.

        Raises
        ------
        InputError
            If `coverage` does not lie between 0 and 1.
        """
        check_coverage(coverage)
        inside = 1 - probabilities <= conformal_quantile(self.scores, coverage)
        return inside.scatter(1, probabilities.argmax(1, keepdim=True), True)
