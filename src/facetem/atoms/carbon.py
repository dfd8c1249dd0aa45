"""Random amorphous carbon films: one drawn to order, and a quick source of many.

Atoms lie at random, no two closer than `hard_core`; the density is exact. Where a more realistic film is at
hand, it takes the place of `RandomFilms` as another `FilmSource`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from ase import Atoms
from scipy.spatial import KDTree

from facetem.atoms.lattices import Array
from facetem.core.errors import InputError

CARBON_MASS = 12.011  # g / mol
AVOGADRO_A3 = 0.602214076  # mol^-1 cm^3 -> Å^3: atoms / Å^3 = density * 0.6022 / mass
DENSEST_FILM = 4.0  # g/cm3, above diamond
STEEPEST = 3.5  # bound of an undulation per rms: sqrt(2 * 6 waves)
DENSEST_PACKING = 0.30  # volume fraction of hard spheres that random placement still reaches quickly


class FilmSource(Protocol):
    """Whatever hands out amorphous films of a fixed lateral extent."""

    @property
    def extent(self) -> tuple[float, float]:
        """Lateral period (x, y) [Å]."""
        ...

    def draw(self, thickness: float, rng: np.random.Generator) -> Atoms:
        """A film of mean `thickness` [Å]: cell (x, y, thickness), periodic in x and y, z from about 0."""
        ...


def draw_random_film(
    extent: tuple[float, float],
    *,
    thickness: float,
    density: float = 2.0,
    hard_core: float = 1.3,
    waviness: float = 0.0,
    rng: np.random.Generator,
) -> Atoms:
    """A random hard-core carbon film.

    Parameters
    ----------
    extent : (x, y)
        Lateral period [Å].
    thickness : float
        [Å].
    density : float
        [g/cm3], typically 1.8 to 2.6; the number of atoms follows from it exactly (waviness 0).
    hard_core : float
        Least distance between two atoms [Å], also across the periodic boundary; 0 is fully random.
    waviness : float
        Root mean square height [Å] of smooth undulations of both surfaces.
    rng : numpy.random.Generator

    Returns
    -------
    ase.Atoms with cell (x, y, thickness), periodic in x and y; info: "film_thickness", "density", "hard_core".

    Raises
    ------
    InputError
        If a length or the density is not positive, or the atoms cannot be placed at that distance.
    """
    _check_film(extent, thickness, density, hard_core, waviness)
    spare = STEEPEST * waviness
    box = np.array([extent[0], extent[1], thickness + 2 * spare])
    n_atoms = round(density * AVOGADRO_A3 / CARBON_MASS * float(box.prod()))
    points = hard_core_points(box, n_atoms, hard_core, rng) - [0, 0, spare]
    if waviness > 0:
        points = points[between_surfaces(points, extent, thickness, waviness, rng)]
    return _film(points, extent, thickness, density, hard_core)


@dataclass(frozen=True)
class RandomFilms:
    """Films cut from a few large random blocks that are drawn once per process, at first use.

    A film is a window of a block: random height, periodic shift, mirror and quarter-turn (half-turn if the
    extent is not square), thinned at random to its density.

    Parameters
    ----------
    extent : (x, y)
        Lateral period of all films [Å].
    seed : int
        Of the blocks.
    depth : float
        Height of the blocks and so the greatest thickness [Å].
    density : (low, high)
        Range of the films' densities [g/cm3].
    hard_cores : tuple of float
        One block each [Å].
    waviness : (low, high)
        Range of the rms undulation of the surfaces [Å].
    """

    extent: tuple[float, float]
    seed: int = 0
    depth: float = 80.0
    density: tuple[float, float] = (1.8, 2.6)
    hard_cores: tuple[float, ...] = (0.0, 1.0, 1.4)
    waviness: tuple[float, float] = (0.0, 1.5)

    def __post_init__(self) -> None:
        if not self.density[0] <= self.density[1] or not 0 <= self.waviness[0] <= self.waviness[1]:
            raise InputError(f"film ranges: expected low <= high, got {self.density} and {self.waviness}")
        if not self.hard_cores:
            raise InputError("film hard_cores: expected at least one distance in Å, got none")
        for hard_core in self.hard_cores:
            _check_film(self.extent, self.depth, self.density[1], hard_core, self.waviness[1])

    def draw(self, thickness: float, rng: np.random.Generator) -> Atoms:
        """A film of `thickness` [Å]; see `FilmSource`.

        Raises
        ------
        InputError
            If the thickness is not positive or exceeds the blocks' depth.
        """
        if not 0 < thickness <= self.depth:
            raise InputError(f"film thickness: expected 0 to {self.depth:g} Å, got {thickness!r}")
        hard_core = self.hard_cores[rng.integers(len(self.hard_cores))]
        block = _block(self.extent, self.depth, self.density[1], hard_core, self.seed)
        density = float(rng.uniform(*self.density))
        waviness = float(rng.uniform(*self.waviness))
        points = _window(
            block, self.depth, thickness, min(STEEPEST * waviness, (self.depth - thickness) / 2), rng
        )
        # Taking out atoms at random keeps the hard core and makes any lower density exact.
        points = points[rng.permutation(len(points))[: round(len(points) * density / self.density[1])]]
        if waviness > 0:
            points = points[between_surfaces(points, self.extent, thickness, waviness, rng)]
        return _film(_moved_about(points, self.extent, rng), self.extent, thickness, density, hard_core)


def _check_film(
    extent: tuple[float, float], thickness: float, density: float, hard_core: float, waviness: float
) -> None:
    if len(extent) != 2 or not all(0 < length < math.inf for length in (*extent, thickness)):
        raise InputError(
            f"film: expected positive extent (x, y) and thickness in Å, got {extent!r}, {thickness!r}"
        )
    if not 0 < density <= DENSEST_FILM:
        raise InputError(f"film density: expected 0 to {DENSEST_FILM:g} g/cm3, got {density!r}")
    if not 0 <= waviness < math.inf:
        raise InputError(f"film waviness: expected >= 0 Å, got {waviness!r}")
    packing = math.pi / 6 * hard_core**3 * density * AVOGADRO_A3 / CARBON_MASS
    if not (hard_core >= 0 and packing <= DENSEST_PACKING):
        raise InputError(
            f"film hard_core: expected 0 to {hard_core * (DENSEST_PACKING / packing) ** (1 / 3):.2f} Å at "
            f"{density:g} g/cm3, got {hard_core!r}"
            if hard_core > 0
            else f"film hard_core: expected >= 0 Å, got {hard_core!r}"
        )


def _film(
    points: Array, extent: tuple[float, float], thickness: float, density: float, hard_core: float
) -> Atoms:
    film = Atoms(
        numbers=np.full(len(points), 6),
        positions=points,
        cell=(extent[0], extent[1], thickness),
        pbc=(True, True, False),
    )
    film.info = {"film_thickness": float(thickness), "density": float(density), "hard_core": float(hard_core)}
    return film


def hard_core_points(box: Array, n_points: int, distance: float, rng: np.random.Generator) -> Array:
    """(n, 3) points in a box that is periodic in all directions, none closer than `distance`.

    Random sequential placement, many at a time: a newcomer is redrawn if it is too close to an accepted point
    or to a newcomer before it.
    """
    if distance == 0:
        return rng.random((n_points, 3)) * box
    accepted = np.empty((0, 3))
    success = 1.0
    for _ in range(200):
        wanted = n_points - len(accepted)
        if wanted == 0:
            return accepted
        tried = min(math.ceil(1.1 * wanted / success) + 4, 2 * n_points)
        fresh = np.minimum(rng.random((tried, 3)) * box, np.nextafter(box, 0))
        if len(accepted) > 0:
            near = KDTree(accepted, boxsize=box).query(fresh, distance_upper_bound=distance)[0]
            fresh = fresh[np.isinf(near)]
        if len(fresh) > 1:
            pairs = KDTree(fresh, boxsize=box).query_pairs(distance, output_type="ndarray")
            fresh = np.delete(fresh, np.unique(pairs[:, 1]), axis=0)
        success = max(len(fresh), 1) / tried
        accepted = np.concatenate([accepted, fresh[:wanted]])
    raise InputError(
        f"film: could not place {n_points} atoms {distance:g} Å apart; lower hard_core or density"
    )


@lru_cache(maxsize=16)
def _block(extent: tuple[float, float], depth: float, density: float, hard_core: float, seed: int) -> Array:
    """A 3D-periodic block of points (n, 3), sorted by z; not to be written to."""
    rng = np.random.default_rng([seed, round(hard_core * 1000)])
    box = np.array([*extent, depth])
    points = hard_core_points(
        box, round(density * AVOGADRO_A3 / CARBON_MASS * float(box.prod())), hard_core, rng
    )
    points = points[np.argsort(points[:, 2])]
    points.setflags(write=False)
    return points


def _window(block: Array, depth: float, thickness: float, spare: float, rng: np.random.Generator) -> Array:
    """The points of a random window in z of the periodic block, from -spare to thickness + spare."""
    start = rng.uniform(0, depth)
    stop = start + thickness + 2 * spare
    first, last = np.searchsorted(block[:, 2], [start, min(stop, depth)])
    wrapped = np.searchsorted(block[:, 2], max(stop - depth, 0.0))
    points = np.concatenate([block[first:last], block[:wrapped] + np.array([0, 0, depth])])
    points[:, 2] -= start + spare
    return points


def _moved_about(points: Array, extent: tuple[float, float], rng: np.random.Generator) -> Array:
    size = np.array(extent)
    xy = points[:, :2]
    if rng.random() < 0.5:
        xy = size * [1, 0] + xy * [-1, 1]
    if extent[0] == extent[1] and rng.random() < 0.5:
        xy = xy[:, ::-1]
    if rng.random() < 0.5:
        xy = size - xy
    xy = xy + rng.random(2) * size
    return np.column_stack([np.where(xy >= size, xy - size, xy), points[:, 2]])


def between_surfaces(
    points: Array, extent: tuple[float, float], thickness: float, waviness: float, rng: np.random.Generator
) -> np.ndarray:
    """Which points (n, 3) lie between two undulating periodic surfaces around z = 0 and z = thickness."""
    within = np.ones(len(points), dtype=bool)
    for surface, inward in ((0.0, 1.0), (thickness, -1.0)):
        depth = inward * (points[:, 2] - surface)
        near = np.flatnonzero(depth < STEEPEST * waviness)
        within[near] &= depth[near] >= _undulation(points[near, :2], extent, waviness, rng)
    return within


def _undulation(
    xy: Array, extent: tuple[float, float], rms: float, rng: np.random.Generator, n_waves: int = 6
) -> Array:
    """Heights (n,) of a smooth periodic surface with waves of about 15 Å and longer, |height| < 3.5 rms."""
    size = np.array(extent)
    largest = np.maximum(size / 15, 1)
    waves = np.rint(rng.uniform(-1, 1, (n_waves, 2)) * largest)
    waves[(waves == 0).all(axis=1)] = [1, 0]
    phases = 2 * math.pi * (xy @ (waves / size).T + rng.random(n_waves))
    # Single precision: 1e-5 Å, and several times quicker.
    return rms * math.sqrt(2 / n_waves) * np.cos(phases.astype(np.float32)).sum(axis=1)
