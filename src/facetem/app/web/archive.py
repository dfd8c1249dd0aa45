"""Everything about one or all micrographs of a session in one zip."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

from facetem.analysis.labels import load_labels
from facetem.app.web.labels import labels_csv, save_crops
from facetem.app.web.results import PICTURES, load_result
from facetem.app.web.sessions import PageFile


def make_archive(items: list[PageFile], place: Path) -> Path:
    """Write a zip into the folder `place`, which is made: a folder for each item that has a report, with its labels and
    the crops that they are of. The caller deletes it."""
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=place, suffix=".zip", delete=False) as file:
        target = Path(file.name)
    used: set[str] = set()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for item in items:
            name = item.name.replace("/", "_")
            if name in used:
                name = f"{name}-{item.key}"
            used.add(name)
            _add(archive, item, name)
    return target


def _add(archive: zipfile.ZipFile, item: PageFile, name: str) -> None:
    result = load_result(item.report)
    if result is None:
        return
    for file in sorted(item.report.iterdir()):
        if file.is_file() and not file.name.startswith(".") and file.name not in PICTURES:
            archive.write(file, f"{name}/{file.name}")
    labels = load_labels(item.report)
    if not labels:
        return
    archive.writestr(f"{name}/labels.csv", labels_csv(labels))
    with tempfile.TemporaryDirectory() as folder:
        save_crops(result, labels, Path(folder))
        for file in sorted(Path(folder).rglob("*.tif")):
            archive.write(file, f"{name}/{file.relative_to(folder).as_posix()}")
