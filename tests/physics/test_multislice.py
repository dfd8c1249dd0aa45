"""The exit wave in its limits: vacuum, thin and slowly varying objects, empty space before and after."""

from dataclasses import replace

import pytest
import torch

from facetem.core.errors import InputError
from facetem.core.grid import Grid, fourier_resample
from facetem.core.physics import interaction_parameter, wavelength
from facetem.core.structure import Structure
from facetem.hrtem.multislice import exit_wave, propagate, propagator
from facetem.hrtem.potential import BAND, projected_potential, slices
from facetem.hrtem.scattering import DEBYE_WALLER

ENERGY = 200e3
ENERGIES = torch.tensor([ENERGY], dtype=torch.float64)
GRID = Grid((96, 96), 0.25)


def moved(structure: Structure, *, z: float = 0.0, height: float = 0.0) -> Structure:
    """The specimen `z` [Å] further down in a box that is `height` [Å] higher."""
    shift = torch.tensor([0.0, 0.0, z], dtype=torch.float64)
    taller = structure.cell + torch.tensor([0.0, 0.0, height], dtype=torch.float64)
    return replace(structure, positions=structure.positions + shift, cell=taller)


def one_atom(number: int, depth: float, height: float = 40.0) -> Structure:
    """An atom in the middle of the field, `depth` [Å] above the exit plane."""
    return Structure(
        torch.tensor([[12.0, 12.0, height - depth]], dtype=torch.float64),
        torch.tensor([number]),
        torch.tensor([0]),
        torch.tensor([[24.0, 24.0, height]], dtype=torch.float64),
    )


def banded_wave(grid: Grid, seed: int = 0) -> torch.Tensor:
    noise = torch.randn(grid.shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))
    return torch.fft.ifft2(
        noise * (grid.squared_frequency(dtype=torch.float64) <= (BAND * grid.nyquist) ** 2)
    )


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    """|a - b| / |b - 1|: the difference in units of the scattered wave."""
    return float(torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b - 1))


def test_vacuum_stays_one() -> None:
    empty = Structure(
        torch.zeros(0, 3, dtype=torch.float64),
        torch.zeros(0, dtype=torch.int64),
        torch.zeros(0, dtype=torch.int64),
        torch.tensor([[24.0, 24.0, 100.0]], dtype=torch.float64),
    )
    ones = torch.ones(1, *GRID.shape, dtype=torch.complex128)
    torch.testing.assert_close(exit_wave(empty, GRID, energies=ENERGIES), ones)
    torch.testing.assert_close(propagate(ones, GRID, distance=1234.0, energy=80e3), ones)


def test_vacuum_beside_a_specimen_stays_one(draw_cluster) -> None:
    """An empty field in the same batch sees nothing of its neighbour."""
    structure = draw_cluster()
    pair = replace(structure, cell=structure.cell.expand(2, 3))
    waves = exit_wave(pair, GRID, energies=ENERGIES.expand(2))
    torch.testing.assert_close(waves[1], torch.ones_like(waves[1]))
    assert float((waves[0] - 1).abs().max()) > 0.1


def test_propagation_conserves_intensity_inside_the_band() -> None:
    wave = banded_wave(GRID)
    there = propagate(wave, GRID, distance=321.0, energy=ENERGY)
    assert float(there.abs().square().sum()) == pytest.approx(float(wave.abs().square().sum()), rel=1e-12)
    back = propagate(there, GRID, distance=-321.0, energy=ENERGY)
    torch.testing.assert_close(back, wave)
    twice = propagate(
        propagate(wave, GRID, distance=100.0, energy=ENERGY), GRID, distance=221.0, energy=ENERGY
    )
    torch.testing.assert_close(twice, there)


def test_propagation_takes_away_what_lies_outside_the_band() -> None:
    noise = torch.randn(GRID.shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(3))
    spectrum = torch.fft.fft2(propagate(noise, GRID, distance=10.0, energy=ENERGY))
    outside = GRID.squared_frequency(dtype=torch.float64) > (BAND * GRID.nyquist) ** 2
    assert float(spectrum[outside].abs().max()) < 1e-10 * float(spectrum.abs().max())


def test_a_gaussian_spreads_as_fresnel_has_it() -> None:
    """exp(-r^2 / 2 w^2) becomes w^2 / q exp(-r^2 / 2 q) with q = w^2 + i lambda z / 2 pi."""
    grid, w, z = Grid((160, 160), 0.25), 2.0, 150.0
    centred = (torch.arange(160, dtype=torch.float64) - 80) * grid.sampling
    r2 = centred[:, None] ** 2 + centred[None, :] ** 2
    q = w**2 + 1j * wavelength(ENERGY) * z / (2 * torch.pi)
    exact = w**2 / q * torch.exp(-r2 / (2 * q))
    wave = torch.exp(-r2 / (2 * w**2)).to(torch.complex128)
    torch.testing.assert_close(propagate(wave, grid, distance=z, energy=ENERGY), exact, atol=1e-9, rtol=0)


