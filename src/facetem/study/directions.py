"""Directions of the beam in the axes of a shape, up to all symmetry: one sector of the sphere holds each once.

An image along a direction and one along its reverse are mirror images of each other as far as a phase object goes, so
that every shape has its inversion here. For single crystals the sector is the stereographic triangle.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facetem.atoms.truth import rotation_group
from facetem.learn.orientation import INVERSION, MIRROR, PROTOTYPES, family_of, normals_of

Array = NDArray[np.float64]
INSIDE = np.array([0.1, 0.05, 1.0])  # a direction of no symmetry: it chooses the sector


@lru_cache(maxsize=16)
def symmetry(shape: str) -> Array:
    """All rotations and reflections (k, 3, 3) that leave what is seen of a class of the classifier as it is."""
    kind = family_of(shape)
    turns = rotation_group(PROTOTYPES[kind])
    improper = MIRROR if kind in ("decahedral", "singly twinned") else INVERSION
    every = np.concatenate([turns, turns @ improper])
    every = np.concatenate([every, -every])
    _, first = np.unique(np.round(every.reshape(-1, 9), 6) + 0.0, axis=0, return_index=True)
    return every[np.sort(first)]


def reduced(shape: str, directions: ArrayLike) -> Array:
    """The unit vectors (n, 3) of the sector that are equivalent to `directions` (n, 3)."""
    every = np.einsum("kij,nj->nki", symmetry(shape), np.asarray(directions, dtype=np.float64))
    chosen = (every @ INSIDE).argmax(axis=1)
    return every[np.arange(len(every)), chosen]


@lru_cache(maxsize=16)
def corners(shape: str) -> Array:
    """The corners (3, 3) of the sector: the one nearest to the z axis, and the two others by their azimuth."""
    group = symmetry(shape)
    mirrors = [
        np.linalg.svd(g - np.eye(3))[2][0]  # the one direction that a reflection turns over
        for g in group
        if np.linalg.det(g) < 0 and abs(np.trace(g) - 1) < 1e-6
    ]
    found: list[Array] = []
    for i, one in enumerate(mirrors):
        for other in mirrors[:i]:
            line = np.cross(one, other)
            if (length := np.linalg.norm(line)) < 1e-6:
                continue
            for corner in (line / length, -line / length):
                inside = corner @ INSIDE >= (group @ corner @ INSIDE).max() - 1e-9
                if inside and all(np.linalg.norm(corner - c) > 1e-6 for c in found):
                    found.append(corner)
    found.sort(key=lambda c: (-round(float(c[2]), 6), np.arctan2(c[1], c[0])))
    first, *others = found
    return np.array([first, *sorted(others, key=lambda c: np.arctan2(c[1], c[0]))])


def named_corners(shape: str) -> list[str]:
    """What the corners are, in the words of crystallography."""
    return [_name(shape, corner) for corner in corners(shape)]


def _name(shape: str, corner: Array) -> str:
    kind = family_of(shape)
    if kind == "single crystal":
        indices = np.sort(np.abs(corner))[::-1] / np.abs(corner).max()
        return "⟨" + "".join(str(round(i)) for i in indices) + "⟩"
    if kind == "icosahedral":
        turns = rotation_group(PROTOTYPES[kind])
        return f"{int((np.abs(turns @ corner - corner).max(axis=1) < 1e-6).sum())}-fold"
    if corner[2] > 0.5:
        return {"decahedral": "5-fold", "singly twinned": "twin normal"}[kind]
    if kind == "decahedral":
        return "{100} normal" if np.abs(normals_of(kind) @ corner).max() > 1 - 1e-6 else "across it"
    sixth = np.degrees(np.arctan2(corner[1], corner[0])) / 60
    return "⟨110⟩" if abs(sixth - round(sixth)) < 1e-6 else "⟨112⟩"  # in the twin plane


def outline(shape: str, steps: int = 24) -> Array:
    """The edge of the sector (k, 3), closed."""
    around = [*corners(shape), corners(shape)[0]]
    parts = np.linspace(0, 1, steps, endpoint=False)[:, None]
    edge = [(1 - parts) * one + parts * other for one, other in pairwise(around)]
    points = np.concatenate([*edge, around[-1][None]])
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def lattice_of_directions(shape: str, steps: int = 24) -> Array:
    """Directions (m, 3) all over the sector."""
    parts = [(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]
    points = np.array(parts) / steps @ corners(shape)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def angles(shape: str, directions: ArrayLike, others: ArrayLike) -> Array:
    """Smallest angle [rad] (n, m) between directions (n, 3) and others (m, 3), up to symmetry."""
    every = np.einsum("kij,mj->kmi", symmetry(shape), np.asarray(others, dtype=np.float64))
    cosines = np.einsum("ni,kmi->nkm", np.asarray(directions, dtype=np.float64), every).max(axis=1)
    return np.arccos(np.clip(cosines, -1, 1))


def stereographic(shape: str, directions: ArrayLike) -> Array:
    """Where directions of the sector (n, 3) lie in the plane (n, 2): the first corner at 0, the second on the x
    axis."""
    first, second, _ = corners(shape)
    x = second - (second @ first) * first
    x /= np.linalg.norm(x)
    frame = np.stack([x, np.cross(first, x), first])
    turned = np.asarray(directions, dtype=np.float64) @ frame.T
    return turned[:, :2] / (1 + turned[:, 2:])
