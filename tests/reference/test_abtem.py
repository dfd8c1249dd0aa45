"""Against abTEM (Madsen & Susi, Open Research Europe 1 (2021) 24): same atoms, same factors, same slices.

abTEM's infinite projection spreads atoms by linear interpolation, whose error falls as the square of the pixel; ours
is exact (tests/physics/test_potential.py). It transmits at the entrance of a slice and then propagates by all of
it, so its exit wave is ours half a slice further on. Its arrays are (x, y). docs/validation.md has the figures.
"""

from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from numpy.typing import NDArray

from facetem.atoms.carbon import draw_random_film
from facetem.atoms.scene import assemble, draw_rotation, rotated
from facetem.atoms.shapes import build_particle
from facetem.core.grid import Grid, fourier_resample
from facetem.core.physics import interaction_parameter, wavelength
from facetem.core.structure import Structure, from_ase
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.multislice import exit_wave, propagate
from facetem.hrtem.optics import Optics, clean_images
from facetem.hrtem.potential import projected_potential
from facetem.hrtem.scattering import DEBYE_WALLER, POTENTIAL_PER_FACTOR, scattering_factor
from facetem.hrtem.settings import ACCURACIES, Multislice

SIDE, HEIGHT, SLICE = 24.0, 30.0, 2.0
FINE, FINER, FINEST = 240, 480, 960  # pixels: 0.1, 0.05 and 0.025 Å
BAND = 2 / 3  # of Nyquist, as abTEM's
PLAIN = Multislice(order=1, second_order=False, band=BAND, potential_band=BAND)
VOLTAGES = [80e3, 200e3, 300e3]


@cache
def specimen() -> Atoms:
    """A truncated octahedron of 1.4 nm, turned at random, on 1 nm of carbon."""
    rng = np.random.default_rng(0)
    particle = rotated(build_particle("truncated_octahedron", diameter=14.0), draw_rotation(rng))
    film = draw_random_film((SIDE, SIDE), thickness=10.0, density=2.0, hard_core=1.3, rng=rng)
    atoms = assemble([particle], film, extent=(SIDE, SIDE))
    atoms.set_cell((SIDE, SIDE, HEIGHT))
    atoms.positions[:, 2] += 0.37  # no atom on the border of two slices, where the codes may differ
    return atoms


@cache
def structure() -> Structure:
    return from_ase([specimen()], torch.float64)


def grid_of(pixels: int) -> Grid:
    return Grid((pixels, pixels), SIDE / pixels)


@cache
def our_wave(pixels: int, energy: float) -> torch.Tensor:
    """Where abTEM's is: half a slice after the exit plane."""
    grid = grid_of(pixels)
    energies = torch.tensor([energy], dtype=torch.float64)
    middles = torch.arange(round(HEIGHT / SLICE)) * SLICE + SLICE / 2
    wave = exit_wave(structure(), grid, energies=energies, settings=PLAIN, planes=[middles])[0]
    return propagate(wave, grid, distance=SLICE / 2, energy=energy)


@cache
def their_potential(abtem: ModuleType, pixels: int) -> Any:
    from abtem.parametrizations import LobatoParametrization

    # abTEM takes the rms displacement along an axis, <u^2> = B / (8 pi^2).
    sigmas = {"C": (DEBYE_WALLER[6] / 8) ** 0.5 / np.pi, "Au": (DEBYE_WALLER[79] / 8) ** 0.5 / np.pi}
    return abtem.Potential(
        specimen(),
        gpts=pixels,
        slice_thickness=SLICE,
        projection="infinite",
        parametrization=LobatoParametrization(sigmas=sigmas),
    ).build()


@cache
def their_wave(abtem: ModuleType, pixels: int, energy: float) -> torch.Tensor:
    return as_yx(abtem.PlaneWave(energy=energy).multislice(their_potential(abtem, pixels)).array)


def as_yx(array: NDArray) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(np.asarray(array).T))


def difference(a: torch.Tensor, b: torch.Tensor, grid: Grid, limit: float) -> float:
    """Relative L2 difference of waves or potentials up to the frequency `limit` [1/Å]."""
    seen = grid.squared_frequency(dtype=torch.float64) <= limit**2
    a, b = (torch.fft.fft2(v) * seen for v in (a, b))
    return float(torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b))


