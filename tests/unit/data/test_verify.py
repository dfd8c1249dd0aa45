"""Verification: what was changed is found and named, and made again to the same bytes."""

import shutil
from pathlib import Path

import pytest

from facetem.core.errors import InputError
from facetem.data.make import make_store, withdraw_bad_shards
from facetem.data.manifest import read_manifest
from facetem.data.recipe import Recipe
from facetem.data.store import create_store
from facetem.data.verify import verify


@pytest.fixture
def copy(small_store: Path, tmp_path: Path) -> Path:
    """A copy of the data set, to be damaged."""
    path = tmp_path / "store"
    shutil.copytree(small_store, path)
    return path


def flip(path: Path, at: int = 40) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_whole_data_set_has_no_faults(small_store: Path) -> None:
    steps: list[tuple[int, int]] = []
    verdict = verify(small_store, progress=lambda *step: steps.append(step))
    assert (verdict.faults, verdict.shards, verdict.whole, verdict.wanted) == ({}, (), 2, 2)
    assert steps == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    "name",
    [
        "arrays/waves/c.1.0.0.0",
        "arrays/targets/c.1.0.0",
        "labels/00001.parquet",
        "particles/00001.parquet",
        "shards/00001.json",
    ],
)
def test_a_flipped_bit_is_found_and_made_again(copy: Path, small_recipe: Recipe, name: str) -> None:
    whole = (copy / name).read_bytes()
    checksum = read_manifest(copy)["checksum"]
    flip(copy / name)
    verdict = verify(copy)
    assert name in verdict.faults
    assert verdict.shards == (1,)
    assert withdraw_bad_shards(copy) == [1]
    make_store(small_recipe, copy, n=4)
    assert (copy / name).read_bytes() == whole
    assert read_manifest(copy)["checksum"] == checksum
    assert verify(copy).faults == {}


@pytest.mark.parametrize("name", ["arrays/waves/c.0.0.0.0", "shards/00000.json"])
def test_a_lost_file_is_found_and_made_again(copy: Path, small_recipe: Recipe, name: str) -> None:
    (copy / name).unlink()
    assert verify(copy).faults == {name: "missing"}
    assert withdraw_bad_shards(copy) == [0]
    make_store(small_recipe, copy, n=4)
    assert verify(copy).faults == {}


@pytest.mark.parametrize("name", ["recipe.yaml", "arrays/zarr.json", "arrays/waves/zarr.json"])
def test_metadata_are_restored_from_the_recipe(copy: Path, small_recipe: Recipe, name: str) -> None:
    flip(copy / name)
    verdict = verify(copy)
    assert verdict.faults == {name: "checksum differs"}
    assert verdict.shards == ()
    make_store(small_recipe, copy, n=4)
    assert verify(copy).faults == {}


def test_shards_not_made_yet_are_no_fault(copy: Path, small_recipe: Recipe) -> None:
    create_store(small_recipe, copy, split="train", n=6)
    verdict = verify(copy)
    assert (verdict.faults, verdict.whole, verdict.wanted) == ({}, 2, 3)


def test_what_is_no_data_set_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a data set made by facetem"):
        verify(tmp_path)
