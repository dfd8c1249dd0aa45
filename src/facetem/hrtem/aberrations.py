"""The wave aberration of the objective lens, to fifth order.

Krivanek's notation (Krivanek, Dellby & Lupini, Ultramicroscopy 78 (1999) 1),

    chi = (2 pi / lambda) Re sum_nm C_nm exp(i m phi_nm) conj(w)^m |w|^(n + 1 - m) / (n + 1),  w = lambda (kx + i ky)
        = (2 pi / lambda) sum_nm C_nm |w|^(n + 1) cos(m (phi - phi_nm)) / (n + 1),

and the wave is multiplied by exp(-i chi). `defocus` = -C10 > 0 is underfocus: the image is that of a plane
`defocus` [Å] before (upstream of) the reference plane, which is the exit plane of the wave given.
"""

import cmath
from dataclasses import dataclass, fields
from math import isfinite, pi

import torch
from torch import Tensor

from facetem.core.errors import InputError

Number = float | Tensor  # a tensor is 0-dimensional, and gradients flow to it


def check_finite(name: str, value: Number) -> None:
    """Raise InputError unless `value` is a finite number, or a real 0-dimensional tensor.

    What a tensor holds is not looked at: that would wait for its device.
    """
    if isinstance(value, Tensor):
        if value.ndim or not value.is_floating_point():
            got = f"shape {tuple(value.shape)}, {value.dtype}"
            raise InputError(f"{name}: expected a number or a 0-dimensional real tensor, got {got}")
    elif not isfinite(value):
        raise InputError(f"{name}: expected a finite number, got {value!r}")


@dataclass(frozen=True)
class Aberrations:
    """Coefficients [Å] and azimuths [rad] of the objective lens; `defocus` = -C10 (positive: underfocus).

    All may be 0-dimensional tensors, to which gradients then flow. A new aberration is a line here.

    Raises
    ------
    InputError
        If a number is not finite, or a tensor not 0-dimensional.
    """

    defocus: Number = 0.0
    C12: Number = 0.0  # twofold astigmatism
    phi12: Number = 0.0
    C21: Number = 0.0  # axial coma
    phi21: Number = 0.0
    C23: Number = 0.0  # threefold astigmatism
    phi23: Number = 0.0
    C30: Number = 0.0  # spherical aberration
    C32: Number = 0.0  # star aberration
    phi32: Number = 0.0
    C34: Number = 0.0  # fourfold astigmatism
    phi34: Number = 0.0
    C41: Number = 0.0  # fourth-order coma
    phi41: Number = 0.0
    C43: Number = 0.0  # three-lobe aberration
    phi43: Number = 0.0
    C45: Number = 0.0  # fivefold astigmatism
    phi45: Number = 0.0
    C50: Number = 0.0  # fifth-order spherical aberration
    C52: Number = 0.0  # fifth-order star aberration
    phi52: Number = 0.0
    C54: Number = 0.0  # rosette aberration
    phi54: Number = 0.0
    C56: Number = 0.0  # sixfold astigmatism
    phi56: Number = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            check_finite(name, value)

    def polar(self) -> dict[str, complex | Tensor]:
        """C_nm exp(i m phi_nm) [Å] by name; a coefficient that is plainly zero is left out."""
        terms: dict[str, complex | Tensor] = {}
        for name, (_, m) in ORDERS.items():
            value = -self.defocus if name == "C10" else getattr(self, name)
            azimuth = getattr(self, "phi" + name[1:]) if m else 0.0
            if isinstance(azimuth, Tensor):
                terms[name] = value * torch.exp(1j * m * azimuth)
            elif isinstance(value, Tensor) or value != 0:
                terms[name] = value * cmath.exp(1j * m * azimuth)
        return terms


# name -> (order n, multiplicity m)
ORDERS = {"C10": (1, 0)} | {
    item.name: (int(item.name[1]), int(item.name[2]))
    for item in fields(Aberrations)
    if item.name.startswith("C")
}


