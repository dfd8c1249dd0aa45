"""The particles of many micrographs as one sample: their table, the fractions of their shapes, their sizes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facetem.analysis.page_parts import number
from facetem.analysis.population import Difference, Fractions, compare_samples, shape_fractions
from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError

SCHEMA, SCHEMA_VERSION = "facetem-sample", 1
JSON, PAGE = "sample.json", "index.html"
QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Sample:
    """Particles of one or many micrographs.

    Parameters
    ----------
    table
        One row for each particle, with the `micrograph` that it is in and its `report`.
    shapes, confusion
        The classes, and the classifier's errors on held-out images (true, named); None if its weights do not say.
    micrographs
        The name of each by that of its report's folder; those without a particle are among them.
    """

    table: pd.DataFrame
    shapes: tuple[str, ...]
    confusion: NDArray[np.int64] | None
    micrographs: Mapping[str, str]

    @cached_property
    def named(self) -> pd.DataFrame:
        """The particles that resemble a learnt shape, by their most probable one, whether it was claimed or not: to
        leave out those of which one cannot tell would favour the shapes that are easily told."""
        return self.table.query("judged and known") if len(self.table) else self.table

    @property
    def counts(self) -> NDArray[np.int64]:
        """Particles (shape,) by what they were named."""
        found = Counter(self.named["shape"]) if len(self.named) else Counter()
        return np.array([found[shape] for shape in self.shapes])

    @cached_property
    def fractions(self) -> Fractions | None:
        """The fractions of the shapes, corrected for the classifier's errors; None where there is nothing to say."""
        if self.confusion is None or not self.counts.sum():
            return None
        return shape_fractions(self.shapes, self.counts, self.confusion)

    @property
    def verdicts(self) -> dict[str, int]:
        """Particles by what is claimed of them."""
        return dict(Counter(self.table["verdict"]).most_common()) if len(self.table) else {}

    def sizes(self) -> pd.DataFrame:
        """Projected and volume-equivalent diameters [nm] of the complete particles of each shape, and of all."""
        rows = []
        whole = self.named.query("not cut_by_edge") if len(self.named) else self.named
        for shape in (*self.shapes, "all"):
            some = whole if shape == "all" else whole[whole["shape"] == shape] if len(whole) else whole
            if not len(some):
                continue
            row: dict[str, object] = {"shape": shape, "particles": len(some)}
            for name in ("diameter_nm", "volume_diameter_nm"):
                values = np.asarray(some[name], dtype=float)
                spread = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
                row |= {f"{name}_mean": float(values.mean()), f"{name}_sd": spread}
                row |= {f"{name}_q{100 * q:02.0f}": float(np.quantile(values, q)) for q in QUANTILES}
            rows.append(row)
        return pd.DataFrame(rows)

    def as_dict(self) -> dict[str, Any]:
        """What `sample.json` holds."""
        found = self.fractions
        return {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "micrographs": len(self.micrographs),
            "particles": len(self.table),
            "verdicts": self.verdicts,
            "shapes": list(self.shapes),
            "counts": self.counts.tolist(),
            "confusion": None if self.confusion is None else self.confusion.tolist(),
            "fractions": None
            if found is None
            else [
                {"shape": shape, "named": named, "corrected": mean, "low": low, "high": high}
                for shape, named, mean, low, high in zip(
                    found.shapes,
                    found.named.tolist(),
                    found.corrected.tolist(),
                    found.low.tolist(),
                    found.high.tolist(),
                    strict=True,
                )
            ],
            "sizes": json.loads(self.sizes().to_json(orient="records") or "[]"),
        }


def read_sample(reports: Sequence[Path], confusion: NDArray[np.int64] | None) -> Sample:
    """The particles in the folders that `save_analysis` wrote.

    Raises
    ------
    InputError
        If a folder holds no result.
    """
    rows: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for folder in reports:
        try:
            result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            particles, name = result["particles"], result["micrograph"]["name"]
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(
                f"{folder}: expected the result of an analysis, found none that is whole"
            ) from None
        names[folder.name] = name
        rows += [{"micrograph": name, "report": folder.name} | _flat(particle) for particle in particles]
    return Sample(pd.DataFrame(rows), SHAPES, confusion, names)


def _flat(particle: dict[str, Any]) -> dict[str, Any]:
    """A row of plain values."""
    row = {
        k: v for k, v in particle.items() if k not in ("contour_nm", "probabilities", "quaternion", "words")
    }
    for name in ("possible", "remarks", "spacings_nm", "spot_signals"):
        row[name] = "; ".join(map(str, particle.get(name, ())))  # signals are not in reports of before
    row["zone"] = None if particle["zone"] is None else " ".join(map(str, particle["zone"]))
    row |= {f"q{axis}": value for axis, value in zip("wxyz", particle["quaternion"], strict=True)}
    return row | {f"p_{shape}": chance for shape, chance in particle["probabilities"].items()}


