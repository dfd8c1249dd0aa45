"""The whole library: every shape's atoms, members and class; WulffPack and ASE where they build the same."""

import math
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from ase.cluster import Decahedron, Icosahedron
from ase.io import read, write
from ase.lattice.hexagonal import HexagonalClosedPacked
from scipy.spatial import KDTree

from facetem.atoms.build import build
from facetem.atoms.crystals import SETS, STRUCTURES, crystal_sites
from facetem.atoms.cut import SurfaceNoise, cut
from facetem.atoms.lattices import LATTICES, lattice_sites, stacked_lattice
from facetem.atoms.library import BORDERS, LIBRARY, NONE, OPEN_SET, SHAPES, class_of, draw_form, facets
from facetem.atoms.shapes import Form, build_particle, lattice_constant
from facetem.core.errors import InputError

A = lattice_constant("Au")
BOND = A / math.sqrt(2)
CRYSTALS = [name for name, kind in LIBRARY.items() if not kind.disorder]


def drawn(shape: str, seed: int, diameter: float = 45.0):
    rng = np.random.default_rng(seed)
    form = draw_form(shape, rng)
    return build_particle(shape, diameter=diameter, form=form, rng=rng), form


def neighbours(atoms, reach: float = 1.2) -> np.ndarray:
    return KDTree(atoms.positions).query_ball_point(atoms.positions, reach * BOND, return_length=True) - 1


def diameter_of(n_atoms: int) -> float:
    return (6 / math.pi * n_atoms * A**3 / 4) ** (1 / 3)


def test_the_classifier_knows_eight_classes_in_the_order_of_its_weights():
    assert SHAPES == (
        "truncated_octahedron", "cuboctahedron", "octahedron", "cube", "tetrahedron", "icosahedron", "decahedron",
        "twin",
    )  # fmt: skip
    assert tuple(LIBRARY)[:8] == SHAPES
    assert {kind.label for kind in LIBRARY.values()} == {*SHAPES, NONE}
    assert set(OPEN_SET).isdisjoint(SHAPES)


@pytest.mark.parametrize("shape", [name for name, kind in LIBRARY.items() if kind.disorder not in SETS])
def test_no_two_atoms_are_closer_than_0_85_bonds_and_none_is_loose(shape):
    for atoms in [
        build_particle(shape, diameter=45, rng=np.random.default_rng(0)),
        *(drawn(shape, s)[0] for s in range(4)),
    ]:
        assert KDTree(atoms.positions).query(atoms.positions, k=2)[0][:, 1].min() > 0.85 * BOND
        assert neighbours(atoms).min() >= 2
        assert atoms.info["diameter"] == pytest.approx(45, rel=0.07)


@pytest.mark.parametrize("shape", CRYSTALS)
def test_crystals_have_twelve_neighbours_inside(shape):
    atoms, _ = drawn(shape, 11)
    counts = neighbours(atoms)
    assert counts.max() == 12
    depth = np.linalg.norm(atoms.positions, axis=1)
    assert (counts[depth < 5] == 12).all()


@pytest.mark.parametrize("shape", OPEN_SET)
def test_drawn_members_of_the_open_set_keep_to_their_family(shape):
    kind = LIBRARY[shape]
    ratios = [draw_form(shape, np.random.default_rng(seed)).ratio for seed in range(60)]
    assert kind.ratios[0] <= min(ratios)
    assert max(ratios) <= kind.ratios[1]
    assert class_of(shape, kind.ideal) == NONE
    assert all(drawn(shape, seed)[0].info["class"] == NONE for seed in range(3))


def test_cubic_classes_tile_the_ratio_without_overlap():
    tiles = sorted(LIBRARY[s].ratios for s in ("cube", "cuboctahedron", "truncated_octahedron", "octahedron"))
    assert tiles[0][0] == pytest.approx(1 / math.sqrt(3))
    assert tiles[-1][1] == pytest.approx(math.sqrt(3))
    assert all(low[1] == high[0] for low, high in pairwise(tiles))
    for shape in ("cube", "cuboctahedron", "truncated_octahedron", "octahedron"):
        assert class_of(shape, LIBRARY[shape].ideal) == shape
        for seed in range(30):
            assert class_of(shape, draw_form(shape, np.random.default_rng(seed))) == shape


