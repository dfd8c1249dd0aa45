"""The particles of many micrographs as one sample: their table, the fractions of their shapes, their sizes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facetem.analysis.population import Fractions, shape_fractions
from facetem.analysis.sample_page import sample_page
from facetem.analysis.sample_scale import sample_doubts
from facetem.analysis.saved import SavedReport, read_report
from facetem.analysis.table import csv_text, digits_of, table_columns, table_row
from facetem.atoms.shapes import SHAPES
from facetem.core.files import whole_file, write_whole
from facetem.core.words import number

SCHEMA, SCHEMA_VERSION = "facetem-sample", 1
JSON, PAGE = "sample.json", "index.html"
QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Source:
    """A micrograph of a sample: the folder of its `report`, from that of the sample, what that says of it, and the
    report of an earlier one that has the same contents."""

    report: str
    name: str
    pixel_size_nm: float
    warning: str
    duplicate_of: str = ""

    @property
    def path(self) -> str:
        """The name after the folders that it was found in."""
        return (Path(self.report).parent / self.name).as_posix()


@dataclass(frozen=True)
class Sample:
    """Particles of one or many micrographs.

    Parameters
    ----------
    table
        One row for each particle: the `micrograph` that it is in, its `report`, whether that is a `duplicate_of`
        another, and what the table of one micrograph says of it (`facetem.analysis.table`).
    shapes, confusion
        The classes, and the classifier's errors on held-out images (true, named); None if its weights do not say.
    micrographs
        Those that could be analysed, also where no particle was found.
    failed
        The others: name and reason.
    passed_over
        The folders that were not looked into, in words.
    doubts
        What the lattices of several micrographs together have against their pixel size.
    """

    table: pd.DataFrame
    shapes: tuple[str, ...]
    confusion: NDArray[np.int64] | None
    micrographs: Sequence[Source]
    failed: Sequence[tuple[str, str]] = ()
    passed_over: str = ""
    doubts: Sequence[str] = ()

    @cached_property
    def distinct(self) -> pd.DataFrame:
        """The particles, those of identical micrographs once: seen twice, they are no further evidence."""
        return self.table.query("duplicate_of.isnull()", engine="python")

    @property
    def duplicates(self) -> list[Source]:
        """The micrographs that have the contents of an earlier one."""
        return [one for one in self.micrographs if one.duplicate_of]

    @property
    def contents(self) -> str:
        """How many particles of how many micrographs count, in words."""
        n, of = len(self.distinct), len(self.micrographs) - len(self.duplicates)
        return f"{number(n, 'particle')} of {number(of, 'micrograph')}"

    @property
    def duplicates_words(self) -> str:
        """Which micrographs have the same contents; empty if all differ."""
        told = ", ".join(f"{one.report} (same as {one.duplicate_of})" for one in self.duplicates)
        number = f"{len(self.duplicates)} of {len(self.micrographs)} files"
        return told and f"{number} identical to another, not counted again: {told}"

    @cached_property
    def named(self) -> pd.DataFrame:
        """The particles that resemble a learnt shape, by their most probable one, whether it was claimed or not: to
        leave out those of which one cannot tell would favour the shapes that are easily told."""
        return self.distinct.query("known == 1")

    @property
    def counts(self) -> NDArray[np.int64]:
        """Particles (shape,) by what they were named."""
        found = Counter(self.named["most_probable_shape"])
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
        return dict(Counter(self.distinct["verdict"]).most_common())

    @property
    def whole(self) -> pd.DataFrame:
        """Those of `named` whose outline and size are one whole particle's."""
        return self.named.query("whole == 1")

    @property
    def left_out(self) -> tuple[int, int]:
        """The others of `named`: those that the edge cuts, and those of doubtful outline."""
        cut = len(self.named.query("cut_by_edge == 1"))
        return cut, len(self.named) - cut - len(self.whole)

    def sizes(self) -> pd.DataFrame:
        """Projected and volume-equivalent diameters [nm] of the whole particles of each shape, and of all."""
        rows = []
        whole = self.whole
        for shape in (*self.shapes, "all"):
            some = whole if shape == "all" else whole[whole["most_probable_shape"] == shape]
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
            "micrographs": len(self.micrographs) - len(self.duplicates),
            "particles": len(self.distinct),
            "sources": [asdict(one) for one in self.micrographs],
            "failed": [{"name": name, "reason": reason} for name, reason in self.failed],
            "passed_over": self.passed_over,
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
            "sizes_left_out": dict(zip(("cut_by_edge", "doubtful_outline"), self.left_out, strict=True)),
            "sizes": json.loads(self.sizes().to_json(orient="records") or "[]"),
        }