def aberration_phase(
    kx: Tensor, ky: Tensor, lam: Tensor, coefficients: dict[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Wave aberration chi [rad] and the square of its gradient in k [rad^2 Å^2].

    Parameters
    ----------
    kx, ky : broadcastable to (n, y, x)
        Frequencies [1/Å].
    lam : (n, 1, 1)
        Wavelengths [Å].
    coefficients
        name -> (n, 1, 1) complex C_nm exp(i m phi_nm) [Å]. Names that are absent cost nothing.
    """
    polynomial = _Polynomial(kx, ky, lam, coefficients)
    return polynomial.phase(), polynomial.squared_slope()


def wave_aberration(kx: Tensor, ky: Tensor, lam: Tensor, coefficients: dict[str, Tensor]) -> Tensor:
    """chi [rad] alone; see `aberration_phase`."""
    return _Polynomial(kx, ky, lam, coefficients).phase()


class _Polynomial:
    """chi = (2 pi / lambda) Re sum_m conj(w)^m f_m(r), r = |w|^2: a polynomial f_m for each multiplicity m.

    So the round aberrations need real numbers only, and the others one power of conj(w) for each multiplicity met.
    """

    def __init__(self, kx: Tensor, ky: Tensor, lam: Tensor, coefficients: dict[str, Tensor]) -> None:
        self._lam = lam
        x, y = torch.broadcast_tensors(lam * kx, lam * ky)
        self._square = x**2 + y**2
        self._w = torch.complex(x, y)
        self._powers = [torch.ones_like(self._w), self._w.conj().resolve_conj()]
        # m -> exponent of r -> coefficient
        self._terms: dict[int, dict[int, Tensor]] = {}
        for name, value in coefficients.items():
            n, m = ORDERS[name]
            part = value / (n + 1)
            self._terms.setdefault(m, {})[(n + 1 - m) // 2] = part if m else part.real

    def _power(self, m: int) -> Tensor:
        """conj(w)^m, by multiplication: a complex `pow` costs a logarithm and an exponential per pixel."""
        while len(self._powers) <= m:
            self._powers.append(self._powers[-1] * self._powers[1])
        return self._powers[m]

    def _evaluate(self, terms: dict[int, Tensor]) -> Tensor:
        """sum of terms[p] r^p, by Horner's rule."""
        total = terms[max(terms)]
        for p in range(max(terms) - 1, -1, -1):
            total = total * self._square
            if p in terms:
                total = total + terms[p]
        return total

    def phase(self) -> Tensor:
        total = torch.zeros_like(self._square)
        for m, terms in self._terms.items():
            f = self._evaluate(terms)
            total = total + (_real_product(self._power(m), f) if m else f)
        return 2 * pi / self._lam * total

    def squared_slope(self) -> Tensor:
        # d/dx + i d/dy = 2 d/d conj(w), and 2 Re z = z + conj(z): the gradient of Re conj(w)^m f(r) is
        # m conj(w)^(m - 1) f + conj(w)^(m - 1) r f' + w^(m + 1) conj(f'); d/dk = lambda d/dw.
        slope = torch.zeros_like(self._w)
        for m, terms in self._terms.items():
            derivative = {p - 1: p * value for p, value in terms.items() if p}
            if not m:
                slope = slope + 2 * self._evaluate(derivative) * self._w
                continue
            # m f + r f' in one: the coefficient of r^p times m + p
            slope = slope + self._power(m - 1) * self._evaluate({p: (m + p) * v for p, v in terms.items()})
            if derivative:
                slope = slope + (self._power(m + 1) * self._evaluate(derivative)).conj()
        return (2 * pi) ** 2 * (slope.real**2 + slope.imag**2)


def _real_product(a: Tensor, b: Tensor) -> Tensor:
    """Re a b, without the imaginary part that nobody asked for."""
    return a.real * b.real - a.imag * b.imag
