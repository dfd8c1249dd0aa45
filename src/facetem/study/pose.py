"""What is measured of the answers beside the shape: structural family, diameter, orientation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facetem.atoms.placement import draw_rotations
from facetem.atoms.shapes import SHAPES
from facetem.learn.orientation import angle_between, family_of
from facetem.learn.predictor import Prediction


@dataclass(frozen=True)
class PoseScores:
    """Of what is said beside the shape: accuracy of the structural family, median relative error of the diameter, and
    median error of the orientation [deg] of the images whose shape is named rightly (NaN without any).

    `orientation_guess` is what orientations drawn at random would reach on the same images, and `orientation_accepted`
    the error where the shape is also accepted.
    """

    family_accuracy: float
    diameter_error: float
    orientation_error: float
    orientation_accepted: float
    orientation_guess: float


def pose_scores(
    predictions: Sequence[Prediction],
    labels: Tensor,
    diameters: Tensor,
    orientations: Tensor,
    *,
    seed: int = 0,
) -> PoseScores:
    """Scores of predictions against labels (n,), diameters (n,) [Å] and orientations (n, 3, 3) of `Batch`."""
    shapes = [SHAPES[label] for label in labels.tolist()]
    families = np.array([p.family == family_of(s) for p, s in zip(predictions, shapes, strict=True)])
    sizes = np.array([p.diameter for p in predictions]) / diameters.double().numpy() - 1
    right = [i for i, (p, s) in enumerate(zip(predictions, shapes, strict=True)) if p.shape == s]
    drawn = draw_rotations(len(right), torch.Generator().manual_seed(seed), dtype=torch.float64).numpy()
    true = [orientations[i].double().numpy() for i in right]
    errors, guessed = (
        np.array(
            [angle_between(shapes[i], one, other) for i, one, other in zip(right, some, true, strict=True)]
        )
        for some in ([predictions[i].orientation.rotation for i in right], drawn)
    )
    accepted = np.array([predictions[i].verdict == "accepted" for i in right], dtype=bool)
    return PoseScores(
        family_accuracy=float(families.mean()),
        diameter_error=float(np.median(np.abs(sizes))),
        orientation_error=_median(errors),
        orientation_accepted=_median(errors[accepted]),
        orientation_guess=_median(guessed),
    )


def _median(values: NDArray[np.floating]) -> float:
    return float(np.median(values)) if len(values) else math.nan
