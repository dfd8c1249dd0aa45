"""Studies: what moves and what stays, and means whose truth is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from facetem.core.errors import InputError
from facetem.data.conditions import draw_optics
from facetem.data.recipe import Recipe
from facetem.data.recipe_file import recipe_from, shipped_recipe
from facetem.data.samples import image_set
from facetem.data.sources import LiveSource
from facetem.study.axes import STUDIES, Axis
from facetem.study.bench import Bench
from facetem.study.jobs import Crew
from facetem.study.sweeps import MEANS, Sweep, run_sweep

AXES = [(study, name) for study, axes in STUDIES.items() for name in axes]


@pytest.mark.parametrize(("study", "name"), AXES)
def test_every_value_of_every_axis_is_a_recipe(study: str, name: str) -> None:
    axis, base = STUDIES[study][name], shipped_recipe("au-4-8nm-test")
    moved = [axis.move(base, value) for value in axis.values]
    assert set(axis.quick) <= {*axis.values, 20000}
    for recipe in moved:
        assert recipe_from(
            Recipe.model_validate(recipe.model_dump()).model_dump(mode="json") and _yaml(recipe)
        )
    assert len({recipe.to_yaml() for recipe in moved}) == len(moved)  # each is another


def _yaml(recipe: Recipe) -> object:
    import yaml

    return yaml.safe_load(recipe.to_yaml())


def test_the_focus_moves_of_every_microscope_however_its_recipe_states_it() -> None:
    """That without a corrector is in units of its Scherzer focus."""
    base = Recipe()
    moved = STUDIES["focus"]["defocus"].move(base, 30)
    assert any(m.scherzer for m in base.microscopes)
    for microscope in moved.microscopes:
        assert draw_optics(microscope, 300e3, np.random.default_rng(0)).aberrations.defocus == 300


def test_a_condition_moves_and_everything_else_stays(recipe: Recipe) -> None:
    source = LiveSource(recipe, split="test", n=2, batch=2)
    focus, dose = STUDIES["focus"]["defocus"], STUDIES["dose"]["dose"]
    plain, defocused, bright = (
        image_set(source, one, split="test", n=2)
        for one in (recipe, focus.move(recipe, 30), dose.move(recipe, 5000))
    )
    assert defocused.defocus.tolist() == [300, 300]
    torch.testing.assert_close(defocused.dose, plain.dose)
    torch.testing.assert_close(defocused.orientation, plain.orientation)  # the same turns and mirrors
    torch.testing.assert_close(bright.clean, plain.clean)  # the same optics
    assert bright.dose.tolist() == pytest.approx([5000, 5000])
    assert not torch.allclose(defocused.clean, plain.clean, atol=1e-3)


@pytest.mark.slow
def test_a_sweep_is_measured_once_on_the_same_specimens(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axis = replace(STUDIES["focus"]["defocus"], quick=(0, 20))
    monkeypatch.setitem(STUDIES, "focus", {"defocus": axis})
    bench = Bench(tmp_path, recipe=recipe, per_shape=1)
    sweep = run_sweep(Crew(bench), "focus", "defocus", quick=True)
    assert len(sweep.table) == 16
    first, second = (sweep.at(value) for value in (0, 20))
    assert first["shape"].tolist() == second["shape"].tolist()
    assert not np.allclose(first["psnr_raw"], second["psnr_raw"])
    monkeypatch.setattr(Bench, "imaged", lambda *some, **more: pytest.fail("measured again"))
    again = run_sweep(Crew(replace(bench)), "focus", "defocus", quick=True)
    pd.testing.assert_frame_equal(again.table, sweep.table)


def made_up(right: dict[float, np.ndarray]) -> Sweep:
    parts = []
    for value, answers in right.items():
        table = pd.DataFrame({name: answers.astype(float) for name in MEANS} | {"right": answers})
        table.insert(0, "specimen", np.arange(len(answers)))
        table.insert(0, "value", value)
        parts.append(table)
    axis = Axis("x", tuple(right), tuple(right), lambda recipe, value: recipe)
    return Sweep("study", "axis", axis, pd.concat(parts, ignore_index=True))


def test_a_sweep_says_where_shapes_are_told_best_and_where_surely_worse() -> None:
    rng = np.random.default_rng(1)
    hard = rng.random(200)
    sweep = made_up({1.0: hard > 0.3, 2.0: hard > 0.31, 3.0: hard > 0.6})
    said = " ".join(sweep.said())
    assert f"best at 1 (x): {np.mean(hard > 0.3):.3f}" in said
    assert f"worst at 3: {np.mean(hard > 0.6):.3f}" in said
    assert "surely worse than at the best value at 3;" in said
    assert sweep.summary()["right"].tolist() == pytest.approx([np.mean(hard > v) for v in (0.3, 0.31, 0.6)])
    assert len(sweep.rows()) == 2 + 3
    assert "contrast of the recorded images" in said
    flat = made_up({1.0: hard > 0.3, 2.0: hard > 0.31})
    assert "No value differs" in " ".join(flat.said())


def test_studies_that_there_are_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="focus \\(defocus\\)"):
        run_sweep(Crew(Bench(tmp_path)), "focuss", "defocus")