def test_intensity_is_lost_to_the_band_limit_alone(draw_cluster) -> None:
    """Electrons are not absorbed: the finer the grid, the fewer are scattered outside its band."""
    structure = draw_cluster(n=30, numbers=(79,), margin=4.0)
    lost = [
        1 - float(exit_wave(structure, Grid((n, n), 24.0 / n), energies=ENERGIES).abs().square().mean())
        for n in (96, 240, 384)
    ]
    assert 0 < lost[2] < lost[1] < lost[0]
    assert lost[2] < 1e-6


def test_thin_object_is_a_phase_object(draw_cluster) -> None:
    """psi = exp(i sigma V), cut at the band, for atoms in a plane at the exit."""
    structure = draw_cluster(n=20, box=(24.0, 24.0, 20.0))
    flat = replace(
        structure,
        positions=structure.positions * torch.tensor([1.0, 1.0, 0.0]),
        cell=torch.tensor([[24.0, 24.0, 1e-6]], dtype=torch.float64),
    )
    wave = exit_wave(flat, GRID, energies=ENERGIES, slice_thickness=1e-6)
    potential = projected_potential(structure, GRID, debye_waller=DEBYE_WALLER)
    phase_object = torch.exp(1j * interaction_parameter(ENERGY) * potential)
    inside = GRID.squared_frequency(dtype=torch.float64) <= (BAND * GRID.nyquist) ** 2
    torch.testing.assert_close(
        wave, torch.fft.ifft2(torch.fft.fft2(phase_object) * inside), atol=1e-6, rtol=0
    )
    assert float(phase_object.angle().max()) > 0.5


def test_the_exit_plane_is_the_end_of_the_cell() -> None:
    """One atom `depth` above it: its phase object, propagated by `depth`, for any slice it is in the middle of."""
    atom = one_atom(79, depth=9.0)
    potential = projected_potential(atom, GRID, debye_waller=DEBYE_WALLER)
    phase_object = torch.exp(1j * interaction_parameter(ENERGY) * potential)
    expected = propagate(phase_object, GRID, distance=9.0, energy=ENERGY)
    for thickness in (0.4, 2.0, 6.0, 18.0):
        wave = exit_wave(atom, GRID, energies=ENERGIES, slice_thickness=thickness)
        torch.testing.assert_close(wave, expected, atol=1e-9, rtol=0)


def test_vacuum_at_the_entrance_changes_nothing(draw_cluster) -> None:
    structure = draw_cluster()
    wave = exit_wave(structure, GRID, energies=ENERGIES)
    lowered = exit_wave(moved(structure, z=13.7, height=13.7), GRID, energies=ENERGIES)
    torch.testing.assert_close(lowered, wave, atol=1e-12, rtol=0)


def test_vacuum_at_the_exit_is_propagation(draw_cluster) -> None:
    structure = draw_cluster()
    wave = exit_wave(structure, GRID, energies=ENERGIES)
    raised = exit_wave(moved(structure, height=14.0), GRID, energies=ENERGIES)
    torch.testing.assert_close(
        raised, propagate(wave, GRID, distance=14.0, energy=ENERGY), atol=1e-12, rtol=0
    )
    # 1.3 Å is no multiple of the slices, which then cut between other atoms: the same to the slicing's error.
    between = exit_wave(moved(structure, height=1.3), GRID, energies=ENERGIES, slice_thickness=0.25)
    fine = exit_wave(structure, GRID, energies=ENERGIES, slice_thickness=0.25)
    assert relative(between, propagate(fine, GRID, distance=1.3, energy=ENERGY)) < 0.01


def test_slices_act_at_their_mid_plane() -> None:
    """Smooth matter along the beam: halving the slices takes the error to a quarter (an edge: to a half).

    A strong Debye-Waller factor keeps the matter smooth across the beam too. Where the potential reaches the
    band limit, what every slice scatters beyond it adds an error that is linear in the thickness.
    """
    z = torch.arange(0.1, 32.0, 0.2, dtype=torch.float64)
    column = Structure(
        torch.stack([torch.full_like(z, 12.0), torch.full_like(z, 12.3), z], dim=1),
        torch.ones(len(z), dtype=torch.int64),
        torch.zeros(len(z), dtype=torch.int64),
        torch.tensor([[24.0, 24.0, 32.0]], dtype=torch.float64),
    )
    waves = {
        h: exit_wave(column, GRID, energies=ENERGIES, slice_thickness=h, debye_waller={1: 40.0})
        for h in (0.2, 2.0, 4.0, 8.0)
    }
    errors = [relative(waves[h], waves[0.2]) for h in (8.0, 4.0, 2.0)]
    assert errors[0] / errors[1] == pytest.approx(4, abs=0.1)
    assert errors[1] / errors[2] == pytest.approx(4, abs=0.1)


