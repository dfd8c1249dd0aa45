"""Recipe + seed -> one shard of a data set: specimens drawn, simulated, and written.

Specimen i depends on the recipe, its seed, the split and i alone. On a CPU every specimen is simulated on its own by
one thread, so that its bytes do not depend on the size of shards, on who makes it or on what else runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from facetem.core.errors import InputError
from facetem.data.draw import Row, Specimen, draw_specimen
from facetem.data.layout import ARRAYS, array_file, array_options, encoded_array, table_file
from facetem.data.publish import publish_shard
from facetem.data.specimens import Truth, truth_of
from facetem.data.store import Store, open_store

ON_GPU = 16  # specimens simulated at once on a GPU; together they agree with one alone to float32 rounding


def make_shard(path: str | Path, shard: int, device: str = "cpu") -> int:
    """Simulate the specimens of one shard and write them; returns the shard's number.

    `path` is that of a data set made by `create_store`, `device` auto, cpu or cuda.

    Raises
    ------
    InputError
        If there is no data set, another version of facetem makes it, or there is no such device.
    OSError
        If the shard cannot be written; nothing of it is left then.
    """
    from facetem.hrtem.simulate import resolve_device

    store = open_store(path)
    if store.version != version("facetem"):
        raise InputError(f"{path}: made by facetem {store.version}, and this is {version('facetem')}")
    device = resolve_device(device)
    files = shard_files(store, shard, device)
    publish_shard(store.path, shard, files, {"facetem": store.version, "device": device})
    return shard


def shard_files(store: Store, shard: int, device: str) -> dict[str, bytes]:
    """The files of a shard, by their names in the store: arrays first, then tables."""
    options = array_options(store.recipe)
    arrays = {name: np.empty(options[name]["shape"], options[name]["dtype"]) for name in ARRAYS}
    labels: list[Row] = []
    particles: list[Row] = []
    indices = store.indices(shard)
    with _one_thread():
        for at, specimens, truth in _simulated(store, indices, device):
            where = slice(at, at + len(specimens))
            for name, values in _values(truth).items():
                arrays[name][where] = values
            for i, specimen, focus in zip(indices[where], specimens, truth.focus, strict=True):
                labels.append({"index": i, "label": specimen.label, "focus": focus, **specimen.parameters})
                particles += [
                    {"index": i, "particle": k, **row} for k, row in enumerate(specimen.particles, start=1)
                ]
        files = {array_file(name, shard): encoded_array(name, arrays[name], store.recipe) for name in ARRAYS}
    files[table_file("particles", shard)] = encoded_table(particles, {"index": 0, "particle": 0})
    files[table_file("labels", shard)] = encoded_table(labels, {"index": 0})
    return files


def _simulated(store: Store, indices: range, device: str) -> Iterator[tuple[int, list[Specimen], Truth]]:
    """Specimens and truth in batches, each with its place in `indices`."""
    size = 1 if device == "cpu" else ON_GPU
    for at in range(0, len(indices), size):
        specimens = [draw_specimen(store.recipe, store.split, i) for i in indices[at : at + size]]
        yield at, specimens, truth_of(specimens, store.recipe, device)


def _values(truth: Truth) -> dict[str, np.ndarray]:
    """The arrays of some specimens; numpy rounds them to the store's precision."""
    import torch

    tensors = {
        "waves": torch.view_as_real(truth.waves).movedim(-1, 1),
        "targets": truth.targets,
        "masks": truth.masks,
        "thickness": truth.thickness,
    }
    return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}


@contextmanager
def _one_thread() -> Iterator[None]:
    """PyTorch on one thread, for as long as the context lasts: sums then have one order, whatever the machine's."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def encoded_table(rows: Sequence[Row], columns: Row) -> bytes:
    """Rows as a Parquet file. `columns` are there even without rows, with the types of their values.

    A column has the type of its values in Python, integers beside floats count as floats, and a row that lacks it has
    a missing value there: no type depends on which rows come together.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds: dict[str, Any] = {}
    for row in (columns, *rows):
        for name, value in row.items():
            kind = _column_type(value)
            kinds[name] = kind if kinds.get(name) in (None, kind) else pa.float64()
    table = pa.Table.from_pylist(list(rows), schema=pa.schema(list(kinds.items())))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def _column_type(value: str | int | float) -> Any:
    import pyarrow as pa

    if isinstance(value, bool):
        return pa.bool_()
    if isinstance(value, str):
        return pa.string()
    return pa.int64() if isinstance(value, int | np.integer) else pa.float64()
