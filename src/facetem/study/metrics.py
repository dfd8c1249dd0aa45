"""What is measured: accuracy, calibration and sets of the shapes, fidelity and contrast of restored images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facetem.core.contrast import contrast
from facetem.core.errors import InputError
from facetem.study.bootstrap import mean_over_classes

__all__ = [
    "SetScores",
    "ShapeScores",
    "accuracy_of_most_confident",
    "affine_fit",
    "best_gaussian",
    "best_linear",
    "contrast",
    "psnr",
    "set_scores",
    "shape_scores",
]

BINS = 15  # of the calibration error
AT_ONCE = 64  # images
SMOOTH = (
    2.0  # px of the spectrum: a linear filter's transfer is estimated from about 4 pi SMOOTH^2 = 50 of them
)
ANSWERED = 0.9  # of the images, for the accuracy of the most confident


@dataclass(frozen=True)
class ShapeScores:
    """Macro-averaged `accuracy`, its `interval` (95 %, `mean_over_classes`), `confusion` (true, named), the
    expected `calibration_error` over `BINS` bins of confidence.

    `calibration_floor` is the calibration error that perfectly calibrated answers of these confidences would show on
    as many images, in the mean: a bin of 25 images tells its accuracy to 0.1. `accuracy_of_most_confident` is that of
    the `ANSWERED` part of the images.
    """

    accuracy: float
    interval: tuple[float, float]
    confusion: NDArray[np.int64]
    calibration_error: float
    calibration_floor: float
    accuracy_of_most_confident: float


def shape_scores(probabilities: Tensor, labels: Tensor, *, seed: int = 0) -> ShapeScores:
    """Scores of calibrated probabilities (n, classes) against the true labels (n,).

    Raises
    ------
    InputError
        If one is the label of no class (-1).
    """
    if bool((labels < 0).any()):
        raise InputError(f"labels: expected those of classes, got {int((labels < 0).sum())} of none of them")
    from torchmetrics.functional.classification import binary_calibration_error, multiclass_confusion_matrix

    confidence, named = probabilities.max(1)
    right = named == labels
    accuracy = mean_over_classes(right.numpy(), labels.numpy(), seed=seed)
    # Binary "right or wrong" draws of the stated confidence: the error that is left is that of counting.
    generator = torch.Generator().manual_seed(seed)
    as_stated = (torch.rand(confidence.shape, generator=generator) < confidence for _ in range(200))
    errors = [float(binary_calibration_error(confidence, some.long(), BINS)) for some in (right, *as_stated)]
    return ShapeScores(
        accuracy=accuracy.mean,
        interval=(accuracy.low, accuracy.high),
        confusion=multiclass_confusion_matrix(
            probabilities, labels, num_classes=probabilities.shape[1]
        ).numpy(),
        calibration_error=errors[0],
        calibration_floor=float(np.mean(errors[1:])),
        accuracy_of_most_confident=accuracy_of_most_confident(probabilities, labels),
    )


def accuracy_of_most_confident(probabilities: Tensor, labels: Tensor, part: float = ANSWERED) -> float:
    """Accuracy of the `part` of the images whose answers are the most confident; the rest goes unanswered."""
    confidence, named = probabilities.max(1)
    kept = confidence.argsort(descending=True, stable=True)[: math.ceil(part * len(labels) - 1e-9)]
    return float((named == labels)[kept].double().mean())


@dataclass(frozen=True)
class SetScores:
    """Of the sets of possible shapes: the part of them that hold the true shape (`coverage`), their mean `size`.

    `accepted` is the part of the images answered with one shape, `accuracy` that of these answers (NaN without any);
    `abstained` and `unknown` are the parts answered with several shapes and with none.
    """

    coverage: float
    size: float
    accepted: float
    accuracy: float
    abstained: float
    unknown: float


def set_scores(possible: Tensor, known: Tensor, probabilities: Tensor, labels: Tensor) -> SetScores:
    """Scores of sets (n, classes; bool) and of what is known (n; bool), against the true labels (n,).

    Coverage and size are over all images, known or not, as a conformal set states them.
    """
    size = possible.sum(1)
    accepted = known & (size == 1)
    right = (probabilities.argmax(1) == labels)[accepted]
    return SetScores(
        coverage=float(possible.gather(1, labels[:, None]).double().mean()),
        size=float(size.double().mean()),
        accepted=float(accepted.double().mean()),
        accuracy=float(right.double().mean()) if len(right) else math.nan,
        abstained=float((known & (size > 1)).double().mean()),
        unknown=float((~known).double().mean()),
    )


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
    # Some at a time: the spectra of a thousand images would not fit.
    parts = zip(image.split(AT_ONCE), target.split(AT_ONCE), strict=True)
    return torch.cat([_best_gaussian(*part) for part in parts])


def _best_gaussian(image: Tensor, target: Tensor) -> Tensor:
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


def best_linear(image: Tensor, target: Tensor) -> Tensor:
    """`image` (n, y, x) after the linear filter that brings it closest to `target`, each by its own.

        H = <T F*> / <|F|^2>

    F and T are the spectra of image and target, < > averages over neighbouring frequencies (a Gaussian of `SMOOTH`,
    without the frequency itself, or it would make up what is not in the image): the Wiener filter of whoever knows the
    transfer function of the microscope, noise and specimen, which no user does. It undoes focus, aberrations and
    envelopes as far as a linear filter can.
    """
    from scipy.ndimage import gaussian_filter

    seen, wanted = (torch.fft.fft2(part.double() - part.double().mean((-2, -1), keepdim=True)).numpy()
                    for part in (image, target))  # fmt: skip

    alone = np.zeros((1, *image.shape[-2:]))
    alone[0, 0, 0] = 1.0
    own = gaussian_filter(alone, SMOOTH, mode="wrap", axes=(-2, -1))[0, 0, 0]

    def average(values: NDArray) -> NDArray:
        return gaussian_filter(values, SMOOTH, mode="wrap", axes=(-2, -1)) - own * values

    cross, power = wanted * seen.conj(), average(np.abs(seen) ** 2)
    transfer = (average(cross.real) + 1j * average(cross.imag)) / np.maximum(power, 1e-30)
    filtered = torch.fft.ifft2(torch.from_numpy(transfer * seen)).real
    return (filtered + target.double().mean((-2, -1), keepdim=True)).to(image.dtype)