def test_a_name_does_not_make_a_class():
    assert class_of("cuboctahedron", Form(ratio=1.5)) == "octahedron"
    assert class_of("decahedron", Form(ratio=2.5)) == NONE
    assert class_of("penta_twinned_rod", Form(ratio=1.2)) == "decahedron"
    assert class_of("triangular_plate", Form(ratio=1.2, flips=(0,))) == "twin"
    assert class_of("triangular_bipyramid", Form(ratio=0.4, flips=(0,))) == NONE
    two = ((1.0, 1.0, 1.0, 1.0), (1.0, 0.0, 0.0, 1.15))
    assert class_of("wulff", Form(ratio=1.0, energies=two)) == "truncated_octahedron"
    assert class_of("wulff", LIBRARY["wulff"].ideal) == NONE


@pytest.mark.parametrize("shape", ["cube", "cuboctahedron", "truncated_octahedron", "octahedron"])
def test_uneven_facets_leave_the_mean_distances_of_the_class(shape):
    for seed in range(20):
        form = replace(draw_form(shape, np.random.default_rng(seed)), aspect=(0.0, 0.0, 0.0))
        distances = facets(shape, form).distances
        assert distances[:6].mean() / distances[6:].mean() == pytest.approx(form.ratio, rel=1e-9)
        assert np.ptp(distances[6:]) > 0.005


def test_decahedra_reach_from_the_bipyramid_over_ino_to_marks():
    forms = [draw_form("decahedron", np.random.default_rng(seed)) for seed in range(300)]
    ratios, cuts = np.array([f.ratio for f in forms]), np.array([f.cut for f in forms])
    assert ratios.min() < 0.55
    assert ratios.max() > 1.6
    assert 0.2 < np.mean(cuts == 0) < 0.4
    assert np.mean(cuts > 0.35) > 0.1
    assert max(math.hypot(*f.offset[:2]) for f in forms) > 0.3


@pytest.mark.parametrize(
    ("shape", "cluster", "form"),
    [
        ("ino_decahedron", Decahedron("Au", 5, 5, 0, latticeconstant=A), Form(ratio=1.0)),
        ("pentagonal_bipyramid", Decahedron("Au", 9, 1, 0, latticeconstant=A), Form(ratio=0.5)),
        ("marks_decahedron", Decahedron("Au", 5, 4, 2, latticeconstant=A), Form(ratio=11 / 16, cut=0.25)),
        ("penta_twinned_rod", Decahedron("Au", 4, 12, 1, latticeconstant=A), Form(ratio=1.6, cut=0.2)),
    ],
)
def test_five_fold_twins_are_those_of_ase(shape, cluster, form):
    ours = build_particle(shape, diameter=diameter_of(len(cluster)), form=form)
    assert len(ours) == len(cluster)


def test_a_truncated_icosahedron_lacks_twelve_atoms_of_ase():
    whole = Icosahedron("Au", 6, latticeconstant=A)
    # The vertices lie at the radius of five shells: a cut of half a shell takes each one's atom alone.
    form = Form(ratio=1.0, cut=0.1)
    ours = build_particle("truncated_icosahedron", diameter=diameter_of(len(whole) - 12), form=form)
    assert len(ours) == len(whole) - 12


def test_hcp_sites_are_those_of_ase():
    c = math.sqrt(8 / 3)
    theirs = HexagonalClosedPacked("Au", latticeconstant={"a": 1.0, "c": c}, size=(14, 14, 9)).positions
    middle = theirs[np.argmin(np.linalg.norm(theirs - theirs.mean(axis=0), axis=1))]
    radii = np.sort(np.linalg.norm(theirs - middle, axis=1))
    ours = np.sort(np.linalg.norm(np.concatenate(lattice_sites(LATTICES["hcp"], 4.0)), axis=1))
    np.testing.assert_allclose(ours, radii[: len(ours)], atol=1e-6)
    # Not the fcc crystal's distances.
    fcc = np.sort(np.linalg.norm(np.concatenate(lattice_sites(LATTICES["fcc"], 4.0)), axis=1))
    assert len(fcc) != len(ours)


@pytest.mark.parametrize("flips", [(), (0,), (0, 1), (-3, 3), (-4, -1, 2)])
def test_layers_are_stacked_as_the_flips_say(flips):
    """The layers on both sides of a flip lie above each other (ABA), and nowhere else (ABC)."""
    sites = np.concatenate(lattice_sites(stacked_lattice(flips), 7.0))
    spacing = math.sqrt(2 / 3)
    heights = np.round((sites[:, 2] / spacing + (sum(flips) / len(flips) if flips else 0.0)) * 1e4) / 1e4
    layers = {k: sites[heights == k, :2] for k in np.arange(-6.0, 7.0)}
    mirrored = []
    for k in range(-5, 6):
        above = layers[k + 1][np.linalg.norm(layers[k + 1], axis=1) < 2]
        if KDTree(layers[k - 1]).query(above)[0].max() < 1e-6:
            mirrored.append(k)
    assert tuple(mirrored) == flips


