"""What a study finds: tables, pictures and words, and the folder that they are written into."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from facetem.core.files import whole_file, write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCRIPT = "plotly.min.js"  # beside the interactive pages, which share it


class Finding(Protocol):
    """The outcome of one part of a study."""

    @property
    def title(self) -> str:
        """The study and what it moved."""
        ...

    @property
    def table(self) -> pd.DataFrame:
        """One row for each measurement."""
        ...

    def summary(self) -> pd.DataFrame:
        """Means, with their intervals."""
        ...

    def figure(self) -> Figure:
        """The summary, drawn."""
        ...

    def interactive(self) -> str:
        """The same as a page (HTML) that finds `SCRIPT` beside it."""
        ...

    def said(self) -> list[str]:
        """What it shows, in sentences."""
        ...

    def rows(self) -> list[str]:
        """The summary for a page: lines of a table in Markdown."""
        ...


def stem_of(finding: Finding) -> str:
    """The name of its files, without suffix."""
    return finding.title.replace(": ", "-").replace(" ", "-")


def save_finding(finding: Finding, folder: Path) -> list[Path]:
    """Write the table (Parquet), the summary (CSV) and the figure (PNG, SVG, HTML) into a folder."""
    from facetem.figures import png, svg
    from facetem.figures.interactive import script

    folder.mkdir(parents=True, exist_ok=True)
    stem = stem_of(finding)
    paths = [folder / f"{stem}.{suffix}" for suffix in ("parquet", "csv", "png", "svg", "html")]
    figure = finding.figure()
    with whole_file(paths[0]) as partial:
        finding.table.to_parquet(partial)
    write_whole(paths[1], finding.summary().to_csv(index=False))
    write_whole(paths[2], png(figure))
    write_whole(paths[3], svg(figure))
    write_whole(paths[4], finding.interactive())
    if not (folder / SCRIPT).exists():
        write_whole(folder / SCRIPT, script())
    return paths


def section(finding: Finding) -> list[str]:
    """What a page says of it (lines of Markdown)."""
    stem = stem_of(finding)
    said = " ".join(finding.said())
    return [
        "",
        f"## {finding.title[0].upper()}{finding.title[1:]}",
        "",
        said,
        "",
        f"![{finding.title}]({stem}.png)",
        "",
        *finding.rows(),
    ]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table."""
    return [
        "| " + " | ".join(head) + " |",
        "|" + " --- |" * len(head),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def written(value: object) -> str:
    """A value of an axis in a sentence or a table."""
    return f"{value:g}" if isinstance(value, float) else str(value)
