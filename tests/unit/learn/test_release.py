import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from facetem.atoms.library import CUBIC_CLASSES
from facetem.data.samples import Batch
from facetem.learn.calibration import cross_fitted, fit_temperature
from facetem.learn.classifier import ClassifierConfig, ShapeClassifier
from facetem.learn.conformal import COVERAGE, ConformalSets
from facetem.learn.matter import Matter
from facetem.learn.orientation import FAMILIES
from facetem.learn.predictor import load_classifier
from facetem.learn.release import release_classifier, release_restorer
from facetem.learn.restoration import load_restorer
from facetem.learn.restorer import ContrastRestorer, RestorerConfig
from facetem.learn.weights_file import load_network, save_weights

SMALL = ClassifierConfig(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1))


def samples(n: int, seed: int) -> Batch:
    """Noise whose labels come in turn, as those of every data set do."""
    noisy = 1 + 0.1 * torch.randn(n, 256, 256, generator=torch.Generator().manual_seed(seed))
    nothing = torch.zeros(n)
    return Batch(
        noisy,
        noisy,
        noisy,
        noisy,
        noisy,
        torch.arange(n) % 8,
        nothing,
        nothing,
        nothing + 2e5,
        nothing + 60,
        torch.eye(3).repeat(n, 1, 1),
        nothing + 1,
    )


def test_released_classifier_is_calibrated_for_every_shape(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ShapeClassifier(SMALL)
    path = tmp_path / "classifier.safetensors"
    told = {"specimens": 48}
    release_classifier(model, path, calibration=samples(48, 1), familiar=samples(48, 2), training=told)
    loaded = load_classifier(path, device="cpu")
    crops = np.random.default_rng(0).normal(1, 0.1, (2, 256, 256))
    predictions = loaded.classify(crops)
    again = load_classifier(path, device="cpu").classify(crops)
    for prediction, same in zip(predictions, again, strict=True):
        assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert prediction == same
    from safetensors.torch import load_file

    tensors = load_file(path)
    assert all(torch.isfinite(v).all() for k, v in tensors.items() if k.startswith("extra."))
    assert len(tensors["extra.conformal"]) == 48  # of every image, so that any coverage can be asked for
    assert sum(v.nbytes for k, v in tensors.items() if k.startswith("extra.")) < 400_000
    # 48 images state 47 / 49 at the most: beyond that, no shape can be left out.
    assert all(len(p.possible) == 8 for p in loaded.classify(crops, coverage=0.99))
    assert all(p.coverage == COVERAGE for p in predictions)
    assert loaded.matter == Matter()


def test_what_was_learnt_and_how_far_orientations_are_off_is_in_the_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, path = ShapeClassifier(SMALL), tmp_path / "classifier.safetensors"
    platinum = Matter(("Pt",), (20.0, 40.0))
    release_classifier(
        model, path, calibration=samples(48, 1), familiar=samples(48, 2), training={}, matter=platinum
    )
    loaded = load_classifier(path, device="cpu")
    assert loaded.matter == platinum
    crops = np.random.default_rng(0).normal(1, 0.1, (2, 256, 256))
    # A random network is hardly right often enough of every family.
    knots = torch.tensor([[kind, fit, 30 - 20 * fit] for kind in range(len(FAMILIES)) for fit in (0.0, 1.0)])
    _, header, extra = load_network(path, ShapeClassifier)
    told = {key: value for key, value in header.items() if key not in ("format", "kind")}
    save_weights(path, "classifier", model, told, extra | {"lying": knots})
    for prediction in load_classifier(path, device="cpu").classify(crops):
        orientation = prediction.orientation
        assert orientation.error == pytest.approx(30 - 20 * max(0.0, orientation.fit), abs=1e-4)
        assert (prediction.facet_ratio is None) == (prediction.shape not in CUBIC_CLASSES)


def test_what_is_calibrated_is_what_the_file_holds(tmp_path: Path) -> None:
    """In half precision, a network answers a little differently."""
    torch.manual_seed(0)
    model, path, held = ShapeClassifier(SMALL), tmp_path / "classifier.safetensors", samples(48, 1)
    with torch.no_grad():
        model.head.weight.mul_(30)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    release_classifier(model, path, calibration=held, familiar=samples(48, 2), training={})
    loaded = load_classifier(path, device="cpu")
    logits = loaded.answers(held.noisy).logits
    assert loaded.stated.temperature == fit_temperature(logits, held.labels)
    sets, space = loaded.stated.sets, loaded.stated.space
    assert sets is not None
    assert space is not None
    assert torch.equal(sets.scores, ConformalSets.fit(cross_fitted(logits, held.labels), held.labels).scores)
    assert (loaded.unfamiliarity(held.noisy) <= space.threshold).double().mean() > 0.9
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_what_is_none_of_the_classes_calibrates_nothing(tmp_path: Path) -> None:
    """A recipe draws some: were they among what is familiar, nothing like them would ever be unknown."""
    torch.manual_seed(0)
    model, paths = ShapeClassifier(SMALL), [tmp_path / "with.safetensors", tmp_path / "without.safetensors"]
    some = samples(54, 2)
    labels = torch.where(torch.arange(54) % 9 == 8, -1, some.labels)
    mixed = Batch(**{item.name: getattr(some, item.name) for item in fields(some)} | {"labels": labels})
    for path, batch in zip(paths, (mixed, mixed.known()), strict=True):
        release_classifier(model, path, calibration=batch, familiar=batch, training={})
    from safetensors.torch import load_file

    one, other = (load_file(path) for path in paths)
    assert len(one["extra.conformal"]) == len(other["extra.conformal"]) == 48
    for name, tensor in other.items():
        torch.testing.assert_close(one[name], tensor)


def test_released_restorer_answers_as_before(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ContrastRestorer(RestorerConfig(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1), up=(8, 8, 8, 8)))
    release_restorer(model, tmp_path / "restorer.safetensors", training={})
    restored = load_restorer(tmp_path / "restorer.safetensors", device="cpu").restore(np.eye(96))
    assert restored.image.shape == restored.mask.shape == (96, 96)
    assert np.isfinite(restored.image).all()


def test_calibration_makes_the_spread_of_a_restorer_its_rms_error(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ContrastRestorer(RestorerConfig(widths=(4, 8), depths=(1, 1), up=(4, 4)))
    held_out = samples(3, 5)
    for name, told in (("plain", {}), ("calibrated", {"calibration": held_out})):
        release_restorer(model, tmp_path / f"{name}.safetensors", training={}, **told)
    calibrated = load_restorer(tmp_path / "calibrated.safetensors", device="cpu")
    answer = [calibrated.restore(image, seed=i) for i, image in enumerate(held_out.noisy)]
    errors = np.stack([a.image for a in answer]) - held_out.target.numpy()
    spreads = np.stack([a.spread for a in answer])
    assert np.sqrt(np.square(spreads).mean()) == pytest.approx(np.sqrt(np.square(errors).mean()), rel=0.01)
    header = json.loads((tmp_path / "calibrated.json").read_text())
    plain = load_restorer(tmp_path / "plain.safetensors", device="cpu").restore(held_out.noisy[0], seed=0)
    np.testing.assert_allclose(spreads[0], header["spread_scale"] * plain.spread, rtol=1e-5, atol=1e-7)
    assert abs(header["spread_scale"] - 1) > 0.05
    assert header["calibrated_on"] == 3
    assert "spread_scale" not in json.loads((tmp_path / "plain.json").read_text())
