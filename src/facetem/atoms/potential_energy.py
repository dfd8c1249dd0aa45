"""The energy of fcc metals in the second-moment approximation, as a calculator for ASE.

E_i = sum_j A exp(-p (r / r0 - 1)) - sqrt(sum_j xi^2 exp(-2 q (r / r0 - 1)))

Cleri and Rosato, Phys. Rev. B 48 (1993) 22, table II: fitted to cohesive energies, lattice constants and elastic
constants. Interactions reach to the fifth neighbours, as in the fit, and are switched off before the sixth. Two
different metals interact by the means of their parameters: geometric of the energies, arithmetic of the others.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import atomic_numbers
from numpy.typing import NDArray
from scipy.spatial import KDTree

from facetem.atoms.lattices import Array
from facetem.core.errors import InputError

# A [eV], xi [eV], p, q, r0 [Å] (from the lattice constants of the fit)
PARAMETERS = {
    "Ni": (0.0376, 1.070, 16.999, 1.189, 3.523),
    "Cu": (0.0855, 1.224, 10.960, 2.278, 3.615),
    "Pd": (0.1746, 1.718, 10.867, 3.742, 3.887),
    "Ag": (0.1028, 1.178, 10.928, 3.139, 4.085),
    "Pt": (0.2975, 2.695, 10.612, 4.004, 3.924),
    "Au": (0.2061, 1.790, 10.229, 4.036, 4.079),
}
INNER, OUTER = (
    2.28,
    2.43,
)  # r / r0 between which the interaction is switched off: sqrt(5) = 2.24, sqrt(6) = 2.45
SKIN = 0.4  # Å: neighbours are looked for again when an atom has moved by half of it


class SecondMoment(Calculator):
    """Energies and forces of a free particle of Ni, Cu, Pd, Ag, Pt and Au.

    Raises
    ------
    InputError
        On use, if there is another element.
    """

    def __init__(self) -> None:
        super().__init__()
        self.implemented_properties = ["energy", "forces"]
        self._start = np.empty((0, 3))
        self._pairs = np.empty((0, 2), dtype=np.int64)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        assert isinstance(self.atoms, Atoms)
        positions, table = self.atoms.positions, _parameters(self.atoms.numbers)
        if (
            self._start.shape != positions.shape
            or np.linalg.norm(positions - self._start, axis=1).max() > SKIN / 2
        ):
            reach = OUTER * float(table[:, 4].max()) + SKIN
            self._pairs = KDTree(positions).query_pairs(reach, output_type="ndarray")
            self._start = positions.copy()
        energy, forces = _energy_and_forces(positions, self._pairs, table)
        self.results = {"energy": energy, "forces": forces}


def _parameters(numbers: NDArray[np.int64]) -> Array:
    """ln A, ln xi, p, q, r0 of each atom (n, 5)."""
    rows = np.full((120, 5), np.nan)
    for symbol, (A, xi, p, q, a) in PARAMETERS.items():
        rows[atomic_numbers[symbol]] = np.log(A), np.log(xi), p, q, a / np.sqrt(2)
    table = rows[numbers]
    if np.isnan(table).any():
        raise InputError(f"relaxation: expected atoms of {', '.join(PARAMETERS)}, got another element")
    return table


def _energy_and_forces(positions: Array, pairs: NDArray[np.int64], table: Array) -> tuple[float, Array]:
    i, j = pairs.T
    apart = positions[j] - positions[i]
    r = np.sqrt(np.einsum("ij,ij->i", apart, apart))
    log_a, log_xi, p, q, r0 = ((table[i] + table[j]) / 2).T
    x = r / r0
    on, slope = _switch(x)
    repulsion, bond = np.exp(log_a - p * (x - 1)), np.exp(2 * log_xi - 2 * q * (x - 1))
    n = len(positions)
    density = np.bincount(i, bond * on, n) + np.bincount(j, bond * on, n)
    root = np.sqrt(np.maximum(density, 1e-12))
    energy = float(2 * np.sum(repulsion * on) - root.sum())
    # dE/dr of a pair: both atoms count its repulsion, and each has its own root.
    by_bond = -0.5 * (1 / root[i] + 1 / root[j])
    push = (2 * repulsion * (slope - p * on) + by_bond * bond * (slope - 2 * q * on)) / r0
    pull = (push / r)[:, None] * apart
    forces = np.zeros_like(positions)
    for k in range(3):
        forces[:, k] = np.bincount(i, pull[:, k], n) - np.bincount(j, pull[:, k], n)
    return energy, forces


def _switch(x: Array) -> tuple[Array, Array]:
    """1 below INNER, 0 beyond OUTER, smooth to the second derivative in between; and its derivative."""
    t = np.clip((x - INNER) / (OUTER - INNER), 0, 1)
    return 1 - t**3 * (10 - 15 * t + 6 * t**2), -30 * t**2 * (1 - t) ** 2 / (OUTER - INNER)