def read_sample(reports: Sequence[Path], root: Path, confusion: NDArray[np.int64] | None) -> Sample:
    """The particles in the folders that `save_analysis` wrote, all of them within `root`: m2 comes before m10.

    Raises
    ------
    InputError
        If a folder holds no result.
    """
    rows: list[dict[str, Any]] = []
    sources: list[Source] = []
    read: list[SavedReport] = []
    seen: dict[tuple[str, int | None], str] = {}
    for folder in sorted(reports, key=lambda folder: as_counted(folder.relative_to(root).as_posix())):
        saved, report = read_report(folder), folder.relative_to(root).as_posix()
        first = seen.setdefault((saved.sha256 or report, saved.frame), report)
        duplicate_of = "" if first == report else first
        of = {"micrograph": saved.name, "report": report, "duplicate_of": duplicate_of or None}
        rows += [of | table_row(particle) for particle in saved.particles]
        sources.append(Source(report, saved.name, saved.pixel_size_nm, saved.warning, duplicate_of))
        read.append(saved)
    return Sample(sample_table(rows), SHAPES, confusion, sources, doubts=sample_doubts(read))


def as_counted(name: str) -> list[str | int]:
    """A key to sort names by, the numbers in them as numbers."""
    return [int(part) if part.isdecimal() else part.casefold() for part in re.split(r"(\d+)", name)]


def sample_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of many micrographs, with the types of their columns whether there is a row or not."""
    columns = list(
        dict.fromkeys(
            ["micrograph", "report", "duplicate_of", *table_columns([]), *(k for row in rows for k in row)]
        )
    )
    kinds = {name: float for name in columns if digits_of(name) is not None}
    return pd.DataFrame(rows, columns=columns).astype(kinds)


def save_sample(sample: Sample, folder: Path) -> Path:
    """Write particles.parquet and .csv, sizes.csv, sample.json, the figures (SVG) and index.html into `folder`; returns
    the path of the page."""
    from facetem.figures import svg
    from facetem.figures.samples import fraction_bars, sizes_by_shape

    with whole_file(folder / "particles.parquet") as partial:
        sample.table.to_parquet(partial)
    table = csv_text(list(sample.table), sample.table.to_dict("records"))
    write_whole(folder / "particles.csv", table)
    write_whole(folder / "sizes.csv", sample.sizes().to_csv(index=False))
    write_whole(folder / JSON, json.dumps(sample.as_dict(), indent=1) + "\n")
    pictures: dict[str, str] = {}
    if sample.fractions is not None:
        found = sample.fractions
        bars = fraction_bars(found.shapes, found.named, [(found.corrected, found.low, found.high)], [""])
        pictures["fractions"] = svg(bars).decode()
    if len(sample.sizes()):
        whole = sample.whole
        values = {
            shape: whole.loc[whole["most_probable_shape"] == shape, "diameter_nm"].tolist()
            for shape in sample.shapes
        }
        pictures["sizes"] = svg(sizes_by_shape(values)).decode()
    for name, text in pictures.items():
        write_whole(folder / f"{name}.svg", text)
    page = folder / PAGE
    write_whole(page, sample_page(sample, pictures))
    return page
