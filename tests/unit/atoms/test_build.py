import numpy as np
import pytest
from scipy.spatial import KDTree

from facetem.atoms.build import WIDTH, build, zone_axis_rotation
from facetem.core.errors import InputError


def test_specimen_is_a_particle_on_a_film() -> None:
    atoms = build("octahedron", diameter=30.0, film_thickness=10.0, seed=3)
    tags = atoms.get_tags()
    assert set(atoms.numbers[tags == 1]) == {79}
    assert set(atoms.numbers[tags == 0]) == {6}
    assert atoms.cell.lengths()[:2] == pytest.approx([WIDTH, WIDTH])
    assert atoms.positions[tags == 1, :2].mean(axis=0) == pytest.approx([WIDTH / 2, WIDTH / 2])


@pytest.mark.parametrize(("film", "tolerance"), [("random", 1e-3), ("realistic", 0.03)])
def test_film_has_its_density(film: str, tolerance: float) -> None:
    atoms = build("octahedron", diameter=30.0, film=film, film_thickness=30.0, film_density=2.3, seed=3)
    density = (atoms.get_tags() == 0).sum() * 12.011 / 0.602214 / (WIDTH**2 * 30.0)
    assert density == pytest.approx(2.3, rel=tolerance)


def test_films_are_quenched_unless_they_are_to_be_random() -> None:
    """A quenched film has no two atoms at 1.8 Å, in the gap of its g(r); random ones have many."""

    def in_gap(film: str) -> float:
        atoms = build("cube", diameter=20.0, film=film, film_thickness=10.0, extent=60.0, seed=1)
        positions = atoms.positions[atoms.get_tags() == 0]
        pairs = KDTree(positions).sparse_distance_matrix(KDTree(positions), 2.0, output_type="ndarray")["v"]
        return np.count_nonzero((pairs > 1.85) & (pairs < 2.0)) / len(positions)

    assert in_gap("realistic") < 0.02
    assert in_gap("random") > 0.3


def test_no_film_is_no_film() -> None:
    assert (build("cube", diameter=20.0, film="none").get_tags() == 1).all()


@pytest.mark.parametrize(("side", "before"), [("entrance", True), ("exit", False)])
def test_side_is_as_the_beam_meets_it(side: str, before: bool) -> None:
    atoms = build("cube", diameter=20.0, film_thickness=8.0, side=side, extent=60.0)
    z = atoms.positions[:, 2]
    assert (z[atoms.get_tags() == 1].mean() < z[atoms.get_tags() == 0].mean()) == before


def test_seed_decides() -> None:
    first, again, other = (build("twin", diameter=25.0, film_thickness=0, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.positions, again.positions)
    assert len(first) != len(other) or not np.allclose(first.positions, other.positions)


def test_without_a_film_there_is_only_the_particle() -> None:
    assert (build("cube", diameter=20.0, film_thickness=0).get_tags() == 1).all()


def test_large_particle_widens_the_field() -> None:
    atoms = build("tetrahedron", diameter=90.0, film_thickness=0, ideal=True)
    x, y, _ = atoms.cell.lengths()
    assert x == y > WIDTH
    assert np.ptp(atoms.positions[:, :2], axis=0).max() <= x - 19.9


def test_zone_axis_lies_along_the_beam() -> None:
    """Along [110], the atoms of an fcc crystal project on a (0.204, 0.288 / 2) nm centred lattice: few columns."""
    particle = build("octahedron", diameter=30.0, film_thickness=0, orientation=(1, 1, 0), ideal=True)
    askew = build("octahedron", diameter=30.0, film_thickness=0, orientation=(1, 2, 7), ideal=True)

    def columns(atoms) -> int:
        return len(np.unique(np.round(atoms.positions[:, :2], 1), axis=0))

    assert columns(particle) < len(particle) / 4
    assert columns(particle) < columns(askew) / 2


@pytest.mark.parametrize("axis", [(1, 1, 0), (0, 0, 1), (0, 0, -1), (1e-9, 0, -1), (-3, 2, 1)])
def test_zone_axis_rotation_is_a_rotation_that_takes_the_axis_to_z(axis: tuple[float, ...]) -> None:
    rotation = zone_axis_rotation(axis)
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert rotation @ (np.array(axis) / np.linalg.norm(axis)) == pytest.approx([0, 0, 1], abs=1e-8)


def test_rotation_matrix_is_applied() -> None:
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    plain, turned = (
        build("tetrahedron", diameter=20.0, film_thickness=0, orientation=r, ideal=True)
        for r in (np.eye(3), quarter)
    )
    middle = [WIDTH / 2, WIDTH / 2]
    assert turned.positions[:, :2] - middle == pytest.approx(
        (plain.positions[:, :2] - middle) @ quarter[:2, :2].T
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"shape": "ball"}, "shape"),
        ({"film": "plastic"}, "film"),
        ({"film_density": 1.2}, "density"),
        ({"diameter": -1.0}, "diameter"),
        ({"diameter": float("nan")}, "diameter"),
        ({"orientation": "upside down"}, "orientation"),
        ({"orientation": (0, 0, 0)}, "orientation"),
        ({"orientation": 2 * np.eye(3)}, "orientation"),
        ({"orientation": -np.eye(3)}, "orientation"),
        ({"film_thickness": -3.0}, "film"),
        ({"film_density": 0.0}, "density"),
        ({"side": "left"}, "side"),
        ({"extent": 10.0}, "field"),
    ],
)
def test_bad_input_is_named(change: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        build(**{"shape": "cube", "diameter": 20.0, "film_thickness": 5.0, **change})
