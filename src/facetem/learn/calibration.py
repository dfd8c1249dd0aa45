"""Honest confidence: a temperature for the probabilities, and a factor for the spread of a restored image."""

from __future__ import annotations

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

    What a network states of its error is that of training, and of one patch; held-out images tell what it is of new
    ones, and of the mean of several.

    Raises
    ------
    InputError
        If the two differ in shape, are not finite, or the spread is 0 everywhere.
    """
    spreads, errors = (np.asarray(a, dtype=np.float64) for a in (spread, error))
    if spreads.shape != errors.shape or not (np.isfinite(spreads).all() and np.isfinite(errors).all()):
        raise InputError(
            f"spread and error: expected finite values of the same pixels, got {spreads.shape} and {errors.shape}"
        )
    disagreement = float(np.square(spreads).mean()) if spreads.size else 0.0
    if not disagreement > 0:
        raise InputError("spread: expected some above 0, got none")
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
