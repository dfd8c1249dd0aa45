"""The atom sites that a particle can be cut from: one fcc crystal, a twin, five or twenty twinned sectors.

A lattice is a union of domains. A domain is the set of integer combinations of three primitive vectors,
some of them restricted to n >= 0 so that the domain ends at the twin plane that it shares with the next one.
Lengths are in units of the nearest-neighbour distance, and every lattice has the atomic volume of the crystal
(1/sqrt(2) in these units), so that a multiply twinned particle carries its misfit as strain, not as density.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Lattice:
    """Domains of a particle and the ways in which its origin may lie against the cutting planes.

    Parameters
    ----------
    cells : (domain, 3, 3)
        Primitive vectors, one per row [nearest-neighbour distances].
    bounded : (3,) of bool
        Lattice coordinates that are restricted to n >= 0.
    origins : (k, 3)
        Places of the cut's centre that can keep the symmetry of an ideal shape, the most symmetric first.
    free : (f, 3)
        Vectors along which the origin is arbitrary; a random one is their combination with weights in [0, 1).
    """

    name: str
    cells: Array
    bounded: tuple[bool, bool, bool]
    origins: Array
    free: Array


def fcc_lattice() -> Lattice:
    """One crystal, cubic axes along x, y, z."""
    half = math.sqrt(0.5)
    cell = half * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])
    # Atom and octahedral site have the full cubic symmetry, the two others that of the tetrahedron.
    origins = math.sqrt(2) * np.array([0.0, 0.5, 0.25, 0.75])[:, None] * np.ones(3)
    return Lattice("fcc", cell[None], (False, False, False), origins, cell)


def twin_lattice() -> Lattice:
    """Two crystals that are mirror images across the (111) plane z = 0, which they share."""
    cell = np.array([[1.0, 0, 0], [0.5, math.sqrt(0.75), 0], [0.5, math.sqrt(1 / 12), math.sqrt(2 / 3)]])
    mirror = cell * [1, 1, -1]
    third = (cell[0] + cell[1]) / 3
    return Lattice(
        "twin",
        np.stack([cell, mirror]),
        (False, False, True),
        np.stack([0 * third, third, 2 * third]),
        cell[:2],
    )


def decahedral_lattice() -> Lattice:
    """Five crystals around the common <110> axis z, each opened from 70.53 to 72 degrees."""
    axis = np.array([0.0, 0, 1])
    # |p|^2 sin(72 deg) |z| = 1 / sqrt(2) keeps the atomic volume.
    length = math.sqrt(math.sqrt(0.5) / math.sin(0.4 * math.pi))
    azimuth = 0.4 * math.pi * np.arange(6)
    rays = length * np.stack([np.cos(azimuth), np.sin(azimuth), 0 * azimuth], axis=1)
    cells = np.stack([np.stack([axis, rays[k] + axis / 2, rays[k + 1] + axis / 2]) for k in range(5)])
    return Lattice("decahedral", cells, (False, True, True), np.stack([0 * axis, axis / 2]), axis[None])


def icosahedral_lattice() -> Lattice:
    """Twenty crystals around a common atom (Mackay): radial bonds short, tangential bonds long by 5 %."""
    vertices = icosahedron_vertices()
    # Atomic volume: 20 sectors of 1/6 cell each fill the icosahedron of edge e: (5/12)(3 + sqrt 5) e^3.
    edge = (20 / 6 * math.sqrt(0.5) / (5 / 12 * (3 + math.sqrt(5)))) ** (1 / 3)
    radius = edge * math.sin(0.4 * math.pi)
    cells = radius * vertices[icosahedron_faces()]
    return Lattice("icosahedral", cells, (True, True, True), np.zeros((1, 3)), np.zeros((0, 3)))


def icosahedron_vertices() -> Array:
    """(12, 3) unit vectors."""
    golden = (1 + math.sqrt(5)) / 2
    signs = [(s, t) for s in (1, -1) for t in (golden, -golden)]
    points = [np.roll((0, s, t), k) for k in range(3) for s, t in signs]
    return np.array(points) / math.hypot(1, golden)


def icosahedron_faces() -> NDArray[np.int64]:
    """(20, 3) indices of the vertices of each face."""
    vertices = icosahedron_vertices()
    near = vertices @ vertices.T > 0.4
    np.fill_diagonal(near, False)
    faces = [
        (i, j, k)
        for i in range(12)
        for j in range(i + 1, 12)
        for k in range(j + 1, 12)
        if near[i, j] and near[j, k] and near[i, k]
    ]
    return np.array(faces)


LATTICES = {
    lattice.name: lattice
    for lattice in (fcc_lattice(), twin_lattice(), decahedral_lattice(), icosahedral_lattice())
}


def lattice_sites(name: str, radius: float) -> list[Array]:
    """All sites within `radius` [nearest-neighbour distances] of the origin, by domain: list of (n, 3).

    A site on a twin plane belongs to one domain only. Each array is sorted by distance and must not be
    written to (it is a view of a cache).
    """
    # Few distinct radii, so that drawing many sizes does not fill the cache.
    step = 1.25
    rounded = step ** math.ceil(math.log(max(radius, 8.0)) / math.log(step))
    return [
        sites[: np.searchsorted(distances, radius)] for sites, distances in _sites_by_distance(name, rounded)
    ]


@lru_cache(maxsize=24)
def _sites_by_distance(name: str, radius: float) -> tuple[tuple[Array, Array], ...]:
    lattice = LATTICES[name]
    domains = []
    for cell in lattice.cells:
        reciprocal = np.linalg.inv(cell)
        reach = np.ceil(radius * np.linalg.norm(reciprocal, axis=0)).astype(int)
        axes = [
            np.arange(0 if bounded else -r, r + 1) for bounded, r in zip(lattice.bounded, reach, strict=True)
        ]
        # One plane of the first coordinate at a time keeps the memory at that of the result.
        plane = np.stack(np.meshgrid(axes[1], axes[2], indexing="ij"), axis=-1).reshape(-1, 2) @ cell[1:]
        kept = []
        for n in axes[0]:
            layer = plane + n * cell[0]
            kept.append(layer[np.einsum("ij,ij->i", layer, layer) <= radius**2])
        domains.append(np.concatenate(kept))
    owner = np.repeat(np.arange(len(domains)), [len(d) for d in domains])
    sites = np.concatenate(domains)
    if len(domains) > 1:
        # Sites of different domains coincide exactly on the shared planes and are a bond apart elsewhere.
        keys = np.round(sites * 64).astype(np.int64) @ np.array([1, 1 << 20, 1 << 40])
        first = np.sort(np.unique(keys, return_index=True)[1])
        sites, owner = sites[first], owner[first]
    distances = np.linalg.norm(sites, axis=1)
    result = []
    for k in range(len(domains)):
        mine = np.flatnonzero(owner == k)
        mine = mine[np.argsort(distances[mine], kind="stable")]
        pair = sites[mine], distances[mine]
        for array in pair:
            array.setflags(write=False)
        result.append(pair)
    return tuple(result)
