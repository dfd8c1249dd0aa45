"""Studies: what moves and what stays, and means whose truth is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from facetem.core.errors import InputError
from facetem.data.recipe import Recipe
from facetem.data.recipe_file import recipe_from, shipped_recipe
from facetem.data.samples import image_set
from facetem.data.sources import LiveSource
from facetem.study.axes import STUDIES, Axis
from facetem.study.bench import Bench
from facetem.study.sweeps import MEANS, Sweep, paired_difference, run_sweep, summary

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


def test_a_condition_moves_and_everything_else_stays(recipe: Recipe) -> None:
    source = LiveSource(recipe, split="test", n=2, batch=2)
    focus, dose = STUDIES["focus"]["defocus"], STUDIES["dose"]["dose"]
    plain, defocused, bright = (
        image_set(source, one, n=2) for one in (recipe, focus.move(recipe, 30), dose.move(recipe, 5000))
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
    sweep = run_sweep(bench, "focus", "defocus", quick=True)
    assert len(sweep.table) == 16
    first, second = (sweep.table[sweep.table["value"] == v].reset_index() for v in (0, 20))
    assert first["shape"].tolist() == second["shape"].tolist()
    assert not np.allclose(first["psnr_raw"], second["psnr_raw"])
    monkeypatch.setattr(Bench, "imaged", lambda *some, **more: pytest.fail("measured again"))
    pd.testing.assert_frame_equal(
        run_sweep(replace(bench), "focus", "defocus", quick=True).table, sweep.table
    )


def made_up(right: dict[float, np.ndarray]) -> Sweep:
    parts = []
    for value, answers in right.items():
        table = pd.DataFrame({name: answers.astype(float) for name in MEANS})
        table.insert(0, "specimen", np.arange(len(answers)))
        table.insert(0, "value", value)
        parts.append(table)
    axis = Axis("x", tuple(right), tuple(right), lambda recipe, value: recipe)
    return Sweep("study", "axis", axis, pd.concat(parts, ignore_index=True))


def test_intervals_cover_the_true_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(120):
        row = summary(made_up({0.0: rng.random(150) < 0.7})).iloc[0]
        covered.append(row["right_low"] <= 0.7 <= row["right_high"])
    assert 0.88 < np.mean(covered) <= 1.0  # 0.95, four standard errors of 120 trials below


def test_a_difference_on_the_same_specimens_is_surer_than_its_parts() -> None:
    rng = np.random.default_rng(1)
    hard = rng.random(200)
    sweep = made_up({1.0: hard > 0.3, 2.0: hard > 0.4})  # what is wrong at 1 is wrong at 2
    difference, low, high = paired_difference(sweep, "right", 1.0, 2.0)
    table = summary(sweep)
    assert difference == pytest.approx(-np.mean((hard > 0.3) & (hard <= 0.4)))
    assert low < difference < high < 0
    assert high - low < 0.7 * float((table["right_high"] - table["right_low"]).min())


def test_studies_that_there_are_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="focus \\(defocus\\)"):
        run_sweep(Bench(tmp_path), "focuss", "defocus")
