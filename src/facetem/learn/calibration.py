"""Honest confidence: a temperature for the probabilities, a factor for the spread of a restored image. And the "none of
these" distance of weights released without another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional

from facetem.core.errors import InputError


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature T that minimises the cross-entropy of softmax(logits / T) on held-out specimens.

    (Guo et al., On calibration of modern neural networks, ICML 2017, section 4.2.)

    Parameters
    ----------
    logits : (n, classes)
    labels : (n,) int64
    """
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    values = logits.double()
    optimizer = torch.optim.LBFGS([log_temperature], lr=0.5, max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(values / log_temperature.exp(), labels)
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]
    return float(log_temperature.detach().exp())


def fit_spread_scale(spread: ArrayLike, error: ArrayLike) -> float:
    """The factor that makes the rms of `spread` that of `error`, both of the same pixels of held-out images.

    Patches that see the same noise agree more with each other than with the truth; their spread tells where the
    error is large, and only held-out images tell how large.

    Raises
    ------
    InputError
        If the two differ in shape, are not finite, or the patches agree everywhere.
    """
    spreads, errors = (np.asarray(a, dtype=np.float64) for a in (spread, error))
    if spreads.shape != errors.shape or not (np.isfinite(spreads).all() and np.isfinite(errors).all()):
        raise InputError(
            f"spread and error: expected finite values of the same pixels, got {spreads.shape} and {errors.shape}"
        )
    disagreement = float(np.square(spreads).mean()) if spreads.size else 0.0
    if not disagreement > 0:
        raise InputError("spread: expected patches that disagree somewhere, got none that do")
    return float(np.sqrt(np.square(errors).mean() / disagreement))


def cross_fitted(logits: Tensor, labels: Tensor, *, folds: int = 10, seed: int = 0) -> Tensor:
    """Calibrated probabilities (n, classes), each at a temperature that was fitted without the image itself.

    So they are to the images' own labels what the probabilities of a new image are to its.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    probabilities = torch.empty_like(logits)
    for held in order.chunk(folds):
        rest = torch.ones(len(labels), dtype=torch.bool)
        rest[held] = False
        temperature = fit_temperature(logits[rest], labels[rest])
        probabilities[held] = torch.softmax(logits[held] / temperature, dim=1)
    return probabilities


@dataclass(frozen=True)
class FeatureSpace:
    """Where the features of known shapes lie: class means (classes, d) and the shared precision (d, d).

    The squared distance of an image to the nearest class mean, in units of the shared covariance, tells an
    image of something else (Lee et al., A simple unified framework for detecting out-of-distribution samples,
    NeurIPS 2018, eq. 2). `threshold` is the distance that a stated part of held-out known images stays below.
    Newly released weights have `Familiarity` instead, which tells more.
    """

    means: Tensor
    precision: Tensor
    threshold: float

    @classmethod
    def fit(cls, features: Tensor, labels: Tensor, *, classes: int, coverage: float = 0.98) -> FeatureSpace:
        """Of features (n, d) with labels (n,): every other image of each class fits, the rest set the threshold.

        Raises
        ------
        InputError
            If a class has fewer than two images.
        """
        counts = torch.bincount(labels, minlength=classes)
        if int(counts.min()) < 2:
            raise InputError(f"features: expected at least two images of each class, got {counts.tolist()}")
        half = torch.zeros(len(features), dtype=torch.bool)
        for c in range(classes):
            half[torch.nonzero(labels == c)[::2, 0]] = True
        fitted, held = features[half].double(), features[~half].double()
        means = torch.stack([fitted[labels[half] == c].mean(0) for c in range(classes)])
        centred = fitted - means[labels[half]]
        covariance = centred.T @ centred / len(centred)
        # Shrunk towards its mean variance: a few hundred images do not fix all directions.
        shrink = 0.1
        scale = covariance.diagonal().mean()
        covariance = (1 - shrink) * covariance + shrink * scale * torch.eye(
            len(covariance), dtype=torch.float64
        )
        space = cls(means.float(), torch.linalg.inv(covariance).float(), float("inf"))
        threshold = torch.quantile(space.distance(held.float()), coverage)
        return cls(space.means, space.precision, float(threshold))

    def distance(self, features: Tensor) -> Tensor:
        """Squared distance (n,) of features (n, d) to the nearest class mean."""
        offset = features[:, None] - self.means
        return torch.einsum("ncd,de,nce->nc", offset, self.precision, offset).amin(1)

    def known(self, features: Tensor, images: Tensor) -> Tensor:
        """Whether images (n, y, x), of which only the features (n, d) count, are like those of learnt shapes."""
        return self.distance(features) <= self.threshold
