"""What is measured: accuracy and calibration of the shapes, fidelity and contrast of restored images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facetem.core.contrast import contrast

__all__ = ["ShapeScores", "affine_fit", "best_gaussian", "contrast", "psnr", "shape_scores"]

BINS = 15  # of the calibration error


@dataclass(frozen=True)
class ShapeScores:
    """Macro-averaged `accuracy`, its bootstrap `interval` (95 %, over specimens), `confusion` (true, named), the
    expected `calibration_error` over `BINS` bins of confidence."""

    accuracy: float
    interval: tuple[float, float]
    confusion: NDArray[np.int64]
    calibration_error: float


def shape_scores(probabilities: Tensor, labels: Tensor, *, seed: int = 0) -> ShapeScores:
    """Scores of calibrated probabilities (n, classes) against the true labels (n,)."""
    from torchmetrics.functional.classification import (
        multiclass_accuracy,
        multiclass_calibration_error,
        multiclass_confusion_matrix,
    )

    classes = probabilities.shape[1]
    accuracy = multiclass_accuracy(probabilities, labels, num_classes=classes, average="macro")
    matrix = multiclass_confusion_matrix(probabilities, labels, num_classes=classes)
    error = multiclass_calibration_error(probabilities, labels, num_classes=classes, n_bins=BINS, norm="l1")
    correct = (probabilities.argmax(1) == labels).numpy()
    rng = np.random.default_rng(seed)
    means = rng.choice(correct, (2000, len(correct))).mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return ShapeScores(float(accuracy), (float(low), float(high)), matrix.numpy(), float(error))


def affine_fit(image: Tensor, target: Tensor) -> Tensor:
    """a * image + b with the least squared difference to `target`, each image (n, y, x) on its own.

    Camera images have an arbitrary scale; every method is compared after the same fit.
    """
    dims = (-2, -1)
    x = image - image.mean(dims, keepdim=True)
    y = target - target.mean(dims, keepdim=True)
    slope = (x * y).sum(dims, keepdim=True) / (x * x).sum(dims, keepdim=True).clamp_min(1e-12)
    return slope * x + target.mean(dims, keepdim=True)


def psnr(image: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio (n,) [dB] after `affine_fit`; the peak is the target's own range."""
    dims = (-2, -1)
    error = (affine_fit(image, target) - target).square().mean(dims)
    span = target.amax(dims) - target.amin(dims)
    return 10 * torch.log10(span**2 / error.clamp_min(1e-12))


def best_gaussian(image: Tensor, target: Tensor) -> Tensor:
    """`image` (n, y, x) smoothed by the Gaussian that brings it closest to `target`, each by its own.

    The width is chosen with the target in hand, which no user could do: the most a Gaussian filter can give.
    """
    frequency = [torch.fft.fftfreq(n, dtype=image.dtype) for n in image.shape[-2:]]
    k2 = frequency[0][:, None] ** 2 + frequency[1][None, :] ** 2
    spectrum = torch.fft.fft2(image)
    best, best_score = image, psnr(image, target)
    for width in np.geomspace(0.3, 20, 28):  # px
        smooth = torch.fft.ifft2(spectrum * torch.exp(-2 * (np.pi * width) ** 2 * k2)).real
        score = psnr(smooth, target)
        better = (score > best_score)[:, None, None]
        best = torch.where(better, smooth, best)
        best_score = torch.maximum(score, best_score)
    return best
