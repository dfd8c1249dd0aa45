"""Exports: what other programs read in them, and that one that was stopped goes on."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rsciio import hspy, tiff

from facetem.core.errors import InputError
from facetem.data import export, sources
from facetem.data.export import Form, export_store
from facetem.data.micrograph import load_micrograph

SIDE = 100


@pytest.fixture(scope="module", autouse=True)
def small_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "PART", 3)
        patch.setattr(sources, "SHARD", 2, raising=False)
        yield


@pytest.fixture(scope="module")
def exported(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three forms of the four specimens, in a folder each."""
    path = tmp_path_factory.mktemp("export")
    forms: tuple[Form, ...] = ("hspy", "tiff", "folders")
    for to in forms:
        assert export_store(small_store, path / to, to=to, seed=1, size=SIDE) == 4
    return path


def images(path: Path) -> dict[str, np.ndarray]:
    """Images of the three forms (4, y, x), in the order of their tables."""
    stacks: dict[str, np.ndarray] = {}
    for name, read in (("hspy", hspy.file_reader), ("tiff", tiff.file_reader)):
        table = pd.read_csv(path / name / "labels.csv")
        files = {file: read(str(path / name / file))[0]["data"] for file in table["file"]}
        stacks[name] = np.stack(
            [
                files[file].reshape(-1, SIDE, SIDE)[k]
                for file, k in zip(table["file"], table["frame"], strict=True)
            ]
        )
    files = pd.read_csv(path / "folders" / "labels.csv")["file"]
    stacks["folders"] = np.stack([load_micrograph(path / "folders" / file).image for file in files])
    return stacks


def test_all_forms_hold_the_same_images(exported: Path) -> None:
    stacks = images(exported)
    assert stacks["hspy"].shape == (4, SIDE, SIDE)
    np.testing.assert_array_equal(stacks["tiff"], stacks["hspy"])
    np.testing.assert_array_equal(stacks["folders"], stacks["hspy"])
    assert stacks["hspy"].mean() == pytest.approx(1, abs=0.1)
    assert len({image.tobytes() for image in stacks["hspy"]}) == 4


def test_pixel_sizes_and_labels_come_along(exported: Path) -> None:
    stack = hspy.file_reader(str(exported / "hspy" / "00000.hspy"))[0]
    assert [axis["name"] for axis in stack["axes"]] == ["image", "y", "x"]
    assert [axis["size"] for axis in stack["axes"]] == [3, SIDE, SIDE]
    assert [axis["scale"] for axis in stack["axes"][1:]] == pytest.approx([0.04, 0.04])
    assert stack["metadata"]["facetem"]["label"] == ["icosahedron", "cube", "icosahedron"]
    stack = tiff.file_reader(str(exported / "tiff" / "00000.tif"))[0]
    assert [axis["scale"] for axis in stack["axes"][1:]] == pytest.approx([0.04, 0.04])
    assert [axis["units"] for axis in stack["axes"][1:]] == ["nm", "nm"]
    assert load_micrograph(exported / "folders" / "cube" / "0000001.tif").sampling == pytest.approx(0.4)
    table = pd.read_csv(exported / "folders" / "labels.csv")
    assert table["label"].tolist() == ["icosahedron", "cube"] * 2
    assert (table["dose"] > 0).all()
    assert sorted(p.name for p in (exported / "folders").iterdir() if p.is_dir()) == ["cube", "icosahedron"]


def test_a_stopped_export_goes_on_to_the_same(
    exported: Path, small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, parts = export._write_part, []

    def stopped(folder: Path, part: int, *rest: object) -> None:
        parts.append(part)
        if parts == [0, 1]:
            raise KeyboardInterrupt
        write(folder, part, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(export, "_write_part", stopped)
    output = tmp_path / "tiff"
    with pytest.raises(KeyboardInterrupt):
        export_store(small_store, output, to="tiff", seed=1, size=SIDE)
    assert not output.exists()
    export_store(small_store, output, to="tiff", seed=1, size=SIDE)
    assert parts == [0, 1, 1]
    names = sorted(path.name for path in output.iterdir())
    assert names == ["00000.tif", "00001.tif", "export.json", "labels.csv"]
    assert [path.name for path in tmp_path.iterdir()] == ["tiff"]
    for name in ("00000.tif", "00001.tif", "labels.csv"):
        assert (output / name).read_bytes() == (exported / "tiff" / name).read_bytes()


@pytest.mark.parametrize("last", ["labels.csv", "rows"])
def test_an_export_that_was_stopped_at_the_end_is_ended(
    last: str, exported: Path, small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its table was written, and after the rows of its parts were removed."""
    removed = shutil.rmtree

    def stopped(place: Path, **options: bool) -> None:
        if place.name == "rows":
            if last == "rows":
                removed(place, **options)
            raise KeyboardInterrupt
        removed(place, **options)

    output = tmp_path / "tiff"
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", stopped)
        with pytest.raises(KeyboardInterrupt):
            export_store(small_store, output, to="tiff", seed=1, size=SIDE)
    assert not output.exists()
    export_store(small_store, output, to="tiff", seed=1, size=SIDE)
    assert [path.name for path in tmp_path.iterdir()] == ["tiff"]
    for name in sorted(path.name for path in (exported / "tiff").iterdir()):
        assert (output / name).read_bytes() == (exported / "tiff" / name).read_bytes()


def test_another_export_that_was_begun_is_begun_anew(
    exported: Path, small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(export, "_finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            export_store(small_store, tmp_path / "tiff", to="tiff", seed=2, size=SIDE)
    export_store(small_store, tmp_path / "tiff", to="tiff", seed=1, size=SIDE)
    first = "00000.tif"
    assert (tmp_path / "tiff" / first).read_bytes() == (exported / "tiff" / first).read_bytes()


def test_bad_exports_are_named_and_leave_nothing(small_store: Path, tmp_path: Path) -> None:
    output = tmp_path / "new"
    with pytest.raises(InputError, match="to: expected one of hspy, tiff, folders, got 'png'"):
        export_store(small_store, output, to="png")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"n: expected 1 to 4 images.* got 5"):
        export_store(small_store, output, to="tiff", n=5)
    with pytest.raises(InputError, match=r"size: expected 16 to 120 px.* got 500"):
        export_store(small_store, output, to="tiff", size=500)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").touch()
    with pytest.raises(InputError, match="expected a new or an empty folder"):
        export_store(small_store, tmp_path / "full", to="tiff")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["precious"]
