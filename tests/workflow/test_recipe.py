"""`facetem recipe`: show, check, preview."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from imageio.v3 import imread
from typer.testing import CliRunner

from facetem.app.cli import app
from facetem.atoms.library import NONE, SHAPES, family
from facetem.data.recipe import Recipe
from facetem.data.recipe_file import recipe_from, shipped_recipe, shipped_recipes

TINY = {
    "seed": 2,
    "field_nm": 5.6,
    "accuracy": "draft",
    "particles": {"shapes": ["cube", "twin"], "diameter_nm": [1.4, 1.8]},
    "films": {"kinds": "realistic", "thickness_nm": [0.5, 1]},
    "images": {"neighbour": 0},
}


def facetem(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_show_lists_the_recipes_and_prints_one_whole() -> None:
    code, listed, _ = facetem("recipe", "show")
    assert code == 0
    assert [line.split()[0] for line in listed.splitlines()] == list(shipped_recipes())
    assert all(len(line.split()) > 4 for line in listed.splitlines())
    code, text, _ = facetem("recipe", "show", "pt")
    assert code == 0
    assert recipe_from(yaml.safe_load(text)) == shipped_recipe("pt")
    assert "C30_um" in text  # what pt.yaml leaves to the default as well


def test_check_tells_everything_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("sed: 1\nseed: one\nfield_nm: 2\nparticles:\n  diameter_nm: [8, 4]\n  offset: 3\n")
    code, out, told = facetem("recipe", "check", path)
    assert (code, out) == (2, "")
    assert len(told.splitlines()) == 5
    for key in ("sed", "seed", "field_nm", "particles.diameter_nm", "particles.offset"):
        assert f"{path}: {key}: " in told
    path.write_text(yaml.safe_dump(TINY))
    code, out, told = facetem("recipe", "check", path)
    assert (code, told) == (0, "")
    assert "seed 2" in out


@pytest.mark.parametrize("command", ["show", "check", "preview"])
def test_a_recipe_that_is_not_there_is_named(command: str, tmp_path: Path) -> None:
    output = ("-o", tmp_path / "out") if command == "preview" else ()
    code, _, told = facetem("recipe", command, "gold", *output)
    assert code == 2
    assert told == (
        f"facetem: recipe: expected a file or one of {', '.join(shipped_recipes())}, got 'gold'\n"
    )
    assert not (tmp_path / "out").exists()


def test_preview_draws_images_and_parameters(tmp_path: Path) -> None:
    path, folder = tmp_path / "mine.yaml", tmp_path / "preview"
    path.write_text(yaml.safe_dump(TINY))
    code, out, told = facetem("recipe", "preview", path, "-o", folder, "--n", 4, "--draws", 12)
    assert (code, told) == (0, "")
    assert "film realistic" in out  # what is always the same is told, not drawn
    assert sorted(p.name for p in folder.iterdir()) == ["images.png", "parameters.png"]
    for name in ("images.png", "parameters.png"):
        assert np.ptp(imread(folder / name)[..., 0]) > 200
    code, _, told = facetem("recipe", "preview", path, "-o", folder, "--n", 4, "--draws", 2)
    assert code == 2
    assert "expected 1 <= --n <= --draws, got 4 and 2" in told


def test_the_defaults_are_those_of_the_first_recipe() -> None:
    """What other recipes leave out is what the networks are trained on, but for what is none of the classes, for
    members of a class under a name of their own, which have a part of its share, and for the drift of the stage."""
    first, plain = shipped_recipe("au-4-8nm"), Recipe()
    for part in ("films", "microscopes", "cameras", "orientations"):
        assert getattr(first, part) == getattr(plain, part), part
    weights = first.particles.shapes
    classes = {
        shape: sum(weight for name, weight in weights.items() if family(name).label == shape)
        for shape in SHAPES
    }
    assert first.particles.model_copy(update={"shapes": classes}) == plain.particles
    assert first.images.model_copy(update={"drift": (0.0, 0.0)}) == plain.images
    unknown = sum(weight for name, weight in weights.items() if family(name).label == NONE)
    assert 0.05 < unknown / sum(weights.values()) < 0.2
    assert unknown + sum(classes.values()) == pytest.approx(sum(weights.values()))
