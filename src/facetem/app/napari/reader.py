"""Micrographs in napari: the image of a file, its pixel size as the layer's scale [nm]."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from facetem.data.formats import EXTENSIONS, RawImage, read_file

Layer = tuple[Any, dict[str, Any], str]  # what napari makes a layer of


def get_reader(path: str | list[str]) -> Callable[[str], list[Layer]] | None:
    """The reader of a file, or None if it is not of a format that facetem reads (several at once are a stack, which it
    is not for)."""
    if not isinstance(path, str) or Path(path).suffix.lower().lstrip(".") not in EXTENSIONS:
        return None
    return read_layers


def read_layers(path: str) -> list[Layer]:
    """The layer of a file, as `facetem analyze` reads it.

    Raises
    ------
    InputError
        If the file cannot be read as an image.
    """
    return [image_layer(read_file(Path(path)), Path(path).stem)]


def image_layer(raw: RawImage, name: str) -> Layer:
    """An image as a layer; without a pixel size it stays in pixels."""
    told: dict[str, Any] = {"name": name, "metadata": {"facetem": raw.metadata}}
    if raw.sampling is not None:
        nm = raw.sampling / 10
        start = [offset * raw.axes.angstrom / 10 for offset in raw.axes.offset]
        told |= {"scale": (nm, nm), "translate": start, "units": ("nm", "nm")}
    if raw.pixels.ndim == 3:
        told["rgb"] = True
    return raw.pixels, told, "image"
