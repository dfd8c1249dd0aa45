"""What one atom does to the wave, as functions of the spatial frequency that are cut at the band limit.

A plane multiplies the wave by exp(E), and E is a sum over atoms. To first order in the atom's phase sigma v it is i
sigma BL(v), with BL the cut at the band. The second order of exp(i sigma v) has, beside the square of the first,
- sigma^2 BL[v^2 - BL(v)^2] / 2: electrons that one and the same atom scatters out of the band and back into it. The
pixels do not hold the way, but its outcome is known and belongs to the atom alone: a loss, as absorption is.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import torch
from torch import Tensor

from facetem.core.grid import Grid
from facetem.hrtem.gridding import Kernel
from facetem.hrtem.planes import LIGHT
from facetem.hrtem.scattering import (
    POTENTIAL_PER_FACTOR,
    Parametrization,
    debye_waller_factor,
    scattering_factor,
)
from facetem.hrtem.settings import Multislice

BOX = 1024  # pixels a side of the box with one atom in which its square is taken
REACH = 8  # frequencies in that box go to this multiple of the band


def atomic_potential(number: int, squared_frequency: Tensor, settings: Multislice) -> Tensor:
    """Fourier transform of an atom's projected potential [V Å^3] at k^2 [1 / Å^2], any shape."""
    factor = scattering_factor(number, squared_frequency, settings.parametrization)
    vibration = debye_waller_factor(number, squared_frequency, settings.debye_waller)
    return POTENTIAL_PER_FACTOR * factor * vibration


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept may have a part in a gradient later
def _second_order(
    number: int, parametrization: Parametrization, B: float, limit: float
) -> tuple[float, Tensor]:
    """A step of frequency [1 / Å] and the transform of (v^2 - BL(v)^2) / 2 [V^2 Å^4] at its multiples up to `limit`."""
    box = Grid((BOX, BOX), 0.5 / (REACH * limit))
    k2 = box.squared_frequency(dtype=torch.float64)[:, : BOX // 2 + 1]
    settings = Multislice(parametrization=parametrization, debye_waller={number: B})
    potential = atomic_potential(number, k2, settings) / box.sampling**2
    full, cut = (torch.fft.irfft2(v, s=box.shape) for v in (potential, potential * (k2 <= limit**2)))
    square = torch.fft.rfft2((full**2 - cut**2) / 2)[0].real * box.sampling**2
    return 1 / (BOX * box.sampling), square[: ceil(limit * BOX * box.sampling) + 2]


def second_order(number: int, frequency: Tensor, limit: float, settings: Multislice) -> Tensor:
    """Fourier transform of BL[v^2 - BL(v)^2] / 2 [V^2 Å^4] at frequencies up to `limit` [1 / Å], any shape."""
    step, square = _second_order(
        number, settings.parametrization, settings.debye_waller.get(number, 0.0), round(limit, 6)
    )
    square = square.to(frequency.device)
    place = (frequency.double() / step).clamp_max(len(square) - 1)
    below = place.long().clamp_max(len(square) - 2)
    return torch.lerp(square[below], square[below + 1], place - below).to(frequency.dtype)


def _extent(number: int, k2: Tensor, settings: Multislice) -> Tensor:
    """Half the second moment of the atom along z times its potential [V Å^5]: - dv / d(k^2) / (4 pi^2).

    From v(k^2 + kz^2), whose transform by kz is how the potential of frequency k is spread along z.
    """
    slope = torch.func.grad(lambda x: atomic_potential(number, x, settings).sum())(k2)
    return -slope / (4 * torch.pi**2)


@dataclass(frozen=True)
class Form:
    """What the transform of an element's spread atoms is multiplied with, (specimen or 1, y, x // 2 + 1) each.

    Parameters
    ----------
    phase
        sigma v, of the phase [rad].
    loss
        Of the loss: second order and absorption; None where there is neither.
    extent
        Of the phase, times the curvatures of the shares; None for infinite projection.
    """

    phase: Tensor
    loss: Tensor | None
    extent: Tensor | None


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def form(
    number: int,
    grid: Grid,
    sigma: tuple[float, ...],
    settings: Multislice,
    device: torch.device,
    dtype: torch.dtype,
) -> Form:
    """Of an element at interaction parameters `sigma` [rad / (V Å)], the kernel of the gridding divided out."""
    columns = grid.shape[1] // 2 + 1
    limit = settings.potential_band * grid.nyquist
    k2 = grid.squared_frequency(device, torch.float64)[:, :columns]
    kernel = Kernel(settings.potential_band)
    ky = kernel.spectrum(grid.shape[0], device, torch.float64)[:, None]
    kx = kernel.spectrum(grid.shape[1], device, torch.float64)[None, :columns]
    scale = (k2 <= limit**2) / (ky * kx) / grid.pixel_area
    s = torch.tensor(sigma, device=device, dtype=torch.float64)[:, None, None]
    phase = s * (atomic_potential(number, k2, settings) * scale)
    loss = settings.absorption.get(number, 0.0) * phase
    if settings.second_order and number > LIGHT:
        # A plane holds what its potential scatters, also beyond the band of the wave, which is cut after it.
        loss = loss + s**2 * (second_order(number, torch.sqrt(k2), limit, settings) * scale)
    return Form(
        phase.to(dtype),
        loss.to(dtype) if bool((loss != 0).any()) else None,
        (s * _extent(number, k2, settings) * scale).to(dtype) if settings.projection == "finite" else None,
    )
