"""Random draws: they depend on the recipe, the seed, the split and the index, and on nothing else."""

from collections import Counter
from dataclasses import replace
from math import inf, pi

import numpy as np
import pytest
from ase import Atoms
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from facetem.core.physics import wavelength
from facetem.core.pixels import PIXEL
from facetem.data.conditions import draw_camera, draw_energy, draw_loss, draw_microscope, draw_optics
from facetem.data.draw import FILM, PURPOSES, Specimen, draw_specimen, film_source, imaging_seed, sample_rng
from facetem.data.recipe import PERFECT, SPLITS, Detector, Films, Microscope, Orientations, Particles, Recipe
from facetem.hrtem.cameras import CAMERAS


@pytest.fixture(scope="module")
def tiny() -> Recipe:
    return Recipe(
        seed=5,
        field=48.0,
        particles=Particles(diameter=(12.0, 18.0), offset=3.0),
        films=Films(kinds={"none": 0.3, "random": 0.7}, thickness=(5.0, 10.0), hard_cores=(0.0, 1.2)),
    )


def same(one: Atoms, other: Atoms) -> bool:
    return len(one) == len(other) and bool(np.array_equal(one.positions, other.positions))


def test_a_specimen_is_drawn_again_in_any_order(tiny: Recipe) -> None:
    forward = [draw_specimen(tiny, "train", i) for i in range(6)]
    film_source(tiny, "validation", "random").draw(6.0, np.random.default_rng(0))  # something else in between
    for i in (5, 0, 3):
        again = draw_specimen(tiny, "train", i)
        assert same(again.atoms, forward[i].atoms)
        assert again.parameters == forward[i].parameters
        assert str(again.particles) == str(forward[i].particles)  # nan is not equal to itself


