"""Recipe + seed -> a store of exit waves, targets, masks and labels.

A store is a folder: `recipe.yaml`, `manifest.json`, four zarr (v3) arrays and one Parquet file of labels per
shard, in `labels/`. A shard's labels are written last and in one step, so a shard either is there whole or is
made again; a run that was stopped goes on where it was, and a store can be extended.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facetem.core.errors import InputError
from facetem.data.draw import draw_specimen, image_shape
from facetem.data.recipe import SPLITS, Recipe, Split
from facetem.data.recipe_file import load_recipe
from facetem.data.specimens import truth_of, wave_grid

if TYPE_CHECKING:
    import pandas as pd

SHARD = 64  # specimens a shard; a multiple of the eight shapes keeps every shard balanced
BATCH = 2  # specimens simulated at once on a CPU
FORMAT = 2
ARRAYS = ("waves", "targets", "masks", "thickness")


@dataclass(frozen=True)
class Store:
    """A store on disk. Arrays are indexed by specimen; only those in `indices` are there."""

    path: Path
    recipe: Recipe
    split: Split

    def array(self, name: str) -> Any:
        """The zarr array `waves` (n, 2, y, x) float16 (real, imaginary), `targets`, `masks` or `thickness`."""
        import zarr

        return zarr.open_array(self.path / name, mode="r")

    def shards(self) -> list[int]:
        """Numbers of the shards that are whole."""
        return sorted(int(p.stem) for p in (self.path / "labels").glob("*.parquet"))

    def labels(self) -> pd.DataFrame:
        """One row per specimen, in the order of `indices`: index, shape, diameter, energy, focus, ..."""
        import pandas as pd

        tables = [pd.read_parquet(self.path / "labels" / f"{i:05d}.parquet") for i in self.shards()]
        if not tables:
            raise InputError(f"{self.path}: expected a store with at least one whole shard, found none")
        return pd.concat(tables, ignore_index=True)


def open_store(path: str | Path) -> Store:
    """The store at `path`.

    Raises
    ------
    InputError
        If there is none, or another version of the format wrote it.
    """
    path = Path(path)
    try:
        manifest = json.loads((path / "manifest.json").read_text())
    except (OSError, ValueError):
        raise InputError(
            f"{path}: expected a data set made by facetem, found no readable manifest.json"
        ) from None
    if manifest.get("format") != FORMAT:
        raise InputError(
            f"{path}: expected store format {FORMAT}, got {manifest.get('format')!r}; make it again"
        )
    return Store(path, load_recipe(path / "recipe.yaml"), manifest["split"])


def create_store(recipe: Recipe, path: str | Path, *, split: Split, n: int) -> Store:
    """Create an empty store for `n` specimens, or open and extend the one that is there.

    Raises
    ------
    InputError
        If another recipe or split is in the folder, or it cannot be written.
    """
    import zarr

    path = Path(path)
    if split not in SPLITS:
        raise InputError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}")
    if n < 1:
        raise InputError(f"n: expected at least 1 specimen, got {n}")
    rounded = -(-n // SHARD) * SHARD
    if (path / "manifest.json").exists():
        store = open_store(path)
        if store.recipe != recipe or store.split != split:
            raise InputError(f"{path}: holds another recipe or split; choose another folder")
        for name in ARRAYS:
            array = zarr.open_array(path / name, mode="r+")
            if array.shape[0] < rounded:
                array.resize((rounded, *array.shape[1:]))
        return store
    try:
        (path / "labels").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: expected a folder that can be written: {error.strerror}") from None
    image = image_shape(recipe)
    shapes = {
        "waves": ((2, *wave_grid(recipe).shape), "f2"),
        "targets": (image, "f2"),
        "masks": (image, "bool"),
        "thickness": (image, "f2"),
    }
    for name, (shape, dtype) in shapes.items():
        zarr.create_array(
            path / name,
            shape=(rounded, *shape),
            dtype=dtype,
            chunks=(1, *shape),
            shards=(SHARD, *shape),
            compressors="auto" if name == "masks" else None,  # half-precision noise does not compress
            overwrite=True,
        )
    (path / "recipe.yaml").write_text(recipe.to_yaml())
    (path / "manifest.json").write_text(json.dumps({"format": FORMAT, "split": split}))
    return Store(path, recipe, split)


def make_shard(path: str | Path, shard: int, device: str = "cpu", threads: int | None = 1) -> int:
    """Simulate the specimens of one shard and write them; returns the shard's number."""
    import pandas as pd
    import torch
    import zarr

    if threads:
        torch.set_num_threads(threads)
    store = open_store(path)
    first = shard * SHARD
    waves, targets, masks, thickness, rows = [], [], [], [], []
    for start in range(first, first + SHARD, BATCH):
        specimens = [draw_specimen(store.recipe, store.split, i) for i in range(start, start + BATCH)]
        truth = truth_of(specimens, store.recipe, device)
        waves.append(torch.view_as_real(truth.waves).movedim(-1, 1).half().cpu().numpy())
        targets.append(truth.targets.half().cpu().numpy())
        masks.append(truth.masks.cpu().numpy() > 0)
        thickness.append(truth.thickness.half().cpu().numpy())
        for i, (specimen, focus) in enumerate(zip(specimens, truth.focus, strict=True)):
            rows.append({"index": start + i, "label": specimen.label, "focus": focus, **specimen.parameters})
    for name, parts in zip(ARRAYS, (waves, targets, masks, thickness), strict=True):
        zarr.open_array(store.path / name, mode="r+")[first : first + SHARD] = np.concatenate(parts)
    final = store.path / "labels" / f"{shard:05d}.parquet"
    temporary = final.with_suffix(f".{os.getpid()}.tmp")
    pd.DataFrame(rows).to_parquet(temporary)
    os.replace(temporary, final)
    return shard


def make_store(
    recipe: Recipe,
    path: str | Path,
    *,
    n: int,
    split: Split = "train",
    workers: int = 1,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Store:
    """Make a store of at least `n` specimens (whole shards), or finish the one at `path`.

    `progress` is called with (specimens done, specimens wanted).
    """
    store = create_store(recipe, path, split=split, n=n)
    shards = range(-(-n // SHARD))
    there = set(store.shards())
    missing = [i for i in shards if i not in there]
    done = (len(shards) - len(missing)) * SHARD
    for _ in _made(store.path, missing, workers, device):
        done += SHARD
        if progress:
            progress(done, len(shards) * SHARD)
    return store


def _made(path: Path, shards: list[int], workers: int, device: str) -> Iterator[int]:
    if workers <= 1:
        for shard in shards:
            yield make_shard(path, shard, device, threads=None)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for job in as_completed([pool.submit(make_shard, path, shard, device) for shard in shards]):
            yield job.result()
