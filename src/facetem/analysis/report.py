"""An analysis on disk: report.html, particles.csv, result.json, restored.tif and .hspy, spread.tif, denoised.tif,
rois.zip and the figures."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from facetem.analysis.analyze import Analysis
from facetem.analysis.result import ParticleResult, left_out_words
from facetem.analysis.table import table_csv
from facetem.core.errors import InputError
from facetem.core.pixels import FIELD
from facetem.core.words import spoken
from facetem.data.crop import crop
from facetem.data.hyperspy_file import image_axes, save_signal
from facetem.data.micrograph import save_image
from facetem.learn.verdict import CANNOT_TELL, NONE_OF_THESE, NOT_JUDGED

RESULT = "result.json"
FILES = (
    "report.html", "particles.csv", "restored.tif", "restored.hspy", "spread.tif", "denoised.tif", "rois.zip",
    "overview.png", "overview.svg", "gallery.png", "sizes.png", "sizes.svg", RESULT,
)  # fmt: skip  # all that a report may have; the result comes last: where it is, everything is
SCHEMA = "facetem-analysis"
SCHEMA_VERSION = 1
_PARTIAL = ".partial-"
_MOST_CARDS = 24  # of the gallery figure; the page shows all


def save_analysis(analysis: Analysis, folder: str | os.PathLike[str]) -> Path:
    """Write everything into `folder`, which is made if need be, in place of an earlier report; other files in it stay
    as they are.

    The files are written aside and moved in at the end: where `RESULT` is, everything is, and nothing of another one.

    Returns
    -------
    The path of report.html.

    Raises
    ------
    InputError
        If the folder cannot be made or written to.
    """
    folder = Path(folder)
    made = check_output(folder)
    aside = None
    try:
        for left in folder.glob(f"{_PARTIAL}*"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        aside = Path(tempfile.mkdtemp(dir=folder, prefix=_PARTIAL))
        _write_files(analysis, aside)
        (folder / RESULT).unlink(missing_ok=True)
        for name in FILES:
            if (aside / name).exists():
                os.replace(aside / name, folder / name)
            else:
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: expected a folder to write to, got {error.strerror or error}; choose another with --output"
        ) from error
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)
        for path in made:  # the innermost first; those that now hold files stay
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
    return folder / "report.html"


def check_output(folder: str | os.PathLike[str]) -> list[Path]:
    """Make the folder and try it, before hours of work are spent on what cannot be saved.

    Returns
    -------
    The folders that had to be made, innermost first.

    Raises
    ------
    InputError
        If it is a file, cannot be made, or cannot be written to.
    """
    folder = Path(folder)
    made = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        for path in made:
            if path.is_dir():
                path.rmdir()
        reason = "a file" if folder.is_file() else (error.strerror or str(error)).lower()
        raise InputError(
            f"{folder}: expected a folder to write to, got {reason}; choose another with --output"
        ) from error
    return made


def _write_files(analysis: Analysis, folder: Path) -> None:
    from facetem.analysis.page import page
    from facetem.figures import gallery, overview, png, size_histogram, svg

    colours = verdict_colours(analysis)
    marks, cards = figure_parts(analysis)
    (folder / "report.html").write_text(page(analysis), encoding="utf-8")
    (folder / "particles.csv").write_text(table_csv(analysis.particles), encoding="utf-8")
    result = json.dumps(result_dict(analysis), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / RESULT).write_text(result + "\n", encoding="utf-8")
    save_image(folder / "restored.tif", analysis.restored, analysis.sampling)
    save_image(folder / "spread.tif", analysis.spread, analysis.sampling)
    save_image(folder / "denoised.tif", analysis.denoised, analysis.sampling)
    save_signal(
        folder / "restored.hspy",
        analysis.restored,
        image_axes(analysis.restored.shape, analysis.sampling),
        title=f"{analysis.micrograph.name}, restored",
        about={"provenance": json.dumps(_plain(analysis.provenance))},
    )
    if analysis.outlines:
        save_rois(analysis, folder / "rois.zip")
    seen = {
        name: colour for name, colour in colours.items() if any(p.verdict == name for p in analysis.particles)
    }
    pictures = {"overview": overview(analysis.field, analysis.restored, analysis.sampling, marks, seen)}
    if cards:
        pictures["gallery"] = gallery(cards[:_MOST_CARDS], analysis.sampling)
        pictures["sizes"] = size_histogram(diameters_by_verdict(analysis), colours)
    for name, picture in pictures.items():
        (folder / f"{name}.png").write_bytes(png(picture))
        if name != "gallery":  # of nothing but pixels
            (folder / f"{name}.svg").write_bytes(svg(picture))


def save_rois(analysis: Analysis, path: Path) -> None:
    """Write the outlines for ImageJ's ROI manager: in pixels of the micrograph's file, whose first one ends at 1."""
    from roifile import ImagejRoi, roiwrite

    scale = analysis.sampling / analysis.micrograph.sampling
    cut = analysis.micrograph.metadata.get("margins_cut", {})
    first = np.array([cut.get("left", 0), cut.get("top", 0)])
    rois = [
        ImagejRoi.frompoints(
            (outline.contour[:, ::-1] + 0.5) * scale + first, name=f"{particle.index} {particle.verdict}"
        )
        for particle, outline in zip(analysis.particles, analysis.outlines, strict=True)
    ]
    roiwrite(path, rois)


def verdict_colours(analysis: Analysis) -> dict[str, str]:
    """Colour of each verdict that this analysis could give: its shapes, and what claims none."""
    return colours_of(list(analysis.particles[0].probabilities) if analysis.particles else [])


def colours_of(shapes: Sequence[str]) -> dict[str, str]:
    """Colour of each verdict that a classifier of these shapes gives."""
    from facetem.figures import GREY, PALE, SLATE, shape_colours

    colours = {spoken(name): colour for name, colour in shape_colours(shapes).items()}
    return colours | {CANNOT_TELL: SLATE, NONE_OF_THESE: GREY, NOT_JUDGED: PALE}


def figure_parts(analysis: Analysis) -> tuple[list[Any], list[Any]]:
    """The marks of the overview and the cards of the gallery."""
    from facetem.figures import Card, Mark

    colours = verdict_colours(analysis)
    marks, cards = [], []
    for particle, outline in zip(analysis.particles, analysis.outlines, strict=True):
        colour = colours[particle.verdict]
        marks.append(Mark(outline.contour, outline.centroid, str(particle.index), colour))
        title = f"{particle.index}  {particle.verdict}" + (
            f"  {particle.confidence:.0%}" if particle.named else ""
        )
        noisy, restored = (
            crop(image, outline.centroid, FIELD) for image in (analysis.field, analysis.restored)
        )
        cards.append(Card(title, noisy, restored, particle.probabilities if particle.judged else {}, colour))
    return marks, cards


def complete(particles: Sequence[ParticleResult]) -> list[ParticleResult]:
    """The whole ones: only their sizes are a particle's own."""
    return [p for p in particles if p.whole]


