"""The whole suite on a handful of small bare particles: what it measures is checked elsewhere, here that it holds
together."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from facetem.core.errors import InputError
from facetem.data.recipe import Recipe
from facetem.data.recipe_file import shipped_recipe
from facetem.study import suite
from facetem.study.bench import Bench
from facetem.study.models_page import write_models_page
from facetem.study.suite import PARTS, Part, run_suite
from facetem.study.unknowns import KINDS, draw_unknowns, unknown_scores


@pytest.fixture(scope="module")
def bench(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("suite"), recipe=recipe, per_shape=1)


@pytest.mark.slow
def test_the_suite_measures_once_and_writes_its_page(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(suite, "UNKNOWN", 2)
    monkeypatch.setattr(suite, "KINDS", {name: KINDS[name] for name in ("other crystal", "no micrograph")})
    monkeypatch.setattr(suite, "FOCI", (0.0, 100.0))
    monkeypatch.setattr(suite, "installed_filters", dict)
    monkeypatch.setattr(suite, "cost", lambda *files, device: _cost(device))
    parts = ["standard", "unknowns", "ceiling", "restoration", "cost"]
    results = run_suite(bench, parts)
    assert results["standard"]["specimens"] == bench.n == 8
    assert np.sum(results["standard"]["confusion"]) == 8
    assert results["ceiling"]["accuracy"]["as recorded"]["accuracy"] == results["standard"]["macro_accuracy"]
    # Without a film anyway, so that taking the carbon away changes nothing.
    accuracy = results["ceiling"]["accuracy"]
    assert accuracy["without carbon"] == accuracy["as recorded"]
    assert [row["defocus"] for row in results["restoration"]["foci"]] == [0, 100]
    again = run_suite(replace(bench), parts)  # nothing is in memory
    assert again == json.loads(json.dumps(results))
    monkeypatch.setattr(Bench, "images", property(lambda self: pytest.fail("measured again")))
    run_suite(replace(bench), parts)
    write_models_page(results, {"classifier": {"minutes": 3}}, tmp_path / "models.md", tmp_path / "images")
    page = (tmp_path / "models.md").read_text()
    assert f"{results['standard']['macro_accuracy']:.3f}" in page
    for line in page.splitlines():
        if line.startswith("!["):
            assert (tmp_path / line.split("(")[1].rstrip(")")).stat().st_size > 1000


def _cost(device: str) -> object:
    from facetem.study.cost import Cost

    return Cost(4096, 50, 1, 1.0, 2.0, 2**30)


def test_other_weights_or_numbers_are_measured_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    read = ["one"]
    part = Part(lambda own: {"times": counted.append(own.per_shape) or len(counted)}, beside=lambda own: read)
    monkeypatch.setitem(PARTS, "cost", part)
    assert run_suite(bench, ["cost"]) == run_suite(bench, ["cost"])
    run_suite(replace(bench, per_shape=2), ["cost"])
    assert counted[-1] == 2
    assert len(counted) <= 2  # a first time, unless it was measured by another test
    before = len(counted)
    read[0] = "other"  # what it reads has changed
    run_suite(replace(bench, per_shape=2), ["cost"])
    assert len(counted) == before + 1


@pytest.mark.slow
def test_unknowns_of_another_recipe_are_drawn_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(suite, "UNKNOWN", 2)
    here = replace(bench, folder=tmp_path)
    first = suite._unknown(here, "no micrograph")
    other = replace(here, recipe=bench.recipe.model_copy(update={"seed": bench.recipe.seed + 1}))
    assert not torch.equal(suite._unknown(other, "no micrograph"), first)
    assert torch.equal(suite._unknown(here, "no micrograph"), first)


@pytest.mark.parametrize(
    ("parts", "named"), [(["standrad"], "standrad"), (["others"], "others: expected a folder")]
)
def test_parts_that_there_are_not_are_refused(bench: Bench, parts: list[str], named: str) -> None:
    with pytest.raises(InputError, match=named):
        run_suite(bench, parts)


def test_unknown_scores_rank() -> None:
    known, unknown = torch.tensor([0.0, 1.0, 2.0, 3.0]), torch.tensor([2.5, 9.0])
    scores = unknown_scores(known, unknown, torch.tensor([True, False]))
    assert scores.auroc == pytest.approx(7 / 8)  # 3 of 4 below 2.5, 4 of 4 below 9
    assert scores.refused == 0.5
    all_taken = torch.ones(4, dtype=torch.bool)
    assert unknown_scores(known, known, all_taken).auroc == pytest.approx(0.5)  # equal ones count half
    assert unknown_scores(0 * known, 0 * known, all_taken).auroc == pytest.approx(0.5)
    assert math.isnan(unknown_scores(known, math.nan * known, all_taken).auroc)  # nothing is said


def test_unknowns_are_drawn_again_and_differ_from_split_to_split(recipe: Recipe) -> None:
    films = recipe.films.model_copy(update={"kinds": {"random": 1.0}, "thickness": (10.0, 12.0)})
    recipe = recipe.model_copy(update={"films": films})
    for kind in ("no micrograph", "other crystal", "bare film"):
        first, again, other = (
            draw_unknowns(kind, recipe, split=split, n=2) for split in ("test", "test", "validation")
        )
        assert first.shape == (2, 256, 256)
        torch.testing.assert_close(first, again, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(first, other)


def test_the_standard_recipe_is_the_suites() -> None:
    assert Bench(Path("nowhere")).recipe == shipped_recipe("au-4-8nm-test")
