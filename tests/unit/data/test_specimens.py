"""What a specimen teaches."""

import math

import numpy as np
import pytest
import torch

from facetem.atoms.shapes import build_particle
from facetem.core.grid import Grid, fourier_crop
from facetem.core.physics import wavelength
from facetem.core.pixels import PIXEL
from facetem.core.structure import from_ase
from facetem.data.conditions import draw_stray
from facetem.data.recipe import Microscope
from facetem.data.recipe_file import recipe_from
from facetem.data.specimens import SMOOTH, WAVE_BAND, scattered_away, wave_grid
from facetem.hrtem.optics import Optics, clean_images, filter_image
from facetem.hrtem.settings import ACCURACIES
from facetem.hrtem.simulate import exit_waves, fine_grid, fitted_settings

SHAPE = (140, 140)
ENERGY = 200e3


@pytest.fixture(scope="module")
def waves() -> tuple[torch.Tensor, Grid, torch.Tensor, Grid]:
    """The exit wave of a gold octahedron along [100] with all that it scatters, and up to the band of the data."""
    particle = build_particle("octahedron", diameter=30.0)
    side = SHAPE[0] * PIXEL
    particle.set_cell([side, side, 60.0])
    particle.positions += np.array([side / 2, side / 2, 30.0]) - particle.positions.mean(0)
    structure = from_ase([particle])
    ((settings, _),) = fitted_settings(structure, energies=[ENERGY], settings=ACCURACIES["reference"])
    fine = fine_grid((side, side), settings.sampling)
    whole = exit_waves(structure, fine, energies=[ENERGY], settings=settings)
    coarse = wave_grid(recipe_from({"field_nm": side / 10, "particles": {"diameter_nm": 3, "offset_nm": 0}}))
    scale = coarse.shape[0] * coarse.shape[1] / (fine.shape[0] * fine.shape[1])
    spectrum = fourier_crop(torch.fft.fft2(whole), coarse.shape) * scale
    kept = torch.fft.ifft2(spectrum * (coarse.squared_frequency("cpu") <= WAVE_BAND**2))
    return whole, fine, kept, coarse


def test_electrons_scattered_far_make_a_particle_as_bright_as_without_the_band(
    waves: tuple[torch.Tensor, Grid, torch.Tensor, Grid],
) -> None:
    whole, fine, kept, coarse = waves
    out = Grid.over(coarse.extent, SHAPE)
    lens = Optics(focal_spread=30.0, angular_spread=0.1, image_spread=0.3)

    def image(wave: torch.Tensor, grid: Grid, band: float | None) -> torch.Tensor:
        seen = clean_images(wave, grid, energies=[ENERGY], optics=[lens], shape=SHAPE, band=band)
        return filter_image(
            seen, out, torch.exp(-2 * (torch.pi * SMOOTH) ** 2 * out.squared_frequency("cpu"))
        )[0]

    truth, cut = image(whole, fine, None), image(kept, coarse, WAVE_BAND)
    mended = cut + scattered_away(kept, coarse, SHAPE)[0]
    middle = slice(60, 80)  # 8 Å on the thickest part
    dark, now = ((truth - other)[middle, middle].mean() for other in (cut, mended))
    assert dark > 0.02  # the band alone makes the particle darker than it is
    assert abs(now) < 0.15 * dark


def test_an_aperture_lets_through_what_scatters_less_far_than_it(
    waves: tuple[torch.Tensor, Grid, torch.Tensor, Grid],
) -> None:
    """The part of a particle's electrons beyond the band that comes through, against the whole wave's spectrum."""
    whole, fine, *_ = waves
    ranges, rng = Microscope(stray=(1.0, 1.0)), np.random.default_rng(0)
    k2 = fine.squared_frequency("cpu")
    power = torch.fft.fft2(whole[0]).abs().square() * (k2 > WAVE_BAND**2)
    for reach in (1.0, WAVE_BAND, 1.3, 1.6, 2.2, math.inf):
        optics = Optics(aperture=1e3 * reach * wavelength(ENERGY))
        part = draw_stray(ranges, optics, ENERGY, WAVE_BAND, rng)
        true = float(power[k2 <= reach**2].sum() / power.sum())
        # Thermal vibration makes the tail end sooner, most of all along a zone axis as here.
        assert part == pytest.approx(true, abs=0.25)
        assert (part == 0) == (reach <= WAVE_BAND)


def test_what_scatters_nothing_loses_nothing() -> None:
    grid = wave_grid(recipe_from({"field_nm": 5.6, "particles": {"diameter_nm": 3, "offset_nm": 0}}))
    vacuum = torch.ones(1, *grid.shape, dtype=torch.complex64)
    assert scattered_away(vacuum, grid, SHAPE).abs().max() < 1e-5
