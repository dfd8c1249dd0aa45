"""Of what files a data set consists, and how its arrays are kept."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import numpy as np

from facetem.data.draw import image_shape
from facetem.data.publish import RECORDS, TEMPORARY
from facetem.data.recipe import Recipe
from facetem.data.specimens import wave_grid

FORMAT = 6
GROUP = "arrays"  # a zarr group, in which there is nothing else
ARRAYS = ("waves", "targets", "masks", "thickness")
TABLES = ("labels", "particles")
MANIFEST, RECIPE, CROISSANT, LOCK = "manifest.json", "recipe.yaml", "croissant.json", ".lock"
FILES = (MANIFEST, RECIPE, CROISSANT, TEMPORARY, RECORDS, GROUP, *TABLES, LOCK)  # all there is
FOLDERS = (*(f"{GROUP}/{name}" for name in ARRAYS), *TABLES)  # with a file per shard


def array_file(name: str, shard: int) -> str:
    """The file of a shard in the array `name`."""
    dimensions = 4 if name == "waves" else 3
    return f"{GROUP}/{name}/c.{shard}" + ".0" * (dimensions - 1)


def table_file(name: str, shard: int) -> str:
    """The file of a shard in the table `name`."""
    return f"{name}/{shard:05d}.parquet"


def array_options(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Of each array of one shard, what zarr is told: one file for the shard, in it a chunk for every specimen.

    The compact form of waves is two half-precision numbers a pixel. It keeps either part to 2^-11 of itself: waves, of
    modulus near 1, to 2e-4 in the root mean square and 1e-3 at most (docs/datasets.md).

    Bytes are shuffled before they are compressed: the high ones of half-precision numbers near 1 are much alike.
    """
    from zarr.codecs import BloscCodec

    image, wave = image_shape(recipe), wave_grid(recipe)
    pair = "float16" if recipe.stored.waves == "compact" else "float32"
    pixel = recipe.field / image[0]
    shapes = {
        "waves": ((2, *wave.shape), pair, ["specimen", "part", "y", "x"], wave.sampling),
        "targets": (image, "float16", ["specimen", "y", "x"], pixel),
        "masks": (image, "uint8", ["specimen", "y", "x"], pixel),
        "thickness": (image, "float16", ["specimen", "y", "x"], pixel),
    }
    return {
        name: {
            "shape": (recipe.stored.shard, *shape),
            "dtype": dtype,
            "chunks": (1, *shape),
            "shards": (recipe.stored.shard, *shape),
            "compressors": BloscCodec(
                cname="zstd", clevel=5, shuffle="shuffle", typesize=np.dtype(dtype).itemsize
            ),
            "chunk_key_encoding": {"name": "default", "separator": "."},  # no folders within the array's
            "dimension_names": dimensions,
            "attributes": {"sampling": sampling, "units": "angstrom"},
            "config": {"write_empty_chunks": True},  # a shard has all its files, whatever is in them
        }
        for name, (shape, dtype, dimensions, sampling) in shapes.items()
    }


def metadata_files(recipe: Recipe, samples: int) -> dict[str, bytes]:
    """The files that hold no data, by name: they follow from the recipe and the sizes alone."""
    import zarr
    from zarr.storage import MemoryStore

    held: dict[str, Any] = {}
    group = zarr.open_group(MemoryStore(store_dict=held), mode="w", attributes={"recipe": recipe.name})
    for name, options in array_options(recipe).items():
        group.create_array(name, **{**options, "shape": (samples, *options["shape"][1:])})
    return {
        RECIPE: recipe.to_yaml().encode(),
        **{f"{GROUP}/{name}": data.to_bytes() for name, data in held.items()},
    }


def encoded_array(name: str, values: np.ndarray, recipe: Recipe) -> bytes:
    """The file of one shard of the array `name`, `values` being those of its specimens."""
    import zarr
    from zarr.storage import MemoryStore

    held: dict[str, Any] = {}
    array = zarr.create_array(MemoryStore(store_dict=held), **array_options(recipe)[name])
    array[...] = values
    return held[PurePosixPath(array_file(name, 0)).name].to_bytes()
