"""Electron scattering factors and Debye-Waller factors of the elements."""

import csv
from collections.abc import Mapping
from functools import cache
from importlib import resources

import torch
from torch import Tensor

from facetem.core.errors import InputError
from facetem.core.physics import BOHR_RADIUS, HARTREE_E2

# Projected potential [V Å^2] per scattering factor [Å]: h^2 / (2 pi m0 e) = 2 pi e a0 / (4 pi eps0).
POTENTIAL_PER_FACTOR = 2 * torch.pi * BOHR_RADIUS * HARTREE_E2

# Isotropic B = 8 pi^2 <u^2> [Å^2] near room temperature, rounded; fcc metals after Gao & Peng, Acta Cryst.
# A55 (1999) 926; carbon: of the order of graphite's, amorphous carbon has no tabulated value.
DEBYE_WALLER: Mapping[int, float] = {6: 0.5, 28: 0.37, 29: 0.55, 46: 0.45, 47: 0.73, 78: 0.37, 79: 0.63}


@cache
def _lobato_table() -> dict[int, tuple[tuple[float, ...], tuple[float, ...]]]:
    table = {}
    with resources.files("facetem.hrtem").joinpath("lobato.csv").open() as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            a = tuple(float(row[f"a{i}"]) for i in range(1, 6))
            b = tuple(float(row[f"b{i}"]) for i in range(1, 6))
            table[int(row["Z"])] = a, b
    return table


def scattering_factor(number: int, squared_frequency: Tensor) -> Tensor:
    """Electron scattering factor f_e [Å] of a neutral atom at k^2 [1/Å^2], any shape.

    f_e(k) = sum_i a_i (2 + b_i k^2) / (1 + b_i k^2)^2
    (Lobato & Van Dyck, Acta Cryst. A70 (2014) 636, eq. 16 and table 3; first Born approximation, m = m0.)

    Raises
    ------
    InputError
        If the element is not in the table (Z = 1 to 103).
    """
    table = _lobato_table()
    if number not in table:
        raise InputError(f"no scattering factor for atomic number {number}: expected 1 to {max(table)}")
    factor = torch.zeros_like(squared_frequency)
    for a, b in zip(*table[number], strict=True):
        x = b * squared_frequency
        factor = factor + a * (2 + x) / (1 + x) ** 2
    return factor


def debye_waller_factor(number: int, squared_frequency: Tensor, factors: Mapping[int, float]) -> Tensor:
    """exp(-B k^2 / 4) with B [Å^2] from `factors`; elements that it lacks do not vibrate."""
    return torch.exp(-0.25 * factors.get(number, 0.0) * squared_frequency)
