"""Which errors no method could avoid, on particles whose place is known."""

import json

import numpy as np
import pandas as pd
import pytest

from facetem.study.ceiling import border_distance, ceiling_groups, group, zone_angles


def test_borders_and_zones_of_particles_whose_place_is_known() -> None:
    rows = [
        ("cuboctahedron", 1.0),  # on the border with the truncated octahedron
        ("cube", 0.65),
        ("icosahedron", 1.0),
    ]
    particles = pd.DataFrame(
        {"label": [label for label, _ in rows], "form": [json.dumps({"ratio": ratio}) for _, ratio in rows]}
    )
    assert border_distance(particles) == pytest.approx([0, 1 - 0.65 / 0.72, np.inf], abs=1e-3)
    tilt = np.radians(7.0)
    tilted = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    assert zone_angles(np.stack([np.eye(3), tilted])) == pytest.approx([0, 7], abs=1e-6)


def test_groups_account_for_every_error() -> None:
    right = np.array([True, True, False, False, True, False])
    bare = np.array([True, True, True, False, True, False])
    borders = np.array([0.5, 0.01, 0.01, 0.5, 0.5, np.inf])
    angles = np.array([3.0, 20.0, 5.0, 30.0, np.nan, np.nan])
    groups = ceiling_groups(right, bare, borders, angles)
    near, away = groups["near a border between two classes"], groups["away from borders"]
    assert near.share + away.share == pytest.approx(1)
    assert near.errors + away.errors == pytest.approx(1)
    assert near.accuracy == 0.5
    assert groups["wrong even without carbon and noise"].errors == pytest.approx(2 / 3)
    assert groups["single crystals within 10 degrees of a low-index axis"].accuracy == 0.5


def test_along_an_axis_is_within_ten_degrees_of_it() -> None:
    right = np.array([True, False])
    groups = ceiling_groups(right, right, np.full(2, np.inf), np.array([9.0, 11.0]))
    assert groups["single crystals within 10 degrees of a low-index axis"].accuracy == 1
    assert groups["single crystals farther from one"].accuracy == 0


def test_the_accuracy_of_a_group_is_that_of_its_own_images() -> None:
    right = np.array([True, True, True, False])
    hard = group(np.array([False, False, True, True]), right)
    assert (hard.share, hard.errors, hard.accuracy) == (0.5, 1, 0.5)
    easy = group(np.array([True, True, False, False]), right)
    assert (easy.share, easy.errors, easy.accuracy) == (0.5, 0, 1)
