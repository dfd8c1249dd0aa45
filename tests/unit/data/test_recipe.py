"""Recipes: YAML there and back, and every kind of mistake in one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError
from facetem.data.recipe import Orientations, Particles, Recipe
from facetem.data.recipe_file import load_recipe, recipe_from, shipped_recipe, shipped_recipes
from facetem.hrtem.instruments import INSTRUMENTS

CHANGED: dict[str, Any] = {
    "name": "mine",
    "seed": 42,
    "field_nm": 9.6,
    "particles": {"shapes": ["cube", "twin"], "diameter_A": [30, 50.5], "varied": False},
    "microscopes": [{"energies_kv": [80], "defocus_nm": [-1, 1]}],
    "images": {"dose_per_A2": [100, 200]},
    "cameras": [{"camera": "perfect"}],
}


@pytest.mark.parametrize("recipe", [Recipe(), recipe_from(CHANGED)], ids=["default", "changed"])
def test_there_and_back(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.to_yaml())
    assert load_recipe(path) == recipe


def test_what_is_left_out_keeps_its_default(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("seed: 7\nparticles:\n  shapes: cube\n")
    recipe = load_recipe(path)
    assert recipe.seed == 7
    assert recipe.particles.shapes == {"cube": 1.0}
    assert recipe.particles.diameter == Recipe().particles.diameter
    assert recipe.microscopes == Recipe().microscopes
    path.write_text("")
    assert load_recipe(path) == Recipe()


def test_units_are_part_of_the_keys() -> None:
    """The same length in three units, and energies as YAML gives them: 80e3 is text to it."""
    for key, value in (("diameter_nm", [4, 8]), ("diameter_A", [40, 80]), ("diameter_pm", [4e3, "8e3"])):
        assert recipe_from({"particles": {key: value}}).particles.diameter == (40.0, 80.0)
    one = recipe_from({"microscopes": [{"energies_ev": ["80e3"], "C30_um": 4, "image_spread_pm": 20}]})
    assert one.microscopes[0].energies == (80e3,)
    assert one.microscopes[0].C30 == (4e4, 4e4)  # one number is a range from itself to itself
    assert one.microscopes[0].image_spread == (0.2, 0.2)


@pytest.mark.parametrize("seed", range(5))
def test_any_range_is_written_and_read_the_same(seed: int) -> None:
    """Whatever digits a number has: what is written is written again."""
    rng = np.random.default_rng(seed)
    low, high = sorted(rng.uniform(10, 90, 2).tolist())
    least, most = sorted(rng.uniform(0, 200, 2).tolist())
    recipe = Recipe(particles=Particles(diameter=(low, high)), orientations=Orientations(tilt=(least, most)))
    text = recipe.to_yaml()
    assert recipe_from(yaml.safe_load(text)).to_yaml() == text


def test_shapes_and_elements_are_weights_however_they_are_written() -> None:
    for written in ("cube", ["cube"], {"cube": 1}):
        assert recipe_from({"particles": {"shapes": written}}).particles.shapes == {"cube": 1.0}
    assert recipe_from({"particles": {"elements": {"Au": 1, "Pt": 0.5}}}).particles.elements["Pt"] == 0.5


def test_a_preset_gives_what_is_left_out() -> None:
    text = {"microscopes": [{"preset": "80kV-cold-feg", "image_spread_nm": 0.01}]}
    microscope = recipe_from(text).microscopes[0]
    instrument = INSTRUMENTS["80kV-cold-feg"]
    assert microscope.energies == (80e3,)
    assert microscope.focal_spread == pytest.approx([instrument.optics.focal_spread] * 2, rel=1e-3)
    assert microscope.C30 == pytest.approx([instrument.optics.aberrations.C30] * 2, rel=1e-3)
    assert microscope.image_spread == (0.1, 0.1)


def test_all_eight_shapes_by_default() -> None:
    assert tuple(Recipe().particles.shapes) == SHAPES
    assert len(SHAPES) == 8


def test_a_recipe_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe().seed = 3  # type: ignore[misc]


def test_shipped_recipes() -> None:
    assert {
        "au-4-8nm",
        "au-4-8nm-test",
        "au-4-8nm-vacuum",
        "pt",
        "fields",
        "quick",
    } <= set(shipped_recipes())
    for name in shipped_recipes():
        recipe = shipped_recipe(name)
        assert recipe.name == name
        assert recipe_from(yaml.safe_load(recipe.to_yaml())) == recipe
    with pytest.raises(InputError, match=r"recipe: expected a file or one of .*au-4-8nm.*, got 'gold'"):
        shipped_recipe("gold")


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"sed": 3}, r"sed: unknown key; known here: name, seed, field_nm"),
    (
        {"particles": {"diametre_nm": [4, 8]}},
        r"particles.diametre_nm: unknown key; known here: shapes, elements",
    ),
    (
        {"particles": {"diameter": [4, 8]}},
        r"particles.diameter: expected the unit in the key, one of diameter_nm",
    ),
    (
        {"particles": {"diameter_km": [4, 8]}},
        r"particles.diameter_km: unknown unit; expected one of diameter_nm",
    ),
    (
        {"microscopes": [{"Cs_mm": 1}]},
        r"microscopes.0.Cs_mm: unknown key; known here: weight, preset, energies_kv",
    ),
    ({"microscopes": {"C30_um": 1}}, r"microscopes: .*valid tuple"),
    ({"microscopes": []}, r"microscopes: .*at least 1 item"),
    ({"particles": {"shapes": ["ball"]}}, r"particles.shapes: unknown name 'ball'; known: .*icosahedron"),
    ({"particles": {"shapes": []}}, r"particles.shapes: expected at least one weight above 0, got \[\]"),
    ({"particles": {"shapes": {"cube": 0}}}, r"particles.shapes: expected at least one weight above 0"),
    ({"particles": {"shapes": {"cube": -1}}}, r"particles.shapes.cube: .*greater than or equal to 0, got -1"),
    ({"particles": {"elements": "Fe"}}, r"particles.elements: .*an fcc metal such as Au.*got 'Fe'"),
    (
        {"particles": {"diameter_nm": [8, 4]}},
        r"particles.diameter_nm: expected \[low, high\] with low <= high, got",
    ),
    ({"particles": {"diameter_nm": [-4, 4]}}, r"particles.diameter_nm: expected 1 to 30 nm, got \[-4, 4\]"),
    ({"particles": {"diameter_A": [4, 40]}}, r"particles.diameter_A: expected 1 to 30 nm, got \[4, 40\]"),
    ({"particles": {"diameter_nm": "5 nm"}}, r"particles.diameter_nm: .*got '5 nm'"),
    ({"particles": {"diameter_nm": [4, 6, 8]}}, r"particles.diameter_nm: .*got \[4, 6, 8\]"),
    (
        {"field_nm": 100, "particles": {"number": [256, 256]}},
        r"number: expected .* 1 <= low <= high <= 255, got",
    ),
    ({"particles": {"number": [3, 1]}}, r"particles.number: expected \[low, high\] with 1 <= low <= high"),
    ({"films": {"entrance": 1.5}}, r"films.entrance: .*less than or equal to 1.*got 1.5"),
    (
        {"films": {"kinds": "graphene"}},
        r"films.kinds: unknown name 'graphene'; known: none, random, realistic",
    ),
    ({"films": {"thickness_nm": 0}}, r"films.thickness_nm: expected above 0, at most 50 nm, got 0"),
    (
        {"microscopes": [{"energies_kv": [300000]}]},
        r"microscopes.0.energies_kv: expected 20 to 1500 kV, got \[300000",
    ),
    ({"microscopes": [{"energies_kv": []}]}, r"microscopes.0.energies_kv: .*at least 1 item"),
    ({"microscopes": [{}, {"defocus_nm": [12, -12]}]}, r"microscopes.1.defocus_nm: expected \[low, high\]"),
    ({"microscopes": [{"defocus_nm": ["near", "far"]}]}, r"microscopes.0.defocus_nm.*got 'near'"),
    (
        {"microscopes": [{"focal_spread_nm": [-1, 4]}]},
        r"microscopes.0.focal_spread_nm: expected at least 0 nm",
    ),
    ({"microscopes": [{"C30_um": [float("nan"), 1]}]}, r"microscopes.0.C30_um.*finite"),
    (
        {"microscopes": [{"preset": "titan"}]},
        r"microscopes.0.preset: unknown name 'titan'; known: 80kV-cold-feg",
    ),
    ({"microscopes": [{"weight": 0}]}, r"microscopes: expected at least one weight above 0"),
    (
        {"cameras": [{"camera": "film"}]},
        r"cameras.0.camera: unknown name 'film'; known: perfect, scintillator",
    ),
    ({"images": {"dose_per_A2": [-500, 1000]}}, r"images.dose_per_A2: expected above 0 per Å2, got \[-500"),
    ({"field_nm": 2}, r"field_nm: expected 4 to 200 nm, got 2"),
    ({"accuracy": "best"}, r"accuracy: .*'draft', 'standard' or 'reference'.*got 'best'"),
    ({"seed": "one"}, r"seed: .*valid integer.*got 'one'"),
    ({"seed": "one", "field_nm": 2}, r"\(and 1 more; see `facetem recipe check`\)"),
    ({"particles": 3}, r"particles: .*got 3"),
    ({"stored": {"shard": 0}}, r"stored.shard: .*got 0"),
    (
        {"orientations": {"random": 0}},
        r"orientations: expected a weight above 0 for one of random, lying, zone",
    ),
    ({"orientations": {"zone": 1, "zones": [[0, 0, 0]]}}, r"orientations.zones: expected directions such as"),
]
CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    (
        {"films": {"kinds": "realistic", "density_g_cm3": [1.2, 2]}},
        r"films.density: the library of realistic films holds 1.7 to 3 g/cm3, got 1.2 to 2",
    ),
    ({"field_nm": 5}, r"particles of up to 9 nm do not fit a field_nm of 5"),
    (
        {"particles": {"number": [5, 20]}},
        r"particles.number: up to 20 of 6.4 nm would cover .* % of a field_nm",
    ),
    (
        {"particles": {"shapes": ["cube", "sphere"]}, "orientations": {"lying": 1}},
        r"orientations.lying: sphere has no facet to lie on",
    ),
    (
        {"microscopes": [{"scherzer": [1, 2]}]},
        r"microscopes.0.scherzer: expected a C30_um above 0 with it, got -20",
    ),
]
MISTAKES += CONTRADICTIONS


@pytest.mark.parametrize(("values", "message"), MISTAKES, ids=[str(values) for values, _ in MISTAKES])
def test_mistakes_are_named_in_one_line(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match=message) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["field_nm: [1", "- a\n- b\n", "just words", "seed: 1\n\tfield_nm: 2"])
def test_what_is_no_recipe_is_named_in_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"wrong\.yaml: ") as caught:
        load_recipe(path)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.yaml: expected a readable YAML recipe"):
        load_recipe(tmp_path / "absent.yaml")
    with pytest.raises(InputError, match="expected a readable YAML recipe"):
        load_recipe(tmp_path)
    binary = tmp_path / "image.yaml"
    binary.write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="expected a readable YAML recipe"):
        load_recipe(binary)
