"""Random draws: they depend on the recipe, the seed, the split and the index, and on nothing else."""

from collections import Counter
from math import inf, pi

import numpy as np
import pytest
from ase import Atoms

from facetem.core.physics import wavelength
from facetem.data.draw import (
    Specimen,
    draw_camera,
    draw_loss,
    draw_optics,
    draw_specimen,
    film_source,
    sample_rng,
)
from facetem.data.recipe import SPLITS, Recipe, recipe_from


@pytest.fixture(scope="module")
def tiny() -> Recipe:
    return recipe_from(
        {
            "seed": 5,
            "field": 48.0,
            "specimens": {
                "diameter": [12, 18],
                "offset": 3.0,
                "film_thickness": [5, 10],
                "hard_cores": [0.0, 1.2],
                "bare": 0.3,
            },
        }
    )


def same(one: Atoms, other: Atoms) -> bool:
    return len(one) == len(other) and bool(np.array_equal(one.positions, other.positions))


def test_a_specimen_is_drawn_again_in_any_order(tiny: Recipe) -> None:
    forward = [draw_specimen(tiny, "train", i) for i in range(6)]
    film_source(tiny, "validation").draw(6.0, np.random.default_rng(0))  # something else in between
    for i in (5, 0, 3):
        again = draw_specimen(tiny, "train", i)
        assert same(again.atoms, forward[i].atoms)
        assert (again.shape, again.particles[0]["diameter"], again.energy) == (
            forward[i].shape,
            forward[i].particles[0]["diameter"],
            forward[i].energy,
        )


def test_splits_seeds_and_indices_differ(tiny: Recipe) -> None:
    numbers = {
        (split, index): tuple(sample_rng(tiny, split, index).random(4))
        for split in SPLITS
        for index in range(50)
    }
    numbers |= {
        ("other seed", 0): tuple(sample_rng(tiny.model_copy(update={"seed": 6}), "train", 0).random(4))
    }
    assert len(set(numbers.values())) == len(numbers)
    drawn = [draw_specimen(tiny, split, 1).atoms for split in SPLITS]
    assert not any(same(drawn[i], drawn[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_splits_do_not_share_their_carbon(tiny: Recipe) -> None:
    """The same random numbers give other films: not even a window of the same block."""
    films = [film_source(tiny, split).draw(8.0, np.random.default_rng(1)) for split in SPLITS]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        heights = np.intersect1d(films[i].positions[:, 2].round(6), films[j].positions[:, 2].round(6))
        assert len(heights) < 0.01 * len(films[i])


def test_a_share_of_the_films_is_quenched(tiny: Recipe) -> None:
    """Those of the test come from films that the others never see."""
    recipe = recipe_from({"field": 48.0, "specimens": {"quenched": 0.5, "film_thickness": [5, 10]}})
    rng = np.random.default_rng(0)
    names: dict[str, set[str]] = {}
    for split in SPLITS:
        infos = [film_source(recipe, split).draw(8.0, rng).info for _ in range(40)]
        films = [info["films"] for info in infos if "films" in info]
        assert 10 <= len(films) <= 30
        names[split] = set(films)
    assert all(name.startswith("test") for name in names["test"])
    assert all(name.startswith("training") for name in names["train"] | names["validation"])
    assert not any("films" in film_source(tiny, split).draw(8.0, rng).info for split in SPLITS)


def test_shapes_take_turns(tiny: Recipe) -> None:
    shapes = [draw_specimen(tiny, "test", i).shape for i in range(16)]
    assert shapes == [*tiny.specimens.shapes] * 2


def test_specimens_keep_to_the_recipe(tiny: Recipe) -> None:
    drawn: list[Specimen] = [draw_specimen(tiny, "train", i) for i in range(24)]
    bare = 0
    for specimen in drawn:
        atoms = specimen.atoms
        assert atoms.cell.lengths()[:2].tolist() == [48.0, 48.0]
        assert 10.0 < specimen.particles[0]["diameter"] < 20.0  # whole atoms: near what was asked for
        assert specimen.energy in tiny.microscope.energies
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
    ranges = Recipe().microscope.model_copy(update={"uncorrected": 0.0})
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
    ranges = Recipe().microscope
    rng = np.random.default_rng(0)
    drawn = [draw_optics(ranges, 200e3, rng).aberrations for _ in range(600)]
    large = [a for a in drawn if a.C30 > ranges.C30[1]]
    assert len(large) / 600 == pytest.approx(ranges.uncorrected, abs=0.06)
    cs = np.array([a.C30 for a in large])
    assert ranges.uncorrected_cs[0] <= cs.min()
    assert cs.max() <= ranges.uncorrected_cs[1]
    units = np.array([a.defocus for a in large]) / np.sqrt(cs * wavelength(200e3))
    assert ranges.uncorrected_defocus[0] <= units.min()
    assert units.max() <= ranges.uncorrected_defocus[1]
    assert np.ptp(units) > 0.9 * np.ptp(ranges.uncorrected_defocus)


def test_loss_keeps_to_the_recipe() -> None:
    ranges = Recipe().microscope
    rng = np.random.default_rng(0)
    drawn = np.array([draw_loss(ranges, rng) for _ in range(600)])
    assert np.mean(drawn > 0) == pytest.approx(ranges.lossy, abs=0.08)
    assert ranges.loss[0] <= drawn.min()
    assert drawn.max() <= ranges.loss[1]
    assert draw_loss(ranges.model_copy(update={"lossy": 0.0}), rng) == 0


def test_cameras_keep_to_the_recipe() -> None:
    ranges = Recipe().detection
    rng = np.random.default_rng(0)
    drawn = [draw_camera(ranges, rng) for _ in range(600)]
    dose = np.array([camera.dose for camera in drawn])
    assert ranges.dose[0] <= dose.min()
    assert dose.max() <= ranges.dose[1]
    # Log-uniform: half lie below the geometric mean.
    assert np.mean(dose < np.sqrt(np.prod(ranges.dose))) == pytest.approx(0.5, abs=0.08)
    kinds = Counter(camera.mtf_width == inf for camera in drawn)
    assert kinds[True] / 600 == pytest.approx(ranges.counting, abs=0.08)
    assert all(camera.readout == 0 for camera in drawn if camera.mtf_width == inf)