def save_sample(sample: Sample, folder: Path) -> Path:
    """Write particles.parquet and .csv, sizes.csv, sample.json, the figures (SVG) and index.html into `folder`; returns
    the path of the page."""
    from facetem.figures import svg
    from facetem.figures.samples import fraction_bars, sizes_by_shape

    sample.table.to_parquet(folder / "particles.parquet")
    sample.table.to_csv(folder / "particles.csv", index=False)
    sample.sizes().to_csv(folder / "sizes.csv", index=False)
    (folder / JSON).write_text(json.dumps(sample.as_dict(), indent=1) + "\n", encoding="utf-8")
    pictures: dict[str, str] = {}
    if sample.fractions is not None:
        found = sample.fractions
        bars = fraction_bars(found.shapes, found.named, [(found.corrected, found.low, found.high)], [""])
        pictures["fractions"] = svg(bars).decode()
    if len(sample.sizes()):
        whole = sample.named.query("not cut_by_edge")
        values = {s: whole.loc[whole["shape"] == s, "diameter_nm"].tolist() for s in sample.shapes}
        pictures["sizes"] = svg(sizes_by_shape(values)).decode()
    for name, text in pictures.items():
        (folder / f"{name}.svg").write_text(text, encoding="utf-8")
    page = folder / PAGE
    page.write_text(_page(sample, pictures), encoding="utf-8")
    return page


def load_counts(folder: Path) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    """Shapes, counts (shape,) and confusion (true, named) of the sample in a folder.

    Raises
    ------
    InputError
        If there is none that is whole, or its classifier does not state its errors.
    """
    path = folder / JSON if folder.is_dir() else folder
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected the {JSON} of facetem analyze: {error}") from None
    if not isinstance(told, dict) or told.get("schema") != SCHEMA:
        raise InputError(f"{path}: expected the {JSON} of facetem analyze, got something else")
    try:
        shapes, confusion = tuple(told["shapes"]), told["confusion"]
        counts = np.array(told["counts"], dtype=np.int64)
        table = None if confusion is None else np.array(confusion, dtype=np.int64)
    except (KeyError, TypeError, ValueError):
        raise _not_whole(path) from None
    if table is None:
        raise InputError(f"{path}: its classifier does not state its errors; analyse it with one that does")
    k = len(shapes)
    if not k or counts.shape != (k,) or table.shape != (k, k) or min(counts.min(), table.min()) < 0:
        raise _not_whole(path)
    return shapes, counts, table


def _not_whole(path: Path) -> InputError:
    return InputError(
        f"{path}: expected the counts and the errors of every shape, found none that are whole; "
        "run facetem analyze again"
    )


def compare_folders(first: Path, second: Path) -> Difference:
    """How the sample in the second folder differs from that in the first.

    Raises
    ------
    InputError
        If a folder has no sample, none of its particles resembles a learnt shape, or they were read by different
        classifiers.
    """
    shapes, one, confusion = load_counts(first)
    others, other, its = load_counts(second)
    if shapes != others or not np.array_equal(confusion, its):
        raise InputError(
            f"{second}: expected a sample that the classifier of {first} has read, got another's"
        )
    for folder, counts in ((first, one), (second, other)):
        if not counts.sum():
            raise InputError(
                f"{folder}: expected at least one particle that resembles a learnt shape, got none; "
                "there is nothing to compare"
            )
    return compare_samples(shapes, one, other, confusion)


_MEANING = """<p>Fractions are of the particles that resemble a learnt shape, each by its most probable one.
<b>Corrected</b> fractions account for the errors that the classifier made on held-out simulated images; their 95 %
intervals hold the chance of which particles were seen and what those images do not tell of the errors. They know
nothing of what the simulation leaves out, nor of shapes that were never learnt. Sizes are of complete particles.</p>"""


def _page(sample: Sample, pictures: dict[str, str]) -> str:
    style = files("facetem.analysis").joinpath("page.css").read_text(encoding="utf-8")
    counted = Counter(sample.table["report"]) if len(sample.table) else Counter()
    rows = "".join(
        f'<tr><td><a href="{escape(report)}/report.html">{escape(name)}</a></td><td>{counted[report]}</td></tr>'
        for report, name in sample.micrographs.items()
    )
    drawn = "".join(f"<figure>{text[text.index('<svg') :]}</figure>" for text in pictures.values())
    claimed = ", ".join(f"{n} × {escape(name)}" for name, n in sample.verdicts.items())
    n = len(sample.table)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{number(n, 'particle')} – facetem</title><style>{style}</style></head><body><main>"
        f'<header><p class="brand">facetem</p><h1>{number(n, "particle")} of '
        f"{number(len(sample.micrographs), 'micrograph')}</h1>"
        f'<p class="summary">{claimed or "No particle found"}.</p></header>'
        f"{drawn}{_fraction_table(sample.fractions)}"
        f'<section class="prose"><h2>What these numbers mean</h2>{_MEANING}</section>'
        f"<section><h2>Micrographs</h2><table><thead><tr><th>micrograph</th><th>particles</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></section>"
        "</main></body></html>\n"
    )


def _fraction_table(found: Fractions | None) -> str:
    if found is None:
        return ""
    rows = "".join(
        f"<tr><td>{escape(shape.replace('_', ' '))}</td><td>{count}</td><td>{named:.3f}</td>"
        f"<td>{mean:.3f} ({low:.3f} to {high:.3f})</td></tr>"
        for shape, count, named, mean, low, high in zip(
            found.shapes, found.counts, found.named, found.corrected, found.low, found.high, strict=True
        )
    )
    head = "<tr><th>shape</th><th>named</th><th>fraction</th><th>corrected</th></tr>"
    return f"<section><h2>Shapes</h2><table><thead>{head}</thead><tbody>{rows}</tbody></table></section>"
