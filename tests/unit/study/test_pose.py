import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from facetem.atoms.shapes import SHAPES
from facetem.learn.orientation import Orientation
from facetem.learn.predictor import Prediction
from facetem.study.pose import pose_scores


def said(
    shape: str, diameter: float, rotation: np.ndarray, *possible: str, ratio: float | None = None
) -> Prediction:
    x, y, z, w = Rotation.from_matrix(rotation).as_quat()
    sure = {name: 0.9 if name == shape else 0.1 / 7 for name in SHAPES}
    lies = Orientation((w, x, y, z), None, None, 1.0, error=3.0)
    return Prediction(shape, sure, 0.9, True, (shape, *possible), 0.9, diameter, lies, ratio)


def test_errors_are_those_that_were_made() -> None:
    """A cube for a cuboctahedron is the right family; only orientations of rightly named shapes count."""
    turns = Rotation.random(4, random_state=1).as_matrix()
    tilt = [Rotation.from_rotvec([np.deg2rad(a), 0, 0]).as_matrix() for a in (2, 4, 40, 40)]
    named = ["cube", "icosahedron", "cube", "octahedron"]
    labels = torch.tensor([SHAPES.index(s) for s in ("cube", "icosahedron", "cuboctahedron", "decahedron")])
    predictions = [
        said("cube", 66.0, tilt[0] @ turns[0], ratio=0.63),
        said("icosahedron", 57.0, tilt[1] @ turns[1], "decahedron"),
        said("cube", 60.0, tilt[2] @ turns[2], ratio=0.72),
        said("octahedron", 61.2, tilt[3] @ turns[3], ratio=1.5),
    ]
    assert [p.shape for p in predictions] == named
    ratios = torch.tensor([0.6, math.nan, 0.8, math.nan])
    scores = pose_scores(predictions, labels, torch.full((4,), 60.0), torch.from_numpy(turns), ratios)
    assert scores.family_accuracy == pytest.approx(3 / 4)
    assert scores.diameter_error == pytest.approx((0.05 + 0.02) / 2, abs=1e-6)
    assert scores.orientation_error == pytest.approx(3, abs=1e-4)
    assert scores.orientation_accepted == pytest.approx(2, abs=1e-4)
    assert scores.orientation_guess > 5
    assert scores.orientation_told == 1
    assert scores.orientation_when_told == pytest.approx(2, abs=1e-4)
    assert scores.orientation_within == pytest.approx(
        1 / 2
    )  # of errors of 2 and 4 degrees, of which 3 are stated
    assert scores.orientation_by_family["single crystal"] == pytest.approx(2, abs=1e-4)
    assert math.isnan(scores.orientation_by_family["icosahedral"])  # none of them was accepted
    assert scores.ratio_error == pytest.approx((0.05 + 0.1) / 2, rel=1e-5)


def test_without_a_right_answer_there_is_no_orientation_error() -> None:
    scores = pose_scores(
        [said("cube", 60.0, np.eye(3))],
        torch.tensor([0]),
        torch.tensor([60.0]),
        torch.eye(3)[None],
        torch.tensor([1.1]),
    )
    assert math.isnan(scores.orientation_error)
    assert scores.family_accuracy == 1  # a truncated octahedron is a single crystal too
