from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError
from facetem.learn.classifier import Answer, ClassifierConfig, ShapeClassifier
from facetem.learn.conformal import ConformalSets
from facetem.learn.familiarity import Familiarity
from facetem.learn.graphs import CLASSIFIER_OUTPUTS, ClassifierGraph
from facetem.learn.matter import Matter
from facetem.learn.orientation import turned
from facetem.learn.predictor import Classifier, load_classifier
from facetem.learn.restoration import load_restorer
from facetem.learn.restorer import ContrastRestorer, RestorerConfig
from facetem.learn.stated import Stated
from facetem.learn.weights_file import load_network, save_weights

SMALL = ClassifierConfig(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1))
SMALL_UNET = RestorerConfig(widths=(4, 8), depths=(1, 1), up=(4, 4))


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(1, 0.2, (3, 256, 256)).astype(np.float32)


def small_classifier() -> ShapeClassifier:
    torch.manual_seed(0)
    return ShapeClassifier(SMALL).eval()


def everything(answers: Answer, seen: torch.Tensor) -> Familiarity:
    """To which no image is unfamiliar."""
    many = Answer(*(part.repeat(10, *[1] * (part.ndim - 1)) for part in answers))
    return replace(Familiarity.fit((many, seen.repeat(10, 1, 1)), (answers, seen)), threshold=float("inf"))


def test_answers_do_not_depend_on_scale_turn_mirror_or_batch(images: np.ndarray) -> None:
    classifier = Classifier(small_classifier())
    together = classifier.answers(images).logits
    alone = torch.cat([classifier.answers(i[None]).logits for i in images])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
    for other in (7 * images + 3, np.rot90(images, 1, (1, 2)), images[:, :, ::-1]):
        answer = classifier.answers(np.ascontiguousarray(other)).logits
        torch.testing.assert_close(together, answer, atol=1e-3, rtol=1e-3)


def test_of_no_images_there_are_no_answers(images: np.ndarray) -> None:
    model = small_classifier()
    space = everything(Classifier(model).answers(images), torch.as_tensor(images))
    classifier = Classifier(model, Stated(space=space))
    for none in ([], np.empty((0, 256, 256))):
        assert classifier.classify(none) == []
        assert classifier.answers(none).logits.shape == (0, len(SHAPES))
        assert classifier.unfamiliarity(none).shape == (0,)


@pytest.mark.parametrize(
    "crops",
    [
        np.ones((2, 128, 128)),
        np.ones((256, 256)),
        np.full((1, 256, 256), np.nan),
        np.full((1, 256, 256), -np.inf),
        [np.ones((256, 256)), np.ones((9, 9))],
    ],
)
def test_crops_that_cannot_be_answered_are_refused_in_one_line(crops: Any) -> None:
    classifier = Classifier(small_classifier())
    for ask in (classifier.classify, classifier.answers, classifier.unfamiliarity):
        with pytest.raises(InputError, match=r"^crops: expected .*256|^crops: expected finite"):
            ask(crops)


def test_saliency_is_asked_of_one_image_of_the_networks_size() -> None:
    with pytest.raises(InputError, match="crops: expected"):
        Classifier(small_classifier()).saliency(np.ones((128, 128)), "cube")


@pytest.mark.parametrize("turn", range(8))
def test_orientations_turn_with_the_image(images: np.ndarray, turn: int) -> None:
    """The mean over the views is turned back: of a turned image it is the turned mean."""
    classifier = Classifier(small_classifier())
    straight = classifier.answers(images).moments
    turned_images = np.rot90(images, turn % 4, (1, 2))[:, :, :: -1 if turn >= 4 else 1]
    torch.testing.assert_close(
        classifier.answers(np.ascontiguousarray(turned_images)).moments,
        turned(straight, turn % 4, mirrored=turn >= 4),
        atol=1e-3,
        rtol=1e-3,
    )


