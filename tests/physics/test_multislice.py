"""The exit wave in its limits: vacuum, thin and slowly varying objects, empty space before and after."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from facetem.core.errors import InputError
from facetem.core.grid import Grid, fourier_resample
from facetem.core.physics import interaction_parameter, wavelength
from facetem.core.structure import Structure
from facetem.hrtem.atomic import atomic_potential, second_order
from facetem.hrtem.multislice import exit_wave, propagate, propagator
from facetem.hrtem.planes import LIGHT, plane_heights
from facetem.hrtem.potential import planes_of, projected_potential
from facetem.hrtem.settings import Multislice

ENERGY = 200e3
ENERGIES = torch.tensor([ENERGY], dtype=torch.float64)
GRID = Grid((96, 96), 0.25)
OLD = Multislice(
    order=1, band=2 / 3, potential_band=2 / 3, second_order=False
)  # every atom on the nearest plane, as it is there
THIN = Multislice(slice_thickness=1.0, light_thickness=1.0, order=4, band=2 / 3, potential_band=2 / 3)


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


def inside(grid: Grid, band: float) -> torch.Tensor:
    """Where (y, x) the frequencies are within `band` of Nyquist."""
    return grid.squared_frequency(dtype=torch.float64) <= (band * grid.nyquist) ** 2


def cut(wave: torch.Tensor, band: float) -> torch.Tensor:
    return torch.fft.ifft2(torch.fft.fft2(wave) * inside(GRID, band))


def banded_wave(grid: Grid, band: float, seed: int = 0) -> torch.Tensor:
    noise = torch.randn(grid.shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))
    return torch.fft.ifft2(noise * inside(grid, band))


def phase_object(structure: Structure, band: float) -> torch.Tensor:
    """exp(i sigma V) of the whole specimen in one plane."""
    potential = projected_potential(structure, GRID, Multislice(band=band, potential_band=band))
    return torch.exp(1j * interaction_parameter(ENERGY) * potential)


def loss_of(structure: Structure, band: float) -> torch.Tensor:
    """Of second order (y, x): sigma^2 times that of one atom after the other, as a Fourier sum."""
    ky, kx = GRID.frequencies(dtype=torch.float64)
    k = torch.sqrt(ky**2 + kx**2)
    spectrum = torch.zeros(GRID.shape, dtype=torch.complex128)
    for (x, y, _), number in zip(structure.positions, structure.numbers.tolist(), strict=True):
        if number > LIGHT:
            square = second_order(number, k, band * GRID.nyquist, Multislice())
            spectrum += square * torch.exp(-2j * torch.pi * (kx * x + ky * y))
    scale = interaction_parameter(ENERGY) ** 2 / GRID.sampling**2
    return torch.fft.ifft2(spectrum * inside(GRID, band)).real * scale


def scattered_once(
    structure: Structure, settings: Multislice, energy: float, planes: Sequence[torch.Tensor] | None = None
) -> torch.Tensor:
    """What a specimen scatters in first order, at the exit (y, x) in frequencies, per interaction parameter."""
    one = torch.ones(1, dtype=torch.float64)
    lam = one * wavelength(energy)
    wave = torch.zeros(GRID.shape, dtype=torch.complex128)
    for step in planes_of(structure, GRID, sigma=one, settings=settings, planes=planes):
        wave = wave + 1j * torch.fft.fft2(step.phase[0])
        wave = wave * propagator(GRID, distances=one * step.distances[0], wavelengths=lam, band=1.0)[0]
    return wave


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


def test_specimens_of_one_energy_in_one_batch_have_their_own_way_to_the_exit() -> None:
    """Cells of different heights: one propagator does not serve both."""
    low, high = one_atom(79, depth=2.0, height=4.0), one_atom(79, depth=38.0)
    both = Structure(
        torch.cat([low.positions, high.positions]),
        torch.cat([low.numbers, high.numbers]),
        torch.tensor([0, 1]),
        torch.cat([low.cell, high.cell]),
    )
    together = exit_wave(both, GRID, energies=ENERGIES.expand(2))
    for wave, structure in zip(together, (low, high), strict=True):
        alone = exit_wave(structure, GRID, energies=ENERGIES)[0]
        torch.testing.assert_close(wave, alone, atol=1e-9, rtol=0)


def test_propagation_conserves_intensity_inside_the_nyquist_circle() -> None:
    wave = banded_wave(GRID, 1.0)
    there = propagate(wave, GRID, distance=321.0, energy=ENERGY)
    assert float(there.abs().square().sum()) == pytest.approx(float(wave.abs().square().sum()), rel=1e-12)
    back = propagate(there, GRID, distance=-321.0, energy=ENERGY)
    torch.testing.assert_close(back, wave)
    twice = propagate(
        propagate(wave, GRID, distance=100.0, energy=ENERGY), GRID, distance=221.0, energy=ENERGY
    )
    torch.testing.assert_close(twice, there)


def test_propagation_takes_away_what_lies_outside_the_nyquist_circle() -> None:
    noise = torch.randn(GRID.shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(3))
    spectrum = torch.fft.fft2(propagate(noise, GRID, distance=10.0, energy=ENERGY))
    outside = ~inside(GRID, 1.0)
    assert float(spectrum[outside].abs().max()) < 1e-10 * float(spectrum.abs().max())
    assert float(spectrum[~outside].abs().min()) > 0


@pytest.mark.parametrize("band", [0.5, 2 / 3, 0.9])
def test_a_wave_has_nothing_outside_its_band(draw_cluster, band: float) -> None:
    wave = exit_wave(
        draw_cluster(numbers=(79,)),
        GRID,
        energies=ENERGIES,
        settings=Multislice(band=band, potential_band=band),
    )
    spectrum = torch.fft.fft2(wave[0])
    assert float(spectrum[~inside(GRID, band)].abs().max()) < 1e-10 * float(spectrum.abs().max())
    rim = inside(GRID, band) & ~inside(GRID, band - 0.1)
    assert float(spectrum[rim].abs().max()) > 1e-4 * float(spectrum.abs().max())


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
    for kept in (False, True):
        settings = Multislice(band=2 / 3, potential_band=2 / 3, second_order=kept)
        lost = []
        for n in (96, 240, 384):
            wave = exit_wave(structure, Grid((n, n), 24.0 / n), energies=ENERGIES, settings=settings)
            lost.append(1 - float(wave.abs().square().mean()))
        assert 0 < lost[2] < lost[1] < lost[0]
        assert lost[2] < (1e-5 if kept else 1e-6)


def test_electrons_outside_the_band_are_missed_inside_it() -> None:
    """The loss is what a finer grid finds beyond the coarse one's band; without second order, it is not known."""
    structure = one_atom(79, depth=0.0)
    fine = Grid((384, 384), 24.0 / 384)
    wave = exit_wave(structure, fine, energies=ENERGIES, settings=THIN)
    power = torch.fft.fft2(wave[0], norm="forward").abs().square()
    beyond = float(power[fine.squared_frequency(dtype=torch.float64) > (2 / 3 * GRID.nyquist) ** 2].sum())
    with_it, without = (
        1 - float(exit_wave(structure, GRID, energies=ENERGIES, settings=settings).abs().square().mean())
        for settings in (THIN, replace(THIN, second_order=False))
    )
    assert with_it == pytest.approx(beyond, rel=0.15)
    assert without < 0.1 * beyond


