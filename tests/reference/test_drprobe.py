"""Against Dr Probe (Barthel, Ultramicroscopy 193 (2018) 1), from atoms: its exit waves and images of them.

`../shared/reference` holds the results and says how they were made. The same calculation in facetem: factors of
Weickenmeier and Kohl, every atom in its own slice, the wave cut at 2/3 and the potential near 0.9 of Nyquist, no
second order. Dr Probe transmits at the entrance of a slice, so its exit wave is ours half a slice further on. Its 1/e
half widths of focal spread and convergence are sqrt(2) standard deviations. docs/validation.md has the figures.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.io import read

from facetem.core.grid import Grid, fourier_crop, fourier_resample
from facetem.core.physics import interaction_parameter, wavelength
from facetem.core.structure import Structure, from_ase
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.atomic import atomic_potential
from facetem.hrtem.multislice import exit_wave, propagate, propagator, transmission
from facetem.hrtem.optics import Optics, clean_images
from facetem.hrtem.potential import Plane, projected_potential
from facetem.hrtem.settings import Multislice

PARTICLE, COARSE = Grid((512, 512), 0.125), (256, 256)
CRYSTAL_COARSE = (90, 128)
DR_PROBE = Multislice(
    order=1, second_order=False, band=2 / 3, parametrization="weickenmeier_kohl", debye_waller={}
)
GOLD = {"dwf": {79: 0.63}, "nodwf": {}}


@pytest.fixture(scope="module")
def reference(shared: Path) -> Iterator[Path]:
    folder = shared / "reference"
    if not (folder / "caseB" / "caseB_np.npz").is_file():
        pytest.skip("needs the Dr Probe results in ../shared/reference")
    yield folder
    arrays.cache_clear()


@cache
def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture
def crystal(reference: Path) -> dict[str, np.ndarray]:
    return arrays(reference / "caseA" / "caseA_au110.npz")


@pytest.fixture
def particle(reference: Path) -> dict[str, np.ndarray]:
    return arrays(reference / "caseB" / "caseB_np.npz")


def imaged(wave: torch.Tensor, grid: Grid, energy: float, C10: float, shape: tuple[int, int]) -> torch.Tensor:
    """Through the lens of all reference images, averaged over foci and directions; `C10` in nm, positive: overfocus."""
    lens = Optics(
        Aberrations(defocus=-10 * C10, C30=-1e5),
        focal_spread=40 / 2**0.5,
        angular_spread=0.2 / 2**0.5,
        image_spread=0.3,
    )
    image = clean_images(
        wave[None], grid, energies=[energy], optics=[lens], shape=shape, band=1.6, spatial="average"
    )
    return image[0].double()


def coarse(image: np.ndarray, shape: tuple[int, int]) -> torch.Tensor:
    return fourier_resample(torch.as_tensor(image).double(), shape)


def rms(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).square().mean().sqrt())


def relative(a: torch.Tensor | np.ndarray, b: torch.Tensor | np.ndarray) -> float:
    a, b = torch.as_tensor(a), torch.as_tensor(b)
    return float(torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b))


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(np.corrcoef(a.flatten(), b.flatten())[0, 1])


# --- a particle -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def atoms(reference: Path) -> Structure:
    specimen = read(reference / "caseB" / "np.xyz")
    assert isinstance(specimen, Atoms)
    return from_ase([specimen])


def particle_wave(atoms: Structure, settings: Multislice) -> torch.Tensor:
    """Our exit wave in slices of 2 Å, where Dr Probe's is."""
    middles = torch.arange(30) * 2.0 + 1.0
    ours = exit_wave(atoms, PARTICLE, energies=torch.tensor([200e3]), settings=settings, planes=[middles])[0]
    return propagate(ours, PARTICLE, distance=1.0, energy=200e3)


@pytest.fixture(scope="module")
def wave(atoms: Structure) -> torch.Tensor:
    return particle_wave(atoms, DR_PROBE)


def test_exit_wave_of_a_particle(wave: torch.Tensor, particle: dict[str, np.ndarray]) -> None:
    """Measured: 7e-4."""
    assert relative(wave, particle["exitwave"]) < 1e-3


def test_projected_potential_of_a_particle(atoms: Structure, particle: dict[str, np.ndarray]) -> None:
    """Made on half the pixels, cropped, and tapered as CELSLC does. Measured: 8e-5."""
    fine = projected_potential(atoms, Grid((1024, 1024), PARTICLE.sampling / 2), DR_PROBE)[0]
    frequency = PARTICLE.squared_frequency().sqrt() / PARTICLE.nyquist
    taper = 0.5 - 0.5 * torch.tanh(30 * (frequency - 0.9))
    spectrum = fourier_crop(torch.fft.fft2(fine), PARTICLE.shape) * taper / 4
    total = torch.fft.ifft2(spectrum).real
    assert relative(total, torch.as_tensor(particle["projpot_total_V_nm"]) * 10) < 2e-4


def test_what_the_table_and_the_band_change(atoms: Structure, particle: dict[str, np.ndarray]) -> None:
    """Lobato's factors: 0.0043. A potential cut at 2/3 as the wave: 0.026."""
    lobato = particle_wave(atoms, replace(DR_PROBE, parametrization="lobato"))
    assert 3e-3 < relative(lobato, particle["exitwave"]) < 6e-3
    cut = particle_wave(atoms, replace(DR_PROBE, potential_band=2 / 3))
    assert 0.02 < relative(cut, particle["exitwave"]) < 0.03


