"""`Micrograph`: an image with its pixel size, read from what microscopes write, checked, and resampled.

The extension decides the reader: RosettaSciIO for the formats of electron microscopy, numpy for npy, imageio for
screenshots. The pixel size comes from the file's own axes or from the caller; nothing is guessed.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facetem.core.errors import InputError
from facetem.data.axes import Axes
from facetem.data.cleaning import CLIPPED, Image, clipped_part, grey, replace_outliers, trim_margins
from facetem.data.formats import EXTENSIONS, RawImage, read_file
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

SMALLEST_FIELD = 40.0  # Å: the smallest particle that was trained, 4 nm
SMALLEST_SHAPE = 64  # px: one patch of the restorer
COARSEST = 1.0  # Å/px: Nyquist at 2 Å, just below the {200} spacing of gold, 2.04 Å
FINEST = 0.05  # Å/px: ten times finer than any microscope needs; a nm value given for Å lands here
_SILENT = 1e-3  # of the noise ...
_RECORDED = 1.25  # Å: ... at spacings that every micrograph with a lattice has
_FINEST_DETAIL = 0.45  # Å: no microscope resolves this, so a sharp spot beyond it is a wrong pixel size


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
        outliers replaced, frames averaged). Plain values, fit for JSON.
    axes : Axes
        How the file, or the signal, names, counts and places the pixels.
    """

    image: Image
    sampling: float
    name: str
    metadata: dict[str, Any] = field(default_factory=dict)
    axes: Axes = field(default_factory=Axes)

    @property
    def extent(self) -> tuple[float, float]:
        """Field of view (y, x) [Å]."""
        return self.image.shape[0] * self.sampling, self.image.shape[1] * self.sampling


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
    name = path.name if "frame" not in raw.metadata else f"{path.name} frame {frame}"
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
    image: ArrayLike | Signal, sampling: float | None = None, frame: int | None = None
) -> Micrograph:
    """The micrograph that an array, whose pixel size must be given [Å/px], or a HyperSpy signal is; of a signal that is
    navigated, one frame or their sum.

    Raises
    ------
    InputError
        As `load_micrograph`.
    """
    if isinstance(image, Signal):
        return micrograph_from_signal(image, sampling, frame)
    if sampling is None:
        raise InputError("array: expected a pixel size, got none; give sampling= in Å/px")
    return micrograph_from_array(image, sampling)


def _checked(raw: RawImage, sampling: float | None, where: str, name: str) -> Micrograph:
    _check_sampling(sampling, where)
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
    _check_size(kept.shape, sampling, where)
    lines = mend_lines(np.ascontiguousarray(kept, dtype=np.float32))
    image, replaced = replace_outliers(lines.image)
    _check_detail(image, sampling, where)
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


def _check_sampling(sampling: float | None, where: str) -> None:
    if not isinstance(sampling, (int, float, np.number)) or not math.isfinite(sampling) or sampling <= 0:
        raise InputError(f"{where}: expected a positive pixel size in Å/px, got {sampling!r}")
    if sampling > COARSEST:
        raise InputError(
            f"{where}: expected a pixel size of at most {COARSEST:g} Å/px (0.1 nm/px), got {sampling:g} Å/px, which "
            f"cannot resolve the lattice; if it is {sampling / 10:g} Å/px, an Å value was given for nm"
        )
    if sampling < FINEST:
        raise InputError(
            f"{where}: expected a pixel size of at least {FINEST:g} Å/px, got {sampling:g} Å/px; if it is "
            f"{sampling:g} nm/px, a nm value was given for Å: {sampling * 10:g} Å/px"
        )


def _check_size(shape: Sequence[int], sampling: float, where: str) -> None:
    ny, nx = shape[0], shape[1]
    if min(ny, nx) >= SMALLEST_SHAPE and min(ny, nx) * sampling >= SMALLEST_FIELD:
        return
    hint = ""
    if min(ny, nx) >= SMALLEST_SHAPE and 10 * sampling <= COARSEST:
        hint = f"; if the pixel size is {sampling:g} nm, give {10 * sampling:g} Å/px"
    raise InputError(
        f"{where}: expected at least {SMALLEST_SHAPE} px and {SMALLEST_FIELD / 10:g} nm along y and x, got "
        f"{ny} x {nx} px at {sampling:g} Å/px, {ny * sampling / 10:.2g} x {nx * sampling / 10:.2g} nm: smaller than "
        f"a particle{hint}"
    )


def _check_detail(image: Image, sampling: float, where: str) -> None:
    """A lattice has sharp spots in its power spectrum; beyond 1/0.45 Å there can be none.

    The highest spot is compared with the median of its ring: for noise the ratio follows an exponential
    distribution, whose largest of 10^6 values is 20 times the median; 100 times is a lattice. The axes are left
    out, where the camera's rows and compression leave their own spots.
    """
    if sampling >= _FINEST_DETAIL / 2:
        return
    size = min(1024, *image.shape)
    y, x = ((n - size) // 2 for n in image.shape)
    window = np.hanning(size).astype(np.float32)
    patch = image[y : y + size, x : x + size]
    power = np.abs(np.fft.rfft2((patch - patch.mean()) * window[:, None] * window)) ** 2
    ky = np.fft.fftfreq(size, sampling)[:, None]
    kx = np.fft.rfftfreq(size, sampling)[None, :]
    off_axis = (np.abs(ky) > 4 / (size * sampling)) & (kx > 4 / (size * sampling))
    radius = np.hypot(ky, kx)
    noise = np.median(power[off_axis & (radius < 1 / _RECORDED)])
    edges = np.linspace(1 / _FINEST_DETAIL, 0.5 / sampling, 17)
    for low, high in pairwise(edges):
        ring = np.where(off_axis & (radius >= low) & (radius < high), power, np.nan)
        median = np.nanmedian(ring) if np.isfinite(ring).any() else 0.0
        # Where an image was made finer afterwards there is no noise, and what stands out of nothing is rounding.
        if median > _SILENT * noise and np.nanmax(ring) > 100 * median:
            spacing = float(1 / radius.flat[int(np.nanargmax(ring))])
            raise InputError(
                f"{where}: expected lattice fringes wider than {_FINEST_DETAIL} Å, got fringes of {spacing:.2f} Å at "
                f"{sampling:g} Å/px; if the pixel size is {sampling:g} nm, give {10 * sampling:g} Å/px"
            )


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
