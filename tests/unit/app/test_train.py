"""What a training begins with, what it refuses before, and what it does with what it finds in its folder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from facetem.app import held_out
from facetem.app import train as training
from facetem.app.command import Network
from facetem.app.material import Material
from facetem.app.train import Course, Machines, _task, run_training
from facetem.core.errors import InputError
from facetem.data.recipe import Recipe
from facetem.data.recipe_file import load_recipe, recipe_from
from facetem.data.samples import Batch
from facetem.data.sources import Source
from facetem.data.store import create_store
from facetem.learn.growth import Size
from facetem.learn.training import ShapeTask, TrainingPlan

Train = Callable[..., None]


@pytest.fixture
def train(small: dict[str, Any], tmp_path: Path) -> Train:
    """Trains a classifier into `run`, of a recipe of its own."""
    place = tmp_path / "small.yaml"
    place.write_text(recipe_from(small).to_yaml())
    own = Material(place, specimens=2, validation=200)

    def run(**changes: Any) -> None:
        run_training(
            Network.classifier,
            tmp_path / "run",
            material=replace(own, **changes),
            course=Course(1.0),
            start=None,
            size=Size(),
            machines=Machines("cpu"),
        )

    return run


def test_specimens_of_other_beams_are_refused_before_any_are_made(
    train: Train, small: dict[str, Any], tmp_path: Path
) -> None:
    other = recipe_from({**small, "name": "other", "microscopes": [{"energies_kv": [120]}]})
    create_store(other, tmp_path / "other", split="train", n=2)
    with pytest.raises(InputError, match="other: energies: expected specimens seen with 80, 200, 300 kV"):
        train(store=tmp_path / "store", beside=(tmp_path / "other",))
    assert not (tmp_path / "store").exists()


class Learnt:
    """Stands for all that takes long: trains nothing, draws images that tell their number, and keeps what is asked of
    the release."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.drawn: list[tuple[str, int]] = []
        self.released: dict[str, Batch] = {}
        monkeypatch.setattr(training, "train", self.train)
        monkeypatch.setattr(held_out, "draw_set", self.draw_set)
        monkeypatch.setattr(training, "release_classifier", self.release)

    def train(self, task: ShapeTask, source: Source, plan: TrainingPlan, folder: Path, **_: Any) -> nn.Module:
        folder.mkdir(exist_ok=True)
        (folder / f"{task.name}-history.jsonl").write_text('{"loss": 1.0, "step": 1, "minutes": 0.1}\n')
        return task.model

    def draw_set(self, recipe: Recipe, *, n: int, **_: Any) -> Batch:
        self.drawn.append((recipe.name, n))
        image, number = torch.arange(n).float().view(n, 1, 1), torch.arange(n).float()
        return Batch(*5 * [image], torch.zeros(n).long(), *6 * [number])

    def release(self, model: nn.Module, path: Path, *, calibration: Batch, familiar: Batch, **_: Any) -> None:
        self.released = {"calibration": calibration, "familiar": familiar}
        path.write_text("weights")


@pytest.fixture
def learnt(monkeypatch: pytest.MonkeyPatch) -> Learnt:
    return Learnt(monkeypatch)


def test_the_weights_are_there_whatever_comes_of_the_picture(
    train: Train, learnt: Learnt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("no fonts")

    monkeypatch.setattr(training, "_draw_curves", fails)
    with pytest.raises(ValueError, match="no fonts"):
        train()
    assert (tmp_path / "run" / "classifier.safetensors").read_text() == "weights"


def test_curves_and_recipe_are_written_beside_the_weights(
    train: Train, learnt: Learnt, small: dict[str, Any], tmp_path: Path
) -> None:
    train()
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"classifier.safetensors", "classifier-curves.png", "recipe.yaml"} <= names
    assert load_recipe(tmp_path / "run" / "recipe.yaml") == recipe_from(small)


def test_a_recipe_of_ones_own_in_the_folder_stays_as_it_is(
    train: Train, learnt: Learnt, small: dict[str, Any], tmp_path: Path
) -> None:
    own = tmp_path / "run" / "recipe.yaml"
    own.parent.mkdir()
    words = f"# mine\n{recipe_from(small).to_yaml()}"
    own.write_text(words)
    train(recipe=own)
    assert own.read_text() == words
    own.write_text("# mine\nseed: 5\n")
    with pytest.raises(InputError, match=r"recipe\.yaml: expected the recipe of this training, or none"):
        train()
    assert own.read_text() == "# mine\nseed: 5\n"


@pytest.mark.parametrize(
    ("name", "drawn"), [(None, [("small", 400)]), ("au-4-8nm", [("au-4-8nm-test", 200), ("au-4-8nm", 200)])]
)
def test_what_is_familiar_is_told_by_other_images_than_those_of_the_calibration(
    name: str | None, drawn: list[tuple[str, int]], train: Train, learnt: Learnt
) -> None:
    """Of one's own recipe the later ones, drawn once; confidence of the released networks is for another recipe."""
    train(**({} if name is None else {"recipe": Path(name)}))
    assert learnt.drawn == drawn
    calibration, familiar = (
        learnt.released[which].noisy[:, 0, 0].tolist() for which in ("calibration", "familiar")
    )
    assert calibration == list(range(200))
    assert familiar == list(range(200, 400) if name is None else range(200))


@pytest.mark.parametrize("which", [Network.classifier, Network.restorer])
def test_a_seed_decides_the_first_weights(which: Network) -> None:
    """Whatever else has drawn from PyTorch's generator before, which every process starts anew."""
    begun = []
    for before, seed in ((1, 5), (2, 5), (1, 6)):
        torch.manual_seed(before)
        begun.append(_task(None, Size(), seed, which).model.state_dict())
        assert torch.initial_seed() == before  # and leaves it as it was
    one, again, other = begun
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
