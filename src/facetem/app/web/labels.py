"""Labels that a microscopist gave by hand, kept beside the result that they correct (docs/page.md has the form)."""

from __future__ import annotations

import csv
import io
import json
import shutil
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from facetem.app.web.results import FIELD, Result, load_result
from facetem.atoms.library import NONE, SHAPES
from facetem.core.errors import InputError
from facetem.core.files import whole_file

FILE = "labels.json"
SCHEMA, VERSION = "facetem-labels", 1
NO_PARTICLE = "no_particle"
CHOICES = (*SHAPES, NONE, NO_PARTICLE)
WORDS = {NONE: "none of these shapes", NO_PARTICLE: "not a particle"}
_LONGEST = 500  # characters of a note


def words(label: str) -> str:
    """A label as one reads it."""
    return WORDS.get(label, label.replace("_", " "))


def load_labels(folder: Path) -> dict[int, dict[str, Any]]:
    """The labels of a report by the number of their particle; none if there are none, or what is there is damaged."""
    try:
        told = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return {int(row["particle"]): row for row in told["labels"] if row["label"] in CHOICES}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


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
