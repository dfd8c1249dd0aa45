"""What a data set holds, in a few numbers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from facetem.data.manifest import read_manifest
from facetem.data.store import open_store


def summary(path: str | Path) -> dict[str, Any]:
    """Recipe, seed, split, sizes [bytes], versions, checksum, and specimens per shape, fit for JSON.

    Only whole shards count. `checksum` is None until all are.

    Raises
    ------
    InputError
        If there is no data set at `path`, or a record of it cannot be read.
    """
    store = open_store(path)
    manifest = read_manifest(store.path)
    classes: Counter[str] = Counter()
    particles = size = 0
    shards = store.shards()
    for shard in shards:
        classes.update(store.table("labels", shard)["label"])
        particles += len(store.table("particles", shard))
        size += sum(file["size"] for file in store.record(shard)["files"].values())
    n = len(shards) * store.shard_size
    return {
        "recipe": store.recipe.name,
        "seed": store.recipe.seed,
        "split": store.split,
        "specimens": n,
        "specimens_wanted": store.samples,
        "particles": particles,
        "shards": len(shards),
        "shard_size": store.shard_size,
        "bytes": size,
        "bytes_per_specimen": round(size / n) if n else None,
        "waves": manifest["waves"],
        "format": manifest["format"],
        "facetem": store.version,
        "checksum": manifest.get("checksum"),
        "classes": dict(sorted(classes.items())),
    }
