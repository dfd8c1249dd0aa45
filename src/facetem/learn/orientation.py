"""How a particle lies, as numbers that a network can learn: symmetric by construction.

Orientations that a shape's symmetry makes alike are one orientation, and an image cannot tell a particle from its
mirror image along the beam. A network that answers with a rotation would have to choose among all of them. Here it
answers with moments of the sphere: the real spherical harmonics Y_lm, up to degree `DEGREE`, averaged over the normals
of the particle's {100} faces (of its {111} faces where it has none). Equal orientations have equal moments, and the
moments with odd l + m, which change sign in the mirror, are left out. `find_orientation` turns moments back
into a rotation, the one whose moments are nearest.

The single crystals share one set of normals, since what is seen is their lattice: the cube axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, product

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from facetem.atoms.library import family
from facetem.atoms.placement import draw_rotations, quaternions, zone_axes
from facetem.atoms.truth import rotation_group, truth

Array = NDArray[np.float64]

FAMILIES: dict[str, tuple[str, ...]] = {
    "single crystal": ("truncated_octahedron", "cuboctahedron", "octahedron", "cube", "tetrahedron"),
    "singly twinned": ("twin",),
    "decahedral": ("decahedron",),
    "icosahedral": ("icosahedron",),
}
# Whose faces stand for a family's, and whose rotations are its symmetry.
PROTOTYPES = {
    "single crystal": "cuboctahedron",
    "singly twinned": "twin",
    "decahedral": "ino_decahedron",
    "icosahedral": "icosahedron",
}
DEGREE = 6  # the lowest that tells how an icosahedron lies
MOMENTS: tuple[tuple[int, int], ...] = tuple(
    (degree, order)
    for degree in range(2, DEGREE + 1)
    for order in range(-degree, degree + 1)
    if (degree + order) % 2 == 0
)
ROTATIONS = 12_000  # that moments are compared with at first: 9 degrees apart, 3 for a cubic crystal
SMALL_STEP = 1e-5  # rad: of central differences
TOLD = 15.0  # deg: an orientation that is typically farther off is not worth being told
CLOSE = 1e-4  # rad: a step that ends the search
MOST_STEPS = 100
AT_ONCE = 256  # of them whose moments are taken: ten times as quick as all at once
STARTS = 4  # of them that are improved
INVERSION, MIRROR = -np.eye(3), np.diag([1.0, 1.0, -1.0])


@dataclass(frozen=True)
class Orientation:
    """How a particle lies.

    Parameters
    ----------
    quaternion : (w, x, y, z)
        Unit, w >= 0: from the shape's axes (cubic axes; five-fold axis or twin normal along z) to the image's x, y and
        the beam.
    zone : (u, v, w) or None
        The zone axis of a single crystal that is nearest to the beam.
    zone_angle : float or None
        Between it and the beam [deg].
    fit : float
        The correlation of this orientation's moments with those that the network saw: 1 at best.
    error : float or None
        How far such orientations are typically off [deg], see `facetem.learn.lying`; None if that is not known.
    """

    quaternion: tuple[float, float, float, float]
    zone: tuple[int, int, int] | None
    zone_angle: float | None
    fit: float
    error: float | None = None

    @property
    def told(self) -> bool:
        """Whether it is near enough to be of use, as far as is known."""
        return self.error is None or self.error <= TOLD

    @property
    def rotation(self) -> Array:
        """The same as a matrix (3, 3)."""
        w, x, y, z = self.quaternion
        return Rotation.from_quat([x, y, z, w]).as_matrix()


def family_of(shape: str) -> str:
    """The structural family of a class of the classifier."""
    return next(name for name, shapes in FAMILIES.items() if shape in shapes)


@lru_cache(maxsize=len(FAMILIES))
def normals_of(family_name: str) -> Array:
    """Unit vectors (k, 3) that stand for how particles of a family lie."""
    shape = PROTOTYPES[family_name]
    faces = truth(shape, family(shape).ideal, diameter=60.0, lattice_constant=4.078).facets
    square = [face.normal for face in faces if face.kind == "100"]
    return np.array(square or [face.normal for face in faces])


def moments(directions: ArrayLike) -> Array:
    """The moments (..., 25) of sets of unit vectors (..., k, 3), of length about 1."""
    powers, coefficients = _polynomials()
    return _monomials(np.asarray(directions, dtype=np.float64), powers).mean(axis=-2) @ coefficients


def harmonics(directions: ArrayLike) -> Array:
    """The real spherical harmonics (..., 25) of `MOMENTS` at unit vectors (..., 3), times sqrt(4 pi)."""
    from scipy.special import sph_harm_y

    x, y, z = np.moveaxis(np.asarray(directions, dtype=np.float64), -1, 0)[..., None]
    polar, azimuth = np.arccos(np.clip(z, -1, 1)), np.arctan2(y, x)
    degree, order = np.array(MOMENTS).T
    values = np.sqrt(4 * np.pi) * sph_harm_y(degree, np.abs(order), polar, azimuth)
    return np.where(order < 0, values.imag, values.real) * np.where(order == 0, 1.0, np.sqrt(2))


def _monomials(directions: Array, powers: NDArray[np.int64]) -> Array:
    """x^a y^b z^c (..., m) of vectors (..., 3), for m triples (a, b, c)."""
    series = np.stack(list(accumulate([directions] * DEGREE, np.multiply, initial=np.ones_like(directions))))
    x, y, z = (series[powers[:, axis], ..., axis] for axis in range(3))
    return np.moveaxis(x * y * z, 0, -1)


@lru_cache(maxsize=1)
def _polynomials() -> tuple[NDArray[np.int64], Array]:
    """The same harmonics as homogeneous polynomials: powers (m, 3) of their monomials, and coefficients (m, 25).

    A harmonic of degree l is one such polynomial of degree l, and only one: it is found from as many of its values, and
    then takes a few products where Legendre functions and angles take a hundred times as long.
    """
    grid = np.array(list(product(range(DEGREE + 1), repeat=3)))
    powers = np.concatenate([grid[grid.sum(1) == degree] for degree in range(2, DEGREE + 1)])
    points = draw_rotations(200, torch.Generator().manual_seed(0), dtype=torch.float64).numpy()[:, 2]
    values, monomials = harmonics(points), _monomials(points, powers)
    coefficients = np.zeros((len(powers), len(MOMENTS)))
    for degree in range(2, DEGREE + 1):
        rows = np.flatnonzero(powers.sum(1) == degree)
        columns = np.flatnonzero(np.array(MOMENTS)[:, 0] == degree)
        coefficients[rows[:, None], columns] = np.linalg.lstsq(monomials[:, rows], values[:, columns])[0]
    return powers, coefficients


def moments_of(shape: str, rotations: ArrayLike) -> Array:
    """The moments (..., 25) of a class of the classifier under rotations (..., 3, 3), which may be improper."""
    normals = normals_of(family_of(shape))
    return moments(np.einsum("...ij,kj->...ki", np.asarray(rotations, dtype=np.float64), normals))


def turned(values: Tensor, quarters: float, *, mirrored: bool = False) -> Tensor:
    """Moments (..., 25) of what is turned by `quarters` of a turn from y to x, and then mirrored (x to -x), as
    `facetem.data.windows.turn_matrix` does it with whole ones."""
    at = {moment: i for i, moment in enumerate(MOMENTS)}
    result = torch.empty_like(values)
    for degree, order in MOMENTS:
        if order < 0:
            continue
        cosine = values[..., at[degree, order]]
        sine = values[..., at[degree, -order]] if order else torch.zeros_like(cosine)
        angle = -order * quarters * np.pi / 2
        c, s = float(np.cos(angle)), float(np.sin(angle))
        cosine, sine = c * cosine - s * sine, s * cosine + c * sine
        if mirrored:  # the azimuth becomes pi - azimuth
            sign = (-1.0) ** order
            cosine, sine = sign * cosine, -sign * sine
        result[..., at[degree, order]] = cosine
        if order:
            result[..., at[degree, -order]] = sine
    return result


class Finder:
    """Turns moments back into orientations of a family."""

    def __init__(self, kind: str, *, seed: int = 0) -> None:
        self._kind, self._normals = kind, normals_of(kind)
        generator = torch.Generator().manual_seed(seed)
        self._rotations = draw_rotations(ROTATIONS, generator, dtype=torch.float64).numpy()
        self._moments = self._moments_of(self._rotations)

    def _moments_of(self, rotations: Array) -> Array:
        """The moments of rotations (n, 3, 3), of length 1; some at a time, which the caches hold."""
        parts = np.array_split(rotations, -(-len(rotations) // AT_ONCE))
        normals = [np.einsum("nij,kj->nki", part, self._normals) for part in parts]
        return _unit(np.concatenate([moments(some) for some in normals]))

    def _linear(self, rotations: Array) -> tuple[Array, Array]:
        """Moments (n, 25) of rotations (n, 3, 3), and how they change (n, 25, 3) with turns about x, y and the beam."""
        ways = SMALL_STEP * np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)])
        around = _steps(ways)[:, None] @ rotations
        here, *there = self._moments_of(around.reshape(-1, 3, 3)).reshape(7, len(rotations), -1)
        return here, np.stack([(there[i] - there[i + 3]) / (2 * SMALL_STEP) for i in range(3)], axis=-1)

    def _nearest(self, starts: Array, wanted: Array) -> tuple[Array, float]:
        """The rotation (3, 3) whose moments are nearest to `wanted` (25,), and half their squared distance: Levenberg
        and Marquardt's steps from all `starts` (n, 3, 3) at once."""
        best, (values, slopes) = starts, self._linear(starts)
        costs = ((values - wanted) ** 2).sum(-1) / 2
        damping = np.full(len(starts), 1e-3)
        for _ in range(MOST_STEPS):
            normal = np.einsum("nij,nik->njk", slopes, slopes) + damping[:, None, None] * np.eye(3)
            steps = -np.linalg.solve(normal, np.einsum("nij,ni->nj", slopes, values - wanted)[..., None])[
                ..., 0
            ]
            tried = _steps(steps) @ best
            there, ways = self._linear(tried)
            now = ((there - wanted) ** 2).sum(-1) / 2
            less = now < costs
            best, values = np.where(less[:, None, None], tried, best), np.where(less[:, None], there, values)
            slopes, costs = np.where(less[:, None, None], ways, slopes), np.where(less, now, costs)
            damping = np.where(less, damping / 5, damping * 5)
            if np.linalg.norm(steps, axis=-1).max() < CLOSE:
                break
        chosen = int(costs.argmin())
        return best[chosen], float(costs[chosen])

    def find(self, values: ArrayLike) -> Orientation:
        """The orientation whose moments correlate best with `values` (25,).

        Least squares from the `STARTS` random rotations that fit best: near a zone axis an orientation and its mirror
        image along the beam lie close to each other, with a shallow ridge between.
        """
        wanted = _unit(np.asarray(values, dtype=np.float64))
        starts = self._rotations[np.argsort(self._moments @ wanted)[-STARTS:]]
        rotation, distance = self._nearest(starts, wanted)
        fit = 1 - distance  # half the squared distance of two unit vectors
        zone, angle = None, None
        as_tensor = torch.as_tensor(rotation)[None]
        if self._kind == "single crystal":
            axes, angles = zone_axes(as_tensor)
            u, v, w = (int(i) for i in axes[0].tolist())
            zone, angle = (u, v, w), float(np.rad2deg(float(angles[0])))
        w, x, y, z = quaternions(as_tensor)[0].tolist()
        return Orientation((w, x, y, z), zone, angle, fit)