def test_parallel_twins_meet_in_their_planes():
    """The outline is continuous across a twin plane: layers beside it differ in width by less than a bond each."""
    particle = build_particle("parallel_twins", diameter=60)
    z = np.round(particle.positions[:, 2] / (BOND * math.sqrt(2 / 3))).astype(int)
    widths = [np.ptp(particle.positions[z == k, 1]) for k in np.unique(z)]
    assert np.abs(np.diff(widths)).max() < 1.05 * BOND


def test_polycrystal_has_boundaries_and_glass_has_no_crystal():
    grains = neighbours(build_particle("polycrystal", diameter=50, rng=np.random.default_rng(0)))
    crystal = neighbours(build_particle("sphere", diameter=50))
    assert 0.3 < np.mean(grains == 12) < np.mean(crystal == 12) - 0.1
    glass = build_particle("amorphous", diameter=50, rng=np.random.default_rng(0))
    inner = glass.positions[np.linalg.norm(glass.positions, axis=1) < 12]
    distances = np.concatenate([
        np.linalg.norm(glass.positions - p, axis=1) / BOND for p in inner
    ])  # fmt: skip
    # A crystal has next neighbours at sqrt(2); in a glass there is the gap of the pair distribution.
    near_second = np.mean((distances > 1.35) & (distances < 1.48)) / np.mean(
        (distances > 0.9) & (distances < 1.2)
    )
    assert near_second < 0.25


@pytest.mark.parametrize("name", STRUCTURES)
def test_other_crystals_have_the_neighbours_of_their_structure(name):
    """Numbers and ratios of the nearest distances, from the geometry of the structure types."""
    wanted = {  # neighbours at the shortest distance, and the next distance over it
        "bcc": (8, math.sqrt(4 / 3)),
        "diamond": (4, math.sqrt(8 / 3)),
        "rutile": (
            4,
            1.0174,
        ),  # of the cation, for a = 1, c = 0.644, u = 0.305: four bonds and two longer ones
        "simple hexagonal": (2, 1 / 0.95),
        "rocksalt": (6, math.sqrt(2)),
        "wurtzite": (4, math.sqrt(8 / 3)),
        "fluorite": (8, math.sqrt(8 / 3)),
        "anatase": (4, 1.0222),  # of the cation, for c / a = 2.514, u = 0.208
    }[name]
    cell, basis = STRUCTURES[name]
    cells = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    sites = (cells + basis).reshape(-1, 3) @ cell
    distances = np.sort(np.linalg.norm(sites - basis[0] @ cell, axis=1))[1:]
    nearest = distances < 1.003 * distances[0]
    assert nearest.sum() == wanted[0]
    assert distances[~nearest][0] / distances[0] == pytest.approx(wanted[1], rel=2e-3)


@pytest.mark.parametrize("kind", SETS)
def test_other_crystals_fill_their_sphere_periodically(kind):
    """As many atoms as the stated density says, none left out: the sphere is whole, whatever the cell."""
    for seed in range(12):
        sites, density = crystal_sites(kind, 9.0, np.random.default_rng(seed))
        assert len(sites) == pytest.approx(density * 4 / 3 * math.pi * 9.0**3, rel=0.03)
        assert 0.4 <= density / math.sqrt(2) <= 1.1
    assert not set(SETS["crystal"]) & set(SETS["foreign crystal"])


@pytest.mark.parametrize("shape", ["other_crystal", "foreign_crystal"])
def test_particles_of_other_crystals_have_the_size_that_was_wanted(shape):
    for seed in range(4):
        atoms = build_particle(shape, diameter=60, rng=np.random.default_rng(seed))
        extents = np.ptp(atoms.positions, axis=0)
        assert extents == pytest.approx(
            60, rel=0.06
        )  # a ball of that diameter, up to half an atom either side
        assert atoms.info["diameter"] == 60


