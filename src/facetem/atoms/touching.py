"""Particles that lie against each other, as those of a dense sample do: groups to find a place for as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facetem.atoms.lattices import Array

CONTACT = (
    2.9  # Å in projection between the atoms of two particles that touch: the distance of neighbours in gold
)


@dataclass(frozen=True)
class Group:
    """Centres (particle, 2) about the middle of a group, and the radius of the circle that holds all of it [Å]."""

    centres: Array
    radius: float


def draw_groups(across: Sequence[Array], touching: float, rng: np.random.Generator) -> list[Group]:
    """Particles of projections `across`, each (atom, 2) [Å], in their order: alone or, with a chance of `touching`,
    against the one before it, on any side of it where no other of the group is in the way.

    Nothing is drawn if `touching` is 0.
    """
    groups: list[tuple[list[Array], list[Array]]] = []  # centres and atoms of the particles of each
    for xy in (positions - positions.mean(axis=0) for positions in across):
        if groups and touching > 0 and rng.random() < touching:
            centres, atoms = groups[-1]
            turn = rng.uniform(0, 2 * np.pi)
            way = np.array([np.cos(turn), np.sin(turn)])
            centre = centres[-1] + way * contact(xy, np.concatenate(atoms) - centres[-1], way)
            centres.append(centre)
            atoms.append(xy + centre)
        else:
            groups.append(([np.zeros(2)], [xy]))
    return [_centred(np.array(centres), np.concatenate(atoms)) for centres, atoms in groups]


def contact(moved: Array, fixed: Array, way: Array) -> float:
    """How far atoms (n, 2) have to go along `way`, of length 1, until from there on none of them is nearer than
    `CONTACT` to one of those that are fixed (m, 2)."""
    across = np.array([-way[1], way[0]])
    ahead = (moved @ way)[:, None] - fixed @ way
    beside = (moved @ across)[:, None] - fixed @ across
    reach = np.sqrt(np.maximum(CONTACT**2 - beside**2, 0.0)) - ahead
    return float(reach[np.abs(beside) < CONTACT].max(initial=0.0))


def _centred(centres: Array, atoms: Array) -> Group:
    middle = (atoms.min(axis=0) + atoms.max(axis=0)) / 2 if len(centres) > 1 else centres[0]
    return Group(centres - middle, float(np.linalg.norm(atoms - middle, axis=1).max()))
