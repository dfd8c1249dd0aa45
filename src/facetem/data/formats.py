"""Files to pixels: which reader for which extension, which of its axes carry a pixel size, which image is meant."""

from __future__ import annotations

import gc
import importlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facetem.core.errors import InputError
from facetem.data.axes import Axes, axes_of, pixel_size, tif_axes
from facetem.data.movies import first_seen, summed

_ROSETTA = {
    "dm3": "digitalmicrograph",
    "dm4": "digitalmicrograph",
    "emd": "emd",
    "ser": "tia",
    "emi": "tia",
    "mrc": "mrc",
    "hspy": "hspy",
    "zspy": "zspy",
    "tif": "tiff",
    "tiff": "tiff",
}
_PICTURES = ("png", "jpg", "jpeg")
EXTENSIONS = (*_ROSETTA, "npy", *_PICTURES)

_VOLTAGE = (
    ("Microscope Info", "Voltage"),
    ("Optics", "AccelerationVoltage"),
)  # [V] of dm3 and dm4, and of Velox
_SERIES = ("defocus", "focus", "tilt", "alpha", "angle", "energy")


@dataclass(frozen=True)
class RawImage:
    """Pixels (y, x) or (y, x, channel) as the file holds them, and the pixel size [Å/px] if the file says it, with the
    axes that it is written on."""

    pixels: NDArray
    sampling: float | None
    metadata: dict[str, Any] = field(default_factory=dict)
    axes: Axes = field(default_factory=Axes)


def read_file(path: Path, frame: int | None = None) -> RawImage:
    """The one image in a file, or one frame of a movie; without `frame`, the frames are summed (`data.movies`).

    Raises
    ------
    InputError
        If the file is missing, empty, of an unknown extension, unreadable, holds several images or no image, its axes
        are not those of real space, or there is no such frame.
    """
    extension = _checked_extension(path)
    if extension in _ROSETTA:
        return image_of(_signal(path, lazy=frame is not None), path, frame)
    with _readable(path, extension):
        pixels = _pixels(path, extension)
    if extension == "npy" and _is_movie(pixels):
        if frame is not None:
            return RawImage(pixels[_checked_frame(frame, len(pixels), path)], None, {"frame": frame})
        if pixels.dtype.kind in "uifb" and len(pixels) > 1:
            image, of_frames, _ = _sum_of(pixels)
            return RawImage(image, None, of_frames)
    return RawImage(pixels if frame is None else pixels[None][_checked_frame(frame, 1, path)], None)


def frames_in(path: Path) -> int:
    """How many frames a file holds: 1, if it is no movie.

    Raises
    ------
    InputError
        As `read_file`.
    """
    extension = _checked_extension(path)
    if extension in _ROSETTA:
        signal = _signal(path, lazy=True)
        channels, axes = _layout(signal)
        return 1 if channels else int(np.prod(_frames(signal, axes, path)))
    if extension == "npy":
        with _readable(path, extension):
            pixels = np.load(path, mmap_mode="r", allow_pickle=False)
        return len(pixels) if _is_movie(pixels) else 1
    return 1


def _checked_extension(path: Path) -> str:
    extension = path.suffix.lower().lstrip(".")
    if not path.exists():
        raise InputError(f"{path}: expected a micrograph, got no such file")
    if extension not in EXTENSIONS:
        raise InputError(
            f"{path}: expected one of {', '.join(EXTENSIONS)}, got {'.' + extension if extension else 'no extension'}"
        )
    if path.is_dir() and extension != "zspy":
        raise InputError(f"{path}: expected a {extension} file, got a folder")
    if path.stat().st_size == 0:
        raise InputError(
            f"{path}: expected a micrograph, got an empty file; copy it again from the microscope"
        )
    return extension


@contextmanager
def _readable(where: Path | str, extension: str) -> Iterator[None]:
    """What a reader stumbles over becomes one line."""
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(
            f"{where}: expected an image that fits into memory, got a {extension} file that asks for more; it may be "
            "damaged"
        ) from error
    except Exception as error:  # the readers meet bad bytes with exceptions of every kind
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise InputError(
            f"{where}: expected a readable {extension} file, got one that is damaged or not {extension} "
            f"({reason}); copy it again or export it as tif"
        ) from error


def _pixels(path: Path, extension: str) -> NDArray:
    if extension == "npy":
        return np.load(path, allow_pickle=False)
    from imageio.v3 import imread

    return np.asarray(imread(path.read_bytes(), plugin="pillow"))


def _is_movie(pixels: NDArray) -> bool:
    """Whether an array without axes is of frames (n, y, x), and not of channels (y, x, n)."""
    return pixels.ndim == 3 and pixels.shape[2] > 4


def _checked_frame(frame: int, frames: int, where: Path | str) -> int:
    if not 0 <= frame < frames:
        expected = f"a frame from 0 to {frames - 1}" if frames > 1 else "frame 0, the only one"
        raise InputError(f"{where}: expected {expected}, got {frame}")
    return frame


def _signal(path: Path, *, lazy: bool) -> dict[str, Any]:
    """The one image or movie among the data sets of a file; `lazy`, its pixels are read when they are used."""
    extension = path.suffix.lower().lstrip(".")
    with _readable(path, extension):
        signals = _rosetta(path, _ROSETTA[extension], lazy=lazy)
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
    return images[0]


