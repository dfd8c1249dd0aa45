"""A data set on disk: reading it, and making it empty or larger.

    recipe.yaml, manifest.json, croissant.json
    arrays/                     a zarr (v3) group of waves, targets, masks, thickness, each with one file per shard
    labels/NNNNN.parquet        one row per specimen
    particles/NNNNN.parquet     one row per particle
    shards/NNNNN.json           the record of a shard: it is there when the shard is whole
    tmp/, .lock                 of whoever is making shards

Specimen i is row i of every array and lies in shard i // shard_size. Only whole shards count.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facetem.core.errors import InputError
from facetem.data.layout import (
    ARRAYS,
    CROISSANT,
    FOLDERS,
    FORMAT,
    GROUP,
    LOCK,
    MANIFEST,
    RECIPE,
    metadata_files,
    table_file,
)
from facetem.data.manifest import read_manifest, sealed, unsealed, write_manifest
from facetem.data.publish import (
    RECORDS,
    TEMPORARY,
    is_temporary,
    read_record,
    shard_sum,
    whole_shards,
    write_whole,
)
from facetem.data.recipe import SPLITS, Recipe, Split
from facetem.data.recipe_file import load_recipe

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ARRAYS", "Store", "check_place", "create_store", "open_store", "seal", "unseal"]


@dataclass(frozen=True)
class Store:
    """A data set on disk.

    Parameters
    ----------
    samples
        Specimens that were asked for, in whole shards; those that are there are in `shards`.
    version
        Of the facetem that makes it. Others read it, but add nothing to it.
    """

    path: Path
    recipe: Recipe
    split: Split
    samples: int
    version: str

    @property
    def shard_size(self) -> int:
        """Specimens a shard."""
        return self.recipe.stored.shard

    def array(self, name: str) -> Any:
        """A zarr array, indexed by specimen.

        `waves` (n, 2, y, x) real and imaginary part, float16, or float32 where the recipe stores complex64;
        `targets` (n, y', x') float16, vacuum 1; `masks` (n, y', x') uint8, 0 substrate, i particle i; `thickness`
        (n, y', x') float16 [Å].
        """
        import zarr

        return zarr.open_array(self.path / GROUP / name, mode="r")

    def shards(self) -> list[int]:
        """Numbers of the shards that are whole, in order."""
        return whole_shards(self.path)

    def indices(self, shard: int) -> range:
        """The specimens of a shard."""
        return range(shard * self.shard_size, (shard + 1) * self.shard_size)

    def record(self, shard: int) -> dict[str, Any]:
        """What is written down of a whole shard: `files`, each with `sha256` and `size` [bytes], and how it was made.

        Raises
        ------
        InputError
            If the record cannot be read.
        """
        return read_record(self.path, shard)

    def table(self, name: str, shard: int) -> pd.DataFrame:
        """The rows of a shard in the table `labels` or `particles`."""
        import pandas as pd

        return pd.read_parquet(self.path / table_file(name, shard))

    def labels(self) -> pd.DataFrame:
        """One row per specimen: index, shape, focus [Å], energy [eV] and what else was drawn for it.

        Raises
        ------
        InputError
            If no shard is whole yet.
        """
        return self._all("labels")

    def particles(self) -> pd.DataFrame:
        """One row per particle: index of the specimen, particle (its value in `masks`), shape, diameter [Å], ...

        Raises
        ------
        InputError
            If no shard is whole yet.
        """
        return self._all("particles")

    def _all(self, name: str) -> pd.DataFrame:
        import pandas as pd

        tables = [self.table(name, shard) for shard in self.shards()]
        if not tables:
            raise InputError(f"{self.path}: expected a store with at least one whole shard, found none")
        return pd.concat(tables, ignore_index=True)


def open_store(path: str | Path) -> Store:
    """The data set at `path`.

    Raises
    ------
    InputError
        If there is none, or another version of the format wrote it.
    """
    path = Path(path)
    manifest = read_manifest(path)
    recipe = load_recipe(path / RECIPE)
    return Store(path, recipe, manifest["split"], manifest["samples"], manifest["facetem"])


def create_store(recipe: Recipe, path: str | Path, *, split: Split, n: int) -> Store:
    """Create an empty data set for `n` specimens, or open and extend the one that is there.

    Parameters
    ----------
    n
        Specimens, rounded up to whole shards. A data set of more keeps them all.

    Raises
    ------
    InputError
        If a number is out of range, the folder holds another data set, one of another version or something else, or it
        cannot be written.
    """
    path = Path(path)
    check_place(recipe, path, split=split, n=n)
    older = read_manifest(path) if (path / MANIFEST).exists() else None
    try:
        (path / TEMPORARY).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: expected a folder that can be written: {error.strerror}") from None
    size = recipe.stored.shard
    samples = max(-(-n // size) * size, older["samples"] if older else 0)
    files = metadata_files(recipe, samples)
    manifest = {
        "format": FORMAT,
        "facetem": version("facetem"),
        "recipe": recipe.name,
        "seed": recipe.seed,
        "split": split,
        "shard": size,
        "samples": samples,
        "waves": recipe.stored.waves,
        "files": {name: sha256(content).hexdigest() for name, content in files.items()},
    }
    # Recipe and manifest come first: whatever else is in the folder without them is somebody else's.
    _write_changed(path, {RECIPE: files[RECIPE]})
    if older is None or any(older.get(key) != value for key, value in manifest.items()):
        write_manifest(path, unsealed(manifest))
    for folder in (*FOLDERS, RECORDS):
        (path / folder).mkdir(parents=True, exist_ok=True)
    _write_changed(path, files)
    return Store(path, recipe, split, samples, version("facetem"))


def check_place(recipe: Recipe, path: Path, *, split: Split, n: int) -> None:
    """Raise InputError where `create_store` would, for what is in the folder; nothing is written."""
    if split not in SPLITS:
        raise InputError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}")
    if n < 1:
        raise InputError(f"n: expected at least 1 specimen, got {n}")
    if not (path / MANIFEST).exists():
        _check_empty(recipe, path)
        return
    older = read_manifest(path)
    if older["facetem"] != version("facetem"):
        raise InputError(
            f"{path}: made by facetem {older['facetem']}, and this is {version('facetem')}; add to it with that "
            "version, or choose another folder"
        )
    digest = sha256(recipe.to_yaml().encode()).hexdigest()
    if (older["files"].get(RECIPE), older["split"]) != (digest, split):
        raise InputError(
            f"{path}: holds another recipe or split; choose another folder (there: {older['recipe']}, seed "
            f"{older['seed']}, {older['split']}; wanted: {recipe.name}, seed {recipe.seed}, {split})"
        )


def _check_empty(recipe: Recipe, path: Path) -> None:
    """Raise InputError if there is more in the folder than a maker killed before it wrote the manifest may leave."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: expected a folder that can be written, got a file")
    others = sorted(place for place in path.glob("*") if not _left_over(recipe, place))
    if others:
        raise InputError(
            f"{path}: expected a new or an empty folder, or a data set made by facetem; found {others[0].name} and no "
            f"{MANIFEST}; choose another folder"
        )


def _left_over(recipe: Recipe, place: Path) -> bool:
    if place.name == RECIPE:
        return place.is_file() and place.read_bytes() == recipe.to_yaml().encode()
    if place.name == TEMPORARY:
        return all(is_temporary(entry.name) for entry in place.glob("*"))
    return place.name == LOCK


def _write_changed(path: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        there = path / name
        if not there.is_file() or there.read_bytes() != content:
            write_whole(path, name, content)


def seal(store: Store) -> bool:
    """Write checksums and Croissant metadata if every shard is whole; tells whether that is so."""
    from facetem.data.croissant import croissant

    manifest = read_manifest(store.path)
    shards = store.shards()
    if len(shards) * store.shard_size < store.samples:
        return False
    if not manifest["complete"] or not (store.path / CROISSANT).exists():
        sums = [shard_sum(store.record(shard)) for shard in shards]
        content = write_manifest(store.path, sealed(manifest, sums))
        described = croissant(store, content)
        write_whole(store.path, CROISSANT, json.dumps(described, indent=1).encode())
    return True


def unseal(store: Store) -> None:
    """Take the checksums of the whole away: shards are about to be made."""
    manifest = read_manifest(store.path)
    if manifest["complete"]:
        write_manifest(store.path, unsealed(manifest))