@pytest.mark.parametrize("band", [2 / 3, 0.9])
def test_no_electron_is_made(draw_cluster, band: float) -> None:
    """Intensity <= 1 in the mean, for a crystal's worth of gold too and for every order of sharing."""
    structure = draw_cluster(n=300, numbers=(79,), box=(24.0, 24.0, 60.0))
    for order in (1, 2, 3, 4):
        for kept in (False, True):
            settings = Multislice(order=order, band=band, potential_band=band, second_order=kept)
            wave = exit_wave(structure, GRID, energies=ENERGIES, settings=settings)
            assert 0.3 < float(wave.abs().square().mean()) <= 1


def test_thin_object_is_a_phase_object(draw_cluster) -> None:
    """psi = exp(i sigma V), cut at the band, for atoms in a plane at the exit; with second order times exp(-loss)."""
    structure = draw_cluster(n=20, box=(24.0, 24.0, 20.0))
    flat = replace(
        structure,
        positions=structure.positions * torch.tensor([1.0, 1.0, 0.0]),
        cell=torch.tensor([[24.0, 24.0, 1e-6]], dtype=torch.float64),
    )
    for band in (2 / 3, 0.9):
        settings = Multislice(band=band, potential_band=band, second_order=False)
        wave = exit_wave(flat, GRID, energies=ENERGIES, settings=settings)
        thin = phase_object(structure, band)
        torch.testing.assert_close(wave, cut(thin, band), atol=1e-6, rtol=0)
        assert float(thin.angle().max()) > 0.5
        with_loss = exit_wave(flat, GRID, energies=ENERGIES, settings=replace(settings, second_order=True))
        expected = cut(thin * torch.exp(-loss_of(structure, band)), band)
        torch.testing.assert_close(with_loss, expected, atol=1e-4, rtol=0)
        assert float((expected - wave).abs().max()) > 1e-2


