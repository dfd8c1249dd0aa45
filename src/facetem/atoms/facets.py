"""The eight shape families: which planes bound each shape, and how widely its members vary.

A plane is a unit normal and a distance; the particle of scale s is every site x of a domain with
`normal . x <= s * distance` for all planes of that domain. Only proportions matter here, never a size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from facetem.atoms.lattices import LATTICES, Array, icosahedron_faces, icosahedron_vertices
from facetem.core.errors import InputError

SHAPES: tuple[str, ...] = (
    "truncated_octahedron",
    "cuboctahedron",
    "octahedron",
    "cube",
    "tetrahedron",
    "icosahedron",
    "decahedron",
    "twin",
)


@dataclass(frozen=True)
class Form:
    """One member of a shape family; everything about it but its size and its random surface atoms.

    Parameters
    ----------
    ratio : float
        The main proportion. Single crystals and twin: d{100} / d{111}. Tetrahedron: part of an edge that is
        cut off at each tip. Decahedron: half-height on the axis per equatorial radius, counted in bonds (0.5:
        pentagonal bipyramid, 1: square {100} faces). Icosahedron: 1.
    cut : float
        The second proportion. Decahedron: depth of the re-entrant notch, 0 (Ino) to < 0.5 (Marks). Tetrahedron:
        {100} cut of the edges. Icosahedron: cut of the vertices. Others: unused.
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
        Part of the surface sites that are filled or left empty against the rule.
    strain : (6,)
        xx, yy, zz, yz, xz, xy of the homogeneous strain.
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

    def __post_init__(self) -> None:
        if not (math.isfinite(self.ratio) and self.ratio > 0):
            raise InputError(f"form ratio: expected a positive number, got {self.ratio!r}")
        if not 0 <= self.cut < 0.5:
            raise InputError(f"form cut: expected 0 <= cut < 0.5, got {self.cut!r}")
        if not self.rounding >= 4:
            raise InputError(f"form rounding: expected an exponent >= 4 or infinity, got {self.rounding!r}")
        if not (0 <= self.roughness <= 0.2 and 0 <= self.grain <= 1):
            raise InputError(
                f"form roughness and grain: expected 0 to 0.2 and 0 to 1, got {self.roughness!r}, {self.grain!r}"
            )
        if len(self.offset) != 3 or len(self.aspect) != 3 or len(self.strain) != 6:
            raise InputError("form offset, aspect and strain: expected 3, 3 and 6 numbers")

    def as_dict(self) -> dict[str, float | list[float]]:
        """Plain numbers and lists, for labels; infinite rounding becomes 0 (JSON has no infinity)."""
        values = {k: list(v) if isinstance(v, tuple) else float(v) for k, v in asdict(self).items()}
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
    """

    lattice: str
    normals: Array
    distances: Array
    members: NDArray[np.bool_]
    moves: Array


CUBE = np.concatenate([np.eye(3), -np.eye(3)])
OCTAHEDRON = np.array([[x, y, z] for x in (1, -1) for y in (1, -1) for z in (1, -1)]) / math.sqrt(3)
TETRAHEDRON = OCTAHEDRON[np.prod(OCTAHEDRON, axis=1) > 0]


def _everywhere(lattice: str, normals: Array, distances: Array) -> Facets:
    members = np.ones((len(LATTICES[lattice].cells), len(normals)), dtype=bool)
    return Facets(lattice, normals, distances, members, np.ones(len(normals)))


def _single_crystal(form: Form) -> Facets:
    return _everywhere("fcc", np.concatenate([CUBE, OCTAHEDRON]), np.repeat([form.ratio, 1.0], [6, 8]))


def _tetrahedron(form: Form) -> Facets:
    # Inradius 1: vertices at 3 opposite to a face, edge midpoints at sqrt(3) along <100>; height 4.
    distances = np.repeat([1.0, 3 - 4 * form.ratio, math.sqrt(3) * (1 - form.cut)], [4, 4, 6])
    return _everywhere("fcc", np.concatenate([TETRAHEDRON, -TETRAHEDRON, CUBE]), distances)


def _icosahedron(form: Form) -> Facets:
    vertices = icosahedron_vertices()
    faces = vertices[icosahedron_faces()].sum(axis=1)
    inradius = np.linalg.norm(faces, axis=1) / 3
    normals = np.concatenate([faces / (3 * inradius[:, None]), vertices])
    return _everywhere("icosahedral", normals, np.repeat([1.0, (1 - form.cut) / inradius[0]], [20, 12]))


def _decahedron(form: Form) -> Facets:
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
        "decahedral",
        covectors / lengths[:, None],
        np.array([p[2] for p in planes]) / lengths,
        members,
        np.array([p[3] for p in planes]),
    )


def _twin(form: Form) -> Facets:
    """A truncated octahedron with a {111} face along z above the twin plane, and its mirror image below."""
    # Cubic axes to the twin lattice's: both primitive cells are three vectors 60 degrees apart.
    rotation = np.linalg.inv(LATTICES["fcc"].cells[0]) @ LATTICES["twin"].cells[0]
    upper = np.concatenate([CUBE, OCTAHEDRON]) @ rotation
    members = np.zeros((2, 28), dtype=bool)
    members[0, :14] = members[1, 14:] = True
    # Only the two end faces move along z: the side faces keep meeting their mirror images in the twin plane.
    ends = (np.abs(upper[:, 2]) > 0.99).astype(float)
    return Facets(
        "twin",
        np.concatenate([upper, upper * [1, 1, -1]]),
        np.tile(np.repeat([form.ratio, 1.0], [6, 8]), 2),
        members,
        np.tile(ends, 2),
    )


@dataclass(frozen=True)
class Family:
    """The planes of a shape, its ideal member, the range of its main proportion and its centres.

    `n_origins` of the lattice's origins, from the first, have the symmetry of the ideal member.
    """

    facets: Callable[[Form], Facets]
    ideal: Form
    ratios: tuple[float, float]
    n_origins: int


# d{100} / d{111}: 1 / sqrt(3) is the cube, sqrt(3) / 2 the cuboctahedron, 2 / sqrt(3) the truncated octahedron
# with regular hexagons, sqrt(3) the octahedron.
FAMILIES: dict[str, Family] = {
    "truncated_octahedron": Family(_single_crystal, Form(ratio=2 / math.sqrt(3)), (1.03, 1.30), 2),
    "cuboctahedron": Family(_single_crystal, Form(ratio=math.sqrt(3) / 2), (0.78, 0.96), 2),
    "octahedron": Family(_single_crystal, Form(ratio=math.sqrt(3)), (1.42, 1.74), 2),
    "cube": Family(_single_crystal, Form(ratio=1 / math.sqrt(3)), (0.58, 0.70), 2),
    "tetrahedron": Family(_tetrahedron, Form(ratio=0.15), (0.05, 0.30), 4),
    "icosahedron": Family(_icosahedron, Form(ratio=1.0), (1.0, 1.0), 1),
    "decahedron": Family(_decahedron, Form(ratio=0.9, cut=0.2), (0.55, 1.5), 2),
    "twin": Family(_twin, Form(ratio=2 / math.sqrt(3)), (0.98, 1.30), 3),
}


def family(shape: str) -> Family:
    """The family of a named shape; `InputError` that lists the names if there is none."""
    if shape not in FAMILIES:
        raise InputError(f"shape: expected one of {', '.join(SHAPES)}; got {shape!r}")
    return FAMILIES[shape]


def facets(shape: str, form: Form) -> Facets:
    """The planes of `shape` with the form's proportions, offset, elongation and jitter applied.

    Raises
    ------
    InputError
        If the shape is unknown, the form's jitter has not one number per plane, or a plane would lie on the
        wrong side of the centre.
    """
    ideal = family(shape).facets(form)
    jitter = np.zeros(len(ideal.distances)) if not form.jitter else np.asarray(form.jitter)
    if jitter.shape != ideal.distances.shape:
        raise InputError(
            f"form jitter: expected {len(ideal.distances)} numbers for {shape}, got {len(jitter)}"
        )
    aspect = np.asarray(form.aspect)
    elongation = np.linalg.norm(aspect)
    along = (ideal.normals @ aspect) ** 2 / max(elongation, 1e-12)
    distances = ideal.distances * (1 + jitter) * (1 + along) + ideal.moves * (
        ideal.normals @ np.asarray(form.offset)
    )
    if distances.min() <= 0:
        raise InputError(
            f"form: expected every plane of the {shape} at a positive distance, got {distances.min():.3g}"
        )
    return Facets(ideal.lattice, ideal.normals, distances, ideal.members, ideal.moves)


def draw_form(shape: str, rng: np.random.Generator) -> Form:
    """A random member of the family of `shape`.

    Facet distances vary independently (3 to 6 %), the centre lies off the five-fold axis or the twin plane,
    the cut is elongated by up to 15 %, edges are rounded and the surface is rough for part of the members, and
    the lattice is strained by up to 1.2 %.

    Raises
    ------
    InputError
        If the shape is unknown.
    """
    kind = family(shape)
    ratio = float(rng.uniform(*kind.ratios))
    cut, offset = 0.0, np.zeros(3)
    if shape == "decahedron":
        ratio = float(np.exp(rng.uniform(*np.log(kind.ratios))))
        cut = float(rng.uniform(0.03, 0.38)) if rng.random() < 0.7 else 0.0
        azimuth = rng.uniform(0, 2 * math.pi)
        offset[:2] = (
            0.28 * math.sqrt(rng.random()) * rng.random() * np.array([math.cos(azimuth), math.sin(azimuth)])
        )
    elif shape == "twin":
        offset[2] = rng.uniform(-0.25, 0.25)
    elif shape == "tetrahedron":
        cut = float(rng.uniform(0.0, 0.12)) if rng.random() < 0.6 else 0.0
    elif shape == "icosahedron":
        cut = float(rng.uniform(0.0, 0.14)) if rng.random() < 0.5 else 0.0
        offset = rng.normal(size=3) * 0.03
    n_planes = len(kind.facets(kind.ideal).distances)
    jitter = np.clip(rng.normal(size=n_planes), -2, 2) * rng.uniform(0.005, 0.045)
    if shape == "twin":
        # Faces that meet in the twin plane move together, but for a step of about one layer.
        jitter[14:] = jitter[:14] + 0.3 * (jitter[14:] - jitter[:14])
    direction = rng.normal(size=3)
    elongation = min(abs(rng.normal()) * 0.06, 0.15)
    strain = np.concatenate(
        [rng.uniform(-0.009, 0.009) + rng.uniform(-0.003, 0.003, 3), rng.uniform(-0.002, 0.002, 3)]
    )
    return Form(
        ratio=ratio,
        cut=cut,
        offset=tuple(offset.tolist()),
        jitter=tuple(jitter.tolist()),
        aspect=tuple((elongation * direction / np.linalg.norm(direction)).tolist()),
        rounding=float(np.exp(rng.uniform(*np.log([12, 80])))) if rng.random() < 0.6 else math.inf,
        roughness=float(rng.uniform(0.002, 0.025)),
        grain=float(rng.uniform(0.0, 0.15)) if rng.random() < 0.5 else 0.0,
        strain=tuple(strain.tolist()),
    )