def test_constants(abtem: ModuleType) -> None:
    from abtem.core.energy import energy2sigma, energy2wavelength

    for energy in VOLTAGES:
        assert wavelength(energy) == pytest.approx(energy2wavelength(energy), rel=1e-7)
        assert interaction_parameter(energy) == pytest.approx(energy2sigma(energy), rel=1e-7)


@pytest.mark.parametrize(
    ("symbol", "number"), [("C", 6), ("Si", 14), ("Cu", 29), ("Ag", 47), ("Pt", 78), ("Au", 79)]
)
def test_scattering_factors(abtem: ModuleType, symbol: str, number: int) -> None:
    from abtem.parametrizations import LobatoParametrization

    k2 = np.linspace(0, 25, 101)
    table = LobatoParametrization()
    ours = scattering_factor(number, torch.as_tensor(k2)).numpy()
    np.testing.assert_allclose(ours, table.scattering_factor(symbol)(k2), rtol=1e-12)
    projected = table.projected_scattering_factor(symbol)(k2)
    np.testing.assert_allclose(POTENTIAL_PER_FACTOR * ours, projected, rtol=1e-7)


def test_projected_potential_and_its_convergence(abtem: ModuleType) -> None:
    """Up to 1.5 / Å abTEM's is off by the square of the pixel. Measured: 1.5 % at 0.1 Å/px, 0.38 % at 0.05,
    less than 0.1 % at 0.025."""
    errors = {}
    for pixels in (FINE, FINER, FINEST):
        grid = grid_of(pixels)
        theirs = as_yx(their_potential(abtem, pixels).array.sum(0))
        ours = projected_potential(structure(), grid, PLAIN)[0]
        errors[pixels] = difference(theirs, ours, grid, 1.5)
        assert float(theirs.mean()) == pytest.approx(float(ours.mean()), rel=1e-5)
    assert errors[FINE] < 0.018
    assert errors[FINEST] < 1e-3
    for coarse, fine in ((FINE, FINER), (FINER, FINEST)):
        assert errors[coarse] / errors[fine] == pytest.approx((fine / coarse) ** 2, rel=0.1)