def test_the_exit_plane_is_the_end_of_the_cell() -> None:
    """One atom `depth` above it: its phase object, propagated by `depth`, whatever the slices."""
    atom = one_atom(79, depth=9.0)
    thin = cut(phase_object(atom, 0.9), 0.9)
    expected = propagate(thin, GRID, distance=9.0, energy=ENERGY)
    for thickness, order in itertools.product((0.4, 2.0, 18.0), (1, 2, 3, 4)):
        settings = Multislice(slice_thickness=thickness, order=order, second_order=False)
        wave = exit_wave(atom, GRID, energies=ENERGIES, settings=settings)
        torch.testing.assert_close(wave, expected, atol=1e-9, rtol=0)


def test_vacuum_at_the_entrance_changes_nothing(draw_cluster) -> None:
    structure = draw_cluster()
    wave = exit_wave(structure, GRID, energies=ENERGIES)
    lowered = exit_wave(moved(structure, z=13.7, height=13.7), GRID, energies=ENERGIES)
    torch.testing.assert_close(lowered, wave, atol=1e-12, rtol=0)


def test_vacuum_at_the_exit_is_propagation(draw_cluster) -> None:
    """By any distance: the planes lie where the atoms do."""
    structure = draw_cluster()
    wave = exit_wave(structure, GRID, energies=ENERGIES)
    for distance in (14.0, 1.3):
        raised = exit_wave(moved(structure, height=distance), GRID, energies=ENERGIES)
        expected = propagate(wave, GRID, distance=distance, energy=ENERGY)
        torch.testing.assert_close(raised, expected, atol=1e-7, rtol=0)


