"""Checksums by which files are known again: micrographs, frames of one movie, weights."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path


def digest_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, read once as long as it stays as it is; of a folder (zspy), of the names and contents of its
    files; of an emi, of its own and of those of the ser files beside it, which hold its pixels."""
    path = Path(path)
    if path.is_dir():
        return _of_all(path, sorted(file for file in path.rglob("*") if file.is_file()))
    if path.suffix.lower() == ".emi":
        return _of_all(path.parent, [path, *_ser_files(path)])
    return _of_file(path)


def _ser_files(emi: Path) -> list[Path]:
    """Those of TIA: a_1.ser, a_2.ser of a.emi."""
    beside = (file for file in emi.parent.iterdir() if file.suffix.lower() == ".ser")
    return sorted(file for file in beside if file.stem.rpartition("_")[0] == emi.stem)


def _of_all(folder: Path, files: list[Path]) -> str:
    told = [
        f"{_of_file(file)}  {file.relative_to(folder).as_posix()}\n" for file in files
    ]  # as sha256sum writes them
    return hashlib.sha256("".join(told).encode("utf-8", "surrogateescape")).hexdigest()


def _of_file(path: Path) -> str:
    told = path.stat()
    return _digest(path.resolve(), told.st_size, told.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
