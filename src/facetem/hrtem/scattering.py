"""Electron scattering factors and Debye-Waller factors of the elements.

A parametrisation is a table of coefficients (a file of its name beside this module) and the function that turns
one row of it into f_e; `_FORMS` lists them.
"""

import csv
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from math import factorial
from typing import Literal, get_args

import torch
from torch import Tensor

from facetem.core.errors import InputError
from facetem.core.physics import BOHR_RADIUS, HARTREE_E2

Parametrization = Literal["lobato", "kirkland", "weickenmeier_kohl"]
Coefficients = Mapping[str, tuple[float, ...]]  # of one element, by letter

# Projected potential [V Å^2] per scattering factor [Å]: h^2 / (2 pi m0 e) = 2 pi e a0 / (4 pi eps0).
POTENTIAL_PER_FACTOR = 2 * torch.pi * BOHR_RADIUS * HARTREE_E2
# f_e [Å] of a bare unit charge times s^2 = k^2 / 4 [1/Å^2]: m0 e^2 / (8 pi eps0 h^2) = 1 / (8 pi^2 a0), 0.0239 / Å.
MOTT_BETHE = 1 / (8 * torch.pi**2 * BOHR_RADIUS)

# Isotropic B = 8 pi^2 <u^2> [Å^2] near room temperature, rounded. Ni, Cu, Pd, Ag, Pt, Au after Gao & Peng, Acta
# Cryst. A55 (1999) 926; carbon: of the order of graphite's, amorphous carbon has no tabulated value. All others:
# Peng, Ren, Dudarev & Whelan, Acta Cryst. A52 (1996) 456, table 1, elements in their crystals (Sn: grey tin),
# interpolated to 293 K.
# fmt: off
DEBYE_WALLER: Mapping[int, float] = {
    3: 4.81, 4: 0.42, 6: 0.5, 11: 6.66, 12: 1.81, 13: 0.78, 14: 0.48, 19: 10.7, 20: 2.0, 21: 0.75, 22: 0.51, 23: 0.57,
    24: 0.25, 26: 0.32, 28: 0.37, 29: 0.55, 30: 1.14, 32: 0.60, 37: 13.2, 38: 3.79, 39: 0.86, 40: 0.57, 41: 0.45,
    42: 0.22, 46: 0.45, 47: 0.73, 50: 1.13, 55: 17.5, 56: 3.06, 57: 1.86, 65: 1.01, 67: 0.84, 73: 0.32, 74: 0.16,
    78: 0.37, 79: 0.63, 82: 2.13, 90: 0.73,
}
# fmt: on


PARAMETRIZATIONS: tuple[Parametrization, ...] = get_args(Parametrization)


def _lobato(number: int, row: Coefficients, k2: Tensor) -> Tensor:
    """sum_i a_i (2 + b_i k^2) / (1 + b_i k^2)^2 (Lobato & Van Dyck, Acta Cryst. A70 (2014) 636, eq. 16, table 3)."""
    factor = torch.zeros_like(k2)
    for a, b in zip(row["a"], row["b"], strict=True):
        x = b * k2
        factor = factor + a * (2 + x) / (1 + x) ** 2
    return factor


def _kirkland(number: int, row: Coefficients, k2: Tensor) -> Tensor:
    """sum_i a_i / (k^2 + b_i) + sum_i c_i exp(-d_i k^2) (Kirkland, Advanced Computing in EM, eq. C.15)."""
    factor = torch.zeros_like(k2)
    for a, b, c, d in zip(row["a"], row["b"], row["c"], row["d"], strict=True):
        factor = factor + a / (k2 + b) + c * torch.exp(-d * k2)
    return factor