def test_atoms_moved_to_mid_planes() -> None:
    """Order 1, smooth matter along the beam: halving the slices takes the error to a quarter (an edge: to a half).

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
    settings = replace(OLD, debye_waller={1: 40.0})
    waves = {
        h: exit_wave(
            column, GRID, energies=ENERGIES, settings=settings, planes=[torch.arange(h / 2, 32.0, h)]
        )
        for h in (0.2, 2.0, 4.0, 8.0)
    }
    errors = [relative(waves[h], waves[0.2]) for h in (8.0, 4.0, 2.0)]
    assert errors[0] / errors[1] == pytest.approx(4, abs=0.1)
    assert errors[1] / errors[2] == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_sharing_converges_at_the_rate_of_its_order(order: int) -> None:
    """First order of an atom that is at the same place between its planes: half their distance, 1 / 2^order."""
    atom = one_atom(1, depth=20.0)
    settings = Multislice(order=order, debye_waller={1: 20.0})
    k2 = GRID.squared_frequency(dtype=torch.float64)
    exact = torch.fft.fft2(projected_potential(atom, GRID, settings)[0]) * torch.exp(
        -1j * torch.pi * wavelength(ENERGY) * 20.0 * k2
    )
    errors = []
    for h in (2.0, 1.0, 0.5):
        planes = 20.0 + h * (torch.arange(-2, 4, dtype=torch.float64) - 0.35)
        scattered = scattered_once(atom, settings, ENERGY, planes=[planes]) / 1j
        errors.append(float(torch.linalg.vector_norm(scattered - exact) / torch.linalg.vector_norm(exact)))
    assert errors[2] > 1e-11  # not rounding
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(2**order, rel=0.05)


def test_planes_far_apart_that_share_beat_slices_that_do_not(draw_cluster) -> None:
    """Gold at random, against 0.25 Å. Measured: 1 % at 8 Å shared by three, 2.2 % at 2 Å moved to the nearest."""
    structure = draw_cluster(n=60, box=(24.0, 24.0, 40.0), numbers=(79,), margin=4.0)
    fine, shared, nearest = (
        exit_wave(
            structure,
            GRID,
            energies=ENERGIES,
            settings=Multislice(
                slice_thickness=h, light_thickness=h, order=order, band=2 / 3, potential_band=2 / 3
            ),
        )
        for h, order in ((0.25, 4), (8.0, 3), (2.0, 1))
    )
    assert relative(shared, fine) < 0.02
    assert relative(nearest, fine) > 1.5 * relative(shared, fine)


def test_two_atoms_scatter_one_after_the_other() -> None:
    """Not kinematic: the second atom acts on the wave that the first has left."""
    upper, lower = one_atom(79, depth=31.0), one_atom(79, depth=1.0)
    both = replace(
        upper,
        positions=torch.cat([upper.positions, lower.positions]),
        numbers=torch.cat([upper.numbers, lower.numbers]),
        batch=torch.zeros(2, dtype=torch.int64),
    )
    t = phase_object(upper, 2 / 3)
    at_lower = propagate(cut(t, 2 / 3), GRID, distance=30.0, energy=ENERGY)
    expected = propagate(cut(t * at_lower, 2 / 3), GRID, distance=1.0, energy=ENERGY)
    wave = exit_wave(both, GRID, energies=ENERGIES, settings=OLD, planes=[torch.tensor([9.0, 39.0])])
    torch.testing.assert_close(wave, expected, atol=1e-9, rtol=0)
    kinematic = sum(exit_wave(one, GRID, energies=ENERGIES) - 1 for one in (upper, lower)) + 1
    assert relative(kinematic, wave) > 0.05


def test_finer_pixels_change_little(draw_cluster) -> None:
    """What 0.25 Å/px costs of the wave inside 1 / Å for Au, and 0.1 Å/px (measured: M0, M1)."""
    structure = draw_cluster(n=60, numbers=(79,), margin=4.0)
    waves = {}
    for n in (96, 240, 384):
        wave = exit_wave(structure, Grid((n, n), 24.0 / n), energies=ENERGIES)
        coarse = Grid((48, 48), 0.5)
        near = coarse.squared_frequency(dtype=torch.float64) <= 0.95**2
        waves[n] = torch.fft.fft2(fourier_resample(wave, coarse.shape)) * near
    reference = torch.linalg.vector_norm(waves[384])
    assert float(torch.linalg.vector_norm(waves[96] - waves[384]) / reference) < 1e-2
    assert float(torch.linalg.vector_norm(waves[240] - waves[384]) / reference) < 2e-4


def test_planes_hold_every_atom_once_and_all_the_way(draw_cluster) -> None:
    """The phases of all planes add up to that of the projected potential, the distances to the way to the exit."""
    structure = draw_cluster(n=50)
    sigma = torch.tensor([1e-3], dtype=torch.float64)
    for order in (1, 2, 3, 4):
        settings = Multislice(order=order, slice_thickness=3.0, light_thickness=6.0)
        steps = list(planes_of(structure, GRID, sigma=sigma, settings=settings))
        phase = sum(step.phase for step in steps)
        torch.testing.assert_close(
            phase, 1e-3 * projected_potential(structure, GRID, settings), atol=1e-9, rtol=0
        )
        first = float(plane_heights(structure, settings)[0][0])
        assert sum(step.distances[0] for step in steps) == pytest.approx(20.0 - first)


def test_propagators_of_several_energies() -> None:
    lam = torch.tensor([wavelength(e) for e in (80e3, 300e3)], dtype=torch.float64)
    distances = torch.tensor([7.0, 11.0], dtype=torch.float64)
    together = propagator(GRID, distances=distances, wavelengths=lam, band=0.8)
    k2 = GRID.squared_frequency(dtype=torch.float64)
    exact = torch.exp(-1j * torch.pi * (lam * distances)[:, None, None] * k2) * inside(GRID, 0.8)
    torch.testing.assert_close(together, exact)


@pytest.mark.parametrize(("depth", "tilt"), [(20.0, (10.0, 0.0)), (10.0, (-5.0, 12.0))])
def test_a_tilted_beam_moves_the_shadow_of_an_atom(depth: float, tilt: tuple[float, float]) -> None:
    """By `depth` times the tilt, towards where the beam goes."""
    atom = one_atom(6, depth)
    ky, kx = GRID.frequencies(dtype=torch.float64)
    ramp = torch.exp(-2j * torch.pi * depth * 1e-3 * (kx * tilt[0] + ky * tilt[1]))
    straight = exit_wave(atom, GRID, energies=ENERGIES)
    tilted = exit_wave(atom, GRID, energies=ENERGIES, settings=Multislice(tilt=tilt))
    torch.testing.assert_close(tilted, torch.fft.ifft2(torch.fft.fft2(straight) * ramp), atol=1e-10, rtol=0)
    assert relative(straight, tilted) > 0.1


def test_no_tilt_is_no_tilt(draw_cluster) -> None:
    structure = draw_cluster()
    straight = exit_wave(structure, GRID, energies=ENERGIES)
    assert torch.equal(
        exit_wave(structure, GRID, energies=ENERGIES, settings=Multislice(tilt=(0.0, 0.0))), straight
    )


@pytest.mark.parametrize("tilt", [(5.0, 0.0), (-3.0, 8.0)])
def test_a_specimen_sheared_along_a_tilted_beam(draw_cluster, tilt: tuple[float, float]) -> None:
    """x + z tilt: the untilted wave, moved as far as the exit plane is. Measured: S0 of the scattered wave."""
    structure = draw_cluster(n=60, box=(24.0, 24.0, 40.0), numbers=(6, 79))
    shear = structure.positions[:, 2:] * torch.tensor([*tilt, 0.0], dtype=torch.float64) * 1e-3
    sheared = replace(structure, positions=structure.positions + shear)
    straight = exit_wave(structure, GRID, energies=ENERGIES, settings=THIN)
    tilted = exit_wave(sheared, GRID, energies=ENERGIES, settings=replace(THIN, tilt=tilt))
    ky, kx = GRID.frequencies(dtype=torch.float64)
    back = torch.exp(2j * torch.pi * 40.0 * 1e-3 * (kx * tilt[0] + ky * tilt[1]))
    assert relative(torch.fft.ifft2(torch.fft.fft2(tilted) * back), straight) < 5e-3
    assert relative(tilted, straight) > 0.1


def test_absorption_takes_intensity() -> None:
    """A layer that is nearly uniform: mean intensity exp(-2 r sigma V), V its mean projected potential."""
    x, y = torch.meshgrid(torch.arange(0, 24.0, 2.0), torch.arange(0, 24.0, 2.0), indexing="ij")
    layer = Structure(
        torch.stack([x.flatten(), y.flatten(), torch.zeros(144)], dim=1).double(),
        torch.full((144,), 79),
        torch.zeros(144, dtype=torch.int64),
        torch.tensor([[24.0, 24.0, 1e-6]], dtype=torch.float64),
    )
    settings = Multislice(second_order=False, debye_waller={79: 100.0})
    phase = interaction_parameter(ENERGY) * float(projected_potential(layer, GRID, settings).mean())
    for ratio in (0.0, 0.1, 1.0):
        some = replace(settings, absorption={79: ratio, 6: 0.5})
        wave = exit_wave(layer, GRID, energies=ENERGIES, settings=some)
        assert float(wave.abs().square().mean()) == pytest.approx(math.exp(-2 * ratio * phase), rel=1e-5)
    assert phase > 0.05


@pytest.mark.parametrize("order", [3, 4])
def test_finite_projection_scatters_on_the_ewald_sphere(order: int) -> None:
    """One atom's first order is v at k^2 + kz^2, kz = lambda k^2 / 2; infinite projection leaves kz out."""
    height, lam = 10.0, wavelength(ENERGY)
    atoms = [one_atom(6, depth, height) for depth in (1.0, 4.3, 9.0)]
    structure = replace(
        atoms[0],
        positions=torch.cat([atom.positions for atom in atoms]),
        numbers=torch.full((3,), 6),
        batch=torch.zeros(3, dtype=torch.int64),
    )
    planes = [torch.arange(0.0, 10.1, 0.25)]
    infinite, finite = (
        scattered_once(structure, Multislice(order=order, projection=p), ENERGY, planes)
        for p in ("infinite", "finite")
    )
    ky, kx = GRID.frequencies(dtype=torch.float64)
    k2 = ky**2 + kx**2
    flat, sphere = (atomic_potential(6, x, Multislice()) for x in (k2, k2 + (lam * k2 / 2) ** 2))
    place = sum(torch.exp(-1j * torch.pi * lam * d * k2) for d in (1.0, 4.3, 9.0)) * torch.exp(
        -2j * torch.pi * 12.0 * (kx + ky)
    )
    exact = 1j * (sphere - flat) * place / GRID.sampling**2 * inside(GRID, 0.9)
    error = torch.linalg.vector_norm(finite - infinite - exact) / torch.linalg.vector_norm(exact)
    assert float(error) < (0.05 if order == 3 else 0.01)
    change = torch.linalg.vector_norm(exact) / torch.linalg.vector_norm(infinite)
    assert 1e-5 < float(change) < 0.01


