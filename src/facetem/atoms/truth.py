"""What is known exactly of a particle: its facets with indices and areas, its diameters, its rotations.

Facets are those of the polyhedron of the planes, of the volume that the atoms take in their crystal: before edges are
rounded, surfaces roughened and the lattice strained (by 1.2 % at most). A particle of whole layers differs from it by
a fraction of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.spatial import ConvexHull, HalfspaceIntersection, KDTree

from facetem.atoms.cut import BOND
from facetem.atoms.facets import Facets, Form, ball
from facetem.atoms.lattices import Array, Lattice, lattice_sites
from facetem.atoms.library import facets, family

HIGHEST_INDEX = 6
SAME = 1e-6  # of the radius: what lies closer is one point or one plane


@dataclass(frozen=True)
class Facet:
    """A face of a particle: indices (three, or four of a hexagonal crystal), outward normal (3,), area [Å2]."""

    indices: tuple[int, ...]
    normal: Array
    area: float

    @property
    def kind(self) -> str:
        """The family that the face belongs to, as in "111" or "10-11"."""
        if not self.indices:
            return "other"
        if len(self.indices) == 4:  # h, k, i in the one order that has all equivalents
            low, middle, high = sorted(abs(i) for i in self.indices[:3])
            return f"{middle}{low}{-high}{abs(self.indices[3])}"
        return "".join(str(i) for i in sorted((abs(i) for i in self.indices), reverse=True))


@dataclass(frozen=True)
class Truth:
    """The geometry of a particle. Lengths in Å.

    Parameters
    ----------
    facets : tuple of Facet
        Empty for a ball, a polycrystal and a glass.
    volume : float
    diameter, circumscribed : float
        Of the sphere of the same volume; of the smallest sphere (to 0.1 %) around the polyhedron.
    """

    facets: tuple[Facet, ...]
    volume: float
    diameter: float
    circumscribed: float

    def areas(self) -> dict[str, float]:
        """Area [Å2] of all faces of a family together, the largest first."""
        sums: dict[str, float] = {}
        for facet in self.facets:
            sums[facet.kind] = sums.get(facet.kind, 0.0) + facet.area
        return dict(sorted(sums.items(), key=lambda item: -item[1]))


def truth(shape: str, form: Form, *, diameter: float, lattice_constant: float) -> Truth:
    """The geometry of the member `form` of a shape.

    Parameters
    ----------
    diameter : float
        Volume-equivalent [Å].
    lattice_constant : float
        [Å]; it decides how many layers lie between several twin planes.

    Raises
    ------
    InputError
        If the shape is unknown or the form does not suit it.
    """
    planes, bond = facets(shape, form), lattice_constant / math.sqrt(2)
    scale, solids = _solids(planes, diameter / bond)
    corners = np.concatenate([v for v in solids if v is not None])
    faces = () if family(shape).planes is ball else _faces(planes, solids, scale, bond)
    return Truth(faces, math.pi / 6 * diameter**3, float(diameter), 2 * bond * _enclosing_radius(corners))


def polygons(
    shape: str, form: Form, *, diameter: float, lattice_constant: float
) -> list[tuple[str, NDArray[np.float64]]]:
    """The faces of the polyhedron of `truth`, to draw it: the kind of each ("111"; "" for those of a ball) and its
    corners (n, 3) [Å], in turn and anticlockwise as seen from outside, about the centre of the planes.

    A face that several twins share is given in its parts, one for each of them.

    Raises
    ------
    InputError
        As `truth`.
    """
    planes, bond = facets(shape, form), lattice_constant / math.sqrt(2)
    scale, solids = _solids(planes, diameter / bond)
    smooth = family(shape).planes is ball
    found = []
    for i, parts in _parts(planes, solids, scale):
        kind = "" if smooth else _facet(planes, i, parts, bond).kind
        rings = (_ring(points, planes.normals[i]) for points in parts.values())
        found += [(kind, ring * bond) for ring in rings if len(ring)]
    return found


def _solids(planes: Facets, diameter: float) -> tuple[float, list[Array | None]]:
    """The scale at which the planes enclose the volume of a sphere of `diameter` [nearest-neighbour distances], and the
    corners (n, 3) of each domain then."""
    volume = math.pi / 6 * diameter**3
    scale, solids = diameter / 2, list[Array | None]()
    # Layers between twin planes do not grow with the particle: its scale is found by iteration.
    for _ in range(20):
        solids = [_solid(planes, k, scale) for k in range(_bodies(planes.lattice))]
        growth = (volume / sum(ConvexHull(v).volume for v in solids if v is not None)) ** (1 / 3)
        if abs(growth - 1) < 1e-9:
            break
        scale *= growth
    return scale, solids


def _parts(
    planes: Facets, solids: list[Array | None], scale: float
) -> Iterator[tuple[int, dict[int, Array]]]:
    """Each plane that bounds something, with the corners (n, 3) of each domain which lie in it."""
    for i, normal in enumerate(planes.normals):
        parts = {
            k: corners[np.abs(corners @ normal - _reach(planes, k, scale)[i]) < SAME * scale]
            for k, corners in enumerate(solids)
            if corners is not None and planes.members[k, i]
        }
        if sum(_polygon_area(points, normal) for points in parts.values()) > SAME * scale**2:
            yield i, parts


def _facet(planes: Facets, i: int, parts: dict[int, Array], bond: float) -> Facet:
    """Plane `i` with the indices that it has in the domain of its largest part."""
    normal = planes.normals[i]
    areas = {k: _polygon_area(points, normal) for k, points in parts.items()}
    axes = planes.lattice.axes[max(areas, key=lambda k: areas[k])]
    indices = miller_indices(normal, axes, hexagonal=planes.lattice.hexagonal)
    return Facet(indices, normal, sum(areas.values()) * bond**2)


def _bodies(lattice: Lattice) -> int:
    """How many domains have a part of the space to themselves: the sublattices of a hexagonal crystal share it."""
    return 1 if lattice.hexagonal else len(lattice.cells)


def _solid(planes: Facets, k: int, scale: float) -> Array | None:
    """The corners (n, 3) of domain `k` at `scale` [nearest-neighbour distances], or None if nothing is left of it."""
    lattice, mine = planes.lattice, planes.members[k]
    rows = [np.column_stack([planes.normals[mine], -_reach(planes, k, scale)[mine]])]
    reciprocal = np.linalg.inv(lattice.cells[k]).T  # one covector a row
    first = reciprocal @ lattice.shifts[k]
    for sign, bound in ((-1.0, lattice.bounds[k, :, 0]), (1.0, lattice.bounds[k, :, 1])):
        ends = np.isfinite(bound)
        unit = np.linalg.norm(reciprocal[ends], axis=1, keepdims=True)
        offset = (bound + first)[ends, None]
        rows.append(sign * np.column_stack([reciprocal[ends], -offset]) / unit)
    halfspaces = np.concatenate(rows)
    # The centre of the largest ball inside: a linear programme.
    ball_rows = np.column_stack([halfspaces[:, :3], np.ones(len(halfspaces))])
    found = linprog([0, 0, 0, -1], ball_rows, -halfspaces[:, 3], bounds=[(None, None)] * 3 + [(0, None)])
    if found.status != 0 or found.x[3] < SAME * scale:
        return None
    corners = HalfspaceIntersection(halfspaces, found.x[:3]).intersections
    return corners[np.isfinite(corners).all(axis=1)]


def _reach(planes: Facets, k: int, scale: float) -> Array:
    """Distances (plane,) of the planes of domain `k` at `scale` [nearest-neighbour distances]."""
    return scale * planes.distances + (0.0 if planes.lags is None else planes.lags[k])


def _faces(planes: Facets, solids: list[Array | None], scale: float, bond: float) -> tuple[Facet, ...]:
    return tuple(_facet(planes, i, parts, bond) for i, parts in _parts(planes, solids, scale))


def _ring(points: Array, normal: Array) -> Array:
    """The corners (n, 3) of a convex polygon in turn, anticlockwise as seen against its normal, each of them once."""
    if len(points) < 3:
        return points[:0]
    first, second = np.linalg.svd(normal[None])[2][1:]
    if np.dot(np.cross(first, second), normal) < 0:
        first, second = second, first
    flat = (points - points.mean(axis=0)) @ np.stack([first, second]).T
    ring = points[np.argsort(np.arctan2(flat[:, 1], flat[:, 0]))]
    near = np.linalg.norm(ring - np.roll(ring, 1, axis=0), axis=1) < 1e-4 * np.linalg.norm(flat, axis=1).max()
    ring = ring[~near]
    return ring if len(ring) > 2 else ring[:0]


def _polygon_area(points: Array, normal: Array) -> float:
    """Area of the convex polygon whose corners (n, 3), some of them repeated, lie in a plane."""
    ring = _ring(points, normal)
    return (
        0.5 * float(np.linalg.norm(np.cross(ring, np.roll(ring, -1, axis=0)).sum(axis=0)))
        if len(ring)
        else 0.0
    )


def miller_indices(normal: Array, axes: Array, *, hexagonal: bool = False) -> tuple[int, ...]:
    """The smallest integers (h, k, l), or (h, k, i, l), of a plane; `axes` (3, 3) are the crystal's, one a row.

    Empty if none up to 6 fit to 0.12: the strain of an icosahedron turns the normals of its {110} by 0.106.
    """
    along = axes @ normal
    along = along / np.abs(along).max()
    for factor in range(1, HIGHEST_INDEX + 1):
        whole = np.rint(factor * along).astype(int)
        if np.abs(factor * along - whole).max() < 0.12:
            h, k, m = (int(i) for i in whole)
            return (h, k, -h - k, m) if hexagonal else (h, k, m)
    return ()


def _enclosing_radius(points: Array) -> float:
    """Radius of the smallest sphere around points (n, 3), to 0.1 % (Badoiu and Clarkson 2003)."""
    points = np.unique(np.round(points, 6), axis=0)
    centre, radius = points.mean(axis=0), math.inf
    for i in range(1, 1500):
        lengths = np.linalg.norm(points - centre, axis=1)
        farthest = int(lengths.argmax())
        radius = min(radius, float(lengths[farthest]))
        centre = centre + (points[farthest] - centre) / (i + 1)
    return radius


def rotation_group(shape: str, form: Form | None = None) -> Array:
    """The rotations (n, 3, 3) that turn a shape into itself, the identity first.

    Orientations R and R G of a particle, G of this group, look the same. The rotations are those that keep both the
    planes and the sites of the lattice around its origin; a polycrystal and a glass have the identity alone.

    Parameters
    ----------
    form : Form or None
        None: the ideal member. One with facets of random distances has hardly more than the identity.
    """
    kind = family(shape)
    planes = facets(shape, kind.ideal if form is None else form)
    if kind.disorder:
        return np.eye(3)[None]
    sites = np.concatenate(lattice_sites(planes.lattice, 6.0)) + planes.lattice.origins[0]
    near = sites[(np.linalg.norm(sites, axis=1) < 1.3) & (np.linalg.norm(sites, axis=1) > 0.5)]
    tree, inner = KDTree(sites), sites[np.linalg.norm(sites, axis=1) < 4.0]
    reach = KDTree(planes.normals * planes.distances[:, None])
    rotations = [
        r
        for r in _candidates(near)
        if reach.query(reach.data @ r.T)[0].max() < 1e-6 and tree.query(inner @ r.T)[0].max() < 1e-6
    ]
    return np.array(sorted(rotations, key=lambda r: -float(np.trace(r))))


def _candidates(vectors: Array) -> list[Array]:
    """The rotations that take the first two non-parallel `vectors` (n, 3) to some pair of them."""
    products = vectors @ vectors.T
    lengths = np.diag(products)
    j = int(np.argmax(np.abs(products[0]) < 0.9 * np.sqrt(lengths[0] * lengths)))
    first = _frame(vectors[0], vectors[j])
    same = (
        np.isclose(products, products[0, j])
        & np.isclose(lengths, lengths[0])[:, None]
        & np.isclose(lengths, lengths[j])
    )
    return [_frame(vectors[k], vectors[m]).T @ first for k, m in np.argwhere(same)]


def _frame(a: Array, b: Array) -> Array:
    """Right-handed orthonormal rows from two vectors."""
    x = a / np.linalg.norm(a)
    z = np.cross(a, b) / np.linalg.norm(np.cross(a, b))
    return np.stack([x, np.cross(z, x), z])


def group_name(rotations: Array) -> str:
    """Schoenflies symbol of a group of rotations (n, 3, 3): C1, C3, D3, D5, T, O or I and their like."""
    angles = np.arccos(np.clip((np.trace(rotations, axis1=1, axis2=2) - 1) / 2, -1, 1))
    n, highest = len(rotations), 1
    if n > 1:
        highest = round(2 * math.pi / float(angles[angles > 1e-6].min()))
    if n == highest:
        return f"C{n}"
    if n == 2 * highest:
        return f"D{highest}"
    return {12: "T", 24: "O", 60: "I"}.get(n, f"order {n}")


def coordination_histogram(atoms: Atoms) -> NDArray[np.int64]:
    """(13 or more,): how many atoms of a particle have 0, 1, ... neighbours within 1.2 bonds."""
    bond = float(atoms.info["lattice_constant"]) / math.sqrt(2)
    near = KDTree(atoms.positions).query_ball_point(atoms.positions, BOND * bond, return_length=True)
    return np.bincount(np.asarray(near) - 1, minlength=13)


def labels(particle: Atoms, form: Form) -> dict[str, object]:
    """What is known of a particle of `build_particle`, in plain numbers that survive an extxyz file [Å, Å2, Å3].

    "facets": area of each family; "volume", "circumscribed_diameter"; "coordination": atoms with 0, 1, ... neighbours;
    "symmetry": rotations of the ideal member, see `rotation_group`.
    """
    shape = str(particle.info["shape"])
    known = truth(
        shape, form, diameter=float(particle.info["diameter"]),
        lattice_constant=float(particle.info["lattice_constant"]),
    )  # fmt: skip
    group = rotation_group(shape)
    return {
        "facets": known.areas(),
        "volume": known.volume,
        "circumscribed_diameter": known.circumscribed,
        "coordination": coordination_histogram(particle).tolist(),
        "symmetry": f"{group_name(group)} of order {len(group)}",  # a bare T would be read as "true"
    }