def left_out(particles: Sequence[ParticleResult]) -> str:
    """How many are not among them, in words."""
    cut = sum(p.cut_by_edge for p in particles)
    return left_out_words(cut, len(particles) - cut - len(complete(particles)))


def diameters_by_verdict(analysis: Analysis) -> dict[str, list[float]]:
    """Diameters [nm] of the complete particles of each verdict."""
    whole = complete(analysis.particles)
    return {name: [p.diameter_nm for p in whole if p.verdict == name] for name in verdict_colours(analysis)}


def result_dict(analysis: Analysis) -> dict[str, Any]:
    """The whole result as plain values; lengths in nm, contours as (x, y) in nm from the upper left corner."""
    scale = analysis.sampling / 10
    micrograph = analysis.micrograph
    rows = []
    for particle, outline in zip(analysis.particles, analysis.outlines, strict=True):
        contour = ((outline.contour[:, ::-1] + 0.5) * scale).round(3).tolist()
        rows.append(
            _plain(asdict(particle))
            | {
                "verdict": particle.verdict,
                "words": particle.words,
                "lies": particle.lies,
                "whole": particle.whole,
                "contour_nm": contour,
            }
        )
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "micrograph": {
            "name": micrograph.name,
            "pixel_size_nm": micrograph.sampling / 10,
            "shape_yx": list(micrograph.image.shape),
            "field_nm_yx": [length / 10 for length in micrograph.extent],
            "metadata": _plain(micrograph.metadata),
        },
        "analysed_pixel_size_nm": scale,
        "provenance": _plain(analysis.provenance),
        "warning": analysis.warning,
        "lattice_scale": None
        if analysis.scale is None
        else _plain(asdict(analysis.scale))
        | {"agrees": analysis.scale.agrees, "disagrees": analysis.scale.disagrees},
        "lattice_windows": {
            "size_nm": round(analysis.support.window * scale, 4),
            "with_lattice": int((analysis.support.lattice > 0).sum()),
            "without_support": int(analysis.support.suspect.sum()),
        },
        "particles": rows,
    }


def _plain(value: Any) -> Any:
    """JSON's own types; what a file's metadata holds beyond them becomes text."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (str, bool, int, float)) or value is None:
        return value
    return value.item() if hasattr(value, "item") else str(value)
