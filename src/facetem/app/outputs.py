"""What `facetem simulate` writes: images, focal series and exit waves, with their axes and what they were made with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facetem.core.errors import InputError
from facetem.core.files import begun, whole_file
from facetem.data.hyperspy_file import save_signal
from facetem.data.micrograph import save_image

IMAGES = (".tif", ".tiff", ".npy", ".png", ".hspy", ".zarr")
WAVES = (".hspy", ".zarr")

About = Mapping[str, Any]  # plain values: text, numbers, and maps and lists of them


@dataclass(frozen=True)
class Recording:
    """One image or wave (y, x), or a focal series (focus, y, x), and its scales.

    Parameters
    ----------
    name
        What it is: `image` or `exit wave`.
    data
        Pixels; images with vacuum 1.
    sampling
        Pixel size (y, x) [Å/px].
    defoci
        Of the series [Å], evenly spaced; None: `data` has two dimensions.
    about
        How it was made.
    """

    name: str
    data: NDArray[Any]
    sampling: tuple[float, float]
    defoci: tuple[float, ...] | None
    about: About

    def axes(self) -> list[dict[str, Any]]:
        """The axes of the file [nm]: name, units, offset, scale, size; those of a series begin with the focus."""
        axes = [
            {"name": name, "units": "nm", "offset": 0.0, "scale": step / 10, "size": size}
            for name, step, size in zip("yx", self.sampling, self.data.shape[-2:], strict=True)
        ]
        if self.defoci is not None:
            steps = np.diff(self.defoci) / 10
            focus = {
                "offset": next(iter(self.defoci)) / 10,
                "scale": float(steps[0]) if len(steps) else 1.0,
                "size": len(self.defoci),
            }
            axes.insert(0, {"name": "defocus", "units": "nm", **focus})
        return axes


@contextmanager
def whole_output(path: Path) -> Iterator[Path]:
    """As `whole_file`, also for a .zarr, which is a folder; an older one is replaced, any other folder is not."""
    if path.suffix.lower() != ".zarr":
        with whole_file(path) as partial:
            yield partial
        return
    if path.exists() and not (path / "zarr.json").is_file():
        raise InputError(f"output {path}: expected a new name or an older .zarr, got something else")
    with whole_folder(path, replace=True) as partial:
        yield partial


@contextmanager
def whole_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place if the context ends well.

    Raises
    ------
    InputError
        If the folder cannot be made, or `path` is a file or, unless it is to be replaced, a folder with files in it.
    """
    if path.is_file() or (path.is_dir() and not replace and any(path.iterdir())):
        got = "a file" if path.is_file() else "one with files in it"
        raise InputError(f"output {path}: expected a new or an empty folder, got {got}; choose another")
    partial = begun(path, Path.mkdir)
    try:
        yield partial
        if path.is_dir():
            shutil.rmtree(path)
        partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def save_recording(path: Path, recording: Recording) -> None:
    """Write a recording in the format of the suffix of `path`.

    .tif: float32 with pixel size and, for a series, the foci; .npy: the bare array; .png: 8-bit grey; .hspy: HyperSpy's
    HDF5; .zarr: one array per axis beside the data, as xarray opens it.
    """
    suffix = path.suffix.lower()
    if suffix == ".hspy":
        _save_hspy(path, recording)
    elif suffix == ".zarr":
        _save_zarr(path, recording)
    elif suffix == ".npy":
        np.save(path, recording.data)
    elif suffix == ".png":
        _save_png(path, recording.data)
    elif recording.defoci is None:
        save_image(path, recording.data, recording.sampling[0])
    else:
        _save_tif_stack(path, recording)


def _save_png(path: Path, image: NDArray[Any]) -> None:
    from imageio.v3 import imwrite

    low, high = np.percentile(image, (0.1, 99.9))
    grey = np.clip((image - low) / max(high - low, 1e-12), 0, 1)
    imwrite(path, np.round(255 * grey).astype(np.uint8))


def _save_tif_stack(path: Path, series: Recording) -> None:
    """ImageJ's hyperstack for Fiji, with a label per image, and DigitalMicrograph's tags for HyperSpy."""
    import tifffile

    assert series.defoci is not None
    focus, y, x = series.axes()
    gatan: list[tuple[int, str, int, Any, bool]] = []
    for i, axis in enumerate((x, y, focus)):  # x is the first dimension there
        gatan += [
            (65003 + i, "s", 0, axis["units"], True),
            (65006 + i, "d", 1, axis["offset"], True),
            (65009 + i, "d", 1, axis["scale"], True),
        ]
    tifffile.imwrite(
        path,
        series.data.astype(np.float32),
        imagej=True,
        resolution=(1 / x["scale"], 1 / y["scale"]),
        metadata={
            "unit": "nm",
            "axes": "ZYX",
            "spacing": focus["scale"],
            "Labels": [f"defocus {defocus / 10:g} nm" for defocus in series.defoci],
            "Info": json.dumps(dict(series.about), indent=1),
        },
        extratags=gatan,
    )


def _save_hspy(path: Path, recording: Recording) -> None:
    about = dict(recording.about)
    beam = {"Acquisition_instrument": {"TEM": {"beam_energy": about.get("energy_kv")}}}
    save_signal(path, recording.data, recording.axes(), title=recording.name, about=about, more=beam)


def _save_zarr(path: Path, recording: Recording) -> None:
    import zarr

    axes = recording.axes()
    names = [axis["name"] for axis in axes]
    group = zarr.open_group(path, mode="w", attributes={"title": recording.name, **recording.about})
    data = group.create_array(
        recording.name.replace(" ", "_"),
        shape=recording.data.shape,
        dtype=recording.data.dtype,
        chunks=(1,) * (recording.data.ndim - 2) + recording.data.shape[-2:],
        dimension_names=names,
    )
    data[...] = recording.data
    for axis in axes:
        places = axis["offset"] + axis["scale"] * np.arange(axis["size"])
        scale = group.create_array(
            axis["name"], shape=places.shape, dtype=places.dtype, dimension_names=[axis["name"]]
        )
        scale[...] = places
        scale.attrs["units"] = axis["units"]
