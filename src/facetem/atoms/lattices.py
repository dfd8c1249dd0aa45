"""The atom sites that a particle can be cut from: a crystal, a stack of close-packed layers, multiply twinned sectors.

A lattice is a union of domains. A domain is a shift plus the integer combinations of three primitive vectors, some of
them bounded so that the domain ends at the plane that it shares with the next one. Lengths are in units of the
nearest-neighbour distance, and every lattice has the atomic volume of the crystal (1/sqrt(2) in these units), so that
a multiply twinned particle carries its misfit as strain, not as density.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# From lattice coordinates of three primitive vectors that are 60 degrees apart to cubic axes.
CUBIC = np.array([[-1.0, 1, 1], [1, -1, 1], [1, 1, -1]])


@dataclass(frozen=True, eq=False)
class Lattice:
    """Domains of a particle and the ways in which its origin may lie against the cutting planes.

    Parameters
    ----------
    cells : (domain, 3, 3)
        Primitive vectors, one per row [nearest-neighbour distances].
    bounds : (domain, 3, 2)
        Lowest and highest value of each lattice coordinate; infinite where the domain does not end.
    origins : (k, 3)
        Places of the cut's centre that can keep the symmetry of an ideal shape, the most symmetric first.
    free : (f, 3)
        Vectors along which the origin is arbitrary; a random one is their combination with weights in [0, 1).
    shifts : (domain, 3)
        Site of each domain with lattice coordinates 0.
    axes : (domain, 3, 3)
        Conventional axes for Miller indices, one per row: cubic, or a1, a2, c of a hexagonal lattice.
    hexagonal : bool
    """

    name: str
    cells: Array
    bounds: Array
    origins: Array
    free: Array
    shifts: Array
    axes: Array
    hexagonal: bool = False

    @property
    def scales(self) -> bool:
        """Whether the domains look the same at every size: all of them end in planes through the origin."""
        ends = self.bounds[np.isfinite(self.bounds)]
        return not self.shifts.any() and not ends.any()


def _lattice(
    name: str, cells: Array, bounded: tuple[bool, bool, bool], origins: Array, free: Array
) -> Lattice:
    """Domains of cubic crystals that end, where `bounded`, in planes through the origin."""
    bounds = np.full((len(cells), 3, 2), [-np.inf, np.inf])
    bounds[:, bounded, 0] = 0
    return Lattice(name, cells, bounds, origins, free, np.zeros((len(cells), 3)), CUBIC @ cells)


def fcc_lattice() -> Lattice:
    """One crystal, cubic axes along x, y, z."""
    half = math.sqrt(0.5)
    cell = half * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])
    # Atom and octahedral site have the full cubic symmetry, the two others that of the tetrahedron.
    origins = math.sqrt(2) * np.array([0.0, 0.5, 0.25, 0.75])[:, None] * np.ones(3)
    return _lattice("fcc", cell[None], (False, False, False), origins, cell)


@lru_cache(maxsize=64)
def stacked_lattice(flips: tuple[int, ...]) -> Lattice:
    """Close-packed layers along z whose stacking turns from ABC to ACB, or back, at the layers `flips` (ascending).

    One flip is a twin plane, which both crystals share; several are parallel twins; two at neighbouring layers are
    an intrinsic stacking fault. The stacking just above layer 0 is ABC; z = 0 is the mean height of the flips.
    """
    edge = np.array([[1.0, 0, 0], [0.5, math.sqrt(0.75), 0]])
    third = (edge[0] + edge[1]) / 3
    middle = sum(flip <= 0 for flip in flips)  # the domain just above layer 0
    turns = (-1.0) ** (np.arange(len(flips) + 1) - middle)  # 1: ABC, -1: ACB
    steps = turns[:, None] * third + np.array([0, 0, math.sqrt(2 / 3)])
    shifts = np.zeros((len(turns), 3))
    for k, flip in enumerate(flips):  # neighbours meet in the layer of the flip
        shifts[k + 1] = shifts[k] + flip * (steps[k] - steps[k + 1])
    bounds = np.full((len(turns), 3, 2), [-np.inf, np.inf])
    bounds[1:, 2, 0] = bounds[:-1, 2, 1] = flips
    shifts -= shifts[middle]
    mean = sum(flips) / max(len(flips), 1)
    # Where layers are A, B or C (0, 1, 2). Half a turn about an axis in the plane z = 0 keeps a layer that lies there
    # if it is centred on one of its atoms, and swaps the two layers around it if it is centred on neither's.
    around = [
        np.rint(_at_layer(layer, flips, shifts, steps) @ third * 3)
        for layer in {math.floor(mean), math.ceil(mean)}
    ]
    centre = around[0] if len(around) == 1 else -sum(around)
    shifts[:, 2] -= mean * math.sqrt(2 / 3)
    cells = np.stack([np.stack([*edge, step]) for step in steps])
    # Three vectors 60 degrees apart, for the cubic axes: those in the layer point the other way under a turned step.
    acute = cells * np.stack([turns, turns, np.abs(turns)], axis=1)[:, :, None]
    return Lattice(
        f"stack({','.join(str(flip) for flip in flips)})",
        cells,
        bounds,
        np.stack([-((centre + k) % 3) * third for k in range(3)]),
        edge,
        shifts,
        np.asarray(CUBIC @ acute, dtype=np.float64),
    )


def _at_layer(layer: int, flips: tuple[int, ...], shifts: Array, steps: Array) -> Array:
    """Where (3,) the first site of a layer of a stack lies."""
    k = sum(flip <= layer for flip in flips)
    return shifts[k] + layer * steps[k]


def hcp_lattice() -> Lattice:
    """Hexagonal close packing with the ideal c/a, c along z: two sublattices, each a domain of its own."""
    edge = np.array([[1.0, 0, 0], [0.5, math.sqrt(0.75), 0], [0, 0, 2 * math.sqrt(2 / 3)]])
    shift = np.array([0.5, math.sqrt(1 / 12), math.sqrt(2 / 3)])
    axes = edge.copy()
    axes[1, 0] = -0.5  # 120 degrees from a1
    bounds = np.full((2, 3, 2), [-np.inf, np.inf])
    cells, shifts = np.stack([edge, edge]), np.stack([0 * shift, shift])
    return Lattice(
        "hcp", cells, bounds, np.zeros((1, 3)), edge, shifts, np.stack([axes, axes]), hexagonal=True
    )


def decahedral_lattice() -> Lattice:
    """Five crystals around the common <110> axis z, each opened from 70.53 to 72 degrees."""
    axis = np.array([0.0, 0, 1])
    # |p|^2 sin(72 deg) |z| = 1 / sqrt(2) keeps the atomic volume.
    length = math.sqrt(math.sqrt(0.5) / math.sin(0.4 * math.pi))
    azimuth = 0.4 * math.pi * np.arange(6)
    rays = length * np.stack([np.cos(azimuth), np.sin(azimuth), 0 * azimuth], axis=1)
    cells = np.stack([np.stack([axis, rays[k] + axis / 2, rays[k + 1] + axis / 2]) for k in range(5)])
    return _lattice("decahedral", cells, (False, True, True), np.stack([0 * axis, axis / 2]), axis[None])


def icosahedral_lattice() -> Lattice:
    """Twenty crystals around a common atom (Mackay): radial bonds short, tangential bonds long by 5 %."""
    vertices = icosahedron_vertices()
    # Atomic volume: 20 sectors of 1/6 cell each fill the icosahedron of edge e: (5/12)(3 + sqrt 5) e^3.
    edge = (20 / 6 * math.sqrt(0.5) / (5 / 12 * (3 + math.sqrt(5)))) ** (1 / 3)
    radius = edge * math.sin(0.4 * math.pi)
    cells = radius * vertices[icosahedron_faces()]
    return _lattice("icosahedral", cells, (True, True, True), np.zeros((1, 3)), np.zeros((0, 3)))


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
    for lattice in (
        fcc_lattice(),
        stacked_lattice((0,)),
        hcp_lattice(),
        decahedral_lattice(),
        icosahedral_lattice(),
    )
}


def lattice_sites(lattice: Lattice, radius: float) -> list[Array]:
    """All sites within `radius` [nearest-neighbour distances] of the origin, by domain: list of (n, 3).

    A site on a twin plane belongs to one domain only. Each array is sorted by distance and must not be
    written to (it is a view of a cache).
    """
    # Few distinct radii, so that drawing many sizes does not fill the cache.
    step = 1.25
    rounded = step ** math.ceil(math.log(max(radius, 8.0)) / math.log(step))
    return [
        sites[: np.searchsorted(distances, radius)]
        for sites, distances in _sites_by_distance(lattice, rounded)
    ]


@lru_cache(maxsize=24)
def _sites_by_distance(lattice: Lattice, radius: float) -> tuple[tuple[Array, Array], ...]:
    domains = [_domain_sites(lattice, k, radius) for k in range(len(lattice.cells))]
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


def _domain_sites(lattice: Lattice, k: int, radius: float) -> Array:
    """The sites (n, 3) of domain `k` within `radius` of the origin, those that it shares included."""
    cell, shift = lattice.cells[k], lattice.shifts[k]
    reciprocal = np.linalg.inv(cell)
    middle, reach = -shift @ reciprocal, radius * np.linalg.norm(reciprocal, axis=0)
    low = np.maximum(np.ceil(middle - reach), lattice.bounds[k, :, 0]).astype(int)
    high = np.minimum(np.floor(middle + reach), lattice.bounds[k, :, 1]).astype(int)
    axes = [np.arange(a, b + 1) for a, b in zip(low, high, strict=True)]
    # One plane of the first coordinate at a time keeps the memory at that of the result.
    plane = np.stack(np.meshgrid(axes[1], axes[2], indexing="ij"), axis=-1).reshape(-1, 2) @ cell[1:] + shift
    kept = [np.empty((0, 3))]
    for n in axes[0]:
        layer = plane + n * cell[0]
        kept.append(layer[np.einsum("ij,ij->i", layer, layer) <= radius**2])
    return np.concatenate(kept)
