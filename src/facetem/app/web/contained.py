"""Uploads that would have other files read in their place.

An HDF5 file may link to others, or keep its data in them; an OME-TIFF may name its planes' files. Somebody else's
upload that does so is an attempt to see what is not his.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from facetem.core.errors import InputError

_DEEPEST = 40


def check_contained(path: Path) -> None:
    """Raise InputError if a file of a stranger refers to other files; what cannot be read is left to the reader."""
    ending = path.suffix.lower()
    if ending in (".hspy", ".emd"):
        _check_hdf5(path)
    elif ending in (".tif", ".tiff"):
        _check_tif(path)


def _refer(path: Path) -> InputError:
    return InputError(f"{path}: expected a file that holds its own data, got one that refers to others")


def _check_hdf5(path: Path) -> None:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if _leads_out(file, 0):
                raise _refer(path)
    except (OSError, RuntimeError, KeyError):
        return


def _leads_out(group: Any, depth: int) -> bool:
    import h5py

    if depth > _DEEPEST:
        return True
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            return True
        if isinstance(link, h5py.SoftLink):
            continue  # to a place in this file, which is met on its own
        thing = group[name]
        if isinstance(thing, h5py.Group):
            if _leads_out(thing, depth + 1):
                return True
        elif isinstance(thing, h5py.Dataset) and (thing.external or thing.is_virtual):
            return True
    return False


def _check_tif(path: Path) -> None:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tif:
            told = tif.ome_metadata if tif.is_ome else None
    except Exception:  # noqa: BLE001 (tifffile meets bad bytes with exceptions of every kind; the reader will say it)
        return
    names = re.findall(r"FileName\s*=\s*[\"']([^\"']*)", told or "")
    if any(name != path.name for name in names):
        raise _refer(path)
