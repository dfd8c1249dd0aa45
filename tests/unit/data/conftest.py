"""Minimal writers of formats that microscopes write and Python does not, and a small data set."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from facetem.data.make import make_store
from facetem.data.recipe import Recipe
from facetem.data.recipe_file import recipe_from

DmWriter = Callable[..., Path]


class Digital:
    """Gatan's dm3 and dm4: a tree of big-endian tags with little-endian values."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.word = ">q" if version == 4 else ">i"

    def integer(self, value: int) -> bytes:
        return struct.pack(self.word, value)

    def value(self, value: Any) -> bytes:
        if isinstance(value, str):
            value = np.frombuffer(value.encode("utf-16-le"), "<u2")
        if isinstance(value, np.ndarray):
            code = {"<u2": 4, "<f4": 6, "<i2": 2, "<i4": 3, "|u1": 8}[value.dtype.str]
            info = [20, code, value.size]
            data = value.tobytes()
        else:
            info, data = (
                ([5], struct.pack("<I", value)) if isinstance(value, int) else ([6], struct.pack("<f", value))
            )
        return b"%%%%" + self.integer(len(info)) + b"".join(map(self.integer, info)) + data

    def group(self, tags: list[tuple[str, Any]]) -> bytes:
        """The body of a group: flags, number, entries; a nested list is a group."""
        body = b"\x01\x00" + self.integer(len(tags))
        for name, content in tags:
            kind, entry = (
                (20, self.group(content)) if isinstance(content, list) else (21, self.value(content))
            )
            size = self.integer(len(entry)) if self.version == 4 else b""
            body += struct.pack(">bh", kind, len(name)) + name.encode() + size + entry
        return body

    def file(self, tags: list[tuple[str, Any]]) -> bytes:
        body = self.group(tags)
        return struct.pack(">i", self.version) + self.integer(len(body)) + struct.pack(">i", 1) + body


def _dm_image(image: np.ndarray, scale: float, units: str, volts: float) -> list[tuple[str, Any]]:
    codes = {"float32": 2, "uint16": 10, "int16": 1, "int32": 7, "uint8": 6}
    axis = [("Origin", 0.0), ("Scale", scale), ("Units", units)]
    calibrations = [
        ("Brightness", [("Origin", 0.0), ("Scale", 1.0), ("Units", "")]),
        ("Dimension", [("", axis)] * image.ndim),
    ]
    data = [
        ("Calibrations", calibrations),
        ("Data", np.ascontiguousarray(image).ravel()),
        ("DataType", codes[image.dtype.name]),
        ("Dimensions", [("", n) for n in image.shape[::-1]]),
        ("PixelDepth", image.dtype.itemsize),
    ]
    tags = [("Microscope Info", [("Voltage", volts), ("Imaging Mode", "MAG1")])]
    return [("ImageData", data), ("ImageTags", tags), ("Name", "Au on C")]


@pytest.fixture
def write_dm() -> DmWriter:
    """write(path, image, scale, units="nm", volts=3e5): a dm3 or dm4 with a thumbnail before the image."""

    def write(path: Path, image: np.ndarray, scale: float, units: str = "nm", volts: float = 3e5) -> Path:
        thumbnail = _dm_image(np.zeros((8, 8), np.float32), 1.0, "", volts)
        tags = [
            ("ImageList", [("", thumbnail), ("", _dm_image(image, scale, units, volts))]),
            ("Thumbnails", [("", [("ImageIndex", 0)])]),
        ]
        path.write_bytes(Digital(int(path.suffix[-1])).file(tags))
        return path

    return write


@pytest.fixture
def write_ser() -> DmWriter:
    """write(path, image, metres): TIA's ser with one float32 image."""

    def write(path: Path, image: np.ndarray, metres: float) -> Path:
        header = struct.pack("<hhhiiiiii", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, 1, 1, 0, 1)
        dimension = (
            struct.pack("<iddi", 1, 0.0, 1.0, 0) + struct.pack("<i", 6) + b"Number" + struct.pack("<i", 0)
        )
        at_array = len(header) + len(dimension)
        header = struct.pack("<hhhiiiiii", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, 1, 1, at_array, 1)
        ny, nx = image.shape
        element = struct.pack("<ddiddi", 0.0, metres, 0, 0.0, metres, 0) + struct.pack("<hii", 7, nx, ny)
        element += image[::-1].astype("<f4").tobytes()  # the file begins with the lowest row
        at_data = at_array + 8
        tag = struct.pack("<hhi", 0x4152, 0, 1_600_000_000)
        offsets = struct.pack("<ii", at_data, at_data + len(element))
        path.write_bytes(header + dimension + offsets + element + tag)
        return path

    return write


@pytest.fixture
def write_mrc() -> DmWriter:
    """write(path, image, angstroms): MRC2014, float32, (y, x) or a stack (n, y, x)."""

    def write(path: Path, image: np.ndarray, angstroms: float) -> Path:
        nz, ny, nx = image.shape if image.ndim == 3 else (1, *image.shape)
        header = bytearray(1024)
        struct.pack_into("<10i", header, 0, nx, ny, nz, 2, 0, 0, 0, nx, ny, nz)
        struct.pack_into(
            "<6f3i", header, 40, nx * angstroms, ny * angstroms, nz * angstroms, 90, 90, 90, 1, 2, 3
        )
        header[208:216] = b"MAP \x44\x44\x00\x00"
        path.write_bytes(bytes(header) + image.astype("<f4").tobytes())
        return path

    return write


@pytest.fixture(scope="session")
def small_recipe(small: dict[str, Any]) -> Recipe:
    """Specimens that take hundredths of a second each."""
    return recipe_from(small)


@pytest.fixture(scope="session")
def small_store(small_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete data set of four specimens in two shards; not to be changed."""
    path = tmp_path_factory.mktemp("small") / "store"
    make_store(small_recipe, path, n=3)
    return path


@pytest.fixture
def write_velox() -> Callable[..., Path]:
    """Writes the emd that Velox writes: JSON as columns of bytes, frames along the last axis."""

    def write(path: Path, image: np.ndarray, metres: float) -> Path:
        frames = image if image.ndim == 3 else image[None]
        about = {
            "BinaryResult": {
                "PixelSize": {"width": str(metres), "height": str(metres)},
                "PixelUnitX": "m",
                "PixelUnitY": "m",
                "Offset": {"x": "0", "y": "0"},
                "DetectorIndex": "0",
            },
            "Detectors": {"Detector-0": {"DetectorName": "BM-Ceta", "ExposureTime": "0.5"}},
            "Optics": {"AccelerationVoltage": "300000"},
            "Instrument": {"InstrumentClass": "Titan"},
            "Scan": {},
            "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1600000000"}},
        }
        text = np.frombuffer(json.dumps(about).encode(), np.uint8)
        with h5py.File(path, "w") as file:
            file["Version"] = np.array([json.dumps({"format": "Velox", "version": "1.10"}).encode()])
            group = file.create_group("Data/Image/f5a4ba0965a5444c8c46cc420cf7fef0")
            group.create_dataset("Data", data=np.moveaxis(frames, 0, 2), chunks=(*frames.shape[1:], 1))
            group["Metadata"] = np.repeat(np.pad(text, (0, 64))[:, None], len(frames), axis=1)
            operation = file.create_group("Operations/CameraInputOperation")
            operation["a"] = np.array(
                [
                    json.dumps(
                        {
                            "dataPath": f"/{group.name.strip('/')}",
                            "cameraName": "BM-Ceta",
                            "detector": "BM-Ceta",
                        }
                    ).encode()
                ]
            )
        return path

    return write
