"""Camera images of a data set as files that other programs read: HyperSpy stacks, TIFF stacks, a folder per class.

The export grows in a folder beside its place, part by part, and is moved there when it is complete; one that was
stopped goes on with the first part that is missing. No more than a part is in memory.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from facetem.core.errors import InputError
from facetem.core.pixels import PIXEL
from facetem.data.draw import image_shape
from facetem.data.hyperspy_file import image_axes, save_signal
from facetem.data.micrograph import save_image
from facetem.data.publish import shard_sum
from facetem.data.samples import SampleStream
from facetem.data.sources import StoreSource, Visit
from facetem.data.store import Store, open_store

Form = Literal["hspy", "tiff", "folders"]
PART = 256  # images a stack, and between two places where an export can go on
SIDE = 256  # px, what the networks see
LABELS = "labels.csv"

Images = NDArray[np.float32]
Row = dict[str, Any]


@dataclass(frozen=True)
class _Plan:
    """What an export is of; one that was begun goes on if it is the same."""

    of: str  # checksum of the shards
    facetem: str
    to: Form
    seed: int
    n: int
    size: int


def export_store(
    path: str | Path,
    output: str | Path,
    *,
    to: Form,
    seed: int = 0,
    n: int | None = None,
    size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Image the specimens of the data set at `path` once each and write the images into the folder `output`.

    Parameters
    ----------
    to
        `hspy` and `tiff`: stacks of 256 images, NNNNN.hspy or NNNNN.tif; `folders`: <class>/<index>.tif. Pixels are
        float32 with vacuum at about 1, their size is in the files, and labels.csv has a row per image.
    seed
        Of optics, camera, window and noise; image i depends on it and on specimen i alone.
    n
        How many. Default: all that are whole.
    size
        Side of the images [px]. Default: 256, or the field if that is smaller.
    progress
        Called with (images done, images).

    Returns
    -------
    Number of images.

    Raises
    ------
    InputError
        If there is no data set, it holds fewer specimens, or something is in the way.
    """
    store, output = open_store(path), Path(output)
    plan = _plan(store, to, seed, n, size)
    partial = output.with_name(f".{output.name}.partial")
    _begin(output, partial, plan)
    if not (partial / LABELS).exists():
        _fill(partial, store, plan, progress)
        _save_labels(partial)
    _finish(output, partial)
    return plan.n


def _fill(partial: Path, store: Store, plan: _Plan, progress: Callable[[int, int], None] | None) -> None:
    """Image the specimens and write what is missing of the parts."""
    source, rows = StoreSource(store.path, memory=0), _rows(store)  # nothing is seen twice
    stream = SampleStream(store.recipe, split=store.split, size=plan.size, seed=plan.seed)
    for part, first in enumerate(range(0, plan.n, PART)):
        some = list(islice(rows, min(PART, plan.n - first)))
        kept = partial / "rows" / f"{part:05d}.csv"
        if not kept.exists():
            images = _imaged(source, stream, some)
            _write_part(partial, part, images, some, plan)
            _save_rows(kept, some)
        if progress:
            progress(first + len(some), plan.n)


def _plan(store: Store, to: Form, seed: int, n: int | None, size: int | None) -> _Plan:
    if to not in get_args(Form):
        raise InputError(f"to: expected one of {', '.join(get_args(Form))}, got {to!r}")
    shards = store.shards()
    there = len(shards) * store.shard_size
    wanted = there if n is None else n
    if not 1 <= wanted <= there:
        raise InputError(
            f"n: expected 1 to {there} images, as many as {store.path} holds whole, got {wanted}"
        )
    field = min(image_shape(store.recipe))
    side = min(SIDE, field) if size is None else size
    if not 16 <= side <= field:
        raise InputError(f"size: expected 16 to {field} px, the field of the recipe, got {side}")
    sums = "\n".join(shard_sum(store.record(shard)) for shard in shards)
    return _Plan(sha256(sums.encode()).hexdigest(), version("facetem"), to, seed, wanted, side)


