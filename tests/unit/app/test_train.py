"""What a training refuses before it begins, and what it does with what it finds in its folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from facetem.app.command import Network
from facetem.app.train import Machines, run_training
from facetem.core.errors import InputError
from facetem.data.recipe_file import recipe_from
from facetem.data.store import create_store
from facetem.learn.growth import Size

Train = Callable[..., None]


@pytest.fixture
def train(small: dict[str, Any], tmp_path: Path) -> Train:
    """Trains a classifier into `run`, of a recipe of its own."""
    place = tmp_path / "small.yaml"
    place.write_text(recipe_from(small).to_yaml())
    words: dict[str, Any] = {
        **dict.fromkeys(("store", "beside", "start", "workers")),
        **{"recipe": place, "specimens": 2, "validation": 200, "minutes": 1.0, "seed": 0},
        **{"size": Size(), "machines": Machines("cpu")},
    }
    return lambda **changes: partial(run_training, Network.classifier, tmp_path / "run", **words)(**changes)


def test_specimens_of_other_beams_are_refused_before_any_are_made(
    train: Train, small: dict[str, Any], tmp_path: Path
) -> None:
    other = recipe_from({**small, "name": "other", "microscopes": [{"energies_kv": [120]}]})
    create_store(other, tmp_path / "other", split="train", n=2)
    with pytest.raises(InputError, match="other: energies: expected specimens seen with 80, 200, 300 kV"):
        train(store=tmp_path / "store", beside=tmp_path / "other")
    assert not (tmp_path / "store").exists()
