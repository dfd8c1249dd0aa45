"""Whether pixels and pixel size can be those of a particle's lattice; if not, one line says what was expected.

All raise InputError, which names `where` the image is from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from facetem.core.errors import InputError

Image = NDArray[np.float32]

SMALLEST_FIELD = 40.0  # Å: the smallest particle that was trained, 4 nm
SMALLEST_SHAPE = 64  # px: one patch of the restorer
COARSEST = 1.0  # Å/px: Nyquist at 2 Å, just below the {200} spacing of gold, 2.04 Å
FINEST = 0.05  # Å/px: ten times finer than any microscope needs; a nm value given for Å lands here
_SILENT = 1e-3  # of the noise ...
_RECORDED = 1.25  # Å: ... at spacings that every micrograph with a lattice has
_FINEST_DETAIL = 0.45  # Å: no microscope resolves this, so a sharp spot beyond it is a wrong pixel size


def check_sampling(sampling: float | None, where: str) -> None:
    """That the pixel size [Å/px] is one at which a lattice can be seen."""
    if not isinstance(sampling, (int, float, np.number)) or not math.isfinite(sampling) or sampling <= 0:
        raise InputError(f"{where}: expected a positive pixel size, got {_told(sampling)}")
    if sampling > COARSEST:
        raise InputError(
            f"{where}: expected a pixel size of at most {_told(COARSEST)}, got {_told(sampling)}, which cannot resolve "
            f"the lattice; if it is {_told(sampling / 10)}, Å were given for nm"
        )
    if sampling < FINEST:
        raise InputError(
            f"{where}: expected a pixel size of at least {_told(FINEST)}, got {_told(sampling)}; if it is "
            f"{_told(10 * sampling)}, nm were given for Å"
        )


def _told(sampling: object) -> str:
    """A pixel size [Å/px] in the units of Python and of the command line."""
    if isinstance(sampling, (int, float, np.number)):
        return f"{sampling:g} Å/px ({sampling / 10:g} nm/px)"
    return repr(sampling)


def check_size(shape: Sequence[int], sampling: float, where: str) -> None:
    """That a field (y, x) holds a particle."""
    ny, nx = shape[0], shape[1]
    if min(ny, nx) >= SMALLEST_SHAPE and min(ny, nx) * sampling >= SMALLEST_FIELD:
        return
    hint = ""
    if min(ny, nx) >= SMALLEST_SHAPE and 10 * sampling <= COARSEST:
        hint = f"; if the pixel size is {sampling:g} nm, give {10 * sampling:g} Å/px"
    raise InputError(
        f"{where}: expected at least {SMALLEST_SHAPE} px and {SMALLEST_FIELD / 10:g} nm along y and x, got "
        f"{ny} x {nx} px at {sampling:g} Å/px, {ny * sampling / 10:.2g} x {nx * sampling / 10:.2g} nm: smaller than "
        f"a particle{hint}"
    )


def check_detail(image: Image, sampling: float, where: str) -> None:
    """A lattice has sharp spots in its power spectrum; beyond 1/0.45 Å there can be none.

    The highest spot is compared with the median of its ring: for noise the ratio follows an exponential
    distribution, whose largest of 10^6 values is 20 times the median; 100 times is a lattice. The axes are left
    out, where the camera's rows and compression leave their own spots.
    """
    if sampling >= _FINEST_DETAIL / 2:
        return
    size = min(1024, *image.shape)
    y, x = ((n - size) // 2 for n in image.shape)
    window = np.hanning(size).astype(np.float32)
    patch = image[y : y + size, x : x + size]
    apart = patch - patch.mean()
    apart /= np.abs(apart).max() or 1  # of which powers of any scale are numbers
    power = np.abs(np.fft.rfft2(apart * window[:, None] * window)) ** 2
    ky = np.fft.fftfreq(size, sampling)[:, None]
    kx = np.fft.rfftfreq(size, sampling)[None, :]
    off_axis = (np.abs(ky) > 4 / (size * sampling)) & (kx > 4 / (size * sampling))
    radius = np.hypot(ky, kx)
    noise = np.median(power[off_axis & (radius < 1 / _RECORDED)])
    edges = np.linspace(1 / _FINEST_DETAIL, 0.5 / sampling, 17)
    for low, high in pairwise(edges):
        ring = np.where(off_axis & (radius >= low) & (radius < high), power, np.nan)
        median = np.nanmedian(ring) if np.isfinite(ring).any() else 0.0
        # Where an image was made finer afterwards there is no noise, and what stands out of nothing is rounding.
        if median > _SILENT * noise and np.nanmax(ring) > 100 * median:
            spacing = float(1 / radius.flat[int(np.nanargmax(ring))])
            raise InputError(
                f"{where}: expected lattice fringes wider than {_FINEST_DETAIL} Å, got fringes of {spacing:.2f} Å at "
                f"{sampling:g} Å/px; if the pixel size is {sampling:g} nm, give {10 * sampling:g} Å/px"
            )
