"""Checksums by which files are known again: micrographs, frames of one movie, weights."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path


def digest_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, read once as long as it stays as it is."""
    told = Path(path).stat()
    return _digest(Path(path).resolve(), told.st_size, told.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
