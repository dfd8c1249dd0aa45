"""Whether a data set on disk is what was made: every file against its checksum."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from facetem.core.errors import InputError
from facetem.data.layout import ARRAYS, TABLES, array_file, table_file
from facetem.data.manifest import read_manifest
from facetem.data.publish import read_record, record_file, shard_sum, whole_shards


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Parameters
    ----------
    faults
        Files that are not what was made, each with what is wrong.
    shards
        Numbers of the shards with faults.
    whole, wanted
        Shards that are there, faulty or not, and those the data set is to have.
    """

    faults: Mapping[str, str]
    shards: tuple[int, ...]
    whole: int
    wanted: int


def verify(path: str | Path, progress: Callable[[int, int], None] | None = None) -> Verification:
    """Recompute the checksums of all files of the data set at `path`; (shards done, shards) go to `progress`.

    Shards that were never made are no fault; one that a complete data set has lost is.

    Raises
    ------
    InputError
        If there is no data set at `path`.
    """
    path = Path(path)
    manifest = read_manifest(path)
    faults = {
        name: fault
        for name, digest in manifest["files"].items()
        if (fault := _fault(path / name, digest, None))
    }
    sums: list[str] = manifest.get("shards", [])
    there = whole_shards(path)
    wanted = manifest["samples"] // manifest["shard"]
    bad: list[int] = []
    lost = sorted(set(range(len(sums))) - set(there))
    for shard in lost:
        faults[record_file(Path(), shard).as_posix()] = "missing"
    for done, shard in enumerate(there, start=1):
        found = dict(_shard_faults(path, shard, sums[shard] if shard < len(sums) else None))
        if found:
            faults.update(found)
            bad.append(shard)
        if progress:
            progress(done, len(there))
    return Verification(faults, tuple(sorted([*bad, *lost])), len(there), wanted)


def shard_files_of(shard: int) -> list[str]:
    """The files that a shard has, by their names in the data set."""
    return [array_file(name, shard) for name in ARRAYS] + [table_file(name, shard) for name in TABLES]


def _shard_faults(path: Path, shard: int, total: str | None) -> Iterator[tuple[str, str]]:
    """Files of a shard that are not what was made. `total`: the sum of the shard, if the manifest has it."""
    named = record_file(Path(), shard).as_posix()
    try:
        record = read_record(path, shard)
        files = {name: (str(kept["sha256"]), int(kept["size"])) for name, kept in record["files"].items()}
    except (InputError, KeyError, TypeError, ValueError):
        yield named, "missing or damaged"
        return
    if set(files) != set(shard_files_of(shard)) or total not in (None, shard_sum(record)):
        yield named, "does not agree with the manifest" if total else "names other files"
    for name, (digest, size) in files.items():
        fault = _fault(path / name, digest, size)
        if fault:
            yield name, fault


def _fault(file: Path, digest: str, size: int | None) -> str | None:
    try:
        if size not in (None, file.stat().st_size):
            return f"{file.stat().st_size} bytes, expected {size}"
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"not readable: {error.strerror}"
    return None if found == digest else "checksum differs"
