"""How files come into a store: whole or not at all, whoever is killed and whenever the disk is full.

Everything is written and synced under a name of its own in `tmp/` and moved into place. Of a shard the data come
first and its record, `shards/NNNNN.json` with size and SHA-256 of every file, comes last: a shard is there when its
record is.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from string import hexdigits
from typing import Any
from uuid import uuid4

from facetem.core.errors import InputError

TEMPORARY = "tmp"
RECORDS = "shards"


def record_file(root: Path, shard: int) -> Path:
    """The record of a shard, whose presence makes the shard whole."""
    return root / RECORDS / f"{shard:05d}.json"


def whole_shards(root: Path) -> list[int]:
    """Numbers of the shards of the store at `root` that are whole, in order."""
    folder = root / RECORDS
    if not folder.is_dir():
        return []
    return sorted(int(entry.name[:-5]) for entry in os.scandir(folder) if entry.name.endswith(".json"))


def read_record(root: Path, shard: int) -> dict[str, Any]:
    """The record of a whole shard: `files`, each with `sha256` and `size` [bytes], and how it was made.

    Raises
    ------
    InputError
        If it cannot be read or is not as it was written.
    """
    path = record_file(root, shard)
    try:
        record = json.loads(path.read_bytes())
        if record.pop("sum") == _sum(record):
            return record
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # said below
    raise InputError(f"{path}: expected the record of a shard, got none or a damaged one")


def shard_sum(record: Mapping[str, Any]) -> str:
    """The checksum of a shard: SHA-256 over the names, sizes and sums of its files."""
    return _sum(record["files"])


def _sum(told: Mapping[str, Any]) -> str:
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def write_whole(root: Path, name: str, content: bytes) -> None:
    """Write the file `name` of the store at `root`; it is replaced in one step."""
    place = root / TEMPORARY / uuid4().hex
    place.parent.mkdir(parents=True, exist_ok=True)
    target = root / name
    try:
        _write_synced(place, content)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(place, target)
    finally:
        place.unlink(missing_ok=True)
    _sync_folder(target.parent)


def is_temporary(name: str) -> bool:
    """Whether a file of this name in `tmp/` is one of `write_whole`."""
    return len(name) == 32 and set(name) <= set(hexdigits)


def publish_shard(
    root: Path, shard: int, files: Mapping[str, bytes], about: Mapping[str, str | int | float]
) -> None:
    """Write the files of a shard (name in the store: content) and then its record, which holds `about` too.

    Raises
    ------
    OSError
        If they cannot be written, for example on a full disk; nothing of the shard is left then.
    """
    kept = {name: {"sha256": sha256(data).hexdigest(), "size": len(data)} for name, data in files.items()}
    told = {"shard": shard, **about, "files": kept}
    record = json.dumps({**told, "sum": _sum(told)}, indent=1).encode()
    place = root / TEMPORARY / f"{shard:05d}-{uuid4().hex}"
    moved: list[str] = []
    try:
        place.mkdir(parents=True)
        for k, data in enumerate((*files.values(), record)):
            _write_synced(place / str(k), data)
        for k, name in enumerate(files):
            os.replace(place / str(k), root / name)
            moved.append(name)
        for folder in {(root / name).parent for name in files}:
            _sync_folder(folder)
        os.replace(place / str(len(files)), record_file(root, shard))
        _sync_folder(root / RECORDS)
        # A maker that started meanwhile may have swept what had no record yet.
        gone = [name for name in files if not (root / name).exists()]
        if gone:
            raise FileNotFoundError(f"{gone[0]} was removed while its shard was written")
    except BaseException:
        if moved:
            withdraw_shard(root, shard, moved)
        raise
    finally:
        shutil.rmtree(place, ignore_errors=True)


def withdraw_shard(root: Path, shard: int, files: Iterable[str]) -> None:
    """Take a shard's record away, and then its `files`."""
    record_file(root, shard).unlink(missing_ok=True)
    for name in files:
        with suppress(FileNotFoundError):
            (root / name).unlink()
    record_file(root, shard).unlink(
        missing_ok=True
    )  # of another maker of the same shard, who has lost its files


def clear_temporary(root: Path) -> None:
    """Remove what dead makers left in `tmp/`. Whoever is still writing there fails, and leaves nothing."""
    for entry in (root / TEMPORARY).glob("*"):
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def sweep(root: Path, folders: Iterable[str]) -> None:
    """Remove what dead makers left: temporary files, and in `folders` the files of shards that have no record."""
    clear_temporary(root)
    whole = set(whole_shards(root))
    for folder in folders:
        for entry in os.scandir(root / folder):
            shard = _shard_of(entry.name)
            if shard is not None and shard not in whole:
                withdraw_shard(root, shard, [f"{folder}/{entry.name}"])


def _shard_of(name: str) -> int | None:
    """The shard of a file by its name: `c.3.0.0` of a zarr array, `00003.parquet` of a table."""
    number = name.split(".")[1] if name.startswith("c.") else name.split(".")[0]
    return int(number) if number.isdigit() else None


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make moves into a folder outlast a power cut, where folders can be synced."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
