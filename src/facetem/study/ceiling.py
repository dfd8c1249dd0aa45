"""How far a network could get: what noise and carbon cost it, and which errors no method could avoid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facetem.atoms.library import BORDERS
from facetem.atoms.shapes import SHAPES
from facetem.data.items import facet_ratio
from facetem.learn.orientation import FAMILIES

NEAR_BORDER = 0.06  # relative distance of a ratio of facet distances from a border between two classes
NEAR_ZONE = 10.0  # deg between the beam and a <100>, <110> or <111> axis


@dataclass(frozen=True)
class Group:
    """Part of the test: its `share` of the images and of the `errors` (NaN without any), and its accuracy."""

    share: float
    errors: float
    accuracy: float


def group(inside: NDArray[np.bool_], right: NDArray[np.bool_]) -> Group:
    """The images `inside` a part of the test, by whether they were named rightly."""
    wrong = ~right
    return Group(
        float(inside.mean()),
        float(wrong[inside].sum() / wrong.sum()) if wrong.any() else math.nan,
        float(right[inside].mean()) if inside.any() else math.nan,
    )


def border_distance(particles: pd.DataFrame) -> NDArray[np.float64]:
    """How far the particles' proportions are from those of another class (n,): the relative distance of the ratio
    d{100} / d{111} from the nearest border between cube, cuboctahedron, truncated octahedron and octahedron; infinite
    for the other shapes, whose classes do not border on each other.

    A particle on a border belongs to one class by definition alone: an image with noise cannot tell which.
    """
    rows = zip(particles["label"], particles["form"], strict=True)
    ratios = np.array([facet_ratio(*row) for row in rows])
    distances = np.abs(ratios[:, None] / np.array(BORDERS[1:-1]) - 1).min(1)
    return np.where(np.isnan(ratios), np.inf, distances)


def zone_angles(orientations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle [deg] between the beam and the nearest <100>, <110> or <111> axis (n,), of orientations (n, 3, 3)."""
    axes = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1]]) / np.sqrt([[1], [2], [3]])
    beam = np.sort(np.abs(orientations[:, 2]), axis=1)[:, ::-1]  # in the crystal's axes
    return np.degrees(np.arccos(np.clip((beam @ axes.T).max(axis=1), -1, 1)))


def ceiling_groups(
    right: NDArray[np.bool_],
    bare: NDArray[np.bool_],
    borders: NDArray[np.float64],
    angles: NDArray[np.float64],
) -> dict[str, Group]:
    """Where the errors are: beside a border between classes; along a low-index axis or away from them; among the
    images that are not recognised without carbon and noise either.

    `angles` are NaN for shapes that are no single crystal.
    """
    near, zone = borders <= NEAR_BORDER, angles <= NEAR_ZONE
    crystal = ~np.isnan(angles)
    return {
        "near a border between two classes": group(near, right),
        "single crystals within 10 degrees of a low-index axis": group(crystal & zone, right),
        "single crystals farther from one": group(crystal & ~zone, right),
        "away from borders": group(~near, right),
        "wrong even without carbon and noise": group(~bare, right),
        "of these, away from borders": group(~bare & ~near, right),
    }


def single_crystal(labels: Sequence[int]) -> NDArray[np.bool_]:
    """Which labels (n,), indices into `SHAPES`, are of single crystals."""
    return np.array([SHAPES[label] in FAMILIES["single crystal"] for label in labels])
