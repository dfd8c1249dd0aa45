"""The planes that bound each shape: a `Form` becomes `Facets`.

A plane is a unit normal and a distance; the particle of scale s is every site x of a domain with
`normal . x <= s * distance` for all planes of that domain. Only proportions matter here, never a size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise, permutations, product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import HalfspaceIntersection

from facetem.atoms.lattices import (
    LATTICES,
    Array,
    Lattice,
    icosahedron_faces,
    icosahedron_vertices,
    stacked_lattice,
)
from facetem.core.errors import InputError

FCC, HCP = LATTICES["fcc"], LATTICES["hcp"]


@dataclass(frozen=True)
class Form:
    """One member of a shape family; everything about it but its size and its random surface atoms.

    Parameters
    ----------
    ratio : float
        The main proportion. Cubic crystals, twins and faulted ones: d{100} / d{111}. Tetrahedron: part of an edge
        that is cut off at each tip. Decahedra: half-height on the axis per equatorial radius, counted in bonds
        (0.5: pentagonal bipyramid, 1: square {100} faces). Rhombic dodecahedron: d{100} / d{110}. Plates:
        thickness per width, between the twin plane's opposite edges. Hcp: d{0001} / d{10-11}. Polycrystal: grain
        diameter per particle diameter. Others: 1.
    cut : float
        The second proportion. Decahedra: depth of the re-entrant notch, 0 (Ino) to < 0.5 (Marks). Tetrahedron:
        {100} cut of the edges. Icosahedron: cut of the vertices. Plates: part of an edge of the triangle that is
        cut off at each tip (1/3: hexagon). Hcp: {10-10} cut of the waist. Winterbottom: part of the free crystal's
        height that the substrate takes away. Others: unused.
    offset : (3,)
        Centre of the cut against the five-fold axis or twin plane, per {111} distance (decahedron: per radius).
    jitter : (plane,) or empty
        Relative change of every facet's distance.
    aspect : (3,)
        Relative elongation along its direction, as a vector: (0, 0, 0.1) is 10 % along z.
    rounding : float
        Exponent p of the norm that joins the planes: infinity leaves edges sharp, 12 rounds them strongly.
    roughness : float
        Amplitude of a smooth random function of direction, relative to the radius.
    grain : float
        Part of the sites whose turn is shuffled by up to a layer: a fifth of it are missing from the surface, from
        faces, edges and corners alike, and as many lie on it (measured: 0.15 gives 3 % of the surface atoms each).
    strain : (6,)
        xx, yy, zz, yz, xz, xy of the homogeneous strain.
    energies : (family, 4)
        h, k, l and surface energy of each {hkl}, in any unit: Wulff and Winterbottom shapes.
    flips : (twin,) of int
        Layers at which the stacking turns, from the one in the middle: see `stacked_lattice`.
    centres : (below, above)
        Twin: each half is part of a truncated octahedron, whose centre is so far from the twin plane, per {111}
        distance. Positive: within its half, which is then more than half of it, with a deeper groove between the two;
        negative: beyond the plane. (c, -c): the two parts of one truncated octahedron, cut off its centre.
    substrate : (3,)
        Cubic indices of the face that a Winterbottom shape lies on.
    """

    ratio: float
    cut: float = 0.0
    offset: tuple[float, ...] = (0.0, 0.0, 0.0)
    jitter: tuple[float, ...] = ()
    aspect: tuple[float, ...] = (0.0, 0.0, 0.0)
    rounding: float = math.inf
    roughness: float = 0.0
    grain: float = 0.0
    strain: tuple[float, ...] = (0.0,) * 6
    energies: tuple[tuple[float, ...], ...] = ()
    flips: tuple[int, ...] = ()
    centres: tuple[float, ...] = (0.0, 0.0)
    substrate: tuple[float, ...] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.ratio) and self.ratio > 0):
            raise InputError(f"form ratio: expected a positive number, got {self.ratio!r}")
        if not 0 <= self.cut < 1:
            raise InputError(f"form cut: expected 0 <= cut < 1, got {self.cut!r}")
        if not self.rounding >= 4:
            raise InputError(f"form rounding: expected an exponent >= 4 or infinity, got {self.rounding!r}")
        if not (0 <= self.roughness <= 0.2 and 0 <= self.grain <= 1):
            raise InputError(
                f"form roughness and grain: expected 0 to 0.2 and 0 to 1, got {self.roughness!r}, {self.grain!r}"
            )
        if len(self.offset) != 3 or len(self.aspect) != 3 or len(self.strain) != 6:
            raise InputError("form offset, aspect and strain: expected 3, 3 and 6 numbers")
        if len(self.centres) != 2 or not all(abs(centre) < 0.5 for centre in self.centres):
            raise InputError(f"form centres: expected two numbers between -0.5 and 0.5, got {self.centres!r}")
        if len(self.substrate) != 3 or not any(self.substrate):
            raise InputError(f"form substrate: expected three indices, got {self.substrate!r}")
        for row in self.energies:
            if len(row) != 4 or not any(row[:3]) or not 0 < row[3] < math.inf:
                raise InputError(f"form energies: expected h, k, l and a positive energy, got {row!r}")
        if any(low >= high for low, high in pairwise(self.flips)):
            raise InputError(f"form flips: expected ascending layers, got {self.flips!r}")

    def as_dict(self) -> dict[str, float | list[float] | list[list[float]]]:
        """Plain numbers and lists, for labels; infinite rounding becomes 0 (JSON has no infinity)."""
        values = {k: list(v) if isinstance(v, tuple) else float(v) for k, v in vars(self).items()}
        values["energies"] = [list(row) for row in self.energies]
        return {**values, "rounding": self.rounding if math.isfinite(self.rounding) else 0.0}


@dataclass(frozen=True)
class Facets:
    """The planes of a shape on its lattice.

    Parameters
    ----------
    normals : (plane, 3), distances : (plane,)
        Unit normals and distances at scale 1.
    members : (domain, plane) of bool
        Planes that cut each domain.
    moves : (plane,) of float
        Part of the form's offset that each plane follows.
    partners : (plane,) of int
        A plane's mirror image, if an earlier plane is one; else the plane itself.
    lags : (domain, plane) or None
        Lengths [nearest-neighbour distances] by which a domain's planes lie further out, whatever the scale.
    """

    lattice: Lattice
    normals: Array
    distances: Array
    members: NDArray[np.bool_]
    moves: Array
    partners: NDArray[np.int64]
    lags: Array | None = None

    def covectors(self, domain: int) -> tuple[Array, Array | None]:
        """g (plane, 3) and lag (plane,) of a domain: the critical scale of a site x is the largest g . x - lag."""
        mine = self.members[domain]
        distances = self.distances[mine]
        lag = None if self.lags is None else self.lags[domain, mine] / distances
        return self.normals[mine] / distances[:, None], lag


def equivalents(*indices: float) -> Array:
    """The unit normals (n, 3) of the cubic family {hkl}: 6 of {100}, 12 of {110}, 8 of {111}, 24 or 48."""
    signed = {
        tuple(sign * value for sign, value in zip(signs, order, strict=True))
        for order in permutations(indices)
        for signs in product((1.0, -1.0), repeat=3)
    }
    return np.array(sorted(signed, reverse=True)) / np.linalg.norm(indices)


CUBE = np.concatenate([np.eye(3), -np.eye(3)])
OCTAHEDRON = np.array([[x, y, z] for x in (1, -1) for y in (1, -1) for z in (1, -1)]) / math.sqrt(3)
TETRAHEDRON = OCTAHEDRON[np.prod(OCTAHEDRON, axis=1) > 0]
# All directions of low indices, no more than 10 degrees apart: as good as a ball of any size that is built here.
BALL = np.concatenate(
    [
        equivalents(*hkl)
        for hkl in product(range(4), repeat=3)
        if any(hkl) and list(hkl) == sorted(hkl) and math.gcd(*hkl) == 1
    ]
)


def everywhere(lattice: Lattice, normals: Array, distances: Array) -> Facets:
    """Planes that cut every domain and follow the offset."""
    members = np.ones((len(lattice.cells), len(normals)), dtype=bool)
    return Facets(lattice, normals, distances, members, np.ones(len(normals)), np.arange(len(normals)))


def cubic(form: Form) -> Facets:
    return everywhere(FCC, np.concatenate([CUBE, OCTAHEDRON]), np.repeat([form.ratio, 1.0], [6, 8]))


def ball(form: Form) -> Facets:
    return everywhere(FCC, BALL, np.ones(len(BALL)))


def wulff(form: Form) -> Facets:
    """Distances proportional to the surface energies (Wulff 1901)."""
    if not form.energies:
        raise InputError("form energies: expected at least one of h, k, l and a surface energy, got none")
    families = [equivalents(*row[:3]) for row in form.energies]
    distances = [np.full(len(f), row[3]) for f, row in zip(families, form.energies, strict=True)]
    everything = np.concatenate(distances)
    return everywhere(FCC, np.concatenate(families), everything / everything.min())


def winterbottom(form: Form) -> Facets:
    """A Wulff shape less the part below a substrate; its centre moves to the middle of what is left."""
    free = wulff(form)
    normal = np.asarray(form.substrate) / np.linalg.norm(form.substrate)
    halfspaces = np.column_stack([free.normals, -free.distances])
    reach = float((HalfspaceIntersection(halfspaces, np.zeros(3)).intersections @ normal).max())
    normals = np.concatenate([free.normals, -normal[None]])
    distances = np.append(free.distances, reach * (1 - 2 * form.cut))
    return everywhere(FCC, normals, distances - normals @ normal * reach * form.cut)


def rhombic_dodecahedron(form: Form) -> Facets:
    # {110} at 1: the acute corners lie along <100> at sqrt(2).
    rhombs = equivalents(1, 1, 0)
    return everywhere(FCC, np.concatenate([rhombs, CUBE]), np.repeat([1.0, form.ratio], [12, 6]))


def tetrahedron(form: Form) -> Facets:
    # Inradius 1: vertices at 3 opposite to a face, edge midpoints at sqrt(3) along <100>; height 4.
    distances = np.repeat([1.0, 3 - 4 * form.ratio, math.sqrt(3) * (1 - form.cut)], [4, 4, 6])
    return everywhere(FCC, np.concatenate([TETRAHEDRON, -TETRAHEDRON, CUBE]), distances)


def icosahedron(form: Form) -> Facets:
    vertices = icosahedron_vertices()
    faces = vertices[icosahedron_faces()].sum(axis=1)
    inradius = np.linalg.norm(faces, axis=1) / 3
    normals = np.concatenate([faces / (3 * inradius[:, None]), vertices])
    distances = np.repeat([1.0, (1 - form.cut) / inradius[0]], [20, 12])
    return everywhere(LATTICES["icosahedral"], normals, distances)


def decahedron(form: Form) -> Facets:
    """In a domain, n = (n1, n2, n3) in units of the radius.

    Side n2 + n3 <= 1, notch n2 <= 1 - cut and n3 <= 1 - cut, caps -ratio <= n1 and n1 + n2 + n3 <= ratio.
    """
    lattice = LATTICES["decahedral"]
    planes = []
    for k, cell in enumerate(lattice.cells):
        b1, b2, b3 = np.linalg.inv(cell).T
        planes += [
            (k, b2 + b3, 1.0, 1.0),
            (k, b2, 1 - form.cut, 1.0),
            (k, b3, 1 - form.cut, 1.0),
            # Caps stay centred on the axis, where the five of each end meet, and bound all domains.
            (-1, b1 + b2 + b3, form.ratio, 0.0),
            (-1, -b1, form.ratio, 0.0),
        ]
    owner = np.array([p[0] for p in planes])
    covectors = np.array([p[1] for p in planes])
    lengths = np.linalg.norm(covectors, axis=1)
    members = (owner[None] == np.arange(5)[:, None]) | (owner[None] < 0)
    return Facets(
        lattice,
        covectors / lengths[:, None],
        np.array([p[2] for p in planes]) / lengths,
        members,
        np.array([p[3] for p in planes]),
        np.arange(len(planes)),
    )


# Cubic axes to those of a stack: both primitive cells are three vectors 60 degrees apart.
_UPRIGHT = np.concatenate([CUBE, OCTAHEDRON]) @ np.linalg.inv(FCC.cells[0]) @ stacked_lattice(()).cells[0]


def _stacked(form: Form, distances: Array) -> Facets:
    """Layers along z, with {100} and {111} planes at `distances` (14,) in the middle, mirrored beyond a twin plane.

    The side faces meet in every twin plane: those of a domain are the middle one's, reflected in the twin planes
    between the two. The two end faces stay where they are.
    """
    lattice = stacked_lattice(form.flips)
    turned = lattice.cells[:, 2, 0] < 0
    members = np.repeat(np.stack([~turned, turned], axis=1), 14, axis=1)
    normals = np.concatenate([_UPRIGHT, _UPRIGHT * [1, 1, -1]])
    ends = (np.abs(normals[:, 2]) > 0.99).astype(float)
    lags = -np.outer(_folds(form.flips) * np.where(turned, -1, 1), normals[:, 2]) * (1 - ends)
    return Facets(
        lattice,
        normals,
        np.tile(distances, 2),
        members,
        ends,
        np.tile(np.arange(14), 2),
        lags if lags.any() else None,
    )


def _folds(flips: tuple[int, ...]) -> Array:
    """t (domain,) of the reflections z -> +-z + t that take each domain to the middle one's height."""
    heights = [(flip - sum(flips) / len(flips)) * math.sqrt(2 / 3) for flip in flips]
    middle = sum(flip <= 0 for flip in flips)
    folds = np.zeros(len(flips) + 1)
    for step, edge in ((1, 0), (-1, -1)):
        sign, k = 1.0, middle
        while 0 <= k + step <= len(flips):
            # z' = -z + 2 h first, then what the nearer domain does with z'.
            folds[k + step] = folds[k] + sign * 2 * heights[k + edge]
            sign, k = -sign, k + step
    return folds


