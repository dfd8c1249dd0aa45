"""Files to pixels: which reader for which extension, which of its axes carry a pixel size, which image is meant."""

from __future__ import annotations

import importlib
import logging
import re
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facetem.core.errors import InputError
from facetem.data.hyperspy_file import Axes
from facetem.data.movies import first_seen, summed

_ROSETTA = {
    "dm3": "digitalmicrograph",
    "dm4": "digitalmicrograph",
    "emd": "emd",
    "ser": "tia",
    "mrc": "mrc",
    "hspy": "hspy",
    "tif": "tiff",
    "tiff": "tiff",
}
_PICTURES = ("png", "jpg", "jpeg")
EXTENSIONS = (*_ROSETTA, "npy", *_PICTURES)

_ANGSTROM = {
    "å": 1.0, "a": 1.0, "ang": 1.0, "angstrom": 1.0, "angstroms": 1.0, "ångström": 1.0,
    "pm": 0.01, "nm": 10.0, "nanometer": 10.0, "nanometers": 10.0, "nanometre": 10.0,
    "um": 1e4, "µm": 1e4, "micron": 1e4, "microns": 1e4, "mm": 1e7, "cm": 1e8, "m": 1e10,
}  # fmt: skip
_SERIES = ("defocus", "focus", "tilt", "alpha", "angle", "energy")


@dataclass(frozen=True)
class RawImage:
    """Pixels (y, x) or (y, x, channel) as the file holds them, and the pixel size [Å/px] if the file says it, with the
    axes that it is written on."""

    pixels: NDArray
    sampling: float | None
    metadata: dict[str, Any] = field(default_factory=dict)
    axes: Axes = field(default_factory=Axes)


def read_file(path: Path) -> RawImage:
    """The one image in a file.

    Raises
    ------
    InputError
        If the file is missing, empty, of an unknown extension, unreadable, holds several images or no image, or
        its axes are not those of real space.
    """
    extension = path.suffix.lower().lstrip(".")
    if not path.exists():
        raise InputError(f"{path}: expected a micrograph, got no such file")
    if extension not in EXTENSIONS:
        raise InputError(
            f"{path}: expected one of {', '.join(EXTENSIONS)}, got {'.' + extension if extension else 'no extension'}"
        )
    if path.is_dir():
        raise InputError(f"{path}: expected a {extension} file, got a folder")
    if path.stat().st_size == 0:
        raise InputError(
            f"{path}: expected a micrograph, got an empty file; copy it again from the microscope"
        )
    try:
        if extension == "npy":
            return RawImage(np.load(path, allow_pickle=False), None)
        if extension in _PICTURES:
            from imageio.v3 import imread

            return RawImage(np.asarray(imread(path.read_bytes(), plugin="pillow")), None)
        signals = _rosetta(path, _ROSETTA[extension])
    except (MemoryError, InputError):
        raise
    except Exception as error:  # the readers meet bad bytes with exceptions of every kind
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise InputError(
            f"{path}: expected a readable {extension} file, got one that is damaged or not {extension} "
            f"({reason}); copy it again or export it as tif"
        ) from error
    return _one_image(signals, path)


def _rosetta(path: Path, plugin: str) -> list[dict[str, Any]]:
    reader = importlib.import_module(f"rsciio.{plugin}")
    with _quiet("rsciio"):
        try:
            signals = reader.file_reader(str(path))
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # closes the file that a reader left open
            raise
    if plugin == "tiff":
        written = _tif_axes(path)
        for signal in signals:
            for axis in signal["axes"]:
                if axis.get("units") is None and axis["name"] in written:
                    axis.update(written[axis["name"]])
    return signals


def _tif_axes(path: Path) -> dict[str, dict[str, Any]]:
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


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    """What a reader logs or warns about a bad file is said once, by our own error."""
    target = logging.getLogger(logger)
    before = target.level
    target.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        target.setLevel(before)


def _one_image(signals: list[dict[str, Any]], path: Path) -> RawImage:
    images = [s for s in signals if np.ndim(s["data"]) >= 2 and min(np.shape(s["data"])[-2:]) > 1]
    if not images:
        raise InputError(
            f"{path}: expected an image, got {len(signals)} data set(s), none with two dimensions"
        )
    if len(images) > 1:
        names = ", ".join(str(_deep(s, "metadata", "General", "title") or "untitled") for s in images[:4])
        raise InputError(
            f"{path}: expected one image, got {len(images)} ({names}); export the one to analyse to its own file"
        )
    return image_of(images[0], str(path))