def _check_mrc(path: Path) -> None:
    """Refuse a header of more pixels than the file has, which the reader would count one image at a time."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        header = stream.read(16)
    # x, y, z and the kind of pixel, of a byte or half a byte at least, in either order of bytes
    asked = [np.prod([float(n) for n in np.frombuffer(header, order + "i4")[:3]]) for order in "<>"]
    if len(header) < 16 or min(abs(n) for n in asked) / 2 > size:
        raise ValueError(f"{size} bytes cannot hold the pixels that its header tells of")


def _rosetta(path: Path, plugin: str, *, lazy: bool) -> list[dict[str, Any]]:
    if plugin == "mrc":
        _check_mrc(path)
    reader = importlib.import_module(f"rsciio.{plugin}")
    # Lazily, that of tif leaves the file open.
    options: dict[str, Any] = {"lazy": True} if lazy and plugin != "tiff" else {}
    if lazy and plugin in ("hspy", "zspy"):
        options["mode"] = "r"  # lazily they would be opened to be written to
    with _quiet("rsciio", "tifffile"):
        signals: list[dict[str, Any]] = []
        failed: Exception | None = None
        try:
            signals = reader.file_reader(str(path), **options)
        except Exception as error:  # noqa: BLE001 (it is raised again, without what holds the file)
            failed = error.with_traceback(None)
            failed.__context__ = failed.__cause__ = None
        if failed is not None:
            # A reader that fails leaves its file open. What holds it are the frames that the error came through, and
            # itself, as a TiffFile and its pages do.
            gc.collect()
            raise failed
    if plugin == "tiff":
        written = tif_axes(path)
        for signal in signals:
            for axis in signal["axes"]:
                if axis.get("units") is None and axis["name"] in written:
                    axis.update(written[axis["name"]])
    return signals


@contextmanager
def _quiet(*loggers: str) -> Iterator[None]:
    """What a reader logs or warns about a bad file is said once, by our own error."""
    targets = [logging.getLogger(name) for name in loggers]
    before = [target.level for target in targets]
    for target in targets:
        target.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for target, level in zip(targets, before, strict=True):
            target.setLevel(level)


def image_of(signal: dict[str, Any], where: Path | str, frame: int | None = None) -> RawImage:
    """The image of a signal as RosettaSciIO describes it (data, axes, metadata, original_metadata), or one of its
    frames; errors name `where` it is from.

    Raises
    ------
    InputError
        If it is a series of different images, its axes are not those of real space, or its pixels cannot be read.
    """
    channels, axes = _layout(signal)
    shape = _frames(signal, axes, where)
    number, pixels, metadata = int(np.prod(shape)), signal["data"], _about(signal)
    if frame is not None:
        which = _checked_frame(frame, number, where)
        pixels = pixels[np.unravel_index(which, shape)] if shape else pixels
        metadata |= {"frame": frame} if number > 1 else {}
    first = (0, 0)
    with _readable(where, where.suffix.lower().lstrip(".") if isinstance(where, Path) else "HyperSpy"):
        pixels = _plain(np.asarray(pixels))
    if frame is None and shape:
        frames = pixels.reshape(number, *pixels.shape[len(shape) :])
        if number > 1 and not channels:
            pixels, of_frames, first = _sum_of(frames)
            metadata |= of_frames
        else:
            pixels = frames.mean(0, dtype=np.float64)
            metadata |= {"frames_averaged": number} if number > 1 else {}
    sampling = pixel_size(axes[-2:], where)
    return RawImage(pixels, sampling, metadata, axes_of(axes[-2:], sampling).beginning_at(first, sampling))


def _sum_of(frames: NDArray) -> tuple[NDArray, dict[str, Any], tuple[int, int]]:
    """Frames (n, y, x) as one image, what became of them, and the pixel (y, x) of the first frame that it begins at."""
    pixels, drift = summed(frames)
    moved = [round(float(d), 1) for d in np.ptp(drift, axis=0)]
    return pixels, {"drift_px": moved, "frames_averaged": len(frames)}, first_seen(drift)


def _layout(signal: dict[str, Any]) -> tuple[bool, list[dict[str, Any]]]:
    """Whether the pixels of a signal have channels, and its axes of time and space."""
    data = signal["data"]
    axes = sorted(signal["axes"], key=lambda axis: axis.get("index_in_array") or 0)
    # Colour arrives as a structured type, or as an axis that is not listed.
    channels = bool(data.dtype.names) or data.ndim == len(axes) + 1
    if not channels and data.ndim == 3 and data.shape[-1] in (3, 4) and min(data.shape[:2]) > 4:
        return True, axes[:2]
    return channels, axes


def _frames(signal: dict[str, Any], axes: list[dict[str, Any]], where: Path | str) -> tuple[int, ...]:
    """The number of frames along each axis before those of the image."""
    shape = tuple(signal["data"].shape[: len(axes) - 2])
    for axis in axes[:-2]:
        label = str(axis.get("name") or "").lower()
        if axis["size"] > 1 and any(word in label for word in _SERIES):
            raise InputError(
                f"{where}: expected one image or a movie, got a series of {int(np.prod(shape))} images along {label}; "
                + (
                    "export the one to analyse to its own file"
                    if isinstance(where, Path)
                    else "take it out with inav"
                )
            )
    return shape


def _plain(data: NDArray) -> NDArray:
    """Structured RGB(A) pixels as a last axis."""
    if data.dtype.names:
        return np.stack([data[n] for n in data.dtype.names], axis=-1)
    return data


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
    if found["beam_energy_kev"] is None:
        told = [_find(signal.get("original_metadata"), *place) for place in _VOLTAGE]
        volts = next((_number(volts) for volts in told if volts is not None), None)
        found["beam_energy_kev"] = None if volts is None else volts / 1e3
    known = {k: v for k, v in found.items() if isinstance(v, (str, int, float, np.number)) and v}
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in known.items()}


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


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
