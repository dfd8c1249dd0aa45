"""The sectors of the sphere, and the maps over them."""

import numpy as np
import pandas as pd
import pytest

from facetem.atoms.shapes import SHAPES
from facetem.learn.orientation import FAMILIES
from facetem.study.directions import (
    angles,
    corners,
    lattice_of_directions,
    named_corners,
    outline,
    reduced,
    stereographic,
    symmetry,
)
from facetem.study.orientation_map import ELSEWHERE, with_places

# Of the point groups m-3m, m-3-5, 10/mmm and 6/mmm
ORDERS = {"single crystal": 48, "icosahedral": 120, "decahedral": 40, "singly twinned": 24}
SHAPE_OF = {kind: shapes[0] for kind, shapes in FAMILIES.items()}


def draw(n: int) -> np.ndarray:
    directions = np.random.default_rng(0).normal(size=(n, 3))
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


@pytest.mark.parametrize("kind", ORDERS)
def test_the_symmetry_is_a_group_with_the_inversion(kind: str) -> None:
    group = symmetry(SHAPE_OF[kind])
    assert len(group) == ORDERS[kind]
    flat = {tuple(np.round(g, 5).ravel() + 0.0) for g in group}
    assert all(tuple(np.round(a @ b, 5).ravel() + 0.0) in flat for a in group[:12] for b in group[:12])
    assert tuple((-np.eye(3)).ravel() + 0.0) in flat


@pytest.mark.parametrize("shape", SHAPES)
def test_every_direction_lies_once_in_the_sector(shape: str) -> None:
    directions = draw(300)
    inside = reduced(shape, directions)
    parts = np.linalg.solve(corners(shape).T, inside.T)  # a positive sum of the three corners
    assert parts.min() > -1e-9
    np.testing.assert_allclose(reduced(shape, inside), inside, atol=1e-12)
    np.testing.assert_allclose(reduced(shape, directions @ symmetry(shape)[7].T), inside, atol=1e-9)
    # Its solid angle is that of the sphere over the order of the group (Van Oosterom and Strackee, 1983).
    a, b, c = corners(shape)
    angle = 2 * np.arctan2(abs(a @ np.cross(b, c)), 1 + a @ b + b @ c + c @ a)
    assert angle == pytest.approx(4 * np.pi / len(symmetry(shape)))


def test_the_corners_are_what_they_are_called() -> None:
    assert named_corners("cube") == ["⟨100⟩", "⟨110⟩", "⟨111⟩"]
    for name, corner in zip(named_corners("cube"), corners("cube"), strict=True):
        indices = np.array([int(digit) for digit in name[1:-1]], dtype=float)
        assert angles("cube", corner[None], (indices / np.linalg.norm(indices))[None])[0, 0] < 1e-6
    assert set(named_corners("icosahedron")) == {"5-fold", "3-fold", "2-fold"}
    assert named_corners("decahedron")[0] == "5-fold"
    assert named_corners("twin") == ["twin normal", "⟨110⟩", "⟨112⟩"]


@pytest.mark.parametrize("shape", ["cube", "icosahedron", "decahedron", "twin"])
def test_the_map_is_stereographic(shape: str) -> None:
    edge, inner = outline(shape), lattice_of_directions(shape)
    first = corners(shape)[0]
    for some in (edge, inner):
        radius = np.linalg.norm(stereographic(shape, some), axis=1)
        np.testing.assert_allclose(radius, np.tan(np.arccos(np.clip(some @ first, -1, 1)) / 2), atol=1e-7)
    np.testing.assert_allclose(stereographic(shape, corners(shape))[:2, 1], 0, atol=1e-12)
    np.testing.assert_allclose(edge[0], edge[-1])


def test_a_map_says_where_a_shape_is_not_told() -> None:
    beams = draw(400)
    near = np.degrees(angles("cube", beams, np.array([[0.0, 0, 1]]))[:, 0]) < 15
    table = pd.DataFrame(
        {
            "specimen": range(400),
            "shape": "cube",
            "named": np.where(near, "cuboctahedron", "cube"),
            "right": ~near,
            "confidence": 0.8,
            "beam_x": beams[:, 0],
            "beam_y": beams[:, 1],
            "beam_z": beams[:, 2],
        }
    )
    found = with_places(table)
    short = found.summary().set_index("place")
    assert short.loc["⟨100⟩", "right"] == 0
    assert short.loc["⟨100⟩", "specimens"] == near.sum()
    assert short.loc["⟨100⟩", "taken_for"] == f"cuboctahedron {near.sum()}"
    assert short.loc[ELSEWHERE, "right"] == short.loc["⟨111⟩", "right"] == 1
    assert f"least near ⟨100⟩, 0 of {near.sum()}, the others taken for cuboctahedron" in " ".join(
        found.said()
    )
    # 15 degrees around the six <100> are 6 (1 - cos 15) / 2 of the sphere.
    assert near.mean() == pytest.approx(3 * (1 - np.cos(np.radians(15))), abs=0.06)
