"""Crystals that are no close-packed metal: lattices of other structure types, by cell and basis.

Cells and coordinates are those of the structure types (R. W. G. Wyckoff, Crystal Structures, 2nd ed., 1963). All
atoms are of one element: what a high-resolution image shows of a material first is its spacings and angles.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from facetem.atoms.lattices import Array

_FACES = ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))
_BODY = ((0, 0, 0), (0.5, 0.5, 0.5))
_HALF_Z = ((0, 0, 0.5),)


def _sum(*bases: tuple[tuple[float, ...], ...]) -> Array:
    """Every combination of the bases' vectors, added."""
    return np.array([np.sum(some, axis=0) for some in product(*bases)]) % 1.0


def _orthorhombic(a: float, b: float, c: float) -> Array:
    return np.diag([a, b, c])


def _hexagonal(c: float) -> Array:
    return np.array([[1, 0, 0], [-0.5, math.sqrt(0.75), 0], [0, 0, c]])


# Cell vectors (3, 3) in any unit and atoms (n, 3) in fractions of them.
STRUCTURES: dict[str, tuple[Array, Array]] = {
    "bcc": (np.eye(3), np.array(_BODY)),
    "diamond": (np.eye(3), _sum(_FACES, ((0, 0, 0), (0.25, 0.25, 0.25)))),
    "rutile": (
        _orthorhombic(1, 1, 0.644),
        np.array([*_BODY, (0.305, 0.305, 0), (0.695, 0.695, 0), (0.805, 0.195, 0.5), (0.195, 0.805, 0.5)]),
    ),
    "simple hexagonal": (_hexagonal(0.95), np.zeros((1, 3))),
    "rocksalt": (np.eye(3), _sum(_FACES, ((0, 0, 0), (0.5, 0.5, 0.5)))),
    "wurtzite": (
        _hexagonal(1.633),
        np.array([(1 / 3, 2 / 3, 0), (2 / 3, 1 / 3, 0.5), (1 / 3, 2 / 3, 0.375), (2 / 3, 1 / 3, 0.875)]),
    ),
    "fluorite": (np.eye(3), _sum(_FACES, ((0, 0, 0), (0.25, 0.25, 0.25), (0.75, 0.75, 0.75)))),
    "anatase": (
        _orthorhombic(1, 1, 2.514),
        _sum(_BODY, ((0, 0, 0), (0, 0.5, 0.25)), ((0, 0, 0), (0, 0, 0.208), (0, 0, -0.208))),
    ),
}
TRICLINIC = "triclinic"  # a cell of its own each time, with one to three atoms at random
SETS: dict[str, tuple[str, ...]] = {  # disjoint: what a network has learnt to refuse is no test of it
    "crystal": ("bcc", "diamond", "rutile", "simple hexagonal", TRICLINIC),
    "foreign crystal": ("rocksalt", "wurtzite", "fluorite", "anatase"),
}
DENSITY = (0.4, 1.1)  # atoms per volume, of the close-packed metal's


def crystal_sites(kind: str, reach: float, rng: np.random.Generator) -> tuple[Array, float]:
    """Sites (n, 3) within `reach` of the origin of a crystal of one of `SETS`, turned and shifted at random, and its
    density, in nearest-neighbour distances of the close-packed metal."""
    name = SETS[kind][rng.integers(len(SETS[kind]))]
    cell, basis = _triclinic(rng) if name == TRICLINIC else STRUCTURES[name]
    density = math.sqrt(2) * float(np.exp(rng.uniform(*np.log(DENSITY))))
    cell = cell * (len(basis) / density / abs(np.linalg.det(cell))) ** (1 / 3)
    # A sphere about the origin lies within so many cells either way: its radius over the distance of the cells' faces.
    most = np.ceil(reach * np.linalg.norm(np.linalg.inv(cell), axis=0)).astype(int) + 1
    cells = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij"), axis=-1).reshape(
        -1, 1, 3
    )
    sites = (cells + basis + rng.random(3)).reshape(-1, 3) @ cell
    sites = sites[np.linalg.norm(sites, axis=1) <= reach]
    return sites @ np.linalg.qr(rng.normal(size=(3, 3)))[0], density


def _triclinic(rng: np.random.Generator) -> tuple[Array, Array]:
    edges = rng.uniform(1, 1.8, 3)
    angles = np.radians(rng.uniform(70, 110, 3))
    cosines, sine = np.cos(angles), math.sin(angles[2])
    x = cosines[1]
    y = (cosines[0] - cosines[1] * cosines[2]) / sine
    axes = np.array([[1, 0, 0], [cosines[2], sine, 0], [x, y, math.sqrt(1 - x * x - y * y)]])
    n = int(rng.integers(1, 4))
    basis = (np.arange(n)[:, None] / n + rng.uniform(-0.1, 0.1, (n, 3))) % 1.0
    return edges[:, None] * axes, basis
