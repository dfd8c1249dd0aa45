"""Stores: their layout, what may be made where, and how others read them."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.dataset
import pytest
import zarr

from facetem.core.errors import InputError
from facetem.data import manifest, store
from facetem.data.make import make_store
from facetem.data.manifest import read_manifest
from facetem.data.recipe import Recipe, Stored
from facetem.data.store import ARRAYS, create_store, open_store


def rewritten(path: Path, **changes: Any) -> None:
    """Change keys of a manifest."""
    told = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**told, **changes}))


def test_an_opened_store_knows_what_it_is(small_store: Path, small_recipe: Recipe) -> None:
    opened = open_store(small_store)
    assert opened.recipe == small_recipe
    assert (opened.split, opened.shard_size, opened.samples) == ("train", 2, 4)  # whole shards
    assert opened.shards() == [0, 1]
    assert opened.indices(1) == range(2, 4)


def test_other_programs_read_it_in_one_line(small_store: Path) -> None:
    group = zarr.open_group(small_store / "arrays", mode="r")
    assert {name for name, _ in group.arrays()} == set(ARRAYS)
    opened = open_store(small_store)
    assert np.array_equal(group["masks"][2], opened.array("masks")[2])  # type: ignore[index]
    assert group["targets"].attrs["sampling"] == pytest.approx(0.4)
    assert pd.read_parquet(small_store / "labels").equals(opened.labels())
    assert pyarrow.dataset.dataset(small_store / "particles").to_table().num_rows == len(opened.particles())


def test_the_manifest_says_what_was_made_and_sums_it_up(small_store: Path, small_recipe: Recipe) -> None:
    told = read_manifest(small_store)
    assert (told["recipe"], told["seed"], told["split"]) == ("small", small_recipe.seed, "train")
    assert told["complete"] is True
    assert len(told["shards"]) == 2
    assert len(told["checksum"]) == 64


def test_croissant_names_columns_and_checksums(small_store: Path) -> None:
    from hashlib import sha256

    told = json.loads((small_store / "croissant.json").read_text())
    assert told["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    files = {item["@id"]: item for item in told["distribution"]}
    for name in ("manifest.json", "recipe.yaml"):
        assert files[name]["sha256"] == sha256((small_store / name).read_bytes()).hexdigest()
    labels = next(records for records in told["recordSet"] if records["@id"] == "labels")
    types = {column["name"]: column["dataType"] for column in labels["field"]}
    assert types["index"] == "sc:Integer"
    assert types["label"] == "sc:Text"
    assert types["energy"] == "sc:Float"
    assert set(types) == set(open_store(small_store).labels().columns)
    for records in told["recordSet"]:
        for column in records["field"]:
            assert column["source"]["fileSet"]["@id"] in files


def test_single_precision_waves_fit_the_same_layout(
    small_recipe: Recipe, small_store: Path, tmp_path: Path
) -> None:
    recipe = small_recipe.model_copy(update={"stored": Stored(waves="complex64", shard=1)})
    waves = make_store(recipe, tmp_path / "store", n=1).array("waves")
    assert waves.dtype == np.float32
    compact = open_store(small_store).array("waves")[:1]
    np.testing.assert_allclose(waves[:], compact, rtol=2**-11, atol=1e-7)
    assert not np.array_equal(waves[:], compact)


def test_extending_keeps_shards_and_loses_the_checksum_until_it_is_made(
    small_store: Path, small_recipe: Recipe, tmp_path: Path
) -> None:
    path = tmp_path / "grown"
    shutil.copytree(small_store, path)
    extended = create_store(small_recipe, path, split="train", n=5)
    assert extended.samples == 6
    assert extended.shards() == [0, 1]
    assert extended.array("waves").shape[0] == 6
    assert "checksum" not in read_manifest(path)
    assert not (path / "croissant.json").exists()
    assert create_store(small_recipe, path, split="train", n=2).samples == 6  # no smaller again


def test_another_data_set_is_refused(small_store: Path, small_recipe: Recipe) -> None:
    before = (small_store / "manifest.json").read_bytes()
    others: list[tuple[Recipe, Any, str]] = [
        (small_recipe.model_copy(update={"seed": 4}), "train", "wanted: small, seed 4, train"),
        (small_recipe, "test", "wanted: small, seed 3, test"),
        (
            small_recipe.model_copy(update={"stored": Stored(shard=4)}),
            "train",
            "wanted: small, seed 3, train",
        ),
    ]
    for other, split, told in others:
        with pytest.raises(InputError, match=f"holds another recipe or split; choose another.*{told}"):
            create_store(other, small_store, split=split, n=4)
    assert (small_store / "manifest.json").read_bytes() == before


def test_another_version_reads_but_adds_nothing(
    small_store: Path, small_recipe: Recipe, tmp_path: Path
) -> None:
    path = tmp_path / "store"
    shutil.copytree(small_store, path)
    rewritten(path, facetem="0.0.1")
    assert len(open_store(path).labels()) == 4
    with pytest.raises(InputError, match=r"made by facetem 0\.0\.1, and this is .*; add to it with that"):
        make_store(small_recipe, path, n=6)
    rewritten(path, format=99)
    for attempt in (lambda: open_store(path), lambda: make_store(small_recipe, path, n=6)):
        with pytest.raises(InputError, match=f"expected store format {store.FORMAT}, got 99"):
            attempt()


def test_bad_stores_are_named(small_recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"expected a data set made by facetem, .* no readable manifest\.json"
    ):
        open_store(tmp_path / "absent")
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="no readable manifest"):
        open_store(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"format": store.FORMAT, "split": 3}))
    with pytest.raises(InputError, match="manifest"):
        open_store(tmp_path)
    split: Any = "training"
    with pytest.raises(InputError, match="split: expected one of train, validation, test, got 'training'"):
        create_store(small_recipe, tmp_path / "new", split=split, n=2)
    with pytest.raises(InputError, match="n: expected at least 1 specimen, got 0"):
        create_store(small_recipe, tmp_path / "new", split="train", n=0)
    assert not (tmp_path / "new").exists()
    empty = create_store(small_recipe, tmp_path / "new", split="train", n=2)
    with pytest.raises(InputError, match="at least one whole shard"):
        empty.labels()


def test_nothing_is_made_among_other_files(small_recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match=r"expected a new or an empty folder.*found thesis\.tex"):
        create_store(small_recipe, tmp_path, split="train", n=2)
    with pytest.raises(InputError, match="expected a folder"):
        create_store(small_recipe, tmp_path / "thesis.tex", split="train", n=2)
    with pytest.raises(InputError, match="expected a folder that can be written"):
        create_store(small_recipe, tmp_path / "thesis.tex" / "store", split="train", n=2)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_only_what_facetem_left_is_taken_for_nothing(
    small_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A maker may be killed after each of the files that it writes first; others' files of these names stay."""
    whole, written = store.write_whole, []

    def killed(root: Path, name: str, content: bytes) -> None:
        whole(root, name, content)
        written.append(name)
        raise KeyboardInterrupt

    for module in (store, manifest):
        monkeypatch.setattr(module, "write_whole", killed)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            create_store(small_recipe, tmp_path / "new", split="train", n=2)
    assert written[:2] == ["recipe.yaml", "manifest.json"]
    monkeypatch.undo()
    (tmp_path / "new" / "tmp" / (8 * "beef")).write_text("half of a file")
    assert create_store(small_recipe, tmp_path / "new", split="train", n=2).shards() == []
    (tmp_path / "begun" / "tmp").mkdir(parents=True)
    (tmp_path / "begun" / "tmp" / (8 * "beef")).write_text("half of a recipe")
    create_store(small_recipe, tmp_path / "begun", split="train", n=2)
    for name in ("recipe.yaml", "tmp/thesis.tex", "labels/cat.txt", "arrays/a.npy"):
        place = tmp_path / name.split(".")[0].replace("/", "-") / name
        place.parent.mkdir(parents=True)
        place.write_text("precious")
        folder = tmp_path / name.split(".")[0].replace("/", "-")
        with pytest.raises(InputError, match=f"found {name.split('/')[0]} and no manifest"):
            create_store(small_recipe, folder, split="train", n=2)
        assert [file for file in folder.rglob("*") if file.is_file()] == [place]
        assert place.read_text() == "precious"