@pytest.mark.parametrize("order", [3, 4])
@pytest.mark.parametrize("number", [6, 79])
def test_finite_projection_of_a_single_layer(order: int, number: int) -> None:
    """At 200 kV it hardly matters: planes too close to each other for it would show. Measured: 1e-4 and 3e-4."""
    atom = one_atom(number, depth=10.0)
    infinite, finite = (
        exit_wave(atom, GRID, energies=ENERGIES, settings=Multislice(order=order, projection=p))
        for p in ("infinite", "finite")
    )
    assert 1e-6 < relative(finite, infinite) < 2e-3


def test_bad_input_is_named(draw_cluster) -> None:
    structure = draw_cluster(n=3)
    with pytest.raises(InputError, match="energies: expected one for each of the 1 specimens"):
        exit_wave(structure, GRID, energies=ENERGIES.expand(2))
    with pytest.raises(InputError, match="every atom between z = 0 and the cell height"):
        exit_wave(moved(structure, z=30.0), GRID, energies=ENERGIES)
    with pytest.raises(InputError, match="every atom between z = 0 and the cell height"):
        exit_wave(moved(structure, z=-30.0), GRID, energies=ENERGIES)
    with pytest.raises(InputError, match=r"wave: expected \(\.\.\., 96, 96\), got \(1, 5, 96\)"):
        propagate(torch.ones(1, 5, 96, dtype=torch.complex128), GRID, distance=1.0, energy=ENERGY)
