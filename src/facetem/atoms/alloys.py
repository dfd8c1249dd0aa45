"""Two metals on one lattice: which site holds which."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from facetem.atoms.cut import BOND
from facetem.atoms.lattices import Array
from facetem.core.errors import InputError

Order = Literal["random", "L1_0", "core-shell"]


@dataclass(frozen=True)
class Alloy:
    """A second metal beside a particle's first.

    Parameters
    ----------
    second : str
        Chemical symbol.
    order : "random", "L1_0" or "core-shell"
        Sites at random; alternating (001) layers (half of each metal); the second metal as the shell.
    fraction : float
        Of the second metal, in a random alloy.
    shell : int
        Layers of the shell.
    tetragonality : float
        c/a of L1_0, at constant volume: 0.96 of FePt, 0.93 of CuAu, 1 unless the order has distorted the crystal.
    """

    second: str
    order: Order = "random"
    fraction: float = 0.5
    shell: int = 1
    tetragonality: float = 1.0

    def __post_init__(self) -> None:
        if self.order not in ("random", "L1_0", "core-shell"):
            raise InputError(f"alloy order: expected random, L1_0 or core-shell, got {self.order!r}")
        if not 0 <= self.fraction <= 1:
            raise InputError(f"alloy fraction: expected 0 to 1, got {self.fraction!r}")
        if self.shell < 1:
            raise InputError(f"alloy shell: expected at least one layer, got {self.shell!r}")
        if not 0.8 <= self.tetragonality <= 1.2:
            raise InputError(f"alloy tetragonality: expected 0.8 to 1.2, got {self.tetragonality!r}")

    def distortion(self) -> Array:
        """(3, 3): what the order does to the crystal's shape."""
        if self.order != "L1_0":
            return np.eye(3)
        c = self.tetragonality
        return np.diag([c ** (-1 / 3), c ** (-1 / 3), c ** (2 / 3)])


def second_sites(alloy: Alloy, sites: Array, rng: np.random.Generator | None) -> NDArray[np.bool_]:
    """Which `sites` (n, 3) [nearest-neighbour distances, cubic axes along x, y, z] hold the second metal.

    Raises
    ------
    InputError
        If a random alloy comes without `rng`.
    """
    if alloy.order == "L1_0":
        return np.rint((sites[:, 2] - sites[0, 2]) * math.sqrt(2)).astype(int) % 2 == 1
    if alloy.order == "core-shell":
        return _shell(sites, alloy.shell)
    if rng is None:
        raise InputError("rng: expected a numpy random generator for a random alloy, got None")
    chosen = np.zeros(len(sites), dtype=bool)
    chosen[rng.permutation(len(sites))[: round(alloy.fraction * len(sites))]] = True
    return chosen


def _shell(sites: Array, layers: int) -> NDArray[np.bool_]:
    """Which sites lie in the outermost `layers`: those without twelve neighbours, taken away layer by layer."""
    inside = np.arange(len(sites))
    for _ in range(layers):
        neighbours = KDTree(sites[inside]).query_ball_point(sites[inside], BOND, return_length=True)
        inside = inside[np.asarray(neighbours) > 12]
    outside = np.ones(len(sites), dtype=bool)
    outside[inside] = False
    return outside
