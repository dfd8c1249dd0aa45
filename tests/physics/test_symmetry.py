"""What must not matter: where the specimen lies, how it is turned, and what it is simulated together with."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from facetem.core.grid import Grid
from facetem.core.structure import Structure
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.multislice import exit_wave
from facetem.hrtem.optics import Optics, clean_images
from facetem.hrtem.settings import Multislice
from facetem.hrtem.simulate import exit_waves

SIDE = 24.0
GRID = Grid((96, 96), 0.25)
ENERGY = 200e3
BAND = Multislice.band
ENERGIES = torch.tensor([ENERGY], dtype=torch.float64)
ROUND = Optics(Aberrations(defocus=120.0, C30=-1e5))


def image(wave: torch.Tensor) -> torch.Tensor:
    return clean_images(wave, GRID, energies=[ENERGY], optics=[ROUND], band=BAND * GRID.nyquist)[0]


def with_xy(structure: Structure, x: torch.Tensor, y: torch.Tensor) -> Structure:
    return replace(structure, positions=torch.stack([x, y, structure.positions[:, 2]], dim=1))


@pytest.fixture
def structure(draw_cluster) -> Structure:
    return draw_cluster(n=50, box=(SIDE, SIDE, 20.0))


@pytest.fixture
def wave(structure: Structure) -> torch.Tensor:
    return exit_wave(structure, GRID, energies=ENERGIES)


def test_a_shift_by_whole_pixels_shifts_the_wave(structure: Structure, wave: torch.Tensor) -> None:
    x, y, _ = structure.positions.T
    shifted = exit_wave(with_xy(structure, x + 3 * 0.25, y - 30 * 0.25), GRID, energies=ENERGIES)
    torch.testing.assert_close(shifted, torch.roll(wave, (-30, 3), dims=(1, 2)), atol=1e-10, rtol=0)


@pytest.mark.parametrize(("band", "bound"), [(2 / 3, 1e-4), (0.9, 3e-3)])
def test_a_shift_by_less_than_a_pixel_shifts_the_wave(
    structure: Structure, band: float, bound: float
) -> None:
    """Up to what exp(i sigma V) folds back into the band at 0.25 Å/px: measured 5e-5 and 1.6e-3 of the wave."""
    settings = Multislice(band=band, potential_band=band)
    wave = exit_wave(structure, GRID, energies=ENERGIES, settings=settings)
    ky, kx = GRID.frequencies(dtype=torch.float64)
    x, y, _ = structure.positions.T
    for dx, dy in ((0.1, 0.0), (0.125, -0.06)):
        moved = with_xy(structure, x + dx, y + dy)
        shifted = exit_wave(moved, GRID, energies=ENERGIES, settings=settings)
        ramp = torch.exp(-2j * torch.pi * (kx * dx + ky * dy))
        expected = torch.fft.ifft2(torch.fft.fft2(wave) * ramp)
        error = torch.linalg.vector_norm(shifted - expected) / torch.linalg.vector_norm(expected)
        assert float(error) < bound


def test_a_neighbouring_cell_is_the_same(structure: Structure, wave: torch.Tensor) -> None:
    x, y, _ = structure.positions.T
    wrapped = exit_wave(with_xy(structure, x - SIDE, y + 2 * SIDE), GRID, energies=ENERGIES)
    torch.testing.assert_close(wrapped, wave, atol=1e-10, rtol=0)


def test_a_mirror_mirrors_wave_and_image(structure: Structure, wave: torch.Tensor) -> None:
    """x -> -x takes pixel i to -i, modulo the field."""
    x, y, _ = structure.positions.T
    mirrored = exit_wave(with_xy(structure, -x, y), GRID, energies=ENERGIES)
    torch.testing.assert_close(mirrored, wave.flip(2).roll(1, 2), atol=1e-10, rtol=0)
    torch.testing.assert_close(image(mirrored), image(wave).flip(1).roll(1, 1), atol=1e-10, rtol=0)


def test_a_quarter_turn_turns_wave_and_image(structure: Structure, wave: torch.Tensor) -> None:
    """(x, y) -> (y, -x) about the corner: the new wave at pixel (-ix, iy) is the old one at (iy, ix)."""
    x, y, _ = structure.positions.T
    turned = exit_wave(with_xy(structure, y, -x), GRID, energies=ENERGIES)
    torch.testing.assert_close(turned, wave.transpose(1, 2).flip(1).roll(1, 1), atol=1e-10, rtol=0)
    torch.testing.assert_close(image(turned), image(wave).T.flip(0).roll(1, 0), atol=1e-10, rtol=0)


def test_two_fold_astigmatism_turns_with_the_microscope(structure: Structure, wave: torch.Tensor) -> None:
    """Turn specimen and azimuth by the same quarter turn, and the image turns; turn one alone, and it does not."""
    x, y, _ = structure.positions.T
    turned = exit_wave(with_xy(structure, -y, x), GRID, energies=ENERGIES)

    def seen(wave: torch.Tensor, quarter: float) -> torch.Tensor:
        angle = quarter * np.pi / 2
        lens = Aberrations(
            defocus=50.0,
            C12=80.0,
            phi12=0.3 + angle,
            C21=900.0,
            phi21=0.7 + angle,
            C23=900.0,
            phi23=1.1 + angle,
        )
        return clean_images(wave, GRID, energies=[ENERGY], optics=[Optics(lens)], band=BAND * GRID.nyquist)[0]

    expected = seen(wave, 0).T.flip(1).roll(1, 1)
    torch.testing.assert_close(seen(turned, 1), expected, atol=1e-9, rtol=0)
    assert float((seen(turned, 0) - expected).abs().max()) > 0.1


def mixed_batch(draw_cluster) -> tuple[list[Structure], list[float]]:
    """Specimens of other heights, elements, numbers of atoms and energies."""
    alone = [
        draw_cluster(n=40, box=(SIDE, SIDE, 20.0), numbers=(6,), seed=1),
        draw_cluster(n=9, box=(SIDE, SIDE, 7.3), numbers=(79,), seed=2),
        draw_cluster(n=70, box=(SIDE, SIDE, 41.9), numbers=(6, 79), seed=3),
        draw_cluster(n=20, box=(SIDE, SIDE, 20.0), numbers=(47, 78), seed=4),
    ]
    return alone, [80e3, 300e3, 200e3, 80e3]


def joined(parts: list[Structure]) -> Structure:
    return Structure(
        torch.cat([part.positions for part in parts]),
        torch.cat([part.numbers for part in parts]),
        torch.cat([part.batch + i for i, part in enumerate(parts)]),
        torch.cat([part.cell for part in parts]),
    )


def test_a_batch_is_its_specimens_one_by_one(draw_cluster) -> None:
    alone, energies = mixed_batch(draw_cluster)
    together = exit_wave(joined(alone), GRID, energies=torch.tensor(energies, dtype=torch.float64))
    for part, energy, wave in zip(alone, energies, together, strict=True):
        single = exit_wave(part, GRID, energies=torch.tensor([energy], dtype=torch.float64))
        torch.testing.assert_close(wave, single[0], atol=1e-12, rtol=0)


@pytest.mark.parametrize("batch", [1, 3, 4, None])
def test_the_size_of_the_batch_does_not_matter(draw_cluster, batch: int | None) -> None:
    alone, energies = mixed_batch(draw_cluster)
    done: list[tuple[int, int]] = []
    waves = exit_waves(
        joined(alone), GRID, energies=energies, batch=batch, progress=lambda k, n: done.append((k, n))
    )
    expected = exit_wave(joined(alone), GRID, energies=torch.tensor(energies, dtype=torch.float64))
    torch.testing.assert_close(waves, expected, atol=1e-12, rtol=0)
    assert done[-1] == (4, 4)


def test_images_of_a_batch_are_its_images_one_by_one(draw_cluster) -> None:
    alone, energies = mixed_batch(draw_cluster)
    waves = exit_wave(joined(alone), GRID, energies=torch.tensor(energies, dtype=torch.float64))
    optics = [
        Optics(),
        Optics(Aberrations(defocus=-90.0, C12=30.0, phi12=1.0), focal_spread=45.0),
        Optics(Aberrations(C30=5e4, C23=300.0), aperture=22.0, image_spread=0.0),
        Optics(Aberrations(defocus=200.0, C21=400.0, phi21=2.0), angular_spread=0.3),
    ]
    together = clean_images(waves, GRID, energies=energies, optics=optics, shape=(60, 60))
    for i in range(4):
        single = clean_images(
            waves[i : i + 1], GRID, energies=energies[i : i + 1], optics=optics[i : i + 1], shape=(60, 60)
        )
        torch.testing.assert_close(together[i], single[0], atol=1e-12, rtol=0)


def test_the_order_of_the_atoms_does_not_matter(structure: Structure, wave: torch.Tensor) -> None:
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    shuffled = replace(structure, positions=structure.positions[order], numbers=structure.numbers[order])
    torch.testing.assert_close(exit_wave(shuffled, GRID, energies=ENERGIES), wave, atol=1e-12, rtol=0)