def test_probabilities_are_named_and_sum_to_one_and_temperature_softens(images: np.ndarray) -> None:
    model = small_classifier()
    with torch.no_grad():
        model.head.weight.mul_(30)
    sharp = Classifier(model, Stated(temperature=1.0)).classify(images)
    soft = Classifier(model, Stated(temperature=4.0)).classify(images)
    for a, b in zip(sharp, soft, strict=True):
        assert list(a.probabilities) == list(SHAPES)
        assert sum(a.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert a.confidence == max(a.probabilities.values()) == a.probabilities[a.shape]
        assert a.shape == b.shape
        assert b.confidence < a.confidence
        assert sum(a.families.values()) == pytest.approx(1, abs=1e-5)
        assert a.families["decahedral"] == a.probabilities["decahedron"]
        assert a.families[a.family] == max(a.families.values()) >= a.confidence
        assert a.diameter == b.diameter > 0


def test_unfamiliar_images_are_answered_as_unknown(images: np.ndarray) -> None:
    model = small_classifier()
    answers = Classifier(model).answers(images)
    many = Answer(*(part.repeat(10, *[1] * (part.ndim - 1)) for part in answers))
    seen = torch.as_tensor(images)
    space = Familiarity.fit((many, seen.repeat(10, 1, 1)), (answers, seen))
    lowest = float(space.score(answers, seen).min())
    near, far = (replace(space, threshold=threshold) for threshold in (float("inf"), lowest - 1))
    assert all(p.known for p in Classifier(model, Stated(space=near)).classify(images))
    assert not any(p.known for p in Classifier(model, Stated(space=far)).classify(images))


def test_the_lattice_of_a_metal_that_was_learnt_is_not_foreign(images: np.ndarray) -> None:
    """Lead's {111} are 2.86 Å apart: as far, within what a small particle's spot is wide, as nothing of gold."""
    model, seen = small_classifier(), torch.as_tensor(images)
    space = everything(Classifier(model).answers(images), seen)
    y, x = np.mgrid[:256, :256] * 0.4 - 51.2
    fringes = np.cos(2 * np.pi * x / 2.858) * (np.hypot(x, y) < 25)
    lead = (images + 0.3 * fringes).astype(np.float32)
    for elements, known in ((("Au",), False), (("Pb",), True), (("Au", "Pb"), True)):
        stated = Stated(space=space, matter=Matter(elements))
        answered = Classifier(model, stated).classify(lead)
        assert [p.known for p in answered] == 3 * [known]
        graph = ClassifierGraph(model, stated)
        told = dict(zip(CLASSIFIER_OUTPUTS, graph(torch.as_tensor(lead)), strict=True))
        assert told["known"].tolist() == 3 * [known]


def test_possible_shapes_begin_with_the_named_one_and_grow_with_the_coverage(images: np.ndarray) -> None:
    model = small_classifier()
    with torch.no_grad():
        model.head.weight.mul_(30)
    sets = ConformalSets(torch.linspace(0, 1, 99))  # of 1 - p: at coverage c, all shapes of p >= 1 - c
    classifier = Classifier(model, Stated(sets=sets))
    for coverage in (0.5, 0.9, 0.98):
        for prediction in classifier.classify(images, coverage=coverage):
            p = prediction.probabilities
            assert prediction.possible[0] == prediction.shape
            assert prediction.coverage == coverage
            ranked = sorted(prediction.possible, key=lambda shape: -p[shape])
            assert list(prediction.possible) == ranked
            limit = 1 - float(sets.scores[round(100 * coverage) - 1]) - 1e-6
            assert set(prediction.possible) == {s for s in p if p[s] >= limit} | {prediction.shape}
            assert prediction.verdict == ("accepted" if len(ranked) == 1 else "abstained")
    with pytest.raises(InputError, match="coverage"):
        classifier.classify(images, coverage=95)


def test_weights_without_a_calibration_name_one_shape_and_state_no_coverage(
    tmp_path: Path, images: np.ndarray
) -> None:
    path = tmp_path / "bare.safetensors"
    save_weights(path, "classifier", small_classifier(), {"network": SMALL.as_dict()}, {})
    for prediction in load_classifier(path, device="cpu").classify(images):
        assert prediction.possible == (prediction.shape,)
        assert prediction.coverage is None
        assert prediction.known
        assert prediction.verdict == "accepted"


def test_saliency_of_a_classifier_is_a_share_of_each_pixel(images: np.ndarray) -> None:
    weight = Classifier(small_classifier()).saliency(images[0], "cube")
    assert weight.shape == (256, 256)
    assert weight.min() >= 0
    assert weight.sum() == pytest.approx(1, abs=1e-3)


def test_weights_come_back_from_their_file(tmp_path: Path, images: np.ndarray) -> None:
    model = small_classifier()
    path = tmp_path / "own.safetensors"
    space = {"means": torch.zeros(8, 16), "precision": torch.eye(16)}
    header = {"network": SMALL.as_dict(), "temperature": 2.0, "threshold": 1e9}
    save_weights(path, "classifier", model, header, space)
    there = Classifier(model, Stated(temperature=2.0)).classify(images)
    back = load_classifier(path, device="cpu").classify(images)
    for a, b in zip(there, back, strict=True):
        assert a.shape == b.shape
        assert a.confidence == pytest.approx(b.confidence, abs=2e-3)  # kept in half precision


def test_a_network_to_learn_on_from_is_the_one_in_the_file(tmp_path: Path) -> None:
    model = small_classifier()
    path = tmp_path / "own.safetensors"
    save_weights(path, "classifier", model, {"network": SMALL.as_dict()}, {})
    back, header, _ = load_network(path, ShapeClassifier)
    assert back.config == SMALL
    assert header["kind"] == "classifier"
    for name, value in model.state_dict().items():
        torch.testing.assert_close(back.state_dict()[name], value, rtol=1e-3, atol=1e-3)
    with pytest.raises(InputError, match="expected restorer weights"):
        load_network(path, ContrastRestorer)


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "kind", "network"])
def test_bad_weights_are_named_in_one_line(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "own.safetensors"
    if damage == "network":
        header = {"network": {"widths": [4, 4, 4, 4], "depths": [1, 1, 1, 1]}}
        save_weights(path, "classifier", small_classifier(), header, {})
    else:
        save_weights(path, "restorer", ContrastRestorer(SMALL_UNET), {"network": SMALL_UNET.as_dict()}, {})
    content = path.read_bytes()
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "text":
        path.write_text("these are not weights, but they are long enough to be something")
    with pytest.raises(InputError) as caught:
        load_classifier(path, device="cpu")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_for_shapes_in_another_order_are_refused(tmp_path: Path) -> None:
    """Answers are named by their place: they would be wrong, and nobody would see it."""
    path = tmp_path / "own.safetensors"
    header = {"network": SMALL.as_dict(), "classes": list(SHAPES)}
    save_weights(path, "classifier", small_classifier(), header, {})
    load_classifier(path, device="cpu")
    save_weights(path, "classifier", small_classifier(), header | {"classes": list(SHAPES[::-1])}, {})
    with pytest.raises(
        InputError, match=r"own\.safetensors: .*'cuboctahedron', .*got \['twin', 'decahedron'"
    ):
        load_classifier(path, device="cpu")


def test_missing_weights_are_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.safetensors"):
        load_restorer(tmp_path / "nowhere.safetensors", device="cpu")


@pytest.mark.parametrize("scale", [1e-12, 1e-9, 1e-6, 1e12])
def test_a_factor_on_the_image_changes_no_answer(images: np.ndarray, weights: Path, scale: float) -> None:
    classifier = load_classifier(weights / "classifier.safetensors", device="cpu")
    here, there = (classifier.classify(some)[0] for some in (images[:1], np.float32(scale) * images[:1]))
    assert (there.shape, there.known, there.possible) == (here.shape, here.known, here.possible)
    assert there.probabilities == pytest.approx(here.probabilities, abs=1e-4)
    restorer = load_restorer(weights / "restorer.safetensors", device="cpu")
    one, other = (restorer.restore(some, views=2) for some in (images[0], np.float32(scale) * images[0]))
    np.testing.assert_allclose(other.image, one.image, atol=1e-4)
    np.testing.assert_allclose(other.denoised / scale, one.denoised, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 1.0, 123.456, 1e12])
def test_an_image_without_contrast_is_answered_in_numbers(weights: Path, value: float) -> None:
    crop = np.full((1, 256, 256), value, dtype=np.float32)
    answers = load_classifier(weights / "classifier.safetensors", device="cpu").answers(crop)
    assert all(torch.isfinite(part).all() for part in answers)
    restored = load_restorer(weights / "restorer.safetensors", device="cpu").restore(crop[0], views=2)
    assert restored.image.std() < 0.1
    assert restored.denoised.mean() == pytest.approx(value, rel=1e-4)
