"""Aberrations in the notations of others: Uhlemann and Haider (CEOS), and Dr Probe's WAVIMG.

docs/optics.md sets them side by side. abTEM has our names, signs and azimuths, and needs no conversion.
"""

import cmath
from collections.abc import Iterable, Mapping

from torch import Tensor

from facetem.core.errors import InputError
from facetem.hrtem.aberrations import ORDERS, Aberrations, Number

# Haider's name -> ours; those that are neither round nor of full multiplicity lack the factor 1 / (n + 1)
HAIDER = {
    "C1": "C10",
    "A1": "C12",
    "B2": "C21",
    "A2": "C23",
    "C3": "C30",
    "S3": "C32",
    "A3": "C34",
    "B4": "C41",
    "D4": "C43",
    "A4": "C45",
    "C5": "C50",
    "S5": "C52",
    "R5": "C54",
    "A5": "C56",
}
WAVIMG = ("C10", "C12", "C21", "C23", "C30", "C32", "C34", "C41", "C43", "C45", "C50", "C52", "C54", "C56")


def from_haider(coefficients: Mapping[str, complex]) -> Aberrations:
    """Aberrations of the complex coefficients [Å] of Uhlemann & Haider, by name: C1 A1 B2 A2 C3 S3 A3 B4 D4 A4 ...

    Of the polynomial, w' = conj(w)::

        chi = (2 pi / lambda) Re { w w' C1 / 2 + w'^2 A1 / 2 + w^2 w' B2 + w'^3 A2 / 3 + (w w')^2 C3 / 4 + w^3 w' S3
              + w'^4 A3 / 4 + w^3 w'^2 B4 + w^4 w' D4 + w'^5 A4 / 5 + (w w')^3 C5 / 6 + w^4 w'^2 S5 + w^5 w' R5
              + w'^6 A5 / 6 }

    (Uhlemann & Haider, Ultramicroscopy 72 (1998) 109; Haider, Uhlemann & Zach, Ultramicroscopy 81 (2000) 163; S5
    and R5 by the same rule). So C21 exp(i phi21) = 3 conj(B2), C32 exp(2 i phi32) = 4 conj(S3), and so on; the A are
    taken as they are, and `defocus` = -C1.

    Raises
    ------
    InputError
        If a name is none of these, or the coefficient of a round aberration is not real.
    """
    terms: dict[str, complex] = {}
    for name, value in coefficients.items():
        if name not in HAIDER:
            raise InputError(f"coefficients: expected names among {', '.join(HAIDER)}, got {name!r}")
        terms[HAIDER[name]] = _swap(HAIDER[name], complex(value), inverse=False)
    return _from_polar(terms)


def to_haider(aberrations: Aberrations) -> dict[str, complex]:
    """The coefficients [Å] of Uhlemann & Haider that are not zero; the inverse of `from_haider`."""
    names = {ours: theirs for theirs, ours in HAIDER.items()}
    return {names[name]: _swap(name, value, inverse=True) for name, value in _polar(aberrations).items()}


def from_wavimg(entries: Iterable[tuple[int, float, float]]) -> Aberrations:
    """Aberrations of the lines (index, x, y) [nm] of a parameter file of WAVIMG or MSA, indices 1 to 14.

    Dr Probe (Barthel, Ultramicroscopy 193 (2018) 1) writes `chi = (2 pi / lambda) sum_NM |w|^(N - M)
    (x Re w^M + y Im w^M) / N`, N = n + 1, M = m: x + i y is C_nm exp(i m phi_nm), without factors.

    Raises
    ------
    InputError
        If an index is not in 1..14 (0, the image shift, is no aberration here), or a round aberration has a y.
    """
    terms: dict[str, complex] = {}
    for index, x, y in entries:
        if not 1 <= index <= len(WAVIMG):
            raise InputError(f"entries: expected indices from 1 to {len(WAVIMG)}, got {index!r}")
        terms[WAVIMG[index - 1]] = complex(10 * x, 10 * y)
    return _from_polar(terms)


def to_wavimg(aberrations: Aberrations) -> list[tuple[int, float, float]]:
    """Lines (index, x, y) [nm] for WAVIMG of the aberrations that are not zero; the inverse of `from_wavimg`."""
    return [
        (WAVIMG.index(name) + 1, value.real / 10, value.imag / 10)
        for name, value in _polar(aberrations).items()
    ]


def _swap(name: str, value: complex, *, inverse: bool) -> complex:
    """Between Haider's coefficient and C_nm exp(i m phi_nm) of `name`."""
    n, m = ORDERS[name]
    if m in (0, n + 1):
        return value
    return value.conjugate() / (n + 1) if inverse else value.conjugate() * (n + 1)


def _polar(aberrations: Aberrations) -> dict[str, complex]:
    return {
        name: complex(value.detach().cpu()) if isinstance(value, Tensor) else value
        for name, value in aberrations.polar().items()
    }


def _from_polar(terms: Mapping[str, complex]) -> Aberrations:
    numbers: dict[str, Number] = {}
    for name, value in terms.items():
        m = ORDERS[name][1]
        if m:
            numbers |= {name: abs(value), "phi" + name[1:]: cmath.phase(value) / m}
        elif value.imag:
            raise InputError(f"{name}: expected a real coefficient, for it is round, got {value!r}")
        else:
            numbers |= {"defocus": -value.real} if name == "C10" else {name: value.real}
    return Aberrations(**numbers)
