"""Sober baselines of the shape classifier: what can be told without a network.

Two learn from numbers that describe the power spectrum (`spectrum_features`): logistic regression and gradient
boosting. The third compares the spectrum with those of a library and lets the nearest ones vote.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError
from facetem.core.pixels import PIXEL
from facetem.data.samples import Batch
from facetem.learn.orientation import FAMILIES, family_of
from facetem.study.metrics import accuracy_of_most_confident, shape_scores

RINGS, AZIMUTHS = 48, 72  # of the polar spectrum; azimuths over half a turn: the spectrum is even
INNER, OUTER = 0.15, 1.1  # 1/Å
HARMONICS = 9  # of the power along a ring: how many spots it has, and how evenly they lie
NEAREST = 7  # templates that vote


@dataclass(frozen=True)
class Baseline:
    """What a method reaches: macro-averaged accuracy of the shape with its `interval` (95 %), accuracy of the
    structural family, and of the most confident 90 %."""

    accuracy: float
    interval: tuple[float, float]
    family_accuracy: float
    accuracy_of_most_confident: float


def baseline_scores(library: Batch, tested: Batch, *, seed: int = 0) -> dict[str, Baseline]:
    """All baselines, taught with the images and labels of a library and tried on others.

    Raises
    ------
    InputError
        If scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        raise InputError("baselines: expected scikit-learn; install facetem with the extra `study`") from None
    taught, asked = polar_spectra(library.noisy), polar_spectra(tested.noisy)
    learners = {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(C=0.03, max_iter=1000)),
        "gradient boosting": HistGradientBoostingClassifier(
            max_iter=200, learning_rate=0.06, random_state=seed
        ),
    }
    answers: dict[str, Tensor] = {}
    labels = library.labels.numpy()
    for name, learner in learners.items():
        learner.fit(spectrum_features(taught), labels)
        shares = np.zeros((len(tested.labels), len(SHAPES)))
        shares[:, learner.classes_] = learner.predict_proba(spectrum_features(asked))
        answers[name] = torch.from_numpy(shares)
    answers["nearest templates"] = template_votes(taught, library.labels, asked)
    return {name: _scored(shares, tested.labels) for name, shares in answers.items()}


def _scored(probabilities: Tensor, labels: Tensor) -> Baseline:
    scores = shape_scores(probabilities, labels)
    families = torch.stack(
        [probabilities[:, [SHAPES.index(s) for s in shapes]].sum(1) for shapes in FAMILIES.values()], dim=1
    )
    true = torch.tensor([list(FAMILIES).index(family_of(SHAPES[label])) for label in labels.tolist()])
    return Baseline(
        scores.accuracy,
        scores.interval,
        float((families.argmax(1) == true).double().mean()),
        accuracy_of_most_confident(probabilities, labels),
    )


def polar_spectra(images: Tensor) -> Tensor:
    """Logarithm of the power spectrum of images (n, y, x), Hann window, over rings and azimuths (n, r, a); each ring
    less its median, so that fringes stand out of the film's and the camera's background.

    A turn of the image is a roll along the azimuths, a shift of the particle changes little.
    """
    height, width = images.shape[-2:]
    window = torch.hann_window(height)[:, None] * torch.hann_window(width)
    radius = torch.linspace(INNER, OUTER, RINGS)[:, None]
    angle = torch.pi * torch.arange(AZIMUTHS)[None] / AZIMUTHS
    # Of a shifted spectrum, frequency f lies at pixel f * PIXEL * side + side / 2; `grid_sample` counts from -1 to 1.
    place = torch.stack([2 * PIXEL * radius * angle.cos(), 2 * PIXEL * radius * angle.sin()], dim=-1)
    spectra = []
    for some in images.float().split(64):
        power = torch.fft.fft2((some - some.mean((-2, -1), keepdim=True)) * window).abs().square()
        power = functional.avg_pool2d(torch.fft.fftshift(power, dim=(-2, -1))[:, None], 3, 1, 1)
        here = place.expand(len(some), -1, -1, -1) + 1 / height
        seen = functional.grid_sample(power, here, align_corners=False, mode="bilinear")[:, 0]
        seen = seen.clamp_min(1e-12).log()
        spectra.append(seen - seen.median(dim=2, keepdim=True).values)
    return torch.cat(spectra)


def spectrum_features(spectra: Tensor) -> NDArray[np.float32]:
    """Numbers (n, d) that a turn or mirror of the image leaves as they are, of `polar_spectra`: of every ring the
    highest value, the spread, and the amplitudes of its harmonics in the azimuth."""
    harmonics = torch.fft.rfft(spectra, dim=2).abs()[:, :, 1 : HARMONICS + 1] / AZIMUTHS
    parts = (spectra.amax(2), spectra.std(2), harmonics.flatten(1))
    return torch.cat(parts, dim=1).numpy()


def template_votes(library: Tensor, labels: Tensor, asked: Tensor) -> Tensor:
    """Shares (n, classes) of the votes of the `NEAREST` of the library's spectra (m, r, a) for spectra (n, r, a): those
    of the highest normalised cross-correlation over all turns and mirrors of the image."""
    known = functional.normalize(library.clamp_min(0).flatten(1), dim=1).view(library.shape)
    wanted = functional.normalize(asked.clamp_min(0).flatten(1), dim=1).view(asked.shape)
    known_f = torch.fft.rfft(known, dim=2)
    votes = torch.zeros(len(asked), len(SHAPES), dtype=torch.float64)
    for i, one in enumerate(wanted):
        both = torch.stack([one, one.flip(1)])  # a mirror image, but for its azimuth
        seen = torch.fft.rfft(both, dim=2)
        product = torch.einsum("kra,mra->kma", seen.conj(), known_f)
        score = torch.fft.irfft(product, n=AZIMUTHS, dim=2).amax((0, 2))
        best = score.topk(min(NEAREST, len(score)))
        votes[i].index_add_(0, labels[best.indices], best.values.double().clamp_min(1e-9))
    return votes / votes.sum(1, keepdim=True)
