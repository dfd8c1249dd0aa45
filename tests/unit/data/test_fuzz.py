"""Damaged files of every format: a clear error or a sane image; no crash, no hang, no blow-up of memory."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

import h5py
import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile

from facetem.data.hyperspy_file import image_axes, save_signal

COPIES = int(os.environ.get("FACETEM_FUZZ", "12"))  # of each format; 500 take some minutes
PATIENCE = 10.0  # s for one file, reading alone
MEMORY = 2**30  # bytes that reading a file of 40 kB may take beyond what the program does
FORMATS = ("dm3", "dm4", "emd", "velox.emd", "ser", "mrc", "hspy", "tif", "npy", "png")

CHILD = """
import json, resource, sys
from facetem.core.errors import InputError
from facetem.data.micrograph import load_micrograph
import numpy as np
import rsciio.digitalmicrograph, rsciio.emd, rsciio.hspy, rsciio.mrc, rsciio.tia, rsciio.tiff
import imageio.v3, skimage, scipy.ndimage
pages = int(open("/proc/self/statm").read().split()[0]) if sys.platform == "linux" else 0
if pages:
    most = pages * resource.getpagesize() + {memory}
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
for path in sys.argv[1:]:
    print(json.dumps([path, "begun"]), flush=True)
    try:
        found = load_micrograph(path, sampling=0.4)
        told = "sane" if np.isfinite(found.image).all() and found.sampling == 0.4 else "insane"
    except InputError as error:
        told = "refused" if len(str(error).splitlines()) == 1 else "said in several lines: " + str(error)
    except BaseException as error:
        told = type(error).__name__ + ": " + str(error)
    print(json.dumps([path, told]), flush=True)
"""


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """Cut short, with some bits turned over, mostly near the beginning, or with a piece of zeros."""
    data = bytearray(whole)
    kind = rng.integers(3)
    if kind == 0:
        return bytes(data[: rng.integers(1, len(data))])
    reach = len(data) if rng.random() < 0.3 else min(len(data), 2000)
    for at in rng.integers(reach, size=rng.integers(1, 12)):
        if kind == 1:
            data[at] ^= 1 << int(rng.integers(8))
        else:
            data[at : at + 4] = bytes(4)
    return bytes(data[: len(whole)])


@pytest.fixture
def written(
    tmp_path: Path,
    write_dm: Callable[..., Path],
    write_ser: Callable[..., Path],
    write_mrc: Callable[..., Path],
    write_velox: Callable[..., Path],
) -> Callable[[str], Path]:
    """A good file of a format."""
    image = np.random.default_rng(0).poisson(100, (128, 128))

    def write(suffix: str) -> Path:
        path = tmp_path / f"whole.{suffix}"
        if suffix in ("dm3", "dm4"):
            return write_dm(path, image.astype(np.float32), 0.04)
        if suffix == "ser":
            return write_ser(path, image.astype(np.float32), 4e-11)
        if suffix == "mrc":
            return write_mrc(path, image.astype(np.float32), 0.4)
        if suffix == "velox.emd":
            return write_velox(path, image.astype(np.uint16), 4e-11)
        if suffix == "hspy":
            save_signal(path, image.astype(np.float32), image_axes(image.shape, 0.4), title="whole", about={})
        elif suffix == "emd":
            _write_ncem(path, image.astype(np.float32))
        elif suffix == "tif":
            tifffile.imwrite(
                path, image.astype(np.uint16), imagej=True, resolution=(25, 25), metadata={"unit": "nm"}
            )
        elif suffix == "npy":
            np.save(path, image.astype(np.float32))
        else:
            imageio.imwrite(path, image.astype(np.uint8))
        return path

    return write


def _write_ncem(path: Path, image: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        group = file.create_group("data/image")
        group.attrs["emd_group_type"] = 1
        group["data"] = image
        for k, (name, n) in enumerate(zip("yx", image.shape, strict=True), start=1):
            axis = group.create_dataset(f"dim{k}", data=0.04 * np.arange(n))
            axis.attrs["name"], axis.attrs["units"] = name, "[n_m]"


@pytest.mark.slow
@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_files_are_refused_or_read(
    suffix: str, written: Callable[[str], Path], tmp_path: Path
) -> None:
    whole = written(suffix)
    content = whole.read_bytes()
    rng = np.random.default_rng(FORMATS.index(suffix))
    paths = [whole]
    for k in range(COPIES):
        path = tmp_path / f"{k}.{suffix}"
        path.write_bytes(damaged(content, rng))
        paths.append(path)
    outcome = read_all(paths)
    assert outcome[str(whole)] == "sane"
    wrong = {Path(path).name: told for path, told in outcome.items() if told not in ("sane", "refused")}
    assert wrong == {}


def read_all(paths: list[Path]) -> dict[str, str]:
    """What became of each file. One that ended the whole process, or took too long, is named, and the rest goes on."""
    outcome: dict[str, str] = {}
    left = [str(path) for path in paths]
    while left:
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", CHILD.replace("{memory}", str(MEMORY)), *left],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        lines: Queue[str | None] = Queue()
        assert child.stdout is not None
        reader = Thread(target=_pass_on, args=(child.stdout, lines), daemon=True)
        reader.start()
        path, told = left[0], "did not start"
        patience = 6 * PATIENCE  # until the first, for the imports
        try:
            while (line := lines.get(timeout=patience)) is not None:
                path, told = json.loads(line)
                patience = PATIENCE
                outcome[path] = told
        except Empty:
            outcome[path] = f"took longer than {PATIENCE:g} s"
        child.kill()
        child.wait()
        reader.join()
        child.stdout.close()
        if outcome.get(path, "begun") == "begun":
            outcome[path] = f"ended the process ({child.returncode})"
        left = left[left.index(path) + 1 :]
    return outcome


def _pass_on(stream: Iterable[str], lines: "Queue[str | None]") -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)
