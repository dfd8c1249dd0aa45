"""Measured transfer functions of cameras, and the text files that hold them."""

from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from facetem.core.errors import InputError

FrequencyUnit = Literal["cycles-per-pixel", "nyquist"]

# A curve has to come this near to the Nyquist frequency [cycles per pixel]: it is not continued by guessing.
REACH = 0.45
CORNER = 0.75  # a little beyond the diagonal of the frequencies that square pixels hold, 0.707


@dataclass(frozen=True)
class TransferCurve:
    """A transfer function as measured: `values` at `frequencies` [cycles per pixel], 1 at 0, the same all around.

    A measured curve contains the aperture of the pixel. Between its points it is linear; beyond the last one,
    towards the corners of Fourier space, it keeps the last value.
    """

    frequencies: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        f, v = self.frequencies, self.values
        if len(f) != len(v) or len(f) < 2:
            raise InputError(
                f"curve: expected two or more frequencies and as many values, got {len(f)} and {len(v)}"
            )
        if not all(isfinite(x) for x in (*f, *v)):
            raise InputError("curve: expected finite numbers, got NaN or infinite ones")
        if f[0] != 0 or not all(a < b for a, b in pairwise(f)):
            raise InputError(
                f"curve: expected frequencies that start at 0 and increase, got {f[0]:g}, {f[1]:g}, ..."
            )
        if not REACH <= f[-1] <= CORNER:
            raise InputError(
                f"curve: expected frequencies up to the Nyquist frequency, 0.5 cycles per pixel, got up to {f[-1]:g}"
            )
        if abs(v[0] - 1) > 0.01:
            raise InputError(f"curve: expected the value 1 at frequency 0, got {v[0]:g}; divide by it first")
        if not all(0 <= x <= 1.2 for x in v):
            raise InputError(f"curve: expected values from 0 to about 1, got {min(v):g} to {max(v):g}")

    @classmethod
    def of_nyquist(cls, fractions: tuple[float, ...], values: tuple[float, ...]) -> "TransferCurve":
        """The curve whose frequencies are given as fractions of the Nyquist frequency."""
        return cls(tuple(f / 2 for f in fractions), values)

    def at(self, frequency: Tensor) -> Tensor:
        """Values, of the same shape, at `frequency` [cycles per pixel, >= 0]; exactly 1 at 0."""
        f = torch.as_tensor(self.frequencies, device=frequency.device, dtype=frequency.dtype)
        v = torch.as_tensor(self.values, device=frequency.device, dtype=frequency.dtype) / self.values[0]
        right = torch.bucketize(frequency, f).clamp(1, len(f) - 1)
        part = (frequency - f[right - 1]) / (f[right] - f[right - 1])
        return torch.lerp(v[right - 1], v[right], part.clamp(0, 1))


def load_curve(path: Path, *, unit: FrequencyUnit = "cycles-per-pixel") -> TransferCurve:
    """Read a curve from two columns of text, frequency and value; `#` begins a comment.

    Raises
    ------
    InputError
        If the file is missing or not of two columns of numbers, the frequencies are not in `unit` (those in cycles
        per pixel end near 0.5, those in fractions of Nyquist near 1), or see `TransferCurve`.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [line.split("#")[0].replace(",", " ").split() for line in lines]
        table = [(float(frequency), float(value)) for frequency, value in filter(None, rows)]
    except ValueError as error:
        raise InputError(f"{path}: expected two columns of numbers, frequency and value ({error})") from error
    if len(table) < 2:
        raise InputError(f"{path}: expected two columns, frequency and value, got {len(table)} lines of them")
    last = table[-1][0]
    if unit == "cycles-per-pixel" and last > CORNER:
        raise InputError(
            f"{path}: expected frequencies in cycles per pixel, up to 0.5, got up to {last:g}; if they are fractions "
            "of the Nyquist frequency, say so (--mtf-unit nyquist)"
        )
    if unit == "nyquist" and last < 2 * REACH:
        raise InputError(
            f"{path}: expected frequencies as fractions of the Nyquist frequency, up to 1, got up to {last:g}; if "
            "they are cycles per pixel, say so (--mtf-unit cycles-per-pixel)"
        )
    frequencies, values = zip(*table, strict=True)
    try:
        made = TransferCurve if unit == "cycles-per-pixel" else TransferCurve.of_nyquist
        return made(frequencies, values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
