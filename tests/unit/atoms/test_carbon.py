"""The random film: density, hard core, periodicity, windows."""

import numpy as np
import pytest
from scipy.spatial import KDTree

from facetem.atoms.carbon import FilmSource, RandomFilms, draw_random_film
from facetem.core.errors import InputError

EXTENT = (40.0, 36.0)


def density(film) -> float:
    volume = float(np.prod(film.cell.lengths()))
    return len(film) * 12.011 / 0.602214076 / volume


def closest(film) -> float:
    """Least distance with periodic x and y."""
    x, y, z = film.cell.lengths()
    positions = np.mod(film.positions - [0, 0, film.positions[:, 2].min()], [x, y, 1e6])
    return float(KDTree(positions, boxsize=[x, y, 10 * z]).query(positions, k=2)[0][:, 1].min())


@pytest.mark.parametrize("hard_core", [0.0, 1.0, 1.4])
@pytest.mark.parametrize("wanted", [1.8, 2.6])
def test_density_is_exact_and_the_hard_core_holds_across_the_border(wanted, hard_core):
    film = draw_random_film(
        EXTENT, thickness=25, density=wanted, hard_core=hard_core, rng=np.random.default_rng(0)
    )
    assert density(film) == pytest.approx(wanted, abs=1e-3)
    assert closest(film) >= hard_core
    if hard_core > 0:
        assert closest(film) < hard_core + 0.05
    assert film.pbc.tolist() == [True, True, False]
    assert (film.positions >= 0).all()
    assert (film.positions <= film.cell.lengths()).all()
    assert film.info["film_thickness"] == 25


def test_atoms_fill_the_film_evenly():
    film = draw_random_film(EXTENT, thickness=30, density=2.0, hard_core=1.4, rng=np.random.default_rng(1))
    for axis in range(3):
        counts = np.histogram(film.positions[:, axis], bins=6, range=(0, film.cell.lengths()[axis]))[0]
        # Poisson would be +-2.6 % of one sigma; the hard core makes it less.
        assert np.ptp(counts) / counts.mean() < 0.15


def test_waviness_moves_the_surfaces_and_keeps_the_density_inside():
    film = draw_random_film(
        (80.0, 80.0), thickness=40, density=2.2, hard_core=0.0, waviness=2.0, rng=np.random.default_rng(2)
    )
    z = film.positions[:, 2]
    assert z.min() < -1.5
    assert z.max() > 41.5
    middle = np.count_nonzero((z > 10) & (z < 30)) * 12.011 / 0.602214076 / (80 * 80 * 20)
    assert middle == pytest.approx(2.2, rel=0.03)


def test_film_is_a_function_of_the_seed():
    films = [
        draw_random_film(EXTENT, thickness=10, rng=np.random.default_rng(seed)).positions
        for seed in (3, 3, 4)
    ]
    np.testing.assert_array_equal(films[0], films[1])
    assert not np.array_equal(films[0], films[2])


def test_windows_of_a_block_are_films():
    source: FilmSource = RandomFilms(
        EXTENT, seed=1, depth=40.0, hard_cores=(1.2,), waviness=(0.0, 0.0), density=(1.8, 2.6)
    )
    rng = np.random.default_rng(0)
    densities = []
    for thickness in (8.0, 20.0, 40.0):
        for _ in range(4):
            film = source.draw(thickness, rng)
            densities.append(density(film))
            # A window of a finite block holds the mean number of atoms to within its fluctuation.
            assert density(film) == pytest.approx(film.info["density"], rel=0.05)
            assert closest(film) >= 1.2 - 1e-9
            assert film.cell.lengths().tolist() == [*EXTENT, thickness]
            assert (film.positions >= 0).all()
            assert (film.positions <= film.cell.lengths()).all()
    assert 1.7 < min(densities) < 2.1
    assert 2.3 < max(densities) < 2.75


def test_windows_differ_and_follow_the_generator():
    source = RandomFilms((30.0, 30.0), depth=20.0, hard_cores=(0.0,))
    first, again, other = (source.draw(10.0, np.random.default_rng(seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.positions, again.positions)
    shared = KDTree(first.positions).query(other.positions)[0] < 1e-6
    assert shared.mean() < 0.01


def test_blocks_of_another_seed_differ():
    films = [
        RandomFilms((30.0, 30.0), seed=seed, depth=20.0, hard_cores=(0.0,)).draw(
            10.0, np.random.default_rng(0)
        )
        for seed in (1, 2)
    ]
    assert (KDTree(films[0].positions).query(films[1].positions)[0] < 1e-6).mean() < 0.01


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"thickness": -1.0}, "thickness"),
        ({"thickness": float("nan")}, "thickness"),
        ({"thickness": 10.0, "density": 0.0}, "density"),
        ({"thickness": 10.0, "density": 20.0}, "density"),
        ({"thickness": 10.0, "hard_core": 2.2}, "hard_core"),
        ({"thickness": 10.0, "hard_core": -0.1}, "hard_core"),
        ({"thickness": 10.0, "waviness": -0.1}, "waviness"),
        ({"thickness": 10.0, "extent": (0.0, 20.0)}, "extent"),
    ],
)
def test_bad_input_is_named(arguments, word):
    arguments = {"extent": EXTENT, "rng": np.random.default_rng(0)} | arguments
    with pytest.raises(InputError, match=word):
        draw_random_film(arguments.pop("extent"), **arguments)


def test_source_refuses_what_its_blocks_cannot_give():
    source = RandomFilms((30.0, 30.0), depth=20.0, hard_cores=(0.0,))
    with pytest.raises(InputError, match="20"):
        source.draw(25.0, np.random.default_rng(0))
    with pytest.raises(InputError, match="hard_core"):
        RandomFilms((30.0, 30.0), hard_cores=())