def twinned(form: Form) -> Facets:
    """Truncated octahedra with {111} faces along z, in turns with their mirror images."""
    planes = _stacked(form, np.repeat([form.ratio, 1.0], [6, 8]))
    if not any(form.centres):
        return planes
    below, above = form.centres
    return replace(
        planes, distances=planes.distances + planes.normals[:, 2] * ([-below, above] @ planes.members)
    )


def faulted(form: Form) -> Facets:
    """A truncated octahedron, through which the stacking fault runs without a notch."""
    lattice = stacked_lattice(form.flips)
    normals = _UPRIGHT * [1, 1, np.sign(lattice.cells[0, 2, 0])]
    return everywhere(lattice, normals, np.repeat([form.ratio, 1.0], [6, 8]))


def plate(form: Form) -> Facets:
    """Two {111} faces at +-ratio and, around the twin plane, three ridges of {111} at radius 1 and three grooves.

    The groove, of {111} below and {100} above, is half as deep as the plate is thick. The triangle of inradius 1
    has its tips at 2; the grooves cut them off at 2 - 3 cut.
    """
    height = _UPRIGHT[:, 2]
    across = np.sqrt(np.clip(1 - height**2, 0, None))
    square = np.arange(14) < 6
    groove = np.where(square, height > 0, height < 0)
    radius = np.where(groove, 2 - 3 * form.cut, 1.0)
    # The groove's {100} meets its {111} halfway up: their slopes are 0.707 and 0.354.
    radius = np.where(groove & square, radius + 0.53 * form.ratio, radius)
    # Below the ridge {100} would cut nothing.
    radius = np.where(~groove & square, radius + form.ratio, radius)
    return _stacked(form, np.where(across < 1e-6, form.ratio, radius * across))