def converged(coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
    """The limit of abTEM's waves, whose error falls as the square of the pixel, half as large in `fine`."""
    return (4 * fourier_resample(fine, (coarse.shape[-2], coarse.shape[-1])) - coarse) / 3


@pytest.mark.parametrize("energy", VOLTAGES)
def test_exit_wave(abtem: ModuleType, energy: float) -> None:
    """Up to 1 / Å, abTEM's wave at 0.1 Å/px is 2.5e-3 to 1.4e-3 from ours; what it converges to is the same wave."""
    grid = grid_of(FINE)
    theirs, ours = their_wave(abtem, FINE, energy), our_wave(FINE, energy)
    assert difference(theirs, ours, grid, 1.0) < 3e-3
    # Not where it would be without the half slice.
    misplaced = propagate(ours, grid, distance=-SLICE / 2, energy=energy)
    assert difference(theirs, misplaced, grid, 1.0) > 1.5 * difference(theirs, ours, grid, 1.0)
    limit = converged(theirs, their_wave(abtem, FINER, energy))
    fine = fourier_resample(our_wave(FINER, energy), grid.shape)
    assert difference(limit, fine, grid, 1.0) < 5e-4


@pytest.mark.parametrize("energy", VOLTAGES)
def test_focal_series(abtem: ModuleType, energy: float) -> None:
    """Images of both converged waves through our lens, at contrasts of 0.02 to 0.09."""
    grid = grid_of(FINE)
    theirs = converged(their_wave(abtem, FINE, energy), their_wave(abtem, FINER, energy))
    ours = fourier_resample(our_wave(FINER, energy), grid.shape)
    optics = [Optics(Aberrations(defocus=defocus)) for defocus in (-100.0, 0.0, 60.0, 150.0)]
    pair = [
        clean_images(
            wave.to(torch.complex128).expand(4, -1, -1),
            grid,
            energies=[energy] * 4,
            optics=optics,
            shape=(60, 60),
            band=BAND * grid.nyquist,
        )
        for wave in (theirs, ours)
    ]
    for a, b in zip(*pair, strict=True):
        assert float((a - b).square().mean().sqrt()) < 1e-3
        assert float(b.std()) > 0.015


@pytest.mark.parametrize("energy", VOLTAGES)
def test_the_standard_settings_on_coarse_pixels(abtem: ModuleType, energy: float) -> None:
    """At 0.25 Å/px `accuracy="standard"` is nearer to abTEM's finite projection on fine pixels, in slices of 0.5 Å,
    than abTEM itself is."""
    from abtem.parametrizations import LobatoParametrization

    def finite(pixels: int, thickness: float) -> torch.Tensor:
        potential = abtem.Potential(
            specimen(),
            gpts=pixels,
            slice_thickness=thickness,
            projection="finite",
            parametrization=LobatoParametrization(),
        )
        wave = as_yx(abtem.PlaneWave(energy=energy).multislice(potential).array)
        return propagate(wave, grid_of(pixels), distance=-thickness / 2, energy=energy)

    grid, coarse = grid_of(FINE), grid_of(96)
    best = fourier_resample(finite(FINE, 0.5), coarse.shape)
    ours = exit_wave(
        structure(),
        coarse,
        energies=torch.tensor([energy], dtype=torch.float64),
        settings=replace(ACCURACIES["standard"], debye_waller={}),
    )[0]
    theirs = finite(96, 2.0)
    assert grid.sampling < coarse.sampling == ACCURACIES["standard"].sampling
    assert difference(ours, best, coarse, 1.0) < 0.75 * difference(theirs, best, coarse, 1.0)


@pytest.mark.parametrize("energy", VOLTAGES)
def test_multislice_of_the_same_slices(abtem: ModuleType, energy: float) -> None:
    """abTEM's multislice of our potential: what its spreading of the atoms does not explain.

    Measured: 2.4e-5, 0.9e-5 and 0.7e-5 up to 1 / Å; 6e-4 to 3e-4 in all, where its aperture is soft.
    """
    grid, atoms = grid_of(FINE), structure()
    level = torch.floor(atoms.positions[:, 2] / SLICE).long()
    layers = []
    for k in range(round(HEIGHT / SLICE)):
        chosen = level == k
        part = Structure(atoms.positions[chosen], atoms.numbers[chosen], atoms.batch[chosen], atoms.cell)
        layers.append(projected_potential(part, grid, PLAIN)[0].T.numpy())
    potential = abtem.PotentialArray(np.stack(layers), slice_thickness=SLICE, sampling=(grid.sampling,) * 2)
    theirs = as_yx(abtem.PlaneWave(energy=energy).multislice(potential).array)
    assert difference(theirs, our_wave(FINE, energy), grid, 1.0) < 5e-5
    assert difference(theirs, our_wave(FINE, energy), grid, 0.96 * BAND * grid.nyquist) < 1e-3


@pytest.mark.parametrize("energy", VOLTAGES)
@pytest.mark.parametrize("angular_spread", [0.0, 0.3])
def test_lens(abtem: ModuleType, energy: float, angular_spread: float) -> None:
    """All aberrations at once on the same wave; abTEM's angular spread is a 1/e half width, sqrt(2) standard
    deviations. Measured rms: 1e-4 (coherent: what |psi|^2 folds back on abTEM's grid), 3e-8 to 3e-6 (with spread)."""
    grid = grid_of(FINE)
    wave = our_wave(FINE, energy)
    lens = Aberrations(60.0, 25.0, 0.4, 400.0, 1.3, 300.0, -0.6, -1e5)
    names = ("C12", "phi12", "C21", "phi21", "C23", "phi23", "C30")
    theirs = (
        abtem.Waves(wave.T.numpy().copy(), energy=energy, sampling=grid.sampling)
        .apply_ctf(
            abtem.CTF(
                energy=energy,
                angular_spread=angular_spread * 2**0.5,
                aberration_coefficients={
                    "defocus": lens.defocus,
                    **{name: getattr(lens, name) for name in names},
                },
            )
        )
        .intensity()
    )
    optics = Optics(lens, focal_spread=0.0, angular_spread=angular_spread, image_spread=0.0)
    ours = clean_images(wave[None], grid, energies=[energy], optics=[optics], band=BAND * grid.nyquist)[0]
    assert float((as_yx(theirs.array) - ours).std()) < (3e-4 if angular_spread == 0 else 1e-5)
    assert float(ours.std()) > 0.1