def image_of(
    signal: Mapping[str, Any], where: str, *, advice: str = "export the one to analyse to its own file"
) -> RawImage:
    """The image of a signal as RosettaSciIO describes it (data, axes, metadata, original_metadata).

    Parameters
    ----------
    where
        What errors name.
    advice
        What to do if it is a series of different images.

    Raises
    ------
    InputError
        If it is such a series, or its axes are not those of real space.
    """
    pixels = _plain(np.asarray(signal["data"]))
    axes = sorted(signal["axes"], key=lambda axis: axis.get("index_in_array") or 0)
    metadata = _about(signal)
    channels = pixels.ndim == len(axes) + 1  # colour arrives as a structured type without an axis of its own
    if not channels and pixels.ndim == 3 and pixels.shape[-1] in (3, 4) and min(pixels.shape[:2]) > 4:
        channels, axes = True, axes[:2]
    lead = pixels.ndim - 2 - int(channels)
    first = (0, 0)
    if lead:
        frames = _frames(pixels, axes, lead, where, advice)
        if len(frames) > 1 and not channels:
            pixels, drift = summed(frames)
            first = first_seen(drift)
            metadata["drift_px"] = [round(float(d), 1) for d in np.ptp(drift, axis=0)]
        else:
            pixels = frames.mean(0, dtype=np.float64)
        if len(frames) > 1:
            metadata["frames_averaged"] = len(frames)
    sampling = _pixel_size(axes[-2:], where)
    return RawImage(pixels, sampling, metadata, _axes_of(axes[-2:], sampling).beginning_at(first, sampling))


def _axes_of(axes: list[dict[str, Any]], sampling: float | None) -> Axes:
    """How the signal itself names, counts and places an image whose pixel size it tells."""
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


def _plain(data: NDArray) -> NDArray:
    """Structured RGB(A) pixels as a last axis."""
    if data.dtype.names:
        return np.stack([data[n] for n in data.dtype.names], axis=-1)
    return data


def _frames(pixels: NDArray, axes: list[dict[str, Any]], lead: int, where: str, advice: str) -> NDArray:
    """The frames (n, y, x) of a movie."""
    frames = int(np.prod(pixels.shape[:lead]))
    for axis in axes[:lead]:
        label = str(axis.get("name") or "").lower()
        if axis["size"] > 1 and any(word in label for word in _SERIES):
            raise InputError(
                f"{where}: expected one image or a movie, got a series of {frames} images along {label}; {advice}"
            )
    return pixels.reshape(frames, *pixels.shape[lead:])


def _pixel_size(axes: list[dict[str, Any]], where: str) -> float | None:
    sizes = [_axis_size(axis, where) for axis in axes]
    if len(sizes) != 2 or None in sizes:
        return None
    y, x = float(sizes[0] or 0), float(sizes[1] or 0)
    if abs(y / x - 1) > 0.02:
        raise InputError(
            f"{where}: expected square pixels, got {y:g} Å (y) x {x:g} Å (x); resample the image first"
        )
    return (y * x) ** 0.5


def _axis_size(axis: Mapping[str, Any], where: str) -> float | None:
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


def _about(signal: Mapping[str, Any]) -> dict[str, Any]:
    """The few things that a reader of the report wants to see."""
    wanted = {
        "title": ("General", "title"),
        "date": ("General", "date"),
        "microscope": ("Acquisition_instrument", "TEM", "microscope"),
        "beam_energy_kev": ("Acquisition_instrument", "TEM", "beam_energy"),
        "magnification": ("Acquisition_instrument", "TEM", "magnification"),
    }
    found = {key: _deep(signal, "metadata", *where) for key, where in wanted.items()}
    volts = _find(signal.get("original_metadata"), "Microscope Info", "Voltage")  # of dm3 and dm4, in V
    if found["beam_energy_kev"] is None and isinstance(volts, (int, float)):
        found["beam_energy_kev"] = volts / 1e3
    known = {k: v for k, v in found.items() if isinstance(v, (str, int, float, np.number)) and v}
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in known.items()}


def _find(tree: Any, group: str, key: str) -> Any:
    """The value of `key` in the first `group` anywhere in a tree of tags."""
    if not isinstance(tree, Mapping):
        return None
    if group in tree:
        return _deep(tree, group, key)
    return next((v for v in (_find(branch, group, key) for branch in tree.values()) if v is not None), None)


def _deep(tree: Any, *keys: str) -> Any:
    for key in keys:
        if not isinstance(tree, Mapping) or key not in tree:
            return None
        tree = tree[key]
    return tree
