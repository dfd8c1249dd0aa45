from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from facetem.data.recipe import Recipe
from facetem.data.samples import Item
from facetem.data.specimens import image_shape, wave_grid
from facetem.learn.classifier import ClassifierConfig, ShapeClassifier
from facetem.learn.predictor import load_classifier, load_restorer
from facetem.learn.release import release_classifier, release_restorer
from facetem.learn.restorer import ContrastRestorer, RestorerConfig

SMALL = ClassifierConfig(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1))


class TakingTurns:
    """A source of noise whose labels come in turn, as those of every data set do."""

    def __init__(self, n: int) -> None:
        self.recipe = Recipe()
        self._n = n

    def __len__(self) -> int:
        return self._n

    def epoch(self, rng: np.random.Generator) -> Iterator[int]:
        yield from range(self._n)

    def item(self, index: int) -> Item:
        generator = torch.Generator().manual_seed(index)
        phase = 0.1 * torch.randn(wave_grid(self.recipe).shape, generator=generator)
        image = torch.ones(image_shape(self.recipe))
        return Item(torch.exp(1j * phase), image, image > 2, index % 8, 300e3)


def test_released_classifier_is_calibrated_for_every_shape(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ShapeClassifier(SMALL)
    path = tmp_path / "classifier.safetensors"
    release_classifier(model, TakingTurns(48), path)
    loaded = load_classifier(path, device="cpu")
    crops = np.random.default_rng(0).normal(1, 0.1, (2, 256, 256))
    predictions = loaded.classify(crops)
    again = load_classifier(path, device="cpu").classify(crops)
    for prediction, same in zip(predictions, again, strict=True):
        assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert prediction == same
    from safetensors.torch import load_file

    tensors = load_file(path)
    assert tensors["extra.means"].shape[0] == 8
    assert torch.isfinite(tensors["extra.means"]).all()
    assert torch.isfinite(tensors["extra.precision"]).all()


def test_released_restorer_answers_as_before(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ContrastRestorer(RestorerConfig(widths=(8, 8, 8, 8)))
    release_restorer(model, tmp_path / "restorer.safetensors")
    restored = load_restorer(tmp_path / "restorer.safetensors", device="cpu").restore(np.eye(96))
    assert restored.image.shape == restored.mask.shape == (96, 96)
    assert np.isfinite(restored.image).all()