def hcp_bipyramid(form: Form) -> Facets:
    reciprocal = np.linalg.inv(HCP.axes[0])  # columns b1, b2, b3
    around = np.array([[1.0, 0], [0, 1], [-1, 1], [-1, 0], [0, -1], [1, -1]])
    pyramid = np.array([[*hk, s] for s in (1.0, -1.0) for hk in around]) @ reciprocal.T
    prism = np.column_stack([around, np.zeros(6)]) @ reciprocal.T
    normals = np.concatenate([pyramid, prism, [[0, 0, 1], [0, 0, -1]]])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    waist = 1 / math.sqrt(1 - normals[0, 2] ** 2)
    return everywhere(HCP, normals, np.repeat([1.0, waist * (1 - form.cut), form.ratio], [12, 6, 2]))


def varied(ideal: Facets, form: Form) -> Facets:
    """The planes with the form's offset, elongation and jitter applied.

    Raises
    ------
    InputError
        If the form's jitter has not one number per plane, or a plane would lie on the wrong side of the centre.
    """
    jitter = np.zeros(len(ideal.distances)) if not form.jitter else np.asarray(form.jitter)
    if jitter.shape != ideal.distances.shape:
        raise InputError(f"form jitter: expected {len(ideal.distances)} numbers, got {len(jitter)}")
    aspect = np.asarray(form.aspect)
    elongation = np.linalg.norm(aspect)
    along = (ideal.normals @ aspect) ** 2 / max(elongation, 1e-12)
    distances = ideal.distances * (1 + jitter) * (1 + along) + ideal.moves * (
        ideal.normals @ np.asarray(form.offset)
    )
    if distances.min() <= 0:
        raise InputError(f"form: expected every plane at a positive distance, got {distances.min():.3g}")
    return replace(ideal, distances=distances)