def _steps(vectors: Array) -> Array:
    """The rotations (n, 3, 3) about vectors (n, 3), or one (3,), by their lengths [rad]."""
    return Rotation.from_rotvec(np.atleast_2d(vectors)).as_matrix()


def _unit(values: Array) -> Array:
    return values / np.linalg.norm(values, axis=-1, keepdims=True).clip(1e-12)


@lru_cache(maxsize=len(FAMILIES))
def _finder(kind: str) -> Finder:
    return Finder(kind)


def find_orientation(shape: str, values: ArrayLike) -> Orientation:
    """The orientation of a class of the classifier whose moments are nearest to `values` (25,)."""
    return _finder(family_of(shape)).find(values)


def alike(shape: str, rotation: ArrayLike) -> Array:
    """All rotations (n, 3, 3) of a class that look like `rotation` (3, 3), proper or improper.

    The shape's symmetry turns some into each other; the others are mirror images along the beam, and proper by a
    symmetry of the shape that is not: the inversion, or the mirror plane across a five-fold axis or in a twin plane.
    """
    kind = family_of(shape)
    symmetric = np.asarray(rotation, dtype=np.float64) @ rotation_group(PROTOTYPES[kind])
    improper = MIRROR if kind in ("decahedral", "singly twinned") else INVERSION
    some = [symmetric, MIRROR @ symmetric, symmetric @ improper, MIRROR @ symmetric @ improper]
    return np.concatenate([part for part in some if np.linalg.det(part[0]) > 0])


def angle_between(shape: str, first: ArrayLike, second: ArrayLike) -> float:
    """The angle [deg] of the smallest rotation between two orientations (3, 3) of a class, which may be improper.

    Those that look alike are one orientation.
    """
    one = alike(shape, first)[0]
    cosines = (np.einsum("ij,nij->n", one, alike(shape, second)) - 1) / 2
    return float(np.rad2deg(np.arccos(np.clip(cosines.max(), -1, 1))))
