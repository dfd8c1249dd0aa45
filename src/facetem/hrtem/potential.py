"""Structure -> projected potential, slice by slice.

The atoms of a slice are spread on the grid with a short smooth kernel, transformed, and multiplied by their
scattering factors divided by the kernel's own transform: a non-uniform fast Fourier transform of type 1. The
potential is cut at `BAND` of the Nyquist frequency, which is the oversampling that keeps the gridding error
at 1e-4 of the peak or less with a kernel of six pixels.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.core.structure import Structure
from facetem.hrtem.scattering import POTENTIAL_PER_FACTOR, debye_waller_factor, scattering_factor

BAND = 2 / 3  # of Nyquist: what the product of two functions inside it aliases falls outside it
KERNEL_WIDTH = 6  # pixels
# exp(beta (sqrt(1 - x^2) - 1)), x in half-widths: Barnett, Magland & af Klinteberg, SIAM J. Sci. Comput. 41
# (2019) C479, eq. 1.8; shape for an oversampling of 1 / BAND after their eq. 4.5, 0.97 pi W (1 - BAND / 2).
KERNEL_SHAPE = 0.97 * np.pi * KERNEL_WIDTH * (1 - BAND / 2)


@dataclass(frozen=True)
class Slice:
    """Atoms between two planes, and how far the wave goes from their mid-plane to the next slice's [Å]."""

    atoms: Structure
    distance: float


def slices(structure: Structure, thickness: float) -> Iterator[Slice]:
    """Cut specimens into slices of `thickness` [Å], counted from the exit plane (z = cell height) upwards.

    Specimens of different height end at their exit plane in the same step; a lower one starts with vacuum,
    which leaves the incident plane wave as it is. Empty slices are joined to the distance before them. A
    slice acts at its mid-plane, so the last distance is half a slice.

    Raises
    ------
    InputError
        If `thickness` is not positive, or an atom lies outside its cell along the beam.
    """
    if not thickness > 0:
        raise InputError(f"slice_thickness: expected a positive number of Å, got {thickness!r}")
    depth = structure.cell[structure.batch, 2] - structure.positions[:, 2].detach()
    if len(depth) == 0:
        return
    if float(depth.min()) < -1e-3 or bool((structure.positions[:, 2] < -1e-3).any()):
        raise InputError(
            "structure: expected every atom between z = 0 and the cell height, found one outside"
        )
    index = (depth / thickness).floor().clamp_min(0).to(torch.int64)
    order = torch.argsort(-index, stable=True)
    occupied, counts = torch.unique_consecutive(index[order], return_counts=True)
    levels = occupied.tolist()
    groups = torch.split(order, counts.tolist())
    for i, (level, group) in enumerate(zip(levels, groups, strict=True)):
        below = levels[i + 1] if i + 1 < len(levels) else -0.5
        atoms = Structure(
            structure.positions[group], structure.numbers[group], structure.batch[group], structure.cell
        )
        yield Slice(atoms, (level - below) * thickness)


def kernel_spectrum(n: int, device: torch.device | str, dtype: torch.dtype) -> Tensor:
    """Fourier transform (n,) of the spreading kernel at the `torch.fft.fftfreq` frequencies of `n` pixels."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    kernel = weights * np.exp(KERNEL_SHAPE * (np.sqrt(1 - nodes**2) - 1))
    phase = np.pi * KERNEL_WIDTH * np.outer(np.fft.fftfreq(n), nodes)
    spectrum = (np.cos(phase) @ kernel) * KERNEL_WIDTH / 2
    return torch.as_tensor(spectrum, device=device, dtype=dtype)


def _spread(positions: Tensor, specimen: Tensor, n_specimens: int, grid: Grid) -> Tensor:
    """Unit weights at `positions` (atom, 2) [px, (x, y)] spread on (specimen, y, x), periodic."""
    ny, nx = grid.shape
    first = torch.floor(positions.detach() - KERNEL_WIDTH / 2).to(torch.int64) + 1
    offsets = torch.arange(KERNEL_WIDTH, device=positions.device)
    pixels = first[:, :, None] + offsets  # (atom, 2, width)
    x = (pixels.to(positions.dtype) - positions[:, :, None]) * (2 / KERNEL_WIDTH)
    weight = torch.exp(KERNEL_SHAPE * (torch.sqrt((1 - x**2).clamp_min(1e-6)) - 1))
    column = pixels[:, 0] % nx
    row = (pixels[:, 1] % ny + specimen[:, None] * ny) * nx
    flat = (row[:, :, None] + column[:, None, :]).reshape(-1)
    values = (weight[:, 1, :, None] * weight[:, 0, None, :]).reshape(-1)
    density = torch.zeros(n_specimens * ny * nx, device=positions.device, dtype=positions.dtype)
    return density.index_add(0, flat, values).view(n_specimens, ny, nx)


@dataclass(frozen=True)
class Projector:
    """Turns the atoms of a slice into their projected potential; holds what all slices share.

    `grid`, `numbers` (the elements met) and `debye_waller` [Å^2] define it; `form` are the per-element
    half-spectra (y, x // 2 + 1) that the spread atoms are multiplied with.
    """

    grid: Grid
    numbers: tuple[int, ...]
    form: Tensor

    @classmethod
    def of(cls, structure: Structure, grid: Grid, debye_waller: Mapping[int, float]) -> "Projector":
        device, dtype = structure.positions.device, structure.positions.dtype
        numbers = tuple(int(z) for z in torch.unique(structure.numbers).tolist())
        columns = grid.shape[1] // 2 + 1
        k2 = grid.squared_frequency(device, torch.float64)[:, :columns]
        ky = kernel_spectrum(grid.shape[0], device, torch.float64)[:, None]
        kx = kernel_spectrum(grid.shape[1], device, torch.float64)[None, :columns]
        inside = k2 <= (BAND * grid.nyquist) ** 2
        scale = POTENTIAL_PER_FACTOR / grid.sampling**2 * inside / (ky * kx)
        form = [scattering_factor(z, k2) * debye_waller_factor(z, k2, debye_waller) * scale for z in numbers]
        stacked = torch.stack(form) if form else k2.new_zeros((0, *k2.shape))  # no atoms: no potential
        return cls(grid, numbers, stacked.to(dtype))

    def __call__(self, atoms: Structure) -> Tensor:
        """Projected potential (specimen, y, x) [V Å] of all `atoms`, periodic in x and y."""
        spectrum = None
        for number, form in zip(self.numbers, self.form, strict=True):
            chosen = atoms.numbers == number
            if not bool(chosen.any()):
                continue
            pixels = atoms.positions[chosen, :2] / self.grid.sampling
            density = _spread(pixels, atoms.batch[chosen], atoms.n_specimens, self.grid)
            term = torch.fft.rfft2(density) * form
            spectrum = term if spectrum is None else spectrum + term
        if spectrum is None:
            return atoms.positions.new_zeros((atoms.n_specimens, *self.grid.shape))
        return torch.fft.irfft2(spectrum, s=self.grid.shape)


def projected_potential(structure: Structure, grid: Grid, *, debye_waller: Mapping[int, float]) -> Tensor:
    """Projected potential (specimen, y, x) [V Å] of whole specimens, band-limited to `BAND` of Nyquist."""
    return Projector.of(structure, grid, debye_waller)(structure)
