"""Frozen phonons: how atoms are displaced, and what their potentials are in the mean."""

import math
from collections.abc import Sequence

import pytest
import torch

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.core.structure import Structure
from facetem.hrtem.multislice import exit_wave
from facetem.hrtem.phonons import configurations, displaced
from facetem.hrtem.potential import projected_potential
from facetem.hrtem.settings import Multislice

VIBRATIONS = {6: 0.5, 79: 0.63, 13: 2.0}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def block(
    counts: Sequence[int] = (10_000,),
    numbers: Sequence[int] = (6, 79, 13),
    dtype: torch.dtype = torch.float64,
) -> Structure:
    """Specimens of so many atoms each in boxes of 30 Å, well inside them; the elements take turns."""
    total = sum(counts)
    return Structure(
        positions=(5 + 20 * torch.rand((total, 3), generator=seeded(1), dtype=torch.float64)).to(dtype),
        numbers=torch.tensor(numbers)[torch.arange(total) % len(numbers)],
        batch=torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)),
        cell=torch.full((len(counts), 3), 30.0, dtype=dtype),
    )


@pytest.mark.parametrize("number", [6, 79, 13])
def test_mean_square_displacement(number: int) -> None:
    """<u^2> = B / (8 pi^2) along each axis, no correlation between axes or atoms; bounds: 5 standard errors."""
    rest = block((60_000,))
    shift = (displaced(rest, VIBRATIONS, seeded()).positions - rest.positions)[rest.numbers == number]
    n, variance = len(shift), VIBRATIONS[number] / (8 * math.pi**2)
    assert float(shift.mean(0).abs().max()) < 5 * math.sqrt(variance / n)
    covariance = shift.T @ shift / n / variance
    assert float((covariance.diag() - 1).abs().max()) < 5 * math.sqrt(2 / n)
    assert float((covariance - torch.diag(covariance.diag())).abs().max()) < 5 / math.sqrt(n)
    assert float((shift[1:] * shift[:-1]).mean(0).abs().max()) < 5 * variance / math.sqrt(n)


def test_displacements_are_gaussian() -> None:
    """The mean of exp(2 pi i k u) is the Debye-Waller factor exp(-B k^2 / 4) at every k; 5 standard errors."""
    rest = block((40_000,), (79,))
    shift = displaced(rest, VIBRATIONS, seeded()).positions - rest.positions
    for k in (0.5, 1.0, 2.0, 3.0):
        mean = torch.exp(2j * math.pi * k * shift).mean()
        assert abs(complex(mean) - math.exp(-0.63 * k**2 / 4)) < 5 / math.sqrt(shift.numel())


def test_atoms_without_a_factor_stay() -> None:
    rest = block((30,))
    moved = displaced(rest, {79: 0.63, 6: 0.0}, seeded()).positions != rest.positions
    assert torch.equal(moved.all(1), rest.numbers == 79)
    assert not bool(moved[rest.numbers != 79].any())


def test_a_specimen_has_its_own_stream() -> None:
    """All specimens at once, or two batches of them in order: the same atoms. No two specimens alike."""
    whole = block((50, 7, 20, 1))
    together = list(configurations(whole, VIBRATIONS, seeded(), n=3))
    generator = seeded()
    first = list(configurations(whole.select(0, 2), VIBRATIONS, generator, n=3))
    second = list(configurations(whole.select(2, 4), VIBRATIONS, generator, n=3))
    for a, b, c in zip(together, first, second, strict=True):
        assert torch.equal(a.positions, torch.cat([b.positions, c.positions]))
    shift = together[0].positions - whole.positions
    assert not torch.allclose(shift[:7] / shift[50:57], torch.ones(7, 3, dtype=torch.float64), rtol=0.1)


def test_configurations_differ_and_come_one_by_one() -> None:
    rest = block((20,))
    some = configurations(rest, VIBRATIONS, seeded(), n=5)
    first, second = next(some), next(some)
    assert not torch.equal(first.positions, second.positions)
    assert torch.equal(first.positions, displaced(rest, VIBRATIONS, seeded()).positions)
    assert len(list(some)) == 3
    again = list(configurations(rest, VIBRATIONS, seeded(), n=2))
    assert torch.equal(again[1].positions, second.positions)  # however many were asked for
    assert not torch.equal(displaced(rest, VIBRATIONS, seeded(1)).positions, first.positions)


