"""What is measured of the answers beside the shape: structural family, diameter, orientation, ratio of the facets."""

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
from facetem.learn.orientation import FAMILIES, angle_between, family_of
from facetem.learn.predictor import Prediction


@dataclass(frozen=True)
class PoseScores:
    """Of what is said beside the shape: accuracy of the structural family, median relative error of the diameter, and
    median error of the orientation [deg] of the images whose shape is named rightly (NaN without any).

    `orientation_guess` is what orientations drawn at random would reach on the same images, `orientation_accepted` the
    error where the shape is also accepted, and `orientation_by_family` the same for each structural family.
    Of these, the part `orientation_told` is told how it lies (`Orientation.told`), and `orientation_when_told` is their
    error; `orientation_within` is the part of all whose error is no larger than the one stated, which a median is for
    a half. `ratio_error` is the median relative error of the facet ratio where a cubic shape is rightly told to be one.
    """

    family_accuracy: float
    diameter_error: float
    orientation_error: float
    orientation_accepted: float
    orientation_guess: float
    orientation_by_family: dict[str, float]
    orientation_told: float
    orientation_when_told: float
    orientation_within: float
    ratio_error: float


def pose_scores(
    predictions: Sequence[Prediction],
    labels: Tensor,
    diameters: Tensor,
    orientations: Tensor,
    ratios: Tensor,
    *,
    seed: int = 0,
) -> PoseScores:
    """Scores of predictions against labels (n,), diameters (n,) [Å], orientations (n, 3, 3) and facet ratios (n,) of
    `Batch`."""
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
    of_family = np.array([family_of(shapes[i]) for i in right])
    lying = [predictions[i].orientation for i in right]
    told = accepted & np.array([one.told for one in lying], dtype=bool)
    stated = np.array([math.nan if one.error is None else one.error for one in lying])
    answered = np.array([math.nan if p.facet_ratio is None else p.facet_ratio for p in predictions])
    cut = answered / ratios.double().numpy() - 1
    return PoseScores(
        family_accuracy=float(families.mean()),
        diameter_error=float(np.median(np.abs(sizes))),
        orientation_error=_median(errors),
        orientation_accepted=_median(errors[accepted]),
        orientation_guess=_median(guessed),
        orientation_by_family={name: _median(errors[accepted & (of_family == name)]) for name in FAMILIES},
        orientation_told=float(told.sum() / accepted.sum()) if accepted.any() else math.nan,
        orientation_when_told=_median(errors[told]),
        orientation_within=float((errors <= stated).mean()) if np.isfinite(stated).any() else math.nan,
        ratio_error=_median(np.abs(cut[np.isfinite(cut)])),
    )


def _median(values: NDArray[np.floating]) -> float:
    return float(np.median(values)) if len(values) else math.nan
