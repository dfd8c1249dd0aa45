"""Recipes: YAML there and back, and every kind of mistake in one line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError
from facetem.data.recipe import Recipe, load_recipe, recipe_from, shipped_recipe

CHANGED: dict[str, Any] = {
    "name": "mine",
    "seed": 42,
    "field": 96.0,
    "specimens": {"shapes": ["cube", "twin"], "diameter": [30, 50.5], "varied": False},
    "microscope": {"energies": [80e3], "defocus": [-10, 10]},
    "detection": {"dose": [100, 200], "counting": 1.0},
}


@pytest.mark.parametrize("recipe", [Recipe(), recipe_from(CHANGED)], ids=["default", "changed"])
def test_there_and_back(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.to_yaml())
    assert load_recipe(path) == recipe


def test_what_is_left_out_keeps_its_default(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("seed: 7\nspecimens:\n  shapes: [cube]\n")
    recipe = load_recipe(path)
    assert recipe.seed == 7
    assert recipe.specimens.shapes == ("cube",)
    assert recipe.specimens.diameter == Recipe().specimens.diameter
    assert recipe.microscope == Recipe().microscope
    path.write_text("")
    assert load_recipe(path) == Recipe()


def test_numbers_as_people_write_them(tmp_path: Path) -> None:
    """YAML reads 80e3 as text; it is a number all the same."""
    path = tmp_path / "recipe.yaml"
    path.write_text("microscope:\n  energies: [80e3, 3.0e5, 200000]\n")
    assert load_recipe(path).microscope.energies == (80e3, 300e3, 200e3)


def test_all_eight_shapes_by_default() -> None:
    assert Recipe().specimens.shapes == SHAPES
    assert len(SHAPES) == 8


def test_a_recipe_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe().seed = 3  # type: ignore[misc]


def test_shipped_recipes() -> None:
    assert isinstance(shipped_recipe("au-4-8nm"), Recipe)
    with pytest.raises(InputError, match=r"recipe: expected a file or one of .*au-4-8nm.*, got 'gold'"):
        shipped_recipe("gold")


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"sed": 3}, r"unknown key 'sed'; known here: name, seed, field"),
    ({"specimens": {"diametre": [40, 80]}}, r"unknown key 'specimens.diametre'; known here: element, shapes"),
    ({"microscope": {"Cs": 1}}, r"unknown key 'microscope.Cs'; known here: energies, defocus"),
    ({"detection": {"gain": 1}}, r"unknown key 'detection.gain'; known here: dose, readout"),
    (
        {"specimens": {"shapes": ["sphere"]}},
        r"specimens.shapes: unknown shape 'sphere'; known: .*icosahedron",
    ),
    ({"specimens": {"shapes": []}}, r"specimens.shapes: unknown shape '\(none given\)'"),
    ({"specimens": {"diameter": [80, 40]}}, r"specimens.diameter: expected \[low, high\] with low <= high"),
    ({"specimens": {"diameter": [-40, 40]}}, r"specimens.diameter: expected numbers >= 0"),
    ({"specimens": {"diameter": 60}}, r"specimens.diameter: .*got 60"),
    ({"specimens": {"diameter": [40, 60, 80]}}, r"specimens.diameter: .*got \[40, 60, 80\]"),
    ({"specimens": {"bare": 1.5}}, r"specimens.bare: .*less than or equal to 1.*got 1.5"),
    (
        {"microscope": {"energies": [300]}},
        r"microscope.energies: expected beam energies .* \(is it in kV\?\)",
    ),
    ({"microscope": {"energies": []}}, r"microscope.energies: expected at least one beam energy"),
    ({"microscope": {"defocus": [120, -120]}}, r"microscope.defocus: expected \[low, high\]"),
    ({"microscope": {"defocus": ["near", "far"]}}, r"microscope.defocus.*got 'near'"),
    ({"microscope": {"focal_spread": [-1, 40]}}, r"microscope.focal_spread: expected numbers >= 0"),
    ({"microscope": {"C30": [float("nan"), 1]}}, r"microscope.C30.*finite"),
    ({"detection": {"dose": [-500, 1000]}}, r"detection.dose: expected numbers > 0, got \[-500"),
    ({"detection": {"dose": [0, 1000]}}, r"detection.dose: expected numbers > 0"),
    ({"field": 20}, r"field: .*greater than 40.*got 20"),
    ({"accuracy": "best"}, r"accuracy: .*'draft', 'standard' or 'reference'.*got 'best'"),
    ({"fine_sampling": 0.25}, r"unknown key 'fine_sampling'; known here: name, seed, field, accuracy, "),
    ({"seed": "one"}, r"seed: .*valid integer.*got 'one'"),
    ({"specimens": 3}, r"specimens: .*got 3"),
    ({"specimens": {"quenched": 1.5}}, r"specimens.quenched: .*got 1.5"),
    (
        {"specimens": {"quenched": 0.5, "density": [1.2, 2]}},
        r"specimens.quenched: .*1.7 to 3 g/cm3, not 1.2 to 2",
    ),
]


@pytest.mark.parametrize(("values", "message"), MISTAKES, ids=[str(values) for values, _ in MISTAKES])
def test_mistakes_are_named_in_one_line(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match=message) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["field: [1", "- a\n- b\n", "just words", "seed: 1\n\tfield: 2"])
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
