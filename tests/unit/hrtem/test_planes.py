"""Where specimens act on the wave, and what share of an atom each plane has."""

from dataclasses import replace

import pytest
import torch

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.core.structure import Structure
from facetem.hrtem.multislice import exit_wave
from facetem.hrtem.planes import Schedule, plane_heights, schedule
from facetem.hrtem.settings import Multislice

ORDERS = (1, 2, 3, 4)


def specimen(z: list[float] | torch.Tensor, number: int | list[int] = 79, height: float = 100.0) -> Structure:
    z = torch.as_tensor(z, dtype=torch.float64)
    numbers = torch.full((len(z),), number) if isinstance(number, int) else torch.tensor(number)
    return Structure(
        torch.stack([torch.full_like(z, 4.0), torch.full_like(z, 4.0), z], dim=1),
        numbers,
        torch.zeros(len(z), dtype=torch.int64),
        torch.tensor([[8.0, 8.0, height]], dtype=torch.float64),
    )


def joined(*parts: Structure) -> Structure:
    return Structure(
        torch.cat([part.positions for part in parts]),
        torch.cat([part.numbers for part in parts]),
        torch.cat([part.batch + i for i, part in enumerate(parts)]),
        torch.cat([part.cell for part in parts]),
    )


def random_heights(n: int, low: float, high: float, seed: int = 0) -> torch.Tensor:
    random = torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return low + (high - low) * random


def heights_of(plan: Schedule, structure: Structure, order: int) -> torch.Tensor:
    """(atom, order): where the planes that share each atom are, from the distances to the exit alone."""
    to_exit = plan.distances.flip(0).cumsum(0).flip(0)
    column = plan.first[:, None] + torch.arange(order)
    return (structure.cell[:, 2] - to_exit)[column, structure.batch[:, None]]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("light", [8.0, 24.0])
def test_shares_keep_the_height_of_an_atom(order: int, light: float) -> None:
    """They add up to 1, and interpolate powers of z below the order; specimens of several heights side by side."""
    both = joined(
        specimen(random_heights(60, 5.0, 83.0), [6] * 30 + [79] * 30),
        specimen(random_heights(20, 2.0, 31.0, 1), height=40.0),
        specimen([7.0], height=9.0),
        specimen(random_heights(40, 0.0, 60.0, 2), number=6, height=60.0),
    )
    settings = Multislice(order=order, light_thickness=light)
    plan = schedule(both, settings)
    z, nodes = both.positions[:, 2], heights_of(plan, both, order)
    assert plan.shares.shape == plan.curvatures.shape == (121, order)
    for power in range(order):
        torch.testing.assert_close((plan.shares * nodes**power).sum(1), z**power, rtol=1e-9, atol=1e-9)
        # Second derivatives of 1, z, z^2, z^3: rounding of a layer's planes, 0.1 Å apart, is 1e4 of the others'.
        exact = power * (power - 1) * z ** max(power - 2, 0)
        torch.testing.assert_close((plan.curvatures * nodes**power).sum(1), exact, rtol=1e-6, atol=1e-6)
    if order < 4:  # and no higher power
        miss = (plan.shares * nodes**order).sum(1) - z**order
        assert float(miss.abs().max()) > 1


def test_order_1_takes_the_nearest_plane() -> None:
    atoms = specimen(random_heights(200, 0.0, 50.0))
    plan = schedule(atoms, Multislice(order=1, slice_thickness=5.0))
    assert torch.equal(plan.shares, torch.ones(200, 1, dtype=torch.float64))
    planes = plane_heights(atoms, Multislice(order=1, slice_thickness=5.0))[0]
    nearest = (atoms.positions[:, 2:] - planes).abs().argmin(1)
    assert torch.equal(plan.first, nearest)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("thickness", [0.7, 2.0, 8.0])
def test_planes_span_the_atoms_evenly(order: int, thickness: float) -> None:
    z = random_heights(50, 3.0, 71.0)
    settings = Multislice(order=order, slice_thickness=thickness, light_thickness=thickness)
    (planes,) = plane_heights(specimen(z), settings)
    assert float(planes[0]) == pytest.approx(float(z.min()))
    assert float(planes[-1]) == pytest.approx(float(z.max()))
    steps = torch.diff(planes)
    torch.testing.assert_close(steps, steps[:1].expand_as(steps))
    assert 0.8 * thickness < float(steps[0]) <= thickness + 1e-9


@pytest.mark.parametrize("order", ORDERS)
def test_vacuum_changes_no_share(order: int) -> None:
    atoms = specimen(random_heights(50, 3.0, 71.0), [6, 79] * 25)
    settings = Multislice(order=order)
    plan = schedule(atoms, settings)
    raised = replace(atoms, cell=atoms.cell + torch.tensor([0.0, 0.0, 13.7]))
    lowered = replace(raised, positions=atoms.positions + torch.tensor([0.0, 0.0, 13.7]))
    for other, more in ((raised, 13.7), (lowered, 0.0)):
        same = schedule(other, settings)
        assert torch.equal(same.first, plan.first)
        torch.testing.assert_close(same.shares, plan.shares, atol=1e-9, rtol=0)
        expected = plan.distances.clone()
        expected[-1] += more
        torch.testing.assert_close(same.distances, expected)