@pytest.mark.parametrize("C10", [-10, -5, 0, 5, 10])
def test_images_of_a_particle(wave: torch.Tensor, particle: dict[str, np.ndarray], C10: int) -> None:
    """WAVIMG's model 2, at contrasts of 0.055 (in focus) to 0.19."""
    image = imaged(wave, PARTICLE, 200e3, C10, COARSE)
    expected = coarse(particle[f"image_wavimgmodel2_C10_{C10:+d}nm"], COARSE)
    assert rms(image, expected) < 1.5e-3
    if C10:  # the other sign of the defocus is another image
        wrong = coarse(particle[f"image_wavimgmodel2_C10_{-C10:+d}nm"], COARSE)
        assert correlation(image, wrong) < 0


# --- a crystal --------------------------------------------------------------------------------------------------


def sites(reference: Path) -> np.ndarray:
    """Atoms of one period of the crystal, in parts of its cell."""
    lines = (line.split() for line in (reference / "caseA" / "au110.cel").read_text().splitlines())
    return np.array([[float(v) for v in line[1:4]] for line in lines if line[:1] == ["Au"]])


@pytest.mark.parametrize(("vibrating", "bound"), [("dwf", 4e-4), ("nodwf", 3e-3)])
@pytest.mark.parametrize("voltage", [200, 300])
def test_exit_wave_and_images_of_a_crystal(
    reference: Path, crystal: dict[str, np.ndarray], voltage: int, vibrating: str, bound: float
) -> None:
    """Au [110] of 4 nm, on Dr Probe's pixels. Measured: waves 2e-4 with vibration and 2.5e-3 without, images 6e-4
    and 2.1e-3; without vibration it matters that Dr Probe's potential ends softly and ours at once."""
    cell, energy = crystal["cell_nm"] * 10, voltage * 1e3
    positions = np.concatenate([(sites(reference) + np.array([0, 0, i])) * cell for i in range(14)])
    block = from_ase([Atoms(["Au"] * len(positions), positions, cell=cell * [1, 1, 14])], torch.float64)
    thickness = cell[2] / 2
    grid = Grid.over((float(cell[1]), float(cell[0])), (180, 256))
    # A reflection of the crystal lies exactly on the band limit, and belongs inside.
    settings = replace(DR_PROBE, band=DR_PROBE.band + 1e-6, debye_waller=GOLD[vibrating])
    middles = (torch.arange(28) + 0.5) * thickness
    energies = torch.tensor([energy], dtype=torch.float64)
    ours = exit_wave(block, grid, energies=energies, settings=settings, planes=[middles])[0]
    ours = propagate(ours, grid, distance=thickness / 2, energy=energy)
    name = f"ht{voltage}_{vibrating}"
    assert relative(ours, crystal[f"exitwave_{name}_28slices_4.037nm"]) < bound
    for C10 in (-5, 5):
        image = imaged(ours, grid, energy, C10, CRYSTAL_COARSE)
        expected = coarse(crystal[f"image_{name}_wavimgmodel2_C10_{C10:+d}nm"], CRYSTAL_COARSE)
        assert rms(image, expected) < (1e-3 if vibrating == "dwf" else 2.5e-3)


@pytest.mark.parametrize("vibrating", ["dwf", "nodwf"])
def test_crystal_with_their_potentials(
    reference: Path, crystal: dict[str, np.ndarray], vibrating: str
) -> None:
    """Potentials made of our factors with Dr Probe's taper are its own, and our multislice of either gives its wave.
    Measured: potential 6e-5, waves 1.3e-4 to 1.6e-4; 1.2e-6 at most from its own potentials.
    """
    cell = crystal["cell_nm"] * 10
    grid, thickness = Grid.over((float(cell[1]), float(cell[0])), (180, 256)), float(cell[2]) / 2
    ky, kx = (k.numpy() for k in grid.frequencies(dtype=torch.float64))
    k2 = ky**2 + kx**2
    settings = replace(DR_PROBE, debye_waller=GOLD[vibrating])
    taper = 0.5 - 0.5 * np.tanh(30 * (np.sqrt(k2) / grid.nyquist - 0.9))
    atom = atomic_potential(79, torch.as_tensor(k2), settings).numpy() * taper / grid.pixel_area
    ours = []
    for half in (0, 1):
        inside = [site * cell for site in sites(reference) if int(2 * site[2]) == half]
        phases = sum(np.exp(-2j * np.pi * (kx * x + ky * y)) for x, y, _ in inside)
        ours.append(np.fft.ifft2(phases * atom).real)
    theirs = crystal[f"projpot_V_{vibrating}"] * thickness
    assert relative(np.stack(ours), theirs) < 1e-4
    for voltage in (200, 300):
        energy, expected = voltage * 1e3, crystal[f"exitwave_ht{voltage}_{vibrating}_28slices_4.037nm"]
        step = propagator(
            grid,
            distances=torch.tensor([thickness], dtype=torch.float64),
            wavelengths=torch.tensor([wavelength(energy)], dtype=torch.float64),
            band=2 / 3 + 1e-9,  # a reflection of the crystal lies exactly on the limit, and belongs inside
        )
        for potentials, bound in ((ours, 2.5e-4), (theirs, 3e-6)):
            slices = [
                transmission(
                    Plane(interaction_parameter(energy) * torch.as_tensor(v)[None], None, (thickness,))
                )
                for v in potentials
            ]
            psi = torch.ones((1, *grid.shape), dtype=torch.complex128)
            for i in range(28):
                psi = torch.fft.ifft2(step * torch.fft.fft2(psi * slices[i % 2]))
            assert relative(psi[0], expected) < bound