@pytest.mark.parametrize("shape", LIBRARY)
def test_labels_survive_a_round_trip(shape, tmp_path):
    atoms = build(shape, diameter=25.0, film_thickness=0.0, ideal=True, orientation=(1, 1, 0))
    path = tmp_path / "scene.extxyz"
    write(path, atoms, format="extxyz")
    back = read(path, format="extxyz").info
    for name in ("shape", "class", "symmetry", "form", "facets"):
        assert back[name] == atoms.info[name]
    for name in (
        "diameter",
        "circumscribed_diameter",
        "volume",
        "lattice_constant",
        "coordination",
        "orientation",
    ):
        np.testing.assert_allclose(np.ravel(back[name]), np.ravel(atoms.info[name]))
    assert sum(back["coordination"]) == len(atoms)


@pytest.mark.parametrize(
    ("shape", "form", "word"),
    [
        ("cube", Form(ratio=0.6, cut=0.1), "cut"),
        ("decahedron", Form(ratio=0.9, cut=0.6), "cut"),
        ("twin", Form(ratio=1.1, flips=(-2, 2)), "flips"),
        ("parallel_twins", Form(ratio=1.1, flips=(-2, 2), centres=(0.1, 0.1)), "centres"),
        ("cube", Form(ratio=0.6, energies=((1, 1, 1, 1.0),)), "energies"),
        ("wulff", Form(ratio=1.0), "energies"),
    ],
)
def test_forms_of_another_shape_are_refused(shape, form, word):
    with pytest.raises(InputError, match=word):
        build_particle(shape, diameter=40, form=form)


@pytest.mark.parametrize("shape", ["polycrystal", "amorphous", "other_crystal"])
def test_what_is_random_needs_a_generator(shape):
    with pytest.raises(InputError, match="rng"):
        build_particle(shape, diameter=40)
    one, again, other = (build_particle(shape, diameter=30, rng=np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.positions, again.positions)
    assert len(one) != len(other) or not np.allclose(one.positions, other.positions)


def test_the_docs_name_every_shape_its_class_and_its_ranges(repository):
    rows = {
        cells[1].strip("` "): cells
        for line in (repository / "docs" / "shapes.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `") and len(cells := line.split("|")) == 7
    }
    assert list(rows) == list(LIBRARY)
    for name, (_, _, label, ratio, second, _, _) in rows.items():
        kind = LIBRARY[name]
        assert label.strip().split(",")[0] == ("itself" if kind.label == name else kind.label)
        cuts = (0.0, kind.cuts[1]) if kind.uncut else kind.cuts
        for limits, told in ((kind.ratios, ratio), (cuts, second)):
            if limits[0] != limits[1] and told.strip():
                low, high = re.search(r"([0-9.]+) to ([0-9./]+)", told).groups()
                assert float(low) == pytest.approx(limits[0], abs=0.006)
                assert (1 / 3 if high == "1/3" else float(high)) == pytest.approx(limits[1], abs=0.006)


def test_borders_are_where_the_docs_say():
    # Regular octagons of the truncated cube: triangle edge sqrt(2) L = cube edge left over, L = 3 q - sqrt(3).
    q = (2 * math.sqrt(3) + math.sqrt(6)) / (4 + 3 * math.sqrt(2))
    assert BORDERS[1] == pytest.approx(q, abs=0.005)
    for ratio, shorter in ((BORDERS[2], 0), (BORDERS[3], 1)):
        square, other = math.sqrt(2) * (math.sqrt(3) - ratio), 2 * math.sqrt(2) * ratio - math.sqrt(6)
        edges = (other, square) if shorter == 0 else (square, other)
        assert edges[0] / edges[1] == pytest.approx(0.37, abs=0.01)


@pytest.mark.parametrize("shape", ["truncated_octahedron", "icosahedron", "cube"])
def test_grain_takes_and_adds_the_stated_part_of_the_surface(shape):
    """0.15 leaves 3 % of the surface atoms out and puts 3 % more on."""
    planes, gone, added = facets(shape, LIBRARY[shape].ideal), [], []
    smooth = cut(planes, 4000, origin=np.zeros(3))
    surface = np.sum(KDTree(smooth).query_ball_point(smooth, 1.2, return_length=True) < 13)
    for seed in range(10):
        form = replace(LIBRARY[shape].ideal, grain=0.15)
        noise = SurfaceNoise.draw(form, np.random.default_rng(seed))
        rough = cut(planes, len(smooth), origin=np.zeros(3), noise=noise)
        gone.append(np.sum(KDTree(rough).query(smooth)[0] > 0.01) / surface)
        added.append(np.sum(KDTree(smooth).query(rough)[0] > 0.01) / surface)
    assert np.mean(gone) == pytest.approx(0.034, abs=0.012)
    assert np.mean(added) == pytest.approx(0.03, abs=0.012)