@pytest.mark.parametrize("order", ORDERS)
def test_light_stretches_have_fewer_planes(order: int) -> None:
    """A particle on a thick film: steps of 2 Å where it is, of 8 Å in the film."""
    film, particle = random_heights(300, 0.0, 80.0), random_heights(50, 80.0, 110.0)
    settings = Multislice(slice_thickness=2.0, light_thickness=8.0, order=order)
    light = specimen(film, 6, 120.0)
    both = specimen(torch.cat([film, particle]), [6] * 300 + [79] * 50, 120.0)
    heavy = specimen(film, 21, 120.0)
    few, mixed, many = (plane_heights(s, settings)[0] for s in (light, both, heavy))
    assert len(few) < 0.4 * len(many)
    steps = torch.diff(mixed)
    assert float(steps[mixed[1:] < 76].min()) == pytest.approx(8.0, rel=0.1)
    assert float(steps[mixed[:-1] > 82].max()) == pytest.approx(2.0, rel=0.1)
    assert float(steps.max()) <= 8.0 + 1e-9
    for planes, z in ((few, film), (mixed, torch.cat([film, particle])), (many, film)):
        assert float(planes[0]) <= float(z.min()) + 1e-9
        assert float(planes[-1]) >= float(z.max()) - 1e-9


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("depth", [0.0, 0.05, 1.0, 3.0, 7.9, 8.1, 17.0])
def test_never_fewer_planes_than_the_order(order: int, depth: float) -> None:
    for light, number in ((8.0, 79), (8.0, 6), (50.0, 6)):
        settings = Multislice(slice_thickness=2.0, light_thickness=light, order=order)
        atoms = specimen([1.0, 1.0 + depth / 3, 1.0 + depth], number)
        (planes,) = plane_heights(atoms, settings)
        assert len(planes) >= order
        assert float(planes[0]) <= 1 + 1e-9
        assert float(planes[-1]) >= 1 + depth - 1e-9
        assert len(planes) == 1 or float(torch.diff(planes).min()) >= 0.1 - 1e-9
        plan = schedule(atoms, settings)
        torch.testing.assert_close(plan.shares.sum(1), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("projection", ["infinite", "finite"])
def test_a_layer_lies_on_a_plane(order: int, projection) -> None:
    if projection == "finite" and order < 3:
        pytest.skip("finite projection needs order 3 or 4")
    plan = schedule(specimen([30.0, 30.0, 30.0]), Multislice(order=order, projection=projection))
    assert torch.equal(plan.shares.abs() > 1e-9, (plan.shares - 1).abs() < 1e-9)


def test_specimens_of_other_heights_end_together() -> None:
    """The last plane of each is in the last step; before its first, a specimen's wave stays as it is."""
    tall, low, empty = (
        specimen(random_heights(40, 0.0, 80.0)),
        specimen(random_heights(40, 3.0, 19.0), height=22.0),
        specimen([], height=7.0),
    )
    settings = Multislice()
    together = schedule(joined(tall, low, empty), settings)
    for i, alone in enumerate((tall, low)):
        plan = schedule(alone, settings)
        steps = len(plan.distances)
        torch.testing.assert_close(together.distances[-steps:, i], plan.distances[:, 0])
        assert not bool(together.distances[: len(together.distances) - steps, i].any())
        mine = slice(40 * i, 40 * (i + 1))
        assert torch.equal(together.first[mine] - (len(together.distances) - steps), plan.first)
        torch.testing.assert_close(together.shares[mine], plan.shares)
    assert not bool(together.distances[:, 2].any())


def test_planes_of_ones_own() -> None:
    atoms = specimen([3.0, 8.0, 14.0])
    plan = schedule(atoms, Multislice(order=2), [torch.tensor([2.0, 5.0, 11.0, 15.0])])
    expected = torch.tensor([[2 / 3, 1 / 3], [0.5, 0.5], [0.25, 0.75]], dtype=torch.float64)
    torch.testing.assert_close(plan.shares, expected)
    assert plan.first.tolist() == [0, 1, 2]
    assert plan.distances[:, 0].tolist() == [3.0, 6.0, 4.0, 85.0]


@pytest.mark.parametrize(
    ("planes", "message"),
    [
        ([torch.tensor([1.0, 5.0])], "planes: expected at least 3, the order, for each specimen, got 2"),
        ([torch.tensor([])], "planes: expected at least 3"),
        ([], "planes: expected those of 1 specimens, got 0"),
        ([torch.tensor([1.0, 5.0, 9.0])] * 2, "planes: expected those of 1 specimens, got 2"),
        ([torch.tensor([1.0, 5.0, 5.0, 9.0])], "planes: expected ascending heights"),
        ([torch.tensor([9.0, 5.0, 1.0])], "planes: expected ascending heights"),
        ([torch.tensor([1.0, 5.0, float("nan")])], "planes: expected ascending heights"),
    ],
)
def test_planes_that_do_not_fit_are_named(planes: list[torch.Tensor], message: str) -> None:
    atoms = specimen([3.0, 8.0])
    with pytest.raises(InputError, match=message):
        exit_wave(
            atoms,
            Grid((32, 32), 0.25),
            energies=torch.tensor([2e5], dtype=torch.float64),
            settings=Multislice(order=3),
            planes=planes,
        )
