"""What the axes of a file or a signal say: their names and unit, where they begin, and how large a pixel is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facetem.core.errors import InputError

_ANGSTROM = {
    "å": 1.0, "a": 1.0, "ang": 1.0, "angstrom": 1.0, "angstroms": 1.0, "ångström": 1.0,
    "pm": 0.01, "nm": 10.0, "nanometer": 10.0, "nanometers": 10.0, "nanometre": 10.0,
    "um": 1e4, "µm": 1e4, "micron": 1e4, "microns": 1e4, "mm": 1e7, "cm": 1e8, "m": 1e10,
}  # fmt: skip


@dataclass(frozen=True)
class Axes:
    """How an image is counted: the names (y, x) and the unit of its axes, that unit [Å], and where the middle of the
    first pixel is (y, x) [unit]."""

    names: tuple[str, ...] = ("y", "x")
    unit: str = "nm"
    angstrom: float = 10.0
    offset: tuple[float, float] = (0.0, 0.0)

    def beginning_at(self, pixel: Sequence[int], sampling: float | None) -> Axes:
        """Those of a part of the image that begins at `pixel` (y, x); of pixels of `sampling` [Å], if it is known."""
        step = (sampling or 0.0) / self.angstrom
        y, x = (start + step * n for start, n in zip(self.offset, pixel, strict=True))
        return replace(self, offset=(y, x))

    def resampled(self, sampling: float, to: float) -> Axes:
        """Those of the same field on pixels of `to` instead of `sampling` [Å]: pixels are areas from one corner on."""
        shift = (to - sampling) / 2 / self.angstrom
        return replace(self, offset=(self.offset[0] + shift, self.offset[1] + shift))

    def described(self, shape: Sequence[int], sampling: float) -> list[dict[str, Any]]:
        """As signals have them, of an image of `shape` (y, x) with pixels of `sampling` [Å]."""
        return [
            {
                "name": name,
                "units": self.unit,
                "offset": start,
                "scale": sampling / self.angstrom,
                "size": size,
            }
            for name, start, size in zip(self.names, self.offset, shape, strict=True)
        ]


def axes_of(axes: list[dict[str, Any]], sampling: float | None) -> Axes:
    """How the two axes of an image name, count and place its pixels, if they tell their size [Å/px]."""
    names = tuple(str(axis.get("name") or name) for axis, name in zip(axes, "yx", strict=False))
    if sampling is None or len(names) != 2:
        return Axes()
    units = {axis["units"] for axis in axes}
    places = [axis.get("offset") or 0.0 for axis in axes]
    if len(units) > 1 or any(axis["scale"] < 0 for axis in axes):
        return Axes(names)
    unit = units.pop()
    return Axes(names, unit, _ANGSTROM[_spelled(unit)], (float(places[0]), float(places[1])))


def _spelled(units: Any) -> str:
    """A unit as `_ANGSTROM` has it. The Greek letter mu and the micro sign look alike and are different characters."""
    return units.strip().lower().replace("\u03bc", "\u00b5") if isinstance(units, str) else ""


def pixel_size(axes: list[dict[str, Any]], where: Path | str) -> float | None:
    """Of the two axes of an image [Å/px]; None if they do not tell.

    Raises
    ------
    InputError
        If the pixels are not square, or the axes not those of real space.
    """
    sizes = [_axis_size(axis, where) for axis in axes]
    if len(sizes) != 2 or None in sizes:
        return None
    y, x = float(sizes[0] or 0), float(sizes[1] or 0)
    if abs(y / x - 1) > 0.02:
        raise InputError(
            f"{where}: expected square pixels, got {y:g} Å (y) x {x:g} Å (x); resample the image first"
        )
    return (y * x) ** 0.5


def _axis_size(axis: Mapping[str, Any], where: Path | str) -> float | None:
    units = axis.get("units")
    text = _spelled(units)
    compact = text.replace(" ", "")
    if (
        compact.startswith("1/")
        or compact.endswith(("^-1", "**-1", "-1", "⁻¹"))
        or compact in ("mrad", "rad")
    ):
        raise InputError(
            f"{where}: expected an image of real space, got axes in {units}: a diffraction pattern"
        )
    scale = axis.get("scale")
    if text not in _ANGSTROM or not isinstance(scale, (int, float, np.number)):
        return None
    size = abs(float(scale)) * _ANGSTROM[text]
    return size if 0 < size < float("inf") else None


def tif_axes(path: Path) -> dict[str, dict[str, Any]]:
    """Pixel sizes that ImageJ and OME programs write, whose units RosettaSciIO leaves aside."""
    import tifffile

    with tifffile.TiffFile(path) as tif:
        if tif.is_ome and tif.ome_metadata:
            pixels = _ome_pixels(tif.ome_metadata)
            return {
                axis: {
                    "scale": float(pixels[f"PhysicalSize{d}"]),
                    "units": pixels.get(f"PhysicalSize{d}Unit", "µm"),
                }
                for axis, d in (("height", "Y"), ("width", "X"))
                if f"PhysicalSize{d}" in pixels
            }
        unit = str((tif.imagej_metadata or {}).get("unit", ""))
        tags = tif.pages.first.tags
        found = {}
        for axis, tag in (("height", "YResolution"), ("width", "XResolution")):
            count, per = tags[tag].value if tag in tags else (0, 1)
            if unit and count:
                # ImageJ escapes what is not ASCII, as in \u00B5m.
                found[axis] = {
                    "scale": per / count,
                    "units": re.sub(r"\\u([0-9a-fA-F]{4})", _character, unit),
                }
    return found


def _character(escaped: re.Match[str]) -> str:
    return chr(int(escaped[1], 16))


def _ome_pixels(xml: str) -> dict[str, str]:
    from xml.etree import ElementTree

    for element in ElementTree.fromstring(xml).iter():
        if element.tag.endswith("}Pixels"):
            return dict(element.attrib)
    return {}