def test_two_atoms_scatter_one_after_the_other() -> None:
    """Not kinematic: the second atom acts on the wave that the first has left."""
    upper, lower = one_atom(79, depth=31.0), one_atom(79, depth=1.0)
    both = replace(
        upper,
        positions=torch.cat([upper.positions, lower.positions]),
        numbers=torch.cat([upper.numbers, lower.numbers]),
        batch=torch.zeros(2, dtype=torch.int64),
    )
    t = torch.exp(
        1j * interaction_parameter(ENERGY) * projected_potential(upper, GRID, debye_waller=DEBYE_WALLER)
    )
    at_lower = propagate(t, GRID, distance=30.0, energy=ENERGY)
    expected = propagate(t * at_lower, GRID, distance=1.0, energy=ENERGY)
    wave = exit_wave(both, GRID, energies=ENERGIES)
    torch.testing.assert_close(wave, expected, atol=1e-9, rtol=0)
    kinematic = sum(exit_wave(one, GRID, energies=ENERGIES) - 1 for one in (upper, lower)) + 1
    assert relative(kinematic, wave) > 0.05


def test_finer_pixels_change_little(draw_cluster) -> None:
    """What 0.25 Å/px costs: 1 % of the wave inside 1 / Å for Au, 0.1 % at 0.1 Å/px (measured: 0.6 %, 0.006 %)."""
    structure = draw_cluster(n=60, numbers=(79,), margin=4.0)
    waves = {}
    for n in (96, 240, 384):
        wave = exit_wave(structure, Grid((n, n), 24.0 / n), energies=ENERGIES)
        coarse = Grid((48, 48), 0.5)
        inside = coarse.squared_frequency(dtype=torch.float64) <= 0.95**2
        waves[n] = torch.fft.fft2(fourier_resample(wave, coarse.shape)) * inside
    reference = torch.linalg.vector_norm(waves[384])
    assert float(torch.linalg.vector_norm(waves[96] - waves[384]) / reference) < 1e-2
    assert float(torch.linalg.vector_norm(waves[240] - waves[384]) / reference) < 2e-4


def test_slices_hold_every_atom_once_and_all_the_way(draw_cluster) -> None:
    structure = draw_cluster(n=50)
    steps = list(slices(structure, 3.0))
    assert sum(len(step.atoms.positions) for step in steps) == 50
    deepest = float((structure.cell[0, 2] - structure.positions[:, 2]).max())
    # From the mid-plane of the first occupied slice to the exit plane.
    assert sum(step.distance for step in steps) == pytest.approx((deepest // 3.0 + 0.5) * 3.0)


def test_propagators_of_several_energies() -> None:
    lam = torch.tensor([wavelength(e) for e in (80e3, 300e3)], dtype=torch.float64)
    together = propagator(GRID, distance=7.0, wavelengths=lam)
    k2 = GRID.squared_frequency(dtype=torch.float64)
    exact = torch.exp(-1j * torch.pi * lam[:, None, None] * 7.0 * k2) * (k2 <= (BAND * GRID.nyquist) ** 2)
    torch.testing.assert_close(together, exact)


def test_bad_input_is_named(draw_cluster) -> None:
    structure = draw_cluster(n=3)
    with pytest.raises(InputError, match="slice_thickness: expected a positive number of Å, got -2"):
        exit_wave(structure, GRID, energies=ENERGIES, slice_thickness=-2.0)
    with pytest.raises(InputError, match="energies: expected one for each of the 1 specimens"):
        exit_wave(structure, GRID, energies=ENERGIES.expand(2))
    with pytest.raises(InputError, match="every atom between z = 0 and the cell height"):
        exit_wave(moved(structure, z=30.0), GRID, energies=ENERGIES)
    with pytest.raises(InputError, match="every atom between z = 0 and the cell height"):
        exit_wave(moved(structure, z=-30.0), GRID, energies=ENERGIES)
    with pytest.raises(InputError, match=r"wave: expected \(\.\.\., 96, 96\), got \(1, 5, 96\)"):
        propagate(torch.ones(1, 5, 96, dtype=torch.complex128), GRID, distance=1.0, energy=ENERGY)