def _begin(output: Path, partial: Path, plan: _Plan) -> None:
    """Make the folder that the export grows in, or take up one that was begun with the same plan."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"output {output}: expected a new or an empty folder; choose another")
    told = json.dumps(asdict(plan), indent=1)
    noted = partial / "export.json"
    if noted.is_file() and noted.read_text() == told:
        return
    try:
        noted.unlink(missing_ok=True)  # first: what is half removed is no export that was begun
        shutil.rmtree(partial, ignore_errors=True)
        (partial / "rows").mkdir(parents=True)
        noted.write_text(told)
    except OSError as error:
        raise InputError(
            f"output {output}: expected a folder that can be written: {error.strerror}"
        ) from None


def _rows(store: Store) -> Iterator[Row]:
    """The labels of the specimens that are there, one by one."""
    for shard in store.shards():
        for row in store.table("labels", shard).to_dict("records"):
            yield {str(name): value for name, value in row.items()}


def _imaged(source: StoreSource, stream: SampleStream, rows: Sequence[Row]) -> Images:
    """Camera images (n, y, x) of the specimens of `rows`; dose and defocus are added to these."""
    group = [Visit(int(row["index"]), 0, None) for row in rows]
    showings = next(filter(None, source.load([group])))
    images = []
    for row, showing in zip(rows, showings, strict=True):
        batch = stream.draw([showing])
        row |= {"dose": float(batch.dose[0]), "defocus": float(batch.defocus[0])}
        images.append(batch.noisy[0].cpu().numpy())
    return np.stack(images)


def _write_part(folder: Path, part: int, images: Images, rows: Sequence[Row], plan: _Plan) -> None:
    """Write the images, and the file that each is in into its row."""
    if plan.to == "folders":
        for image, row in zip(images, rows, strict=True):
            (folder / str(row["label"])).mkdir(exist_ok=True)
            row["file"] = f"{row['label']}/{row['index']:07d}.tif"
            save_image(folder / row["file"], image, PIXEL)
        return
    file = f"{part:05d}.{'tif' if plan.to == 'tiff' else 'hspy'}"
    for frame, row in enumerate(rows):
        row |= {"file": file, "frame": frame}
    save = _save_tiff if plan.to == "tiff" else _save_hspy
    save(folder / file, images, rows, plan)


def _save_tiff(path: Path, images: Images, rows: Sequence[Row], plan: _Plan) -> None:
    """ImageJ's hyperstack for Fiji, with a label per image, and DigitalMicrograph's tags for HyperSpy."""
    import tifffile

    scales = [(PIXEL / 10, "nm"), (PIXEL / 10, "nm"), (1.0, "")]
    gatan: list[tuple[int, str, int, Any, bool]] = []
    for i, (scale, units) in enumerate(scales):  # x, y, image
        gatan += [(65003 + i, "s", 0, units, True), (65009 + i, "d", 1, scale, True)]
    tifffile.imwrite(
        path,
        images,
        imagej=True,
        resolution=(10 / PIXEL, 10 / PIXEL),
        metadata={
            "unit": "nm",
            "axes": "TYX",
            "Labels": [f"{row['index']} {row['label']}" for row in rows],
            "Info": json.dumps(asdict(plan)),
        },
        extratags=gatan,
    )


def _save_hspy(path: Path, images: Images, rows: Sequence[Row], plan: _Plan) -> None:
    about = {**asdict(plan), **{name: [row[name] for row in rows] for name in ("index", "label", "energy")}}
    stack = {"name": "image", "units": "", "offset": 0.0, "scale": 1.0, "size": len(images)}
    axes = [stack, *image_axes(images.shape[1:], PIXEL)]
    save_signal(path, images, axes, title=f"simulated micrographs {path.stem}", about=about)


def _save_rows(path: Path, rows: Sequence[Row]) -> None:
    """Rows as CSV, in one step: the part is there when they are."""
    import pandas as pd

    partial = path.with_suffix(".partial")
    pd.DataFrame(rows).to_csv(partial, index=False)
    os.replace(partial, path)


def _save_labels(folder: Path) -> None:
    """The rows of all parts as one table, in one step: the images are there when it is."""
    parts = sorted((folder / "rows").glob("*.csv"))
    partial = folder / "labels.partial"
    with partial.open("w") as table:
        for i, part in enumerate(parts):
            with part.open() as lines:
                table.writelines(islice(lines, 0 if i == 0 else 1, None))
    os.replace(partial, folder / LABELS)


def _finish(output: Path, partial: Path) -> None:
    """The folder to its place, without what it was made with."""
    shutil.rmtree(partial / "rows", ignore_errors=True)
    if output.is_dir():
        output.rmdir()  # it was empty
    partial.replace(output)