def _weickenmeier_kohl(number: int, row: Coefficients, k2: Tensor) -> Tensor:
    """Z / (8 pi^2 a0 s^2) sum_i w_i (1 - exp(-b_i s^2)), s = k / 2 (Weickenmeier & Kohl, Acta Cryst. A47 (1991) 590).

    The weights, 1 / (3 (1 + V)) for three of the terms and V times that for the others, add up to 1. The paper
    rounds the prefactor to 0.02395 / Å (0.07 %); here it is that of the other tables.
    """
    (v,) = row["V"]
    weights = [(1.0 if i < 3 else v) / (3 * (1 + v)) for i in range(6)]
    s2 = k2 / 4
    # Where all exponents are small the quotient would end as 0 / 0 and its derivative lose digits before: the series
    # sum_n (-s^2)^n sum_i w_i b_i^(n + 1) / (n + 1)! there, to 1e-16 of the first term.
    small = s2 * max(row["b"]) < 1e-2
    near, far = torch.where(small, s2, 0), torch.where(small, 1, s2)
    series = torch.zeros_like(k2)
    for n in reversed(range(6)):
        moment = sum(w * b ** (n + 1) for w, b in zip(weights, row["b"], strict=True)) / factorial(n + 1)
        series = moment - near * series
    quotient = torch.zeros_like(k2)
    for w, b in zip(weights, row["b"], strict=True):
        quotient = quotient - w * torch.expm1(-b * far)
    return number * MOTT_BETHE * torch.where(small, series, quotient / far)


_FORMS: Mapping[Parametrization, Callable[[int, Coefficients, Tensor], Tensor]] = {
    "lobato": _lobato,
    "kirkland": _kirkland,
    "weickenmeier_kohl": _weickenmeier_kohl,
}


@cache
def _table(parametrization: Parametrization) -> Mapping[int, Coefficients]:
    """The coefficients of every element; the columns a1, a2, ... of the file are "a" of a row."""
    table: dict[int, Coefficients] = {}
    with resources.files("facetem.hrtem").joinpath(f"{parametrization}.csv").open() as file:
        for line in csv.DictReader(line for line in file if not line.startswith("#")):
            row: dict[str, tuple[float, ...]] = {}
            for column, text in line.items():
                if column not in ("Z", "symbol"):
                    letter = column.rstrip("0123456789")
                    row[letter] = (*row.get(letter, ()), float(text))
            table[int(line["Z"])] = row
    return table


def scattering_factor(
    number: int, squared_frequency: Tensor, parametrization: Parametrization = "lobato"
) -> Tensor:
    """Electron scattering factor f_e [Å] of a neutral atom at k^2 [1/Å^2], any shape.

    First Born approximation, m = m0. The tables differ by 1 to 3 % for most elements, and by more towards k = 0
    where they assume other configurations of the free atom (Cr, Nb to Rh, Ir, Pt, Tl, Po).

    Parameters
    ----------
    number
        Atomic number.
    squared_frequency
        k^2 = 4 s^2 = (2 sin(theta / 2) / lambda)^2 [1/Å^2], >= 0.
    parametrization
        `lobato` (Lobato & Van Dyck 2014, Z = 1 to 103), `kirkland` (Kirkland 2010, 1 to 103) or
        `weickenmeier_kohl` (Weickenmeier & Kohl 1991, 2 to 98; Dr Probe's default).

    Raises
    ------
    InputError
        If the parametrisation is unknown or has no such element.
    """
    if parametrization not in _FORMS:
        raise InputError(
            f"parametrization: expected {', '.join(_FORMS)}, got {parametrization!r}; it names the table of factors"
        )
    table = _table(parametrization)
    if number not in table:
        raise InputError(
            f"no scattering factor for atomic number {number} in {parametrization}: "
            f"expected {min(table)} to {max(table)}"
        )
    return _FORMS[parametrization](number, table[number], squared_frequency)


def debye_waller_factor(number: int, squared_frequency: Tensor, factors: Mapping[int, float]) -> Tensor:
    """exp(-B k^2 / 4) with B [Å^2] from `factors`; elements that it lacks do not vibrate."""
    return torch.exp(-0.25 * factors.get(number, 0.0) * squared_frequency)
