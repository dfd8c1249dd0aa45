"""What a specimen teaches: its exit wave, its mask and its image at the best focus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from facetem.core.contrast import contrast
from facetem.core.grid import Grid, fourier_crop
from facetem.core.physics import interaction_parameter
from facetem.core.pixels import PIXEL
from facetem.core.structure import from_ase
from facetem.data.draw import Specimen, image_shape
from facetem.data.recipe import Recipe
from facetem.hrtem.optics import Optics, clean_images, filter_image
from facetem.hrtem.potential import projected_potential
from facetem.hrtem.settings import ACCURACIES
from facetem.hrtem.simulate import exit_waves, fine_grid, fitted_settings, fitting_batch

WAVE_BAND = 1.1  # 1/Å kept of the exit waves: beyond the information limit of the microscopes drawn
# The restorer answers with the image of this microscope: no aberrations, coherent enough to show the lattice.
TARGET_OPTICS = Optics(focal_spread=25.0, angular_spread=0.1, image_spread=0.3)
SMOOTH = 5.0  # Å: standard deviation of the Gaussian over which electrons scattered far are spread
FOCUS_STEP, FOCUS_REACH = (
    40.0,
    120.0,
)  # Å of underfocus from the particle's centre, searched for the best contrast


@dataclass(frozen=True)
class Truth:
    """Exit waves (n, y, x) on `grid` up to `WAVE_BAND`, targets and masks (n, y', x') at `PIXEL`.

    `masks` are uint8: 0 substrate, i particle i. `thickness` (n, y', x') is the particles' projected thickness
    [Å]. `focus` (n,) is the defocus [Å] of each target, counted from the exit plane; NaN of a phase, which has none.
    """

    grid: Grid
    waves: Tensor
    targets: Tensor
    masks: Tensor
    thickness: Tensor
    focus: list[float]


def wave_grid(recipe: Recipe) -> Grid:
    """The coarsest fast grid that holds `WAVE_BAND`."""
    n = int(np.ceil(2 * WAVE_BAND * recipe.field / 32) * 32)
    return Grid((n, n), recipe.field / n)


def best_focus_images(
    waves: Tensor,
    grid: Grid,
    masks: Tensor,
    centres: Sequence[float],
    energies: Sequence[float],
    shape: tuple[int, int],
) -> tuple[Tensor, list[float]]:
    """Noise-free images of the best particle/substrate contrast, and their defocus [Å].

    Foci `FOCUS_STEP` apart, up to `FOCUS_REACH` of underfocus from the particle's centre (given as its height `centres`
    [Å] above the exit plane), are compared by `core.contrast`. As much overfocus gives almost the same contrast with
    the lattice turned over (a weak phase object's image is odd in the defocus), so the best of both sides would show
    atoms dark or bright by chance; underfocus shows them dark.
    """
    offsets = np.arange(FOCUS_STEP, FOCUS_REACH + 1, FOCUS_STEP)
    images: list[Tensor] = []
    focus: list[float] = []
    size = fitting_batch(grid, waves.device)
    for first in range(0, len(waves), size):
        some = slice(first, first + size)
        foci = [[float(centre + d) for d in offsets] for centre in centres[some]]
        series = _focal_series(waves[some], grid, foci, energies[some], shape)
        found = contrast(series, masks[some, None] > 0).argmax(1).tolist()
        best = [these[k] for these, k in zip(foci, found, strict=True)]
        images.append(_focal_series(waves[some], grid, [[f] for f in best], energies[some], shape)[:, 0])
        focus += best
    return torch.cat(images), focus


def _focal_series(
    waves: Tensor,
    grid: Grid,
    foci: Sequence[Sequence[float]],
    energies: Sequence[float],
    shape: tuple[int, int],
) -> Tensor:
    """Images (n, f, y, x) of each wave (n, y, x) at its own f `foci` [Å]."""
    n, f = len(foci), len(foci[0])
    images = clean_images(
        waves[:, None].expand(-1, f, -1, -1).flatten(0, 1),
        grid,
        energies=np.repeat(energies, f).tolist(),
        optics=[TARGET_OPTICS.at(focus) for these in foci for focus in these],
        shape=shape,
        band=WAVE_BAND,
    )
    return images.unflatten(0, (n, f))


def truth_of(specimens: Sequence[Specimen], recipe: Recipe, device: str) -> Truth:
    """Simulate specimens of a recipe on `device`."""
    grid = wave_grid(recipe)
    waves = _waves(specimens, [s.atoms for s in specimens], recipe, grid, device)
    shape = image_shape(recipe)
    masks = torch.as_tensor(np.stack([s.masks for s in specimens]), device=device)
    thickness = torch.as_tensor(np.stack([s.thickness for s in specimens]), device=device)
    if recipe.target == "phase":
        targets, focus = 1 + projected_phases(specimens, recipe, device), [math.nan] * len(specimens)
        return Truth(grid, waves, targets, masks, thickness, focus)
    centres = [
        float(s.atoms.cell.lengths()[2]) - float(np.mean(s.atoms.info["particle_z"])) for s in specimens
    ]
    energies = [s.energy for s in specimens]
    shown = waves
    if recipe.target == "vacuum":
        particles = [s.atoms[s.atoms.get_tags() > 0] for s in specimens]
        shown = _waves(specimens, particles, recipe, grid, device)
    targets, focus = best_focus_images(shown, grid, masks, centres, energies, shape)
    return Truth(grid, waves, targets, masks, thickness, focus)


def scattered_away(waves: Tensor, grid: Grid, shape: tuple[int, int]) -> Tensor:
    """Where (n, y', x') and how many of the electrons are missing from waves (n, y, x) up to `WAVE_BAND`: what their
    intensity lacks to that of the incident wave, in the mean over `SMOOTH`.

    Gold scatters some hundredths of the electrons so far that the band, which is about what the lens resolves, does not
    hold them. An aperture stops them. Without one they reach the image near where they come from, and make no lattice
    there: a particle is then as bright as what surrounds it.
    """
    out = Grid.over(grid.extent, shape)
    gain = torch.exp(-2 * (math.pi * SMOOTH) ** 2 * out.squared_frequency(waves.device))
    return (1 - filter_image(waves.abs().square(), out, gain)).clamp_min(0)


def projected_phases(specimens: Sequence[Specimen], recipe: Recipe, device: str) -> Tensor:
    """The phase [rad] that the projected potential of each specimen gives the wave, sigma * integral of V dz, without
    wrapping, as wide as the target's microscope shows it: (n, y', x') at `PIXEL`."""
    grid = Grid(image_shape(recipe), PIXEL)
    structure = from_ase([s.atoms for s in specimens]).to(device)
    potential = projected_potential(structure, grid, ACCURACIES[recipe.accuracy])
    sigma = potential.new_tensor([interaction_parameter(s.energy) for s in specimens])
    width = TARGET_OPTICS.image_spread
    seen = torch.exp(-2 * (math.pi * width) ** 2 * grid.squared_frequency(device))
    return torch.fft.ifft2(torch.fft.fft2(sigma[:, None, None] * potential) * seen).real


def _waves(
    specimens: Sequence[Specimen], atoms: Sequence[Atoms], recipe: Recipe, grid: Grid, device: str
) -> Tensor:
    """Exit waves (n, y, x) of the atoms on `grid`, for the energies of the specimens."""
    structure = from_ase(atoms).to(device)
    energies = [s.energy for s in specimens]
    inside = grid.squared_frequency(device) <= WAVE_BAND**2
    coarse = torch.empty((len(specimens), *grid.shape), dtype=torch.complex64, device=device)
    settings = ACCURACIES[recipe.accuracy]
    for fitted, members in fitted_settings(structure, energies=energies, settings=settings):
        fine = fine_grid((recipe.field, recipe.field), fitted.sampling)
        some = [energies[i] for i in members]
        waves = exit_waves(structure.take(members), fine, energies=some, settings=fitted)
        scale = grid.shape[0] * grid.shape[1] / (fine.shape[0] * fine.shape[1])
        spectrum = fourier_crop(torch.fft.fft2(waves), grid.shape) * inside * scale
        coarse[members] = torch.fft.ifft2(spectrum)
    return coarse
