"""Two trainings and those who make their specimens, at once."""

from functools import partial
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest
import torch

from facetem.app.command import Network
from facetem.app.held_out import HeldOut, draw_all
from facetem.app.side_by_side import FIRST, Specimens, learn_side_by_side
from facetem.app.train import _learn, _task
from facetem.core.errors import InputError
from facetem.data.publish import whole_shards
from facetem.data.recipe_file import recipe_from
from facetem.data.samples import draw_set
from facetem.learn.classifier import ClassifierConfig, ShapeClassifier
from facetem.learn.growth import Size
from facetem.learn.training import TrainingPlan

WIDTHS = (8, 8, 8, 8)


def specimens(small: dict[str, Any], path: Path, **changes: Any) -> Specimens:
    """A few more than learning waits for, with a field that holds a patch."""
    recipe = recipe_from({**small, "field_nm": 10.4, "stored": {"shard": 1}, **changes})
    return Specimens(recipe, path / "store", FIRST + 2, workers=1)


def plan(**changes: Any) -> TrainingPlan:
    return TrainingPlan(steps=2, batch=2, precision="32-true", **changes)


@pytest.mark.parametrize(("n", "first"), [(1, 1), (100, 2), (961, FIRST), (16384, FIRST)])
def test_no_more_shards_are_waited_for_than_there_will_be(n: int, first: int, tmp_path: Path) -> None:
    recipe = recipe_from({"stored": {"shard": 64}})
    assert Specimens(recipe, tmp_path, n, workers=1).first == first


@pytest.mark.slow
def test_both_learn_while_their_specimens_are_made(
    small_weights: Path, small: dict[str, Any], tmp_path: Path
) -> None:
    begin = partial(_task, small_weights, Size(depths=(1, 1, 2, 1), reflections=8), 0)
    told: list[tuple[str, float]] = []
    made = specimens(small, tmp_path)
    held = HeldOut(made.recipe, "validation", 2)
    learn_side_by_side(
        {Network.classifier: plan(), Network.restorer: plan()},
        made,
        device="cpu",
        learn=partial(_learn, begin, tmp_path / "run", ()),
        meanwhile=partial(draw_all, [held], tmp_path / "held-out", "cpu"),
        progress=lambda *step: told.append(step),
    )
    for name in ("classifier", "restorer"):
        saved = torch.load(tmp_path / "run" / f"{name}.ckpt", weights_only=True)
        assert saved["step"] == 2
        assert (name, 1.0) in told
    blocks = ShapeClassifier(ClassifierConfig(widths=WIDTHS, depths=(1, 1, 2, 1), reflections=8))
    assert saved_names(tmp_path / "run" / "classifier.ckpt") == set(blocks.state_dict())
    assert len(whole_shards(tmp_path / "store")) >= FIRST
    assert not active_children()
    drawn = draw_set(made.recipe, split="validation", n=2)
    assert torch.equal(held.images(tmp_path / "held-out", "nowhere").noisy, drawn.noisy)  # not drawn again


def saved_names(path: Path) -> set[str]:
    return set(torch.load(path, weights_only=True)["model"])


@pytest.mark.slow
def test_what_is_wrong_in_a_process_is_said_by_the_first(
    small_weights: Path, small: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="size: expected at most"):
        learn_side_by_side(
            {Network.classifier: plan(size=512)},
            specimens(small, tmp_path),
            device="cpu",
            learn=partial(_learn, partial(_task, small_weights, Size(), 0), tmp_path / "run", ()),
            meanwhile=partial(draw_all, [], tmp_path / "held-out", "cpu"),
            progress=lambda *step: None,
        )
    assert not active_children()
