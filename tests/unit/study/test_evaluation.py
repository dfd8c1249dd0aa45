"""The standard test on stand-ins for both networks: what is counted, written and told."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
import yaml

from facetem.app.results import print_evaluation
from facetem.atoms.shapes import SHAPES
from facetem.data.recipe_file import shipped_recipe
from facetem.data.samples import Batch
from facetem.learn.orientation import Orientation
from facetem.learn.predictor import Classifier, Prediction
from facetem.learn.restoration import Restoration, Restorer
from facetem.learn.support import lattice_support
from facetem.study.card import model_card
from facetem.study.evaluation import Evaluation, _by, score

UPRIGHT = Orientation((1.0, 0.0, 0.0, 0.0), None, None, 1.0)


class Answers:
    """Answers images in turn, as it was told to: shapes that are possible, and whether the image is known."""

    def __init__(self, answers: Sequence[tuple[tuple[str, ...], bool]], coverage: float | None) -> None:
        self._answers, self._coverage = iter(answers), coverage

    def classify(self, crops: Any) -> list[Prediction]:
        possible, known = next(self._answers)
        odds = {
            shape: 10.0 if shape == possible[0] else 2.0 if shape in possible else 0.1 for shape in SHAPES
        }
        probabilities = {shape: value / sum(odds.values()) for shape, value in odds.items()}
        sure = probabilities[possible[0]]
        return [Prediction(possible[0], probabilities, sure, known, possible, self._coverage, 60.0, UPRIGHT)]


class Same:
    """Restores nothing; what is dark is particle."""

    def restore(self, field: Any) -> Any:
        image = np.asarray(field)
        mask = (image < 0.8).astype(np.float32)
        return Restoration(image, image, mask, 0 * image, lattice_support(image, image, sampling=0.4))


def evaluated(coverage: float | None) -> Evaluation:
    n = 5
    noisy = 1 + 0.05 * torch.randn(n, 64, 64, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(n, 64, 64)
    mask[:, 20:40, 20:40] = 1
    noisy = noisy - 0.5 * mask
    labels = torch.tensor([SHAPES.index(s) for s in ("cube", "cube", "twin", "decahedron", "octahedron")])
    dose, defocus = torch.full((n,), 800.0), torch.zeros(n)
    samples = Batch(
        noisy,
        noisy,
        noisy,
        mask,
        mask,
        labels,
        dose,
        defocus,
        0 * dose + 2e5,
        0 * dose + 60,
        torch.eye(3).repeat(len(dose), 1, 1),
        torch.ones(n),
    )
    answers = [
        (("cube",), True),
        (("twin",), True),
        (("twin", "cube"), True),
        (("cube", "twin"), True),
        (("octahedron",), False),
    ]
    classifier, restorer = cast(Classifier, Answers(answers, coverage)), cast(Restorer, Same())
    recipe = shipped_recipe("au-4-8nm-test")
    return score(classifier, restorer, samples, recipe=recipe, progress=lambda step, done, total: None)


def test_what_is_counted_and_written() -> None:
    told = json.loads(json.dumps(evaluated(0.9).as_dict()))
    assert told["sets"] == pytest.approx(
        {
            "stated_coverage": 0.9,
            "coverage": 3 / 5,
            "mean_size": 7 / 5,
            "accepted": 2 / 5,
            "accuracy_of_accepted": 1 / 2,
            "abstained": 2 / 5,
            "unknown": 1 / 5,
        }
    )
    assert told["family_accuracy"] == pytest.approx(3 / 5)
    assert told["diameter_error_median"] == pytest.approx(0, abs=1e-6)
    assert told["orientation_error_deg_median"]["shape_right"] == pytest.approx(0, abs=1e-3)
    assert told["answered_as_known"] == pytest.approx(4 / 5)
    assert told["accuracy_of_most_confident_90"] == pytest.approx(3 / 5)  # of five, all are nine tenths


def test_every_image_is_counted_once_where_it_lies_between_the_edges() -> None:
    values, right = np.array([-20.0, -10.0, 0.0, 0.0, 5.0, 10.0]), np.array([1, 1, 0, 0, 1, 1])
    assert _by(values, right, (-10, 0, 10)) == [(-10, 0, 1.0, 1), (0, 10, 0.5, 4)]
    told = json.loads(json.dumps(evaluated(0.9).as_dict()))["accuracy_by"]
    assert [(row["from"], row["to"], row["n"]) for row in told["defocus"]] == [(0, 75, 5)]


def test_card_and_terminal_tell_of_sets_only_where_a_coverage_is_stated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stated, without = evaluated(0.9), evaluated(None)
    card = model_card(stated, classifier={}, restorer={})
    assert "stated coverage of 0.90: they hold the true shape in 0.600 of the images, 1.40 shapes" in card
    assert 'one shape: 0.400 of the images, of which 0.500 are right; with "cannot tell"' in card
    stated_in_head = yaml.safe_load(card.split("---\n")[1])["model-index"][0]["results"][0]
    figures = {metric["name"]: metric["value"] for metric in stated_in_head["metrics"]}
    assert figures["Accuracy of the structural family"] == 0.6
    assert figures["Sets of possible shapes that hold the true one"] == 0.6
    assert stated_in_head["dataset"]["type"] == stated.recipe.name
    assert "amorphous carbon (Au, 4 to 8 nm)" in card
    assert "film of 2 to 6 nm, defocus -15 to 15 nm from the exit plane, 500 to 10,000 electrons" in card
    others = stated.recipe.model_copy(
        update={
            "particles": stated.recipe.particles.model_copy(
                update={"elements": {"Pt": 1.0}, "diameter": (20.0, 35.0)}
            )
        }
    )
    told = model_card(replace(stated, recipe=others), classifier={}, restorer={})
    assert "(Pt, 2 to 3.5 nm)" in told  # a card of one's own networks says what they were tested on
    assert "Au" not in told
    assert "stated coverage" not in model_card(without, classifier={}, restorer={})
    print_evaluation(stated)
    said = capsys.readouterr().out
    assert "0.600 hold the true one (stated 0.90), 1.40 shapes in the mean" in said
    assert "0.400 with one shape (0.500 of them right), 0.400 cannot tell, 0.200 none of these" in said
    print_evaluation(without)
    assert "cannot tell" not in capsys.readouterr().out
