"""Labels given by hand on the page: kept beside the result that they correct, and given out with it."""

from __future__ import annotations

import csv
import io
import json
import shutil
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from facetem.analysis.labels import CHOICES, FILE, SCHEMA, VERSION, load_labels
from facetem.app.web.results import FIELD, Result, load_result
from facetem.core.errors import InputError
from facetem.core.files import whole_file

_LONGEST = 500  # characters of a note


def set_label(result: Result, index: int, label: str, note: str = "") -> None:
    """Keep a label of a particle; an empty one takes it back.

    Raises
    ------
    InputError
        If the label is unknown, or the report has no such particle, or is another by now.
    """
    if load_result(result.folder) != result:
        raise InputError(
            f"{result.name}: it was analysed again meanwhile; open it again to label its particles"
        )
    particle = result.particle(index)
    if particle is None or label not in ("", *CHOICES):
        raise InputError(
            f"label: expected one of {', '.join(CHOICES)} for a particle of the report, got {label!r}"
        )
    known = load_labels(result.folder)
    known.pop(index, None)
    if label:
        known[index] = {
            "particle": index,
            "label": label,
            "predicted": particle["shape"],
            "verdict": particle["verdict"],
            "confidence": particle["confidence"],
            "x_nm": particle["x_nm"],
            "y_nm": particle["y_nm"],
            "note": note[:_LONGEST],
            "labelled": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    told = {
        "schema": SCHEMA,
        "schema_version": VERSION,
        "micrograph": result.name,
        "sha256": result.told["provenance"].get("sha256"),
        "crop_pixel_size_nm": result.pixel_nm,
        "labels": [known[i] for i in sorted(known)],
    }
    with whole_file(result.folder / FILE) as partial:
        partial.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def carry_labels(old: Path, new: Path) -> None:
    """Copy the labels of an earlier report beside a new one, whose particles may be others: as `labels-earlier-N.json`,
    next to those that the earlier one has of still earlier ones."""
    for file in old.glob("labels-earlier*.json"):
        shutil.copy2(file, new / file.name)
    if (old / FILE).is_file():
        names = (f"labels-earlier-{n}.json" for n in count(1))
        shutil.copy2(old / FILE, new / next(name for name in names if not (new / name).exists()))


def labels_csv(labels: dict[int, dict[str, Any]]) -> str:
    """The same as a table, with the name of each particle's crop."""
    columns = [
        "crop",
        "label",
        "particle",
        "predicted",
        "verdict",
        "confidence",
        "x_nm",
        "y_nm",
        "note",
        "labelled",
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for index in sorted(labels):
        writer.writerow({**labels[index], "crop": crop_name(index, labels[index]["label"])})
    return text.getvalue()


def crop_name(index: int, label: str) -> str:
    """Of a labelled particle's crop, in an export: a folder for each label, as image classifiers are fed."""
    return f"crops/{label}/particle-{index:03d}.tif"


def save_crops(result: Result, labels: dict[int, dict[str, Any]], folder: Path) -> None:
    """Write what the classifier saw of every labelled particle: 256 x 256 px at 0.4 Å/px, float32."""
    import tifffile

    from facetem.core.pixels import FIELD as SIZE
    from facetem.data.crop import crop
    from facetem.data.micrograph import save_image

    field = tifffile.imread(result.folder / FIELD)
    for index, row in labels.items():
        particle = result.particle(index)
        if particle is not None:
            place = folder / crop_name(index, row["label"])
            place.parent.mkdir(parents=True, exist_ok=True)
            save_image(place, crop(field, result.centroid(particle), SIZE), 10 * result.pixel_nm)
