"""The ONNX graphs answer as the networks do, in onnxruntime, on simulated images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError
from facetem.data.digest import digest_of
from facetem.data.recipe import Recipe
from facetem.data.recipe_file import shipped_recipe
from facetem.data.samples import draw_set
from facetem.learn.folded import folded
from facetem.learn.foreign import ForeignLattice, foreign_spacings
from facetem.learn.graphs import CLASSIFIER_OUTPUTS, RESTORER_OUTPUTS
from facetem.learn.matter import Matter
from facetem.learn.normalise import normalise
from facetem.learn.onnx import check_exporter, export_onnx, write_graph
from facetem.learn.predictor import load_classifier
from facetem.learn.restorer import FOCUS, ContrastRestorer
from facetem.learn.weights_file import load_network, shipped

GOLD = Matter().widest
ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def graphs(exported_graphs: Path) -> dict[str, Any]:
    written = sorted(exported_graphs.iterdir())
    assert [path.name for path in written] == [
        "classifier.onnx",
        "restorer.onnx",
    ]  # each is whole in its one file
    return {path.stem: ort.InferenceSession(path, providers=["CPUExecutionProvider"]) for path in written}


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Three camera images, in the units of a camera."""
    recipe: Recipe = shipped_recipe("au-4-8nm-test")
    return 700 * draw_set(recipe, split="test", n=3, device="cpu").noisy.numpy()


def run(graph: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    names = [output.name for output in graph.get_outputs()]
    return dict(zip(names, graph.run(names, {"images": images}), strict=True))


@pytest.mark.parametrize("n", [1, 3])
def test_classifier_answers_as_facetem_does(graphs: dict[str, Any], images: np.ndarray, n: int) -> None:
    told = run(graphs["classifier"], images[:n])
    assert tuple(told) == CLASSIFIER_OUTPUTS
    classifier = load_classifier(device="cpu")
    answers, predictions = classifier.answers(images[:n]), classifier.classify(images[:n])
    wanted = np.array([[p.probabilities[shape] for shape in SHAPES] for p in predictions])
    np.testing.assert_allclose(told["probabilities"], wanted, atol=1e-4)
    np.testing.assert_allclose(told["logits"], answers.logits, atol=1e-3)
    np.testing.assert_allclose(told["log_diameter"], answers.log_diameter, atol=1e-4)
    np.testing.assert_allclose(told["diameter"], [p.diameter for p in predictions], rtol=1e-4)
    np.testing.assert_allclose(told["moments"], answers.moments, atol=1e-4)
    np.testing.assert_allclose(told["facet_ratio"], answers.log_ratio.exp(), atol=1e-4)
    np.testing.assert_allclose(told["unfamiliarity"], classifier.unfamiliarity(images[:n]), atol=1e-3)
    assert told["known"].tolist() == [p.known for p in predictions]
    assert told["possible"].tolist() == [[shape in p.possible for shape in SHAPES] for p in predictions]


def test_noise_is_none_of_the_shapes_in_the_graph_too(graphs: dict[str, Any]) -> None:
    noise = np.random.default_rng(0).normal(1, 0.1, (2, 256, 256)).astype(np.float32)
    assert not run(graphs["classifier"], noise)["known"].any()
    assert not any(p.known for p in load_classifier(device="cpu").classify(noise))


def test_a_lattice_that_gold_does_not_have_is_seen_as_facetem_sees_it(
    images: np.ndarray, tmp_path: Path
) -> None:
    y, x = np.mgrid[:256, :256] * 0.4
    spacings = np.array([2.0, 2.5, 3.1, 3.3, 3.5, 4.0, 4.5])
    fringes = np.cos(2 * np.pi * (0.6 * x + 0.8 * y) / spacings[:, None, None])
    noise = np.random.default_rng(0).normal(0, 1, fringes.shape)
    stack = np.concatenate([images, *(700 + 30 * (noise + height * fringes) for height in (0.01, 0.1, 1))])
    wanted = foreign_spacings(stack, widest=GOLD)
    assert 0 < np.isfinite(wanted).sum() < len(stack)
    path = tmp_path / "foreign.onnx"
    write_graph(ForeignLattice(256, GOLD), ("there", "spacing"), 256, path, {})
    told = run(ort.InferenceSession(path, providers=["CPUExecutionProvider"]), stack.astype(np.float32))
    assert told["there"].tolist() == np.isfinite(wanted).tolist()
    np.testing.assert_allclose(told["spacing"][told["there"]], wanted[told["there"]], rtol=1e-6)


@pytest.mark.parametrize("n", [1, 3])
def test_restorer_answers_as_the_network_does(graphs: dict[str, Any], images: np.ndarray, n: int) -> None:
    import torch

    told = run(graphs["restorer"], images[:n])
    assert tuple(told) == RESTORER_OUTPUTS
    with torch.inference_mode():
        reading = folded(load_network(None, ContrastRestorer)[0])(normalise(torch.tensor(images[:n])))
    np.testing.assert_allclose(told["restored"], reading.restored + 1, atol=1e-4)  # vacuum is 1
    np.testing.assert_allclose(told["mask"], torch.sigmoid(reading.mask), atol=1e-4)
    np.testing.assert_allclose(told["error"], reading.error.exp(), rtol=1e-3)
    level, spread = (getattr(images[:n], name)(axis=(1, 2), keepdims=True) for name in ("mean", "std"))
    np.testing.assert_allclose((told["denoised"] - level) / spread, reading.denoised, atol=1e-3)
    np.testing.assert_allclose(told["focus"], FOCUS * reading.focus, atol=1e-3)
    assert told["restored"].std() > 0.02


def test_units_of_the_camera_do_not_matter(graphs: dict[str, Any], images: np.ndarray) -> None:
    one = run(graphs["classifier"], images[:1])["probabilities"]
    for scaled in (3 * images[:1] + 100, np.float32(1e-12) * images[:1], np.float32(1e12) * images[:1]):
        other = run(graphs["classifier"], scaled)["probabilities"]
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_graphs_say_what_they_are(graphs: dict[str, Any]) -> None:
    for name, graph in graphs.items():
        told = graph.get_modelmeta().custom_metadata_map
        assert told["weights_sha256"] == digest_of(shipped(name))
        assert told["pixel_size"] == "0.4 Å"
        assert told["license"] == "GPL-3.0-or-later"
        (taken,) = graph.get_inputs()
        assert taken.shape[1:] == [256, 256]
        assert isinstance(taken.shape[0], str)  # any number
    told = graphs["classifier"].get_modelmeta().custom_metadata_map
    assert tuple(json.loads(told["shapes"])) == SHAPES
    header = json.loads(shipped("classifier").with_suffix(".json").read_text())
    assert float(told["temperature"]) == header["temperature"]


def test_without_the_exporter_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'facetem\[onnx\]'"):
        check_exporter()
    with pytest.raises(InputError, match=r"pip install"):
        export_onnx(Path("nowhere"))
