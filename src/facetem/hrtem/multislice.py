"""Exit waves of many different specimens at once.

    psi <- F^-1 [ P F (T psi) ],  T = exp(i sigma V),  P = exp(-i pi lambda dz k^2) inside the band limit
    (Cowley & Moodie, Acta Cryst. 10 (1957) 609; Kirkland, Advanced Computing in Electron Microscopy, ch. 6)

Incident wave 1, vacuum stays 1. The exit plane is the end of the cell along the beam.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.core.physics import interaction_parameter, wavelength
from facetem.core.structure import Structure
from facetem.hrtem.potential import BAND, Projector, slices
from facetem.hrtem.scattering import DEBYE_WALLER


def propagator(grid: Grid, *, distance: float, wavelengths: Tensor) -> Tensor:
    """Fresnel propagator (specimen, y, x) over `distance` [Å], zero outside `BAND` of the Nyquist frequency."""
    ky, kx = grid.frequencies(wavelengths.device, torch.float64)
    phase = -torch.pi * distance * wavelengths.double()[:, None, None]
    # exp of a sum: two short factors instead of a full exponential per pixel
    factors = torch.polar(torch.ones_like(phase * ky), phase * ky**2) * torch.polar(
        torch.ones_like(phase * kx), phase * kx**2
    )
    inside = ky**2 + kx**2 <= (BAND * grid.nyquist) ** 2
    dtype = torch.complex64 if wavelengths.dtype == torch.float32 else torch.complex128
    return (factors * inside).to(dtype)


def propagate(wave: Tensor, grid: Grid, *, distance: float, energy: float) -> Tensor:
    """Advance waves (..., y, x) through vacuum by Fresnel diffraction over `distance` [Å] (either sign).

    psi(z + dz) = F^-1[exp(-i pi lambda dz k^2) F psi]   (Kirkland, ch. 6). Intensity inside the band limit
    is conserved; what lies outside it is lost.

    Raises
    ------
    InputError
        If `wave` does not match `grid`.
    """
    if tuple(wave.shape[-2:]) != grid.shape:
        raise InputError(f"wave: expected (..., {grid.shape[0]}, {grid.shape[1]}), got {tuple(wave.shape)}")
    lam = torch.tensor([wavelength(energy)], device=wave.device, dtype=wave.real.dtype)
    return torch.fft.ifft2(propagator(grid, distance=distance, wavelengths=lam)[0] * torch.fft.fft2(wave))


def exit_wave(
    structure: Structure,
    grid: Grid,
    *,
    energies: Tensor,
    slice_thickness: float = 2.0,
    debye_waller: Mapping[int, float] = DEBYE_WALLER,
) -> Tensor:
    """Exit waves (specimen, y, x), complex, of a batch of specimens; differentiable in the positions.

    Parameters
    ----------
    structure
        Specimens; atoms beyond the grid's extent wrap around (the grid is periodic).
    grid
        The same field for every specimen.
    energies : (specimen,) float
        Beam energy of each [eV].
    slice_thickness
        [Å]; every slice acts at its mid-plane.
    debye_waller
        B [Å^2] by atomic number.

    Raises
    ------
    InputError
        If `energies` does not fit the specimens, or see `slices`.
    """
    n = structure.n_specimens
    if energies.shape != (n,):
        raise InputError(f"energies: expected one for each of the {n} specimens, got {tuple(energies.shape)}")
    dtype, device = structure.positions.dtype, structure.positions.device
    unique, which = torch.unique(energies.detach(), return_inverse=True)
    lam = torch.tensor([wavelength(float(e)) for e in unique], dtype=dtype, device=device)
    sigma = torch.tensor([interaction_parameter(float(e)) for e in unique], dtype=dtype, device=device)[which]
    projector = Projector.of(structure, grid, debye_waller)
    propagators: dict[float, Tensor] = {}
    wave = torch.ones((n, *grid.shape), dtype=dtype, device=device).to(
        torch.complex64 if dtype == torch.float32 else torch.complex128
    )
    for step in slices(structure, slice_thickness):
        phase = projector(step.atoms) * sigma[:, None, None]
        key = round(step.distance, 6)
        if key not in propagators:
            table = propagator(grid, distance=key, wavelengths=lam)
            propagators[key] = table if len(lam) == 1 else table[which]
        transmission = torch.complex(torch.cos(phase), torch.sin(phase))
        wave = torch.fft.ifft2(propagators[key] * torch.fft.fft2(transmission * wave))
    return wave
