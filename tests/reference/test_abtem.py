"""Against abTEM (Madsen & Susi, Open Research Europe 1 (2021) 24): same atoms, same factors, same slices.

abTEM's infinite projection spreads atoms by linear interpolation, whose error falls as the square of the pixel; ours
is exact (tests/physics/test_potential.py). It transmits at the entrance of a slice and then propagates by all of
it, so its exit wave is ours half a slice further on. Its arrays are (x, y). docs/validation.md has the figures.
"""

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
from facetem.core.grid import Grid
from facetem.core.physics import interaction_parameter, wavelength
from facetem.core.structure import Structure, from_ase
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.multislice import exit_wave, propagate
from facetem.hrtem.optics import Optics, clean_images
from facetem.hrtem.potential import BAND, Projector, projected_potential
from facetem.hrtem.scattering import DEBYE_WALLER, POTENTIAL_PER_FACTOR, scattering_factor

SIDE, HEIGHT, SLICE = 24.0, 30.0, 2.0
FINE, FINER = 240, 360  # pixels: 0.1 and 0.067 Å
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
    wave = exit_wave(structure(), grid, energies=energies, slice_thickness=SLICE)[0]
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
    """Measured up to 1.5 / Å: 1.5 % at 0.1 Å/px, 0.67 % at 0.067, 0.38 % at 0.05: the square of the pixel."""
    errors = {}
    for pixels in (FINE, FINER):
        grid = grid_of(pixels)
        theirs = as_yx(their_potential(abtem, pixels).array.sum(0))
        ours = projected_potential(structure(), grid, debye_waller=DEBYE_WALLER)[0]
        errors[pixels] = difference(theirs, ours, grid, 1.5)
        assert float(theirs.mean()) == pytest.approx(float(ours.mean()), rel=1e-5)
    assert errors[FINE] < 0.018
    assert errors[FINER] < 0.008
    assert errors[FINE] / errors[FINER] == pytest.approx((FINER / FINE) ** 2, rel=0.1)


@pytest.mark.parametrize("energy", VOLTAGES)
def test_exit_wave(abtem: ModuleType, energy: float) -> None:
    """At 0.1 Å/px, up to 1 / Å. Measured: 2.5e-3 (80 kV), 1.7e-3 (200), 1.4e-3 (300), which is their potential's.

    At 0.05 Å/px it is 6.6e-4, 4.3e-4 and 3.8e-4.
    """
    grid = grid_of(FINE)
    theirs = their_wave(abtem, FINE, energy)
    ours = our_wave(FINE, energy)
    assert difference(theirs, ours, grid, 1.0) < 3e-3
    assert difference(theirs, ours, grid, BAND * grid.nyquist) < 9e-3
    # Not where it would be without the half slice.
    misplaced = propagate(ours, grid, distance=-SLICE / 2, energy=energy)
    assert difference(theirs, misplaced, grid, 1.0) > 1.5 * difference(theirs, ours, grid, 1.0)


@pytest.mark.parametrize("energy", VOLTAGES)
def test_focal_series(abtem: ModuleType, energy: float) -> None:
    """Images of both waves through our lens. Measured rms: 3e-4 to 1.9e-3 of vacuum at contrasts of 0.02 to 0.09."""
    grid = grid_of(FINE)
    theirs = their_wave(abtem, FINE, energy)
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
        for wave in (theirs, our_wave(FINE, energy))
    ]
    for a, b in zip(*pair, strict=True):
        assert float((a - b).std()) < 2.5e-3
        assert float((a - b).std()) < 0.05 * float(b.std())


@pytest.mark.parametrize("energy", VOLTAGES)
def test_multislice_of_the_same_slices(abtem: ModuleType, energy: float) -> None:
    """abTEM's multislice of our potential: what its spreading of the atoms does not explain.

    Measured: 2.4e-5, 0.9e-5 and 0.7e-5 up to 1 / Å; 6e-4 to 3e-4 in all, where its aperture is soft.
    """
    grid, atoms = grid_of(FINE), structure()
    project = Projector.of(atoms, grid, DEBYE_WALLER)
    level = torch.floor(atoms.positions[:, 2] / SLICE).long()
    layers = []
    for k in range(round(HEIGHT / SLICE)):
        chosen = level == k
        part = Structure(atoms.positions[chosen], atoms.numbers[chosen], atoms.batch[chosen], atoms.cell)
        layers.append(project(part)[0].T.numpy())
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