def test_splits_seeds_and_indices_differ(tiny: Recipe) -> None:
    numbers = {
        (split, index, purpose): tuple(sample_rng(tiny, split, index, purpose).random(4))
        for split in SPLITS
        for index in range(50)
        for purpose in PURPOSES
    }
    other = tiny.model_copy(update={"seed": 6})
    numbers |= {("other seed", 0, FILM): tuple(sample_rng(other, "train", 0, FILM).random(4))}
    assert len(set(numbers.values())) == len(numbers)
    drawn = [draw_specimen(tiny, split, 1).atoms for split in SPLITS]
    assert not any(same(drawn[i], drawn[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_every_split_of_every_run_is_imaged_by_its_own_chance() -> None:
    seeds = {imaging_seed(split, seed) for split in SPLITS for seed in range(4)}
    assert len(seeds) == 4 * len(SPLITS)


def test_splits_do_not_share_their_carbon(tiny: Recipe) -> None:
    """The same random numbers give other films: not even a window of the same block."""
    films = [film_source(tiny, split, "random").draw(8.0, np.random.default_rng(1)) for split in SPLITS]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        heights = np.intersect1d(films[i].positions[:, 2].round(6), films[j].positions[:, 2].round(6))
        assert len(heights) < 0.01 * len(films[i])


def test_kinds_of_films_come_by_their_weights(tiny: Recipe) -> None:
    """Realistic films of the test come from films that the others never see."""
    films = Films(kinds={"none": 1, "random": 1, "realistic": 2}, thickness=(5.0, 10.0))
    recipe = tiny.model_copy(update={"films": films})
    for split in SPLITS:
        rows = [draw_specimen(recipe, split, i).parameters for i in range(60)]
        kinds = Counter(row["film"] for row in rows)
        assert kinds["realistic"] == pytest.approx(30, abs=12)
        assert kinds["none"] == pytest.approx(15, abs=10)
        part = "test" if split == "test" else "training"
        for row in rows:
            names = str(row["film_sources"]).split()
            assert bool(names) == (row["film"] == "realistic")
            assert all(name.startswith(part) for name in names)
            assert (row["film_thickness"] == 0) == (row["film"] == "none")


@pytest.mark.parametrize(
    "films",
    [
        {"kinds": {"none": 1}},
        {"kinds": {"realistic": 1}},
        {"thickness": (11.0, 14.0)},
        {"density": (1.6, 1.7)},
    ],
    ids=["none", "realistic", "thicker", "lighter"],
)
def test_another_film_leaves_the_particle_and_the_beam_as_they_were(tiny: Recipe, films: dict) -> None:
    """Or no study could tell what the film does."""
    beams = tuple(
        tiny.microscopes[0].model_copy(update={"energy": energy}) for energy in (80e3, 200e3, 300e3)
    )
    random = tiny.films.model_copy(update={"kinds": {"random": 1}})
    recipe = tiny.model_copy(update={"microscopes": beams, "films": random})
    moved = recipe.model_copy(update={"films": recipe.films.model_copy(update=films)})
    for index in range(12):
        one, other = (draw_specimen(some, "test", index) for some in (recipe, moved))
        assert not same(one.atoms, other.atoms)  # another film
        assert one.energy == other.energy
        assert np.array_equal(one.thickness, other.thickness)
        assert one.parameters["side"] == other.parameters["side"]
        assert one.parameters["gap"] == other.parameters["gap"] or other.parameters["film"] == "none"
        for row in (one.particles[0], other.particles[0]):
            row.pop("z")  # the film is below it
        assert str(one.particles) == str(other.particles)


def test_shapes_take_turns(tiny: Recipe) -> None:
    labels = [draw_specimen(tiny, "test", i).label for i in range(16)]
    assert labels == [*tiny.particles.shapes] * 2


def test_shapes_and_elements_come_by_their_weights(tiny: Recipe) -> None:
    particles = Particles(
        shapes={"cube": 5, "sphere": 2, "twin": 1, "icosahedron": 0},
        elements={"Au": 1, "Pt": 3},
        diameter=(12.0, 14.0),
        varied=False,
    )
    films = Films(kinds={"none": 1})
    recipe = tiny.model_copy(update={"particles": particles, "films": films})
    drawn = [draw_specimen(recipe, "train", i) for i in range(160)]
    shapes = Counter(specimen.particles[0]["shape"] for specimen in drawn)
    assert shapes["cube"] == pytest.approx(100, abs=12)
    assert shapes["sphere"] == pytest.approx(40, abs=16)
    assert shapes["icosahedron"] == 0
    assert Counter(specimen.particles[0]["element"] for specimen in drawn)["Pt"] == pytest.approx(120, abs=20)
    for specimen in drawn[:20]:
        number = {"Au": 79, "Pt": 78}[str(specimen.particles[0]["element"])]
        assert set(specimen.atoms.numbers) == {number}
        assert specimen.label == (
            "none" if specimen.particles[0]["shape"] == "sphere" else specimen.particles[0]["shape"]
        )


def directions(recipe: Recipe, n: int) -> list[tuple[np.ndarray, Specimen]]:
    """The beam in the axes of the shape, and the specimen."""
    drawn = [draw_specimen(recipe, "train", i) for i in range(n)]
    turns = [Rotation.from_quat([s.particles[0][k] for k in ("qx", "qy", "qz", "qw")]) for s in drawn]
    return [(turn.as_matrix()[2], specimen) for turn, specimen in zip(turns, drawn, strict=True)]


@pytest.fixture
def bare(tiny: Recipe) -> Recipe:
    particles = Particles(shapes={"cube": 1}, diameter=(16.0, 18.0), varied=False, calibration=0.0)
    return tiny.model_copy(update={"particles": particles, "films": Films(kinds={"none": 1})})


def test_zones_lie_along_the_beam_within_their_tilt(bare: Recipe) -> None:
    low, high = np.deg2rad([1.0, 4.0])
    zones = Orientations(random=0, zone=1, zones=((1, 1, 0),), tilt=(1e3 * low, 1e3 * high))
    found = directions(bare.model_copy(update={"orientations": zones}), 40)
    angles = [np.arccos(beam @ np.array([1, 1, 0]) / np.sqrt(2)) for beam, _ in found]
    assert low <= min(angles) < 0.4 * low + 0.6 * high < max(angles) <= high
    for angle, (_, specimen) in zip(angles, found, strict=True):
        assert specimen.particles[0]["zone"] == "110"
        assert specimen.particles[0]["zone_angle"] == pytest.approx(angle, abs=1e-6)
        assert specimen.particles[0]["lies"] == "zone"
    # And turned about the beam by any angle: where the image of [001] points.
    turns = {round(float(s.particles[0]["qz"]), 6) for _, s in found}
    assert len(turns) == 40


def test_particles_lie_on_a_facet(bare: Recipe) -> None:
    """A cube lies on a face: flat towards the film, on either side of it."""
    lying = bare.model_copy(update={"orientations": Orientations(random=0, lying=1)})
    sides = set()
    for beam, specimen in directions(lying, 12):
        assert np.sort(np.abs(beam)) == pytest.approx([0, 0, 1], abs=1e-6)
        z = specimen.atoms.positions[:, 2]
        side = specimen.parameters["side"]
        sides.add(side)
        foot = z.max() if side == "entrance" else z.min()
        assert np.count_nonzero(np.abs(z - foot) < 0.1) > 12  # a whole layer
    assert sides == {"entrance", "exit"}


def test_a_tetrahedron_lies_on_a_face_and_seldom_on_a_tip(bare: Recipe) -> None:
    """By their areas: its tips are cut a little. A cube would look the same the other way round."""
    shapes = bare.particles.model_copy(update={"shapes": {"tetrahedron": 1}})
    lying = Orientations(random=0, lying=1)
    recipe = bare.model_copy(update={"particles": shapes, "orientations": lying})
    on_a_face = []
    for _, specimen in directions(recipe, 12):
        z = specimen.atoms.positions[:, 2]
        low, high = (np.count_nonzero(np.abs(z - end) < 0.1) for end in (z.min(), z.max()))
        on_a_face.append(high > low if specimen.parameters["side"] == "entrance" else low > high)
    assert np.mean(on_a_face) > 0.75


def test_a_field_holds_several_particles_apart(tiny: Recipe) -> None:
    particles = Particles(number=(2, 4), diameter=(12.0, 16.0), offset=0.0)
    recipe = tiny.model_copy(update={"particles": particles, "field": 100.0})
    numbers = set()
    for i in range(12):
        specimen = draw_specimen(recipe, "train", i)
        numbers.add(len(specimen.particles))
        assert specimen.parameters["n_particles"] == len(specimen.particles)
        assert set(np.unique(specimen.masks)) == set(range(len(specimen.particles) + 1))
        for k, row in enumerate(specimen.particles, start=1):
            y, x = np.nonzero(specimen.masks == k)
            assert x.mean() * PIXEL == pytest.approx(float(row["x"]), abs=3.0)
            assert y.mean() * PIXEL == pytest.approx(float(row["y"]), abs=3.0)
            mine = specimen.atoms.positions[specimen.atoms.get_tags() == k]
            assert len(mine) == row["n_atoms"]  # none is cut off
            assert mine.mean(axis=0) == pytest.approx([row["x"], row["y"], row["z"]], abs=1e-3)
    assert numbers == {2, 3, 4}


def test_specimens_keep_to_the_recipe(tiny: Recipe) -> None:
    drawn: list[Specimen] = [draw_specimen(tiny, "train", i) for i in range(24)]
    bare = 0
    for specimen in drawn:
        atoms = specimen.atoms
        assert atoms.cell.lengths()[:2].tolist() == [48.0, 48.0]
        assert 10.0 < specimen.particles[0]["diameter"] < 20.0  # whole atoms: near what was asked for
        assert specimen.energy in tiny.microscopes[0].energies
        film = atoms.get_tags() == 0
        bare += not film.any()
        assert set(atoms.numbers[~film]) == {79}
        assert set(atoms.numbers[film]) <= {6}
        assert atoms.positions.min() >= 0
        assert (atoms.positions < atoms.cell.lengths()).all()
        centre = atoms.positions[~film].mean(axis=0)[:2]
        assert np.abs(centre - 24.0).max() < 3.0 + 1.0
    assert 0 < bare < 24
    assert {specimen.atoms.info["side"] for specimen in drawn} == {"entrance", "exit"}


def test_optics_keep_to_the_recipe() -> None:
    ranges = Microscope()
    rng = np.random.default_rng(0)
    drawn = [draw_optics(ranges, 300e3, rng) for _ in range(600)]
    for name in ("defocus", "C12", "C21", "C23", "C30"):
        low, high = getattr(ranges, name)
        values = np.array([getattr(optics.aberrations, name) for optics in drawn])
        assert low <= values.min()
        assert values.max() <= high
        assert np.ptp(values) > 0.95 * (high - low)
    for name in ("focal_spread", "angular_spread", "image_spread"):
        low, high = getattr(ranges, name)
        assert all(low <= getattr(optics, name) <= high for optics in drawn)
    azimuths = np.array([optics.aberrations.phi12 for optics in drawn])
    assert np.histogram(azimuths, 4, (0, 2 * pi))[0].min() > 100
    is_open = np.mean([optics.aperture == inf for optics in drawn])
    assert is_open == pytest.approx(ranges.open_aperture, abs=0.08)


def test_part_of_the_images_comes_from_a_conventional_instrument() -> None:
    """Its underfocus goes with the spherical aberration: the Scherzer focus is 1.2 sqrt(Cs lambda)."""
    recipe = Recipe()
    corrected, conventional = recipe.microscopes
    assert conventional.scherzer is not None
    rng = np.random.default_rng(0)
    microscopes = [draw_microscope(recipe, 200e3, rng) for _ in range(600)]
    drawn = [draw_optics(m, 200e3, rng).aberrations for m in microscopes]
    large = [a for a in drawn if a.C30 > corrected.C30[1]]
    assert len(large) / 600 == pytest.approx(conventional.weight, abs=0.06)
    cs = np.array([a.C30 for a in large])
    assert conventional.C30[0] <= cs.min()
    assert cs.max() <= conventional.C30[1]
    units = np.array([a.defocus for a in large]) / np.sqrt(cs * wavelength(200e3))
    assert conventional.scherzer[0] <= units.min()
    assert units.max() <= conventional.scherzer[1]
    assert np.ptp(units) > 0.9 * np.ptp(conventional.scherzer)


def test_a_specimen_is_seen_with_a_microscope_of_its_energy() -> None:
    """Energies come by the microscopes' weights, and at each energy the microscopes by theirs."""
    low = Microscope(weight=1, energies=(80e3, 80e3, 80e3, 300e3))
    high = Microscope(weight=3, energies=(300e3,))
    recipe = Recipe(microscopes=(low, high))
    rng = np.random.default_rng(0)
    energies = Counter(draw_energy(recipe, rng) for _ in range(800))
    assert energies[80e3] == pytest.approx(150, abs=40)
    assert all(draw_microscope(recipe, 80e3, rng).energies == low.energies for _ in range(20))
    with_low = sum(draw_microscope(recipe, 300e3, rng).energies == low.energies for _ in range(1300))
    assert with_low == pytest.approx(100, abs=35)  # a quarter of 1 against 3


def test_loss_keeps_to_the_recipe() -> None:
    ranges = Microscope()
    rng = np.random.default_rng(0)
    drawn = np.array([draw_loss(ranges, rng) for _ in range(600)])
    assert np.mean(drawn > 0) == pytest.approx(ranges.lossy, abs=0.08)
    assert ranges.loss[0] <= drawn.min()
    assert drawn.max() <= ranges.loss[1]
    assert draw_loss(ranges.model_copy(update={"lossy": 0.0}), rng) == 0


def test_cameras_keep_to_the_recipe() -> None:
    recipe = Recipe()
    rng = np.random.default_rng(0)
    drawn = [draw_camera(recipe, rng) for _ in range(600)]
    dose = np.array([camera.dose for camera in drawn])
    assert recipe.images.dose[0] <= dose.min()
    assert dose.max() <= recipe.images.dose[1]
    # Log-uniform: half lie below the geometric mean.
    assert np.mean(dose < np.sqrt(np.prod(recipe.images.dose))) == pytest.approx(0.5, abs=0.08)
    perfect = [camera for camera in drawn if camera.mtf_width == inf and camera.mtf is None]
    measured = [camera for camera in drawn if camera.mtf is not None]
    assert recipe.cameras[1].camera == PERFECT
    assert len(perfect) / 600 == pytest.approx(recipe.cameras[1].weight, abs=0.08)
    assert all(camera.readout == 0 for camera in perfect)
    weights = {kind.camera: kind.weight for kind in recipe.cameras if kind.camera in CAMERAS}
    assert len(measured) / 600 == pytest.approx(sum(weights.values()), abs=0.07)
    assert {replace(camera, dose=inf) for camera in measured} == {
        replace(CAMERAS[name], dose=inf) for name in weights
    }


def test_a_measured_camera_keeps_its_numbers() -> None:
    recipe = Recipe(cameras=(Detector(camera="direct-counting"),))
    camera = draw_camera(recipe, np.random.default_rng(0))
    assert replace(camera, dose=inf) == CAMERAS["direct-counting"]
    assert recipe.images.dose[0] <= camera.dose <= recipe.images.dose[1]


def test_touching_particles_of_a_field_are_whole_and_apart_in_space() -> None:
    recipe = Recipe(
        seed=4,
        field=150.0,
        particles=Particles(diameter=(18.0, 24.0), number=(6, 6), touching=0.6),
        films=Films(kinds={"random": 1.0}, thickness=(5.0, 8.0), hard_cores=(0.0,)),
    )
    specimen = draw_specimen(recipe, "train", 0)
    at = np.array([(row["x"], row["y"]) for row in specimen.particles])
    counted = np.bincount(specimen.atoms.get_tags(), minlength=7)[1:]
    assert [
        row["n_atoms"] for row in specimen.particles
    ] == counted.tolist()  # none is cut by the field's border
    apart = np.linalg.norm(at[:, None] - at, axis=-1)[np.triu_indices(6, 1)]
    assert (apart < 30.0).any()  # centres of particles that touch, of 24 Å at most and not round
    for first in range(1, 7):
        mine = specimen.atoms.positions[specimen.atoms.get_tags() == first]
        others = specimen.atoms.positions[specimen.atoms.get_tags() > first]
        if len(others):
            assert KDTree(others).query(mine)[0].min() > 2.5
