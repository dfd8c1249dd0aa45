"""The napari plugin without napari: its manifest, its reader, and what its layers and table are made of."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import facetem.app.napari as plugin
from facetem.analysis.analyze import Analysis, analyze
from facetem.app.napari.layers import COLUMNS, centres, label_colours, result_layers, table_rows
from facetem.app.napari.reader import get_reader
from facetem.atoms.shapes import SHAPES as ALL
from facetem.core.errors import InputError
from facetem.data.micrograph import micrograph_from_array, save_image
from facetem.learn.orientation import Orientation
from facetem.learn.predictor import Prediction
from facetem.learn.restoration import Restoration
from facetem.learn.support import lattice_support

MANIFEST = Path(plugin.__file__).with_name("napari.yaml")
DISCS = ((3.0, 4.0), (8.0, 6.0))  # (y, x) [nm]
SAMPLING = 0.5
SHAPES = ("cube", "twin")


class Dark:
    """What is dark is particle."""

    def restore(self, field: Any, progress: Any = None, *, views: int = 2) -> Restoration:
        image = np.asarray(field)
        support = lattice_support(image, image, sampling=0.4)
        return Restoration(image, image, (image < 80).astype("f4"), 0 * image, support)


class InTurn:
    """A cube, then one that could be either."""

    def classify(self, crops: Any) -> list[Prediction]:
        upright = Orientation((1.0, 0.0, 0.0, 0.0), None, None, 1.0)
        odds = dict.fromkeys(ALL, 0.0) | {"cube": 0.6, "twin": 0.4}
        sets = [("cube",), SHAPES]
        return [
            Prediction("cube", odds, 0.6, True, sets[i % 2], 0.9, 50.0, upright) for i in range(len(crops))
        ]


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    y, x = (np.mgrid[:240, :240] + 0.5) * SAMPLING / 10
    image = 100 + np.random.default_rng(0).normal(0, 2, x.shape)
    for cy, cx in DISCS:
        image -= 40.0 * (np.hypot(y - cy, x - cx) < 1.5)
    return analyze(micrograph_from_array(image, SAMPLING), classifier=InTurn(), restorer=Dark())


def test_manifest_names_what_is_there() -> None:
    told = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    commands = {command["id"]: command["python_name"] for command in told["contributions"]["commands"]}
    used = [
        entry["command"]
        for kind in ("readers", "widgets", "sample_data")
        for entry in told["contributions"][kind]
    ]
    assert sorted(used) == sorted(commands)
    for name in ("facetem.read", "facetem.sample"):
        module, _, function = commands[name].partition(":")
        assert callable(getattr(importlib.import_module(module), function))
    module, _, widget = commands["facetem.analyse"].partition(":")
    source = importlib.util.find_spec(module)
    assert source is not None
    assert source.origin is not None
    assert f"class {widget}(" in Path(source.origin).read_text(encoding="utf-8")
    (reader,) = told["contributions"]["readers"]
    for pattern in reader["filename_patterns"]:
        assert get_reader(f"image{pattern[1:]}") is not None


def test_manifest_passes_its_own_check() -> None:
    npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_file(MANIFEST)
    assert manifest.name == "facetem"


def test_reader_gives_pixel_size_and_place(tmp_path: Path) -> None:
    image = np.random.default_rng(0).normal(1, 0.1, (96, 100)).astype("f4")
    save_image(tmp_path / "gold.tif", image, 0.4)
    reader = get_reader(str(tmp_path / "gold.tif"))
    assert reader is not None
    ((data, told, kind),) = reader(str(tmp_path / "gold.tif"))
    np.testing.assert_array_equal(data, image)
    assert kind == "image"
    assert told["scale"] == pytest.approx((0.04, 0.04))
    assert told["units"] == ("nm", "nm")
    assert get_reader(str(tmp_path / "notes.txt")) is None
    assert get_reader([str(tmp_path / "gold.tif")]) is None
    with pytest.raises(InputError, match="no such file"):
        reader(str(tmp_path / "none.tif"))


def test_layers_lie_on_the_image_that_was_analysed(analysis: Analysis) -> None:
    origin = (100.0, -50.0)
    restored, labels = result_layers(analysis, "gold", origin)
    assert (restored[2], labels[2]) == ("image", "labels")
    step = np.array(restored[1]["scale"])
    assert step == pytest.approx(0.04)
    # The corner of the first pixel is that of the input's first pixel.
    assert np.array(restored[1]["translate"]) - step / 2 == pytest.approx(np.array(origin) - SAMPLING / 20)
    for number, (place, found) in enumerate(zip(DISCS, centres(analysis, origin), strict=True), start=1):
        assert np.subtract(found, origin) + SAMPLING / 20 == pytest.approx(place, abs=0.1)
        pixel = np.round((np.array(found) - labels[1]["translate"]) / step).astype(int)
        assert labels[0][tuple(pixel)] == number


def test_labels_are_coloured_and_told_as_the_table_is(analysis: Analysis) -> None:
    features = result_layers(analysis, "gold")[1][1]["features"]
    assert features["index"] == [0, 1, 2]
    assert features["shape"] == ["", "cube", "cannot tell: cube or twin"]
    colours = label_colours(analysis)
    assert colours[0] == colours[None] == "#00000000"
    assert colours[1] != colours[2]
    rows = table_rows(analysis)
    assert [row[:3] for row in rows] == [(1, "cube", "0.60"), (2, "cannot tell: cube or twin", "0.60")]
    assert all(len(row) == len(COLUMNS) for row in rows)
