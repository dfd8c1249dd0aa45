"""Networks trained under one condition and tested under others, on a handful of small bare particles."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from facetem.data.recipe import Recipe
from facetem.study.bench import Bench
from facetem.study.jobs import Crew
from facetem.study.matrix import AS_DRAWN, MATRICES, QUICK, Matrix, Outcome, cells, run_matrix


def test_what_differs_is_the_condition_alone(recipe: Recipe) -> None:
    carbon, focus = MATRICES["carbon"], MATRICES["focus"]
    kinds = [carbon.specimens(recipe, value).films.kinds for value in carbon.trained]
    assert kinds == [{"none": 1.0}, {"random": 1.0}, {"realistic": 1.0}]
    assert [focus.specimens(recipe, value) for value in focus.trained] == [recipe, recipe]
    assert focus.shown(recipe, AS_DRAWN) == recipe
    assert focus.shown(recipe, 5.0).microscopes[0].defocus == (50.0, 50.0)


@pytest.mark.slow
def test_networks_are_trained_once_and_all_are_tested_on_the_same(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(QUICK, plan=replace(QUICK.plan, steps=2, batch=4), specimens=8, tested=1)
    monkeypatch.setattr("facetem.study.matrix.QUICK", small)
    monkeypatch.setitem(MATRICES, "focus", Matrix("focus", "defocus", (5.0, AS_DRAWN), (-5.0, 5.0)))
    bench = Bench(tmp_path, recipe=recipe, per_shape=1)
    outcome = run_matrix(Crew(bench), "focus", quick=True)
    assert outcome.names("trained") == ["5", AS_DRAWN]
    assert outcome.table.groupby(["trained", "tested"]).size().tolist() == [8] * 4
    assert [len(row) for row in outcome.means()] == [2, 2]
    weights = sorted((tmp_path / "networks").glob("*/classifier.safetensors"))
    assert len(weights) == 2
    monkeypatch.setattr("facetem.study.matrix.train", lambda *some, **more: pytest.fail("trained again"))
    pd.testing.assert_frame_equal(run_matrix(Crew(bench), "focus", quick=True).table, outcome.table)
    # The same budget and seed give the same network.
    weights[0].unlink()
    (tmp_path / "networks" / weights[0].parent.name / "classifier.ckpt").unlink()
    monkeypatch.undo()
    monkeypatch.setitem(MATRICES, "focus", Matrix("focus", "defocus", (5.0, AS_DRAWN), (-5.0, 5.0)))
    for trained in (5.0, AS_DRAWN):
        again = cells(bench, "focus", trained, small, 8)
        before = outcome.table.query("trained == @again.trained[0]").reset_index(drop=True)
        pd.testing.assert_frame_equal(again, before)


def test_an_outcome_says_which_network_is_ahead() -> None:
    right = {("a", "x"): [True] * 30, ("b", "x"): [True] * 10 + [False] * 20}
    rows = [
        {"trained": one, "tested": other, "specimen": i, "right": value}
        for (one, other), values in right.items()
        for i, value in enumerate(values)
    ]
    outcome = Outcome(MATRICES["carbon"], pd.DataFrame(rows))
    said = " ".join(outcome.said())
    assert "Tested on x, the network trained on a is surely ahead of b by 0.667 (" in said
    assert outcome.summary()["right"].tolist() == pytest.approx([1, 1 / 3])
