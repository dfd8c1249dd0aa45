"""Statistics of films: on crystals and on points at random, whose numbers are known."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene

from facetem.atoms import statistics
from facetem.core.errors import InputError


@pytest.fixture(scope="module")
def diamond() -> Atoms:
    atoms = bulk("C", "diamond", a=3.567, cubic=True) * (5, 5, 12)
    atoms.positions[:, :2] += 17.0  # some of it outside the cell, as after a shift
    return atoms


def test_diamond(diamond: Atoms) -> None:
    assert statistics.density(diamond) == pytest.approx(3.515, rel=0.02)  # a plane of atoms more or less
    assert set(statistics.coordination(diamond)) == {4}
    assert statistics.bond_angles(diamond) == pytest.approx(109.4712, abs=1e-3)
    assert len(statistics.bond_angles(diamond)) == 6 * len(statistics.coordination(diamond))
    # Every atom of diamond is in twelve rings of six: two rings per atom, and no others are shortest.
    rings = statistics.ring_sizes(diamond, np.random.default_rng(0), atoms=200)
    assert rings == pytest.approx({6: 2.0} | dict.fromkeys((3, 4, 5, 7, 8, 9), 0.0))


def test_shells_of_diamond(diamond: Atoms) -> None:
    r, g = statistics.pair_distribution(diamond, longest=4.0, width=0.1)
    filled = r[g > 0]
    shells = 3.567 / 4 * np.sqrt([3, 8, 11, 16, 19])
    assert filled == pytest.approx(shells, abs=0.05)
    number_density = 8 / 3.567**3
    first = g[r < 2].sum() * number_density * 4 * np.pi * 1.545**2 * 0.1
    assert first == pytest.approx(4, rel=0.03)


def test_graphene() -> None:
    sheet = graphene(a=2.46, vacuum=5.0) * (6, 6, 1)
    layers = Atoms(cell=(6 * 2.46, 6 * 2.46 * 3**0.5, 40.0), pbc=(1, 1, 0))
    # The rectangular cell that the functions expect: two hexagonal ones.
    rectangle = graphene(a=2.46, vacuum=5.0) * (1, 2, 1)
    rectangle.set_cell([2.46, 2.46 * 3**0.5, 40.0])
    rectangle.wrap()
    for z in (0.0, 8.0, 16.0, 24.0):
        layer = rectangle * (6, 6, 1)
        layer.positions[:, 2] = z
        layers += layer
    assert len(layers) == 4 * 2 * len(sheet)
    assert set(statistics.coordination(layers)) == {3}
    assert statistics.bond_angles(layers) == pytest.approx(120.0, abs=0.01)
    rings = statistics.ring_sizes(layers, np.random.default_rng(0), atoms=50, skin=5.0)
    assert rings == pytest.approx({6: 0.5} | dict.fromkeys((3, 4, 5, 7, 8, 9), 0.0))


def test_points_at_random_have_no_structure() -> None:
    rng = np.random.default_rng(1)
    gas = Atoms("C40000", positions=rng.random((40000, 3)) * 70, cell=(70, 70, 70), pbc=(1, 1, 0))
    r, g = statistics.pair_distribution(gas, width=0.25)
    assert g[r > 1] == pytest.approx(1, abs=0.05)


def test_a_film_that_is_all_surface_is_refused() -> None:
    thin = Atoms("C2", positions=[(0, 0, 0), (0, 0, 3)], cell=(20, 20, 3), pbc=(1, 1, 0))
    with pytest.raises(InputError, match="surfaces"):
        statistics.density(thin)
