"""`Micrograph`: an image with its pixel size, read from what microscopes write, checked, and resampled.

The extension decides the reader: RosettaSciIO for the formats of electron microscopy, numpy for npy, imageio for
screenshots. The pixel size comes from the file's own axes or from the caller; nothing is guessed.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facetem.core.errors import InputError
from facetem.core.words import printable
from facetem.data.axes import Axes
from facetem.data.cleaning import CLIPPED, Image, clipped_part, grey, replace_outliers, trim_margins
from facetem.data.formats import EXTENSIONS, RawImage, read_file
from facetem.data.plausible import check_detail, check_sampling, check_size
from facetem.data.signals import Signal, named, read_signal, signal_name, units_of
from facetem.data.stripes import mend_lines

__all__ = [
    "EXTENSIONS",
    "Micrograph",
    "load_micrograph",
    "micrograph_from_array",
    "micrograph_from_signal",
    "micrograph_of",
    "resample",
    "save_image",
]


@dataclass(frozen=True)
class Micrograph:
    """One experimental image.

    Parameters
    ----------
    image : (y, x) float32
        Intensity in the camera's own units; any offset and gain.
    sampling : float
        Pixel size [Å/px], the same along y and x.
    name : str
        File name, or what the caller called the array.
    metadata : dict
        What the file says about itself (title, beam energy, ...) and what was done to the pixels (margins cut,
        outliers replaced, frames averaged). Plain values, fit for JSON: numbers that are not finite are left out.
    axes : Axes
        How the file, or the signal, names, counts and places the pixels.
    """

    image: Image
    sampling: float
    name: str
    metadata: dict[str, Any] = field(default_factory=dict)
    axes: Axes = field(default_factory=Axes)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", _finite(self.metadata))

    @property
    def extent(self) -> tuple[float, float]:
        """Field of view (y, x) [Å]."""
        return self.image.shape[0] * self.sampling, self.image.shape[1] * self.sampling


def _finite(told: Any) -> Any:
    """Metadata without NaN and infinities, at any depth: no JSON holds them, and they tell nothing."""
    if isinstance(told, Mapping):
        return {key: _finite(value) for key, value in told.items() if not _is_odd(value)}
    if isinstance(told, (list, tuple)):
        return [_finite(value) for value in told if not _is_odd(value)]
    return told


def _is_odd(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) and not math.isfinite(value)


def load_micrograph(
    path: str | os.PathLike[str], *, sampling: float | None = None, frame: int | None = None
) -> Micrograph:
    """Read and check one micrograph.

    Parameters
    ----------
    path : path
        dm3, dm4, emd, ser, emi, mrc, hspy, zspy, tif, tiff, npy, png, jpg, jpeg; upper case too.
    sampling : float, optional
        Pixel size [Å/px]; takes precedence over the file's.
    frame : int, optional
        Of a movie, from 0; by default its frames are summed, each moved back by its drift.

    Raises
    ------
    InputError
        If the file is missing, empty or unreadable, has no pixel size, is no grey image of real space, or its
        pixels or pixel size cannot show a particle's lattice. The message is one line.
    """
    path = Path(path)
    raw = read_file(path, frame)
    if sampling is None and raw.sampling is None:
        raise InputError(
            f"{path}: expected a pixel size, got a file without one; give it with --sampling-nm (nm per pixel; "
            "sampling= in Å per pixel from Python)"
        )
    name = printable(path.name) + (f" frame {frame}" if "frame" in raw.metadata else "")
    return _checked(raw, sampling if sampling is not None else raw.sampling, str(path), name)


def micrograph_from_array(image: ArrayLike, sampling: float, name: str = "array") -> Micrograph:
    """The same checks and cleaning for an image in memory, (y, x) or grey (y, x, channel); `sampling` in Å/px.

    Raises
    ------
    InputError
        As `load_micrograph`.
    """
    return _checked(RawImage(np.asarray(image), None), sampling, name, name)


def micrograph_from_signal(
    signal: Signal, sampling: float | None = None, frame: int | None = None
) -> Micrograph:
    """The same for the image of a HyperSpy signal, or one of its frames; `sampling` [Å/px] goes before its own.

    Raises
    ------
    InputError
        As `load_micrograph`.
    """
    raw = read_signal(signal, frame)
    where = named(signal)
    if sampling is None and raw.sampling is None:
        raise InputError(
            f"{where}: expected axes in nm, Å, pm or µm, got {units_of(signal)}; calibrate them or give sampling= "
            "in Å per pixel"
        )
    return _checked(
        raw, sampling if sampling is not None else raw.sampling, where, signal_name(signal) or "signal"
    )


def micrograph_of(
    image: str | os.PathLike[str] | ArrayLike | Signal | Micrograph,
    sampling: float | None = None,
    frame: int | None = None,
) -> Micrograph:
    """The micrograph that a file holds, or that a HyperSpy signal or an array is, whose pixel size must be given
    [Å/px]; of a movie or a navigated signal, one frame or their sum. A micrograph is one as it is.

    Raises
    ------
    InputError
        As `load_micrograph`.
    """
    if isinstance(image, Micrograph):
        return image
    if isinstance(image, (str, os.PathLike)):
        return load_micrograph(image, sampling=sampling, frame=frame)
    if isinstance(image, Signal):
        return micrograph_from_signal(image, sampling, frame)
    if sampling is None:
        raise InputError("array: expected a pixel size, got none; give sampling= in Å/px")
    return micrograph_from_array(image, sampling)


def _checked(raw: RawImage, sampling: float | None, where: str, name: str) -> Micrograph:
    check_sampling(sampling, where)
    assert sampling is not None
    pixels = raw.pixels
    if pixels.size == 0:
        raise InputError(f"{where}: expected an image, got an array of shape {pixels.shape}")
    if pixels.dtype.kind not in "uifb":
        raise InputError(f"{where}: expected real pixels, got {pixels.dtype}; give an image, not a wave")
    values, opaque = grey(pixels, where)
    bad = int((~np.isfinite(values)).sum()) if values.dtype.kind == "f" else 0
    if bad:
        raise InputError(
            f"{where}: expected finite pixels, got {bad} NaN or infinite; mend or crop them first"
        )
    lowest, highest = values.min(), values.max()
    if lowest == highest:
        raise InputError(f"{where}: expected an image, got {values.shape} pixels that are all {lowest}")
    if not ((values > lowest) & (values < highest)).any():
        raise InputError(f"{where}: expected a micrograph, got only two grey levels; this looks like a mask")
    kept, cut = trim_margins(values, opaque)
    check_size(kept.shape, sampling, where)
    lines = mend_lines(np.ascontiguousarray(kept, dtype=np.float32))
    image, replaced = replace_outliers(lines.image)
    check_detail(image, sampling, where)
    metadata = dict(raw.metadata)
    metadata["pixels_in_file"] = list(pixels.shape[:2])
    metadata["pixel_size_from"] = "file" if sampling == raw.sampling else "given"
    if cut:
        metadata["margins_cut"] = cut
    if lines.rows or lines.columns:
        metadata["lines_mended"] = {"rows": lines.rows, "columns": lines.columns}
    clipped = clipped_part(kept)
    if clipped > CLIPPED:
        metadata["clipped"] = round(clipped, 3)
    if replaced:
        metadata["outliers_replaced"] = replaced
    # A pixel size that was given says nothing of where the file places the field.
    axes = raw.axes if sampling == raw.sampling else Axes(raw.axes.names)
    axes = axes.beginning_at((cut.get("top", 0), cut.get("left", 0)), sampling)
    return Micrograph(image, float(sampling), name, metadata, axes)


def resample(image: ArrayLike, sampling: float, to: float, *, shape: tuple[int, int] | None = None) -> Image:
    """Band-limited resampling of an image (y, x) from `sampling` to `to` [Å/px], coarser or finer.

    Cropping or zero-padding the type-II cosine coefficients along each axis, which is Fourier resampling of the
    image continued by its mirror image: nothing jumps at the edges, so nothing rings there, and the band is cut
    as sharply as in the simulated images. A field is seldom a whole number of new pixels; up to 64 mirrored
    pixels are appended first so that the pixel size is met to better than 1e-4, and cropped again.

    Pixels are areas: new pixel i has its centre at (i + 1/2) `to`, from the same corner of the field.

    Parameters
    ----------
    shape : (y, x), optional
        Pixels wanted; at most a few more than the field holds. Default: the whole pixels in the field.

    Returns
    -------
    (y, x) float32; the mean is kept.
    """
    resampled = np.asarray(image, dtype=np.float32)
    if resampled.ndim != 2:
        raise ValueError(f"image must be (y, x), got shape {resampled.shape}")
    if not (sampling > 0 and to > 0):
        raise ValueError(f"sampling and to must be > 0 Å/px, got {sampling!r} and {to!r}")
    for axis in (0, 1):
        wanted = shape[axis] if shape else max(1, int(resampled.shape[axis] * sampling / to + 1e-6))
        resampled = _resample_axis(resampled, axis, sampling / to, wanted)
    return np.ascontiguousarray(resampled)


def _resample_axis(image: Image, axis: int, ratio: float, wanted: int) -> Image:
    from scipy.fft import dct, idct

    have = image.shape[axis]
    if abs(ratio - 1) < 1e-9 and have == wanted:
        return image
    enough = max(have, math.ceil(wanted / ratio - 1e-9))
    candidates = range(enough, enough + 65)
    padded = min(candidates, key=lambda n: (round(abs(n * ratio - round(n * ratio)) / (n * ratio), 6), n))
    count = max(1, round(padded * ratio))
    pads = [(0, 0), (0, 0)]
    pads[axis] = (0, padded - have)
    spectrum = np.moveaxis(
        np.asarray(dct(np.pad(image, pads, mode="symmetric"), axis=axis, norm="ortho")), axis, -1
    )
    kept = spectrum[..., : min(padded, count)]
    if count > padded:
        kept = np.pad(kept, [(0, 0), (0, count - padded)])
    new = np.asarray(idct(kept, axis=-1, norm="ortho")) * np.float32(math.sqrt(count / padded))
    return np.moveaxis(new[..., :wanted], -1, axis).astype(np.float32)


def save_image(path: str | os.PathLike[str], image: ArrayLike, sampling: float) -> None:
    """Write an image (y, x) as a float32 tif whose pixel size [Å/px] Fiji, HyperSpy and `load_micrograph` read back.

    The file appears complete or not at all.
    """
    import tifffile

    path = Path(path)
    values = np.asarray(image, dtype=np.float32)
    if values.ndim != 2:
        raise ValueError(f"image must be (y, x), got shape {values.shape}")
    per_nm = 10 / sampling
    # ImageJ's resolution for Fiji, DigitalMicrograph's tags for HyperSpy, which leaves ImageJ's unit aside.
    gatan = [(65003 + i, "s", 0, "nm", True) for i in (0, 1)] + [
        (65009 + i, "d", 1, sampling / 10, True) for i in (0, 1)
    ]
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tif")
    os.close(handle)
    try:
        tifffile.imwrite(
            partial,
            values,
            imagej=True,
            resolution=(per_nm, per_nm),
            metadata={"unit": "nm", "axes": "YX"},
            extratags=gatan,
        )
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def position_in(index: NDArray, sampling: float, to: float) -> NDArray:
    """Pixel coordinates at `sampling` of pixel coordinates at `to` [Å/px], in the same field (see `resample`)."""
    return (np.asarray(index) + 0.5) * sampling / to - 0.5
