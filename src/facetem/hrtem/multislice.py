"""Exit waves of many different specimens at once.

    psi <- F^-1 [ P F (T psi) ],  T = exp(i phase - loss),  P = exp(-i pi lambda dz k^2) inside the band limit
    (Cowley & Moodie, Acta Cryst. 10 (1957) 609; Kirkland, Advanced Computing in Electron Microscopy, ch. 6)

Incident wave 1, vacuum stays 1. The exit plane is the end of the cell along the beam.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.core.physics import interaction_parameter, wavelength
from facetem.core.structure import Structure
from facetem.hrtem.potential import Plane, planes_of
from facetem.hrtem.settings import Multislice


def propagator(
    grid: Grid,
    *,
    distances: Tensor,
    wavelengths: Tensor,
    band: float,
    tilt: tuple[float, float] = (0.0, 0.0),
) -> Tensor:
    """Fresnel propagators (specimen, y, x) over `distances` (specimen,) [Å], zero outside `band` of Nyquist.

    Of waves that are divided by the incident one of direction `tilt` (x, y) [mrad]:
    P = exp(-i pi lambda dz k^2 - 2 pi i dz k . tilt), from (k + tilt / lambda)^2 without its constant.
    """
    ky, kx = grid.frequencies(wavelengths.device, torch.float64)
    dz = distances.double()[:, None, None]
    lam = wavelengths.double()[:, None, None]
    # exp of a sum: two short factors instead of a full exponential per pixel
    factors = [
        torch.polar(torch.ones_like(dz * k), -torch.pi * dz * k * (lam * k + 2e-3 * angle))
        for k, angle in ((ky, tilt[1]), (kx, tilt[0]))
    ]
    inside = ky**2 + kx**2 <= (band * grid.nyquist) ** 2
    dtype = torch.complex64 if wavelengths.dtype == torch.float32 else torch.complex128
    return factors[0].to(dtype) * (factors[1].to(dtype) * inside)


def propagate(wave: Tensor, grid: Grid, *, distance: float, energy: float) -> Tensor:
    """Advance waves (..., y, x) through vacuum by Fresnel diffraction over `distance` [Å] (either sign).

    psi(z + dz) = F^-1[exp(-i pi lambda dz k^2) F psi]   (Kirkland, ch. 6). Intensity inside the Nyquist circle
    is conserved; what lies outside it is lost.

    Raises
    ------
    InputError
        If `wave` does not match `grid`.
    """
    if tuple(wave.shape[-2:]) != grid.shape:
        raise InputError(f"wave: expected (..., {grid.shape[0]}, {grid.shape[1]}), got {tuple(wave.shape)}")
    lam = torch.tensor([wavelength(energy)], device=wave.device, dtype=wave.real.dtype)
    vacuum = propagator(grid, distances=torch.full_like(lam, distance), wavelengths=lam, band=1.0)
    return torch.fft.ifft2(vacuum[0] * torch.fft.fft2(wave))


def transmission(plane: Plane) -> Tensor:
    """exp(i phase - loss), (specimen, y, x) complex."""
    real, imaginary = torch.cos(plane.phase), torch.sin(plane.phase)
    if plane.loss is not None:
        left = torch.exp(-plane.loss)
        real, imaginary = real * left, imaginary * left
    return torch.complex(real, imaginary)


def exit_wave(
    structure: Structure,
    grid: Grid,
    *,
    energies: Tensor,
    settings: Multislice | None = None,
    planes: Sequence[Tensor] | None = None,
) -> Tensor:
    """Exit waves (specimen, y, x), complex, of a batch of specimens; differentiable in the positions.

    Parameters
    ----------
    structure
        Specimens; atoms beyond the grid's extent wrap around (the grid is periodic).
    grid
        The same field for every specimen; its pixels are used, not the `sampling` of `settings`.
    energies : (specimen,) float
        Beam energy of each [eV].
    settings
        Default: `Multislice()`.
    planes
        Heights (plane,) [Å] where each specimen acts on the wave, ascending. Default: `planes.plane_heights`.

    Raises
    ------
    InputError
        If `energies` or `planes` do not fit the specimens, or an atom lies outside its cell along the beam.
    """
    n = structure.n_specimens
    if energies.shape != (n,):
        raise InputError(f"energies: expected one for each of the {n} specimens, got {tuple(energies.shape)}")
    settings = settings or Multislice()
    dtype, device = structure.positions.dtype, structure.positions.device
    values = energies.tolist()
    alike = 1 if len(set(values)) == 1 else n  # one energy: one table for all
    lam = torch.tensor([wavelength(e) for e in values], dtype=dtype, device=device)
    sigma = torch.tensor([interaction_parameter(e) for e in values[:alike]], dtype=dtype, device=device)
    propagators: dict[tuple[float, ...], Tensor] = {}
    wave = torch.ones((n, *grid.shape), dtype=dtype, device=device).to(
        torch.complex64 if dtype == torch.float32 else torch.complex128
    )
    for plane in planes_of(structure, grid, sigma=sigma, settings=settings, planes=planes):
        key = tuple(round(distance, 6) for distance in plane.distances)
        if key not in propagators:
            one = alike == 1 and len(set(key)) == 1
            some = slice(0, 1) if one else slice(None)
            distances = torch.tensor(key, dtype=torch.float64, device=device)[some]
            propagators[key] = propagator(
                grid, distances=distances, wavelengths=lam[some], band=settings.band, tilt=settings.tilt
            )
        wave = torch.fft.ifft2(torch.fft.fft2(transmission(plane).mul_(wave)).mul_(propagators[key]))
    return wave
