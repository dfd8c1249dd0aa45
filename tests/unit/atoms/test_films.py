"""The library of quenched films, and what is drawn from it."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from scipy.spatial import KDTree

from facetem.atoms import statistics
from facetem.atoms.carbon import FilmSource
from facetem.atoms.films import (
    CLOSEST,
    DENSITY,
    SHIPPED,
    STRAIN,
    FilmLibrary,
    LibraryFilm,
    library,
    manifest,
    packed,
    surfaces,
    unpacked,
    without_close_pairs,
)
from facetem.core.errors import InputError

ENTRIES: list[dict[str, Any]] = manifest()["films"]
FILMS = {film.name: film for part in ("training", "test") for film in library(SHIPPED, part)}


def atoms_of(film: LibraryFilm) -> Atoms:
    xyz = film.xyz.T.astype(float)
    cell = (film.period, film.period, film.thickness)
    return Atoms(numbers=np.full(len(xyz), 6), positions=xyz, cell=cell, pbc=(True, True, False))


def density(film: Atoms) -> float:
    return len(film) * 12.011 / 0.602214076 / float(np.prod(film.cell.lengths()))


def closest(film: Atoms) -> float:
    """Least distance with periodic x and y."""
    x, y, _ = film.cell.lengths()
    z = film.positions[:, 2]
    box = [x, y, float(np.ptp(z)) + 10]
    positions = np.minimum(film.positions - [0, 0, z.min()], np.nextafter(box, 0))
    return float(KDTree(positions, boxsize=box).query(positions, k=2)[0][:, 1].min())


def test_the_library_is_what_was_promised() -> None:
    parts = [entry["part"] for entry in ENTRIES]
    assert len(ENTRIES) >= 12
    assert parts.count("test") >= 4
    assert set(parts) == {"training", "test"}
    assert min(entry["period"] for entry in ENTRIES) >= 100.0
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) <= 6 * 1024**2
    thick = [entry["thickness"] for entry in ENTRIES]
    assert min(thick) < 20
    assert max(thick) > 90
    assert {path.stem for path in SHIPPED.glob("*.npz")} == {entry["name"] for entry in ENTRIES}
    assert len({entry["liquid"]["seed"] for entry in ENTRIES}) == len(ENTRIES)
    for entry in ENTRIES:
        assert entry["evaporated"] < 0.002 * entry["atoms"]
        assert entry["checks"]


@pytest.mark.parametrize("name", sorted(FILMS))
def test_structure_of_each_film(name: str) -> None:
    """Measured on the film itself, not read in the manifest: first peak, gap, bonds, density."""
    film = atoms_of(FILMS[name])
    entry = next(entry for entry in ENTRIES if entry["name"] == name)
    r, g = statistics.pair_distribution(film, longest=4.0, width=0.02)
    assert 1.42 <= r[g[r < 1.8].argmax()] <= 1.50
    assert g[r < 1.8].max() > 3
    assert g[(r > 1.85) & (r < 2.0)].max() <= 0.05
    assert closest(film) > CLOSEST / STRAIN[0]
    assert statistics.density(film) == pytest.approx(entry["density"], rel=0.01)
    assert len(film) == entry["atoms"]
    neighbours = statistics.coordination(film)
    for count, part in entry["checks"]["coordination"].items():
        assert np.mean(neighbours == int(count)) == pytest.approx(part, abs=1e-3)
    assert np.mean((neighbours < 2) | (neighbours > 4)) < 0.005


def test_four_fold_atoms_become_more_with_density() -> None:
    films = sorted(FILMS.values(), key=lambda film: film.density)
    four = [float(np.mean(statistics.coordination(atoms_of(film)) == 4)) for film in films]
    density = [film.density for film in films]
    assert np.corrcoef(density, four)[0, 1] > 0.9
    assert four[-1] > 4 * four[0]


@pytest.mark.parametrize("part", ["training", "test"])
def test_every_density_of_the_range_can_be_drawn(part: Any) -> None:
    for wanted in np.linspace(*DENSITY, 66):
        stretches = [(film.density / wanted) ** (1 / 3) for film in library(SHIPPED, part)]
        assert any(STRAIN[0] <= stretch <= STRAIN[1] for stretch in stretches), wanted


@pytest.mark.parametrize(
    ("extent", "wanted", "thickness"),
    [
        ((112.0, 112.0), 1.7, 12.0),
        ((112.0, 112.0), 2.3, 25.0),
        ((60.0, 45.0), 3.0, 25.0),
        ((60.0, 45.0), 2.3, 90.0),
        ((60.0, 45.0), 1.7, 60.0),
        ((230.0, 130.0), 2.3, 12.0),
        ((230.0, 130.0), 3.0, 30.0),
    ],
)
def test_a_drawn_film_has_the_density_that_was_asked_for(
    extent: tuple[float, float], wanted: float, thickness: float
) -> None:
    source: FilmSource = FilmLibrary(extent, density=(wanted, wanted))
    rng = np.random.default_rng(7)
    films = [source.draw(thickness, rng) for _ in range(6)]
    for film in films:
        assert film.cell.lengths() == pytest.approx([*extent, thickness])
        assert film.pbc.tolist() == [True, True, False]
        assert film.info["film_thickness"] == thickness
        assert film.info["density"] == wanted
        assert (film.positions[:, :2] >= 0).all()
        assert (film.positions[:, :2] < extent).all()
        assert film.positions[:, 2].min() > -6
        assert film.positions[:, 2].max() < thickness + 6
        assert closest(film) >= CLOSEST
    # Windows of one film differ by its own fluctuations; seams cost 0.2 Å of film each.
    assert np.mean([density(film) for film in films]) == pytest.approx(wanted, rel=0.02)


def test_a_seam_costs_no_more_than_a_fifth_of_an_angstrom() -> None:
    """Between two half spaces of points at random with number density n, the pairs closer than d are
    pi n^2 d^4 / 4 per area. One atom of each is left out: a layer of pi n d^4 / 4, 0.18 Å at 2.2 g/cm3."""
    rng = np.random.default_rng(3)
    # 30 Å high and long in y: the seam along x = 0 alone is worth watching.
    film = FilmLibrary((50.0, 400.0), density=(2.2, 2.2)).draw(30.0, rng)
    number = 2.2 * 0.602214076 / 12.011
    near = np.minimum(film.positions[:, 0], 50 - film.positions[:, 0]) < 4.0
    lost = 8.0 - np.count_nonzero(near) / (number * 400 * 30)
    assert 0.05 < lost < 0.30
    inner = np.abs(film.positions[:, 0] - 25) < 15
    assert np.count_nonzero(inner) / (number * 400 * 30) == pytest.approx(30, rel=0.015)


def test_what_is_drawn_keeps_the_structure_of_the_library() -> None:
    film = FilmLibrary((204.0, 150.0), part="test", density=(2.25, 2.25)).draw(28.0, np.random.default_rng(2))
    r, g = statistics.pair_distribution(film, longest=4.0)
    assert 1.40 <= r[g[r < 1.8].argmax()] <= 1.51
    assert g[(r > 1.85) & (r < 2.0)].max() <= 0.05
    assert np.mean(statistics.coordination(film) == 3) > 0.75


def test_turned_mirrored_and_shifted_windows_are_the_film_itself() -> None:
    """Distances to the neighbours are those of the library film, whatever the turn: nothing is bent or torn."""
    film = next(film for film in FILMS.values() if 2.1 < film.density < 2.3 and film.thickness > 25)
    own = KDTree(film.xyz.T).query(film.xyz.T, k=2)[0][:, 1]
    exact = (film.density, film.density)
    drawn = FilmLibrary((90.0, 90.0), density=exact, part="test" if "test" in film.name else "training")
    rng = np.random.default_rng(0)
    while (window := drawn.draw(20.0, rng)).info["films"] != film.name:
        pass
    inner = np.abs(window.positions - [45, 45, 10]).max(axis=1) < [7.0]
    nearest = KDTree(window.positions).query(window.positions[inner], k=2)[0][:, 1]
    # Every one of these numbers occurs among the film's own, to float32.
    gaps = np.abs(np.sort(own)[np.searchsorted(np.sort(own), nearest).clip(1, len(own) - 1)] - nearest)
    before = np.abs(np.sort(own)[np.searchsorted(np.sort(own), nearest).clip(1, len(own) - 1) - 1] - nearest)
    assert np.minimum(gaps, before).max() < 2e-4
    assert len(np.unique(nearest.round(6))) > 0.6 * len(nearest)  # neighbours share their distance


def test_films_are_turned_by_any_angle_and_lie_either_way_up() -> None:
    """The difference vectors of two chosen atoms of a film show how each draw turned it."""
    source = FilmLibrary((300.0, 300.0), density=(2.2, 2.2))
    rng = np.random.default_rng(5)
    films = [source.draw(15.0, rng) for _ in range(12)]
    assert len({tuple(film.positions[0].round(3)) for film in films}) == 12
    angles = []
    for film in films:
        _, vectors = statistics.bonds(film)
        flat = vectors[np.abs(vectors[:, 2]) < 0.01][0]
        angles.append(np.degrees(np.arctan2(flat[1], flat[0])) % 90)
    assert np.ptp(angles) > 30


def test_the_seed_decides() -> None:
    source = FilmLibrary((80.0, 80.0), waviness=(0.0, 1.5))
    films = [source.draw(30.0, np.random.default_rng(seed)).positions for seed in (3, 3, 4)]
    np.testing.assert_array_equal(films[0], films[1])
    assert not np.array_equal(films[0], films[2])


def test_no_film_is_in_both_parts() -> None:
    rng = np.random.default_rng(0)
    drawn = {
        part: {
            name
            for _ in range(400)
            for name in FilmLibrary((30.0, 30.0), part=part, density=DENSITY)
            .draw(12.0, rng)
            .info["films"]
            .split()
        }
        for part in ("training", "test")
    }
    assert not drawn["training"] & drawn["test"]
    for part, names in drawn.items():
        assert names == {entry["name"] for entry in ENTRIES if entry["part"] == part}
    sums = {entry["name"]: entry["sha256"] for entry in ENTRIES}
    assert len(set(sums.values())) == len(sums)


def test_a_film_thicker_than_the_library_is_stacked() -> None:
    film = FilmLibrary((60.0, 60.0), density=(2.6, 2.6)).draw(90.0, np.random.default_rng(1))
    assert len(film.info["films"].split()) >= 3
    z = film.positions[:, 2]
    profile = np.histogram(z, 18, (0, 90))[0] * 12.011 / 0.602214076 / (60 * 60 * 5)
    assert profile[1:-1].min() > 0.9 * 2.6


def test_waviness_lets_the_surfaces_undulate() -> None:
    rng = np.random.default_rng(0)
    flat = FilmLibrary((112.0, 112.0), density=(2.2, 2.2)).draw(24.0, rng)
    wavy = FilmLibrary((112.0, 112.0), density=(2.2, 2.2), waviness=(1.5, 1.5)).draw(24.0, rng)
    assert wavy.positions[:, 2].max() > 24 + 1.5
    inner = [np.count_nonzero(np.abs(film.positions[:, 2] - 12) < 6) for film in (flat, wavy)]
    assert inner[1] == pytest.approx(inner[0], rel=0.04)


def test_close_pairs_across_a_border_lose_one_atom() -> None:
    points = np.array(
        [
            (0.1, 5.0, 1.0), (19.9, 5.0, 1.0),  # across x
            (5.0, 0.1, 1.0), (5.0, 19.9, 1.5),  # across y
            (0.2, 0.2, 4.0), (19.8, 19.8, 4.0),  # across the corner
            (10.0, 10.0, 2.9), (10.0, 10.0, 3.1),  # across the seam at 3 Å
            (12.0, 12.0, 6.0), (12.0, 12.0, 6.1),  # close, but across no seam
            (0.1, 15.0, 1.0), (18.5, 15.0, 1.0),  # across x, far enough
        ]
    )  # fmt: skip
    left = without_close_pairs(points, (20.0, 20.0), [3.0])
    assert len(left) == len(points) - 4
    for pair in (points[8:10], points[10:12]):
        assert all((left == point).all(axis=1).any() for point in pair)


def test_fixed_point_is_exact_to_half_a_step() -> None:
    rng = np.random.default_rng(0)
    positions = rng.random((5000, 3)) * [102.0, 102.0, 120.0] - [10.0, 0, 3.0]
    back = unpacked(packed(positions, 102.0), 102.0).T.astype(float)
    box = np.array([102.0, 102.0, 200.0])
    wrapped = positions - [0, 0, positions[:, 2].min()]
    wrapped[:, :2] %= 102.0
    _, nearest = KDTree(back, boxsize=box).query(wrapped)
    assert len(set(nearest)) == len(positions)
    error = back[nearest] - wrapped
    error -= box * np.rint(error / box)
    assert np.abs(error).max() <= 0.5 * 102.0 / 65536 + 1e-5  # and single precision
    assert np.abs(error).max() > 0.4 * 102.0 / 65536
    assert (back[:, :2] >= 0).all()
    assert (np.diff(back[:, 2]) >= 0).all()


def test_surfaces_of_a_slab() -> None:
    rng = np.random.default_rng(0)
    slab = rng.random((60000, 3)) * [100.0, 100.0, 50.0] + [0, 0, 7.0]
    inner, lower, thick = surfaces(slab, 100.0)
    assert inner == pytest.approx(60000 / 5e5 * 12.011 / 0.602214076, rel=0.01)
    assert thick == pytest.approx(50, rel=0.01)
    assert lower == pytest.approx(0, abs=0.3)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A library of two films that may be damaged."""
    entries = [next(entry for entry in ENTRIES if entry["part"] == part) for part in ("training", "test")]
    for entry in entries:
        shutil.copy(SHIPPED / f"{entry['name']}.npz", tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"films": entries}))
    return tmp_path


