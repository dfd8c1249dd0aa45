"""Particles of another inside: polycrystals, glasses and other crystals, in the outline that planes and noise give."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.spatial import KDTree

from facetem.atoms.crystals import SETS, crystal_sites
from facetem.atoms.cut import SurfaceNoise, supported
from facetem.atoms.facets import FCC, Facets, Form
from facetem.atoms.lattices import Array, lattice_sites

CLOSEST = 0.87  # bonds: nearer pairs across a grain boundary lose an atom
GLASS_DENSITY = 0.94  # of the crystal's
GLASS_BLOCK = 20.0  # bonds: period of the blocks of glass that particles are cut from
GLASS_SEEDS = 4  # how many such blocks there are


def disordered_sites(kind: str, planes: Facets, form: Form, n_wanted: int, rng: np.random.Generator) -> Array:
    """The sites (n, 3) of a polycrystal ("grains"), a glass ("glass") or another crystal (`crystals.SETS`) that the
    planes reach first: as many as fill the volume of `n_wanted` atoms of the close-packed metal.

    A polycrystal and a glass are close to its density, and lose the few atoms that would stick to fewer than three
    others.
    In nearest-neighbour distances. Grains are the Voronoi cells of random centres, `form.ratio` of the particle's
    diameter wide, each a crystal turned and shifted at random.
    """
    covectors, _ = planes.covectors(0)
    density = math.sqrt(2) * (GLASS_DENSITY if kind == "glass" else 1.0)
    radius = (0.75 / math.pi * n_wanted / density) ** (1 / 3)
    # Elongated by up to a fifth, facets by 10 % apart, some room for noise and for boundaries that lack atoms.
    reach = 1.45 * radius + 2
    if kind in SETS:
        points, own = crystal_sites(kind, reach, rng)
        n_wanted = round(n_wanted * own / density)
    else:
        points = _glass(reach, rng) if kind == "glass" else _grains(reach, form.ratio * 2 * radius, rng)
    scales = (covectors @ points.T).max(axis=0) * (1 + SurfaceNoise.draw(form, rng)(points))
    points = points[np.argsort(scales)[:n_wanted]]
    return points if kind in SETS else supported(points, np.ones(len(points), dtype=bool))


def _grains(reach: float, width: float, rng: np.random.Generator) -> Array:
    """Sites (n, 3) of a polycrystal within `reach` of the origin."""
    # No place is much farther than `width` from a centre, or there would be room for another.
    sites = np.concatenate(lattice_sites(FCC, min(1.4 * width, 2 * reach)))
    centres = _apart(reach, width, rng)
    cells = KDTree(centres)
    grains = []
    for k in range(len(centres)):
        turned = sites @ np.linalg.qr(rng.normal(size=(3, 3)))[0] + centres[k]
        turned = turned[np.linalg.norm(turned, axis=1) <= reach]
        grains.append(turned[cells.query(turned)[1] == k])
    points = np.concatenate(grains)
    while len(pairs := KDTree(points).query_pairs(CLOSEST, output_type="ndarray")):
        points = np.delete(points, np.unique(pairs[:, 1]), axis=0)
    return points


def _apart(reach: float, width: float, rng: np.random.Generator) -> Array:
    """Random points (n, 3) within `reach`, none much closer than `width`, until no more find room."""
    tried = rng.uniform(-reach, reach, (2000, 3))
    kept: list[Array] = []
    for point in tried[np.linalg.norm(tried, axis=1) <= reach]:
        if not kept or np.linalg.norm(np.array(kept) - point, axis=1).min() > 0.85 * width:
            kept.append(point)
    return np.array(kept)


def _glass(reach: float, rng: np.random.Generator) -> Array:
    """Sites (n, 3) of a dense random packing within `reach` of the origin: a window of a periodic block, turned."""
    block = _glass_block(int(rng.integers(GLASS_SEEDS)))
    n = math.ceil(reach / GLASS_BLOCK) + 1
    steps = GLASS_BLOCK * (np.stack(np.meshgrid(*[np.arange(-n, n)] * 3), axis=-1).reshape(-1, 1, 3))
    points = (block + rng.random(3) * GLASS_BLOCK + steps).reshape(-1, 3)
    points = points[np.linalg.norm(points, axis=1) <= reach]
    return points @ np.linalg.qr(rng.normal(size=(3, 3)))[0]


@lru_cache(maxsize=GLASS_SEEDS)
def _glass_block(seed: int, rounds: int = 150) -> Array:
    """A periodic block of soft balls (n, 3) that have pushed each other apart, none closer than about 0.9."""
    rng = np.random.default_rng(seed)
    points = rng.random((round(GLASS_DENSITY * math.sqrt(2) * GLASS_BLOCK**3), 3)) * GLASS_BLOCK
    for _ in range(rounds):
        i, j = KDTree(points, boxsize=GLASS_BLOCK).query_pairs(1.0, output_type="ndarray").T
        apart = points[j] - points[i]
        apart -= GLASS_BLOCK * np.rint(apart / GLASS_BLOCK)
        length = np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-6)
        push = 0.3 * (1.0 - length) * apart / length
        for axis in range(3):
            points[:, axis] += np.bincount(j, push[:, axis], len(points)) - np.bincount(
                i, push[:, axis], len(points)
            )
        points %= GLASS_BLOCK
        points[points >= GLASS_BLOCK] = 0.0
    points.setflags(write=False)
    return points
