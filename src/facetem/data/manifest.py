"""The manifest of a data set: what it is and, while all its shards are whole, their checksums."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from facetem.core.errors import InputError
from facetem.data.layout import CROISSANT, FORMAT, MANIFEST
from facetem.data.publish import write_whole

KEYS = {"facetem": str, "recipe": str, "seed": int, "split": str, "shard": int, "samples": int, "files": dict}


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of the data set at `path`.

    Raises
    ------
    InputError
        If there is none that can be read, or it is of another version of the format.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        written = manifest.get("format")
        known = written != FORMAT or all(isinstance(manifest[key], kind) for key, kind in KEYS.items())
    except (OSError, ValueError, AttributeError, KeyError):
        raise InputError(
            f"{path}: expected a data set made by facetem, found no readable {MANIFEST}"
        ) from None
    if not known:
        raise InputError(f"{path}: expected a data set made by facetem, found a damaged {MANIFEST}")
    if written != FORMAT:
        raise InputError(f"{path}: expected store format {FORMAT}, got {written!r}; make it again")
    return manifest


def write_manifest(path: Path, manifest: dict[str, Any]) -> bytes:
    """Write a manifest and return its content; what described the data set until now is taken away."""
    (path / CROISSANT).unlink(missing_ok=True)
    content = json.dumps(manifest, indent=1).encode()
    write_whole(path, MANIFEST, content)
    return content


def sealed(manifest: dict[str, Any], sums: Sequence[str]) -> dict[str, Any]:
    """The manifest of a complete data set: with the sums of its shards and, over them in order, that of the whole."""
    whole = sha256("\n".join(sums).encode()).hexdigest()
    return {**manifest, "complete": True, "checksum": whole, "shards": list(sums)}


def unsealed(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a data set that is being made."""
    plain = {key: value for key, value in manifest.items() if key not in ("checksum", "shards")}
    return {**plain, "complete": False}