def test_precision_does_not_change_the_draw() -> None:
    double, single = block((40,)), block((40,), dtype=torch.float32)
    moved = displaced(single, VIBRATIONS, seeded())
    assert moved.positions.dtype == torch.float32
    torch.testing.assert_close(
        moved.positions.double(), displaced(double, VIBRATIONS, seeded()).positions, rtol=0, atol=4e-6
    )


@pytest.mark.gpu
def test_the_device_does_not_change_the_draw() -> None:
    rest = block((40, 3))
    moved = displaced(rest.to("cuda"), VIBRATIONS, seeded())
    assert moved.positions.device.type == "cuda"
    torch.testing.assert_close(
        moved.positions.cpu(), displaced(rest, VIBRATIONS, seeded()).positions, rtol=0, atol=1e-12
    )


def test_atoms_at_the_faces_stay_in_the_cell() -> None:
    """Every other atom on the entrance face, the rest on the exit face: half of them are held back there."""
    rest = block((2000,), (13,))
    face = torch.where(torch.arange(2000) % 2 == 0, 0.0, 30.0).double()
    rest = Structure(torch.column_stack([rest.positions[:, :2], face]), rest.numbers, rest.batch, rest.cell)
    moved = displaced(rest, VIBRATIONS, seeded())
    z = moved.positions[:, 2]
    assert float(z.min()) >= 0
    assert float(z.max()) <= 30
    assert 0.45 < float((z == face).double().mean()) < 0.55
    across = (moved.positions - rest.positions)[:, :2]
    assert float(across.square().mean()) == pytest.approx(2.0 / (8 * math.pi**2), rel=0.1)
    wave = exit_wave(moved, Grid((32, 32), 30 / 32), energies=torch.tensor([2e5], dtype=torch.float64))
    assert bool(torch.isfinite(wave).all())


def test_an_atom_outside_its_cell_is_still_found() -> None:
    rest = block((3,))
    rest.positions[1, 2] = 31.0
    moved = displaced(rest, VIBRATIONS, seeded())
    assert float(moved.positions[1, 2]) > 30.5
    with pytest.raises(InputError, match="found one outside"):
        exit_wave(moved, Grid((32, 32), 30 / 32), energies=torch.tensor([2e5], dtype=torch.float64))


def test_gradients_pass_and_inputs_stay() -> None:
    rest = block((6,))
    rest.positions[0, 2] = 0.0
    before = rest.positions.clone()
    rest.positions.requires_grad_()
    displaced(rest, VIBRATIONS, seeded()).positions.square().sum().backward()
    assert torch.equal(rest.positions.detach(), before)
    expected = 2 * displaced(rest, VIBRATIONS, seeded()).positions.detach()
    assert rest.positions.grad is not None
    torch.testing.assert_close(rest.positions.grad, expected)


@pytest.mark.parametrize("n", [0, -1, 2.5])
def test_how_many_is_checked_at_once(n: int) -> None:
    with pytest.raises(InputError, match="n: expected a positive number of configurations"):
        configurations(block((3,)), VIBRATIONS, seeded(), n=n)


@pytest.mark.parametrize("B", [-0.1, math.nan, math.inf])
def test_an_impossible_vibration_is_named(B: float) -> None:
    with pytest.raises(InputError, match="debye_waller: expected B >= 0 Å\\^2 for atomic number 6"):
        displaced(block((3,)), {6: B}, seeded())


def test_mean_potential_is_that_of_the_debye_waller_factor() -> None:
    """The mean of 100 configurations is off by their own scatter over sqrt(100), and by no more.

    120 atoms of two displacements each: the ratio of the squares is 1 with a standard error of 0.1.
    """
    grid, n = Grid((64, 64), 0.25), 100
    rest = block((120,), (79,))
    rest = Structure(rest.positions * (16 / 30), rest.numbers, rest.batch, rest.cell * (16 / 30))
    some = list(configurations(rest, VIBRATIONS, seeded(), n=n))
    side_by_side = Structure(
        torch.cat([s.positions for s in some]),
        rest.numbers.repeat(n),
        torch.arange(n).repeat_interleave(len(rest.numbers)),
        rest.cell.repeat(n, 1),
    )
    still, vibrating = (
        Multislice(band=2 / 3, potential_band=2 / 3, debye_waller=B) for B in ({}, VIBRATIONS)
    )
    potentials = projected_potential(side_by_side, grid, still)
    expected = projected_potential(rest, grid, vibrating)[0]
    at_rest = projected_potential(rest, grid, still)[0]
    scatter = float(potentials.var(0).mean()) / n
    error = float((potentials.mean(0) - expected).square().mean())
    assert 0.6 < error / scatter < 1.5
    assert float((at_rest - expected).square().mean()) > 5 * error