def test_a_flipped_byte_is_found(copy: Path) -> None:
    assert len(library(copy, "test")) == 1
    path = next(copy.glob("training*.npz"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"{path.name}.*damaged"):
        library(copy, "training")


def test_a_missing_file_is_named(copy: Path) -> None:
    path = next(copy.glob("training*.npz"))
    path.unlink()
    with pytest.raises(InputError, match=path.name):
        library(copy, "training")
    (copy / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest\.json"):
        manifest(copy)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"density": (1.2, 1.2)}, r"density: .* 1\.7 to 3 .*got 1\.2"),
        ({"density": (2.0, 3.4)}, "density"),
        ({"density": (float("nan"), 2.0)}, "density"),
        ({"extent": (0.0, 50.0)}, "extent"),
        ({"extent": (float("inf"), 50.0)}, "extent"),
        ({"waviness": (-1.0, 0.0)}, "waviness"),
        ({"part": "validation"}, "part"),
    ],
)
def test_bad_input_is_named(arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        FilmLibrary(**({"extent": (50.0, 50.0)} | arguments))


@pytest.mark.parametrize("thickness", [0.0, -3.0, float("nan"), 1e5])
def test_bad_thickness_is_named(thickness: float) -> None:
    with pytest.raises(InputError, match="thickness"):
        FilmLibrary((50.0, 50.0)).draw(thickness, np.random.default_rng(0))
