"""The structure of an amorphous film in numbers: g(r), coordination, bond angles, rings.

Each takes a film that is periodic in x and y. Only atoms away from the surfaces count, so that what is measured
is the bulk of the film; their neighbours may be anywhere.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import KDTree

from facetem.atoms.carbon import AVOGADRO_A3, CARBON_MASS
from facetem.atoms.lattices import Array
from facetem.core.errors import InputError

BOND = 1.9  # Å: the end of the first shell of carbon
LONGEST_RING = 9  # beyond this a ring is not looked for


def density(film: Atoms, *, skin: float = 5.0) -> float:
    """Mass density [g/cm3] of a carbon film, without `skin` [Å] below each surface.

    Raises
    ------
    InputError
        If nothing is left between the skins.
    """
    z = film.positions[:, 2]
    height = float(np.ptp(z)) - 2 * skin
    area = float(np.prod(film.cell.lengths()[:2]))
    if height <= 0:
        raise InputError(f"film: expected more than {2 * skin:g} Å between its surfaces, got {np.ptp(z):.1f}")
    return int(inside(film, skin).sum()) * CARBON_MASS / AVOGADRO_A3 / (area * height)


def inside(film: Atoms, skin: float) -> NDArray[np.bool_]:
    """Which atoms (n,) lie deeper than `skin` [Å] below the outermost ones."""
    z = film.positions[:, 2]
    return (z > z.min() + skin) & (z < z.max() - skin)


def pair_distribution(film: Atoms, *, longest: float = 6.0, width: float = 0.05) -> tuple[Array, Array]:
    """The pair distribution function g(r) of the atoms deeper than `longest` below the surfaces.

    g(r) = <pairs at r to r + width> / (4 pi r^2 width n), n the number density there; 1 for no correlation

    Parameters
    ----------
    longest, width : float
        [Å]

    Returns
    -------
    r, g : (bins,)
        Bin centres [Å] and g.

    Raises
    ------
    InputError
        If no atom lies that deep.
    """
    deep = np.flatnonzero(inside(film, longest))
    number_density = density(film, skin=longest) * AVOGADRO_A3 / CARBON_MASS
    edges = np.arange(0.0, longest + width / 2, width)
    tree, points, _ = _tree(film)
    distances = [
        tree.sparse_distance_matrix(KDTree(points[part], boxsize=tree.boxsize), longest, output_type="ndarray")["v"]
        for part in np.array_split(deep, len(deep) // 2000 + 1)
    ]  # fmt: skip
    counts = np.histogram(np.concatenate(distances), edges)[0].astype(float)
    counts[0] = 0.0  # every atom at no distance from itself
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    return (edges[1:] + edges[:-1]) / 2, counts / (len(deep) * number_density * shells)


def coordination(film: Atoms, *, bond: float = BOND, skin: float = 5.0) -> NDArray[np.int64]:
    """Number of neighbours within `bond` [Å] of each atom deeper than `skin` [Å]: 2, 3 and 4 for what is called
    sp, sp2 and sp3."""
    pairs, _ = bonds(film, bond=bond)
    return np.bincount(pairs.ravel(), minlength=len(film))[inside(film, skin)]


def bond_angles(film: Atoms, *, bond: float = BOND, skin: float = 5.0) -> Array:
    """All angles (n,) [degrees] between two bonds of an atom deeper than `skin` [Å]."""
    pairs, vectors = bonds(film, bond=bond)
    ends = np.concatenate([pairs[:, 0], pairs[:, 1]])
    units = np.concatenate([vectors, -vectors])
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    order = np.argsort(ends, kind="stable")
    units, ends = units[order], ends[order]
    deep = inside(film, skin)
    cosines = []
    for apart in range(1, int(np.bincount(ends).max()) if len(ends) else 0):
        both = (ends[apart:] == ends[:-apart]) & deep[ends[apart:]]
        cosines.append((units[apart:] * units[:-apart]).sum(axis=1)[both])
    return np.degrees(np.arccos(np.clip(np.concatenate([np.empty(0), *cosines]), -1, 1)))


def bonds(film: Atoms, *, bond: float = BOND) -> tuple[NDArray[np.intp], Array]:
    """Pairs (n, 2) of atoms within `bond` [Å], each once, and the vectors (n, 3) from the first to the second."""
    tree, points, size = _tree(film)
    pairs = tree.query_pairs(bond, output_type="ndarray")
    vectors = points[pairs[:, 1]] - points[pairs[:, 0]]
    vectors[:, :2] -= size[:2] * np.rint(vectors[:, :2] / size[:2])
    return pairs, vectors


def ring_sizes(
    film: Atoms, rng: np.random.Generator, *, atoms: int = 2000, bond: float = BOND, skin: float = 8.0
) -> dict[int, float]:
    """Rings per atom, by size, up to nine atoms.

    For two bonds of an atom, the ring is the shortest way from one neighbour to the other that avoids the atom
    (S. V. King, Nature 213 (1967) 1112); equally short ways are all counted, each ring once.

    Parameters
    ----------
    rng : numpy.random.Generator
        Chooses the atoms to begin from.
    atoms : int
        How many of those deeper than `skin` [Å] to begin from.

    Returns
    -------
    {size: rings per atom}; a ring belongs to an atom in equal parts with its other members.
    """
    pairs, _ = bonds(film, bond=bond)
    near: list[list[int]] = [[] for _ in range(len(film))]
    for one, other in pairs.tolist():
        near[one].append(other)
        near[other].append(one)
    deep = np.flatnonzero(inside(film, skin))
    chosen = rng.permutation(deep)[:atoms].tolist()
    shares: Counter[int] = Counter()
    for atom in chosen:
        rings = {
            frozenset(ring) for ends in combinations(near[atom], 2) for ring in _shortest(near, atom, *ends)
        }
        shares.update(len(ring) for ring in rings)
    return {size: shares[size] / size / max(len(chosen), 1) for size in range(3, LONGEST_RING + 1)}


def _shortest(near: list[list[int]], avoided: int, start: int, end: int) -> list[list[int]]:
    """All shortest ways from `start` to `end` that avoid an atom, with that atom; none if longer than a ring."""
    reached = {start: 0}
    before: dict[int, list[int]] = {start: []}
    front = [start]
    for step in range(1, LONGEST_RING - 1):
        following = []
        for atom in front:
            for other in near[atom]:
                if other == avoided:
                    continue
                if other not in reached:
                    reached[other] = step
                    before[other] = [atom]
                    following.append(other)
                elif reached[other] == step:
                    before[other].append(atom)
        if end in reached:
            ways = [[end]]
            for _ in range(step):
                ways = [[*way, atom] for way in ways for atom in before[way[-1]]]
            return [[*way, avoided] for way in ways]
        front = following
    return []


def _tree(film: Atoms) -> tuple[KDTree, Array, Array]:
    """A tree of the atoms, periodic in x and y; the points in it and the size (3,) of its box."""
    lengths = film.cell.lengths()
    z = film.positions[:, 2]
    # Along z the box is so high that nothing meets its image.
    size = np.array([lengths[0], lengths[1], float(np.ptp(z)) + 20.0])
    points = film.positions - [0, 0, z.min()]
    points[:, :2] %= size[:2]
    points = np.minimum(points, np.nextafter(size, 0))
    return KDTree(points, boxsize=size), points, size
