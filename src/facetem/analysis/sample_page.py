"""A Sample -> index.html: its figures and numbers, and what became of every file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import quote

from facetem.analysis.page_parts import spoken_in_html
from facetem.analysis.result import left_out_words

if TYPE_CHECKING:
    from facetem.analysis.population import Fractions
    from facetem.analysis.sample import Sample

_STYLE = "td a { color: var(--accent); text-decoration: underline; } .files td { white-space: normal; }"
_MEANING = """<p>Fractions are of the particles that resemble a learnt shape, each by its most probable one.
<b>Corrected</b> fractions account for the errors that the classifier made on held-out simulated images; their 95 %
intervals hold the chance of which particles were seen and what those images do not tell of the errors. They know
nothing of what the simulation leaves out, nor of shapes that were never learnt.</p>"""


def sample_page(sample: Sample, pictures: dict[str, str]) -> str:
    """The page as HTML text; `pictures` are SVG files by their names."""
    style = files("facetem.analysis").joinpath("page.css").read_text(encoding="utf-8")
    drawn = "".join(f"<figure>{text[text.index('<svg') :]}</figure>" for text in pictures.values())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{sample.contents} – facetem</title><style>{style}{_STYLE}</style></head><body><main>"
        f'<header><p class="brand">facetem</p><h1>{sample.contents}</h1>'
        f'<p class="summary">{verdicts_in_short(sample.verdicts) or "No particle found"}.</p>{_notes(sample)}</header>'
        f"{drawn}{_fraction_table(sample.fractions)}"
        f'<section class="prose"><h2>What these numbers mean</h2>{_MEANING}{_sizes(sample)}</section>'
        f"{_failures(sample.failed)}{_micrographs(sample)}</main></body></html>\n"
    )


def verdicts_in_short(verdicts: dict[str, int]) -> str:
    """Verdicts as one reads them: "3 × cube, 1 × cannot tell"."""
    return ", ".join(f"{n} × {spoken_in_html(name)}" for name, n in verdicts.items())


def _notes(sample: Sample) -> str:
    """What one has to know before the numbers."""
    told = []
    warned = sum(bool(one.warning) for one in sample.micrographs)
    for n, words in ((len(sample.failed), "could not be analysed"), (warned, "came with a warning")):
        if n:
            told.append(f"{n} of {len(sample.micrographs) + len(sample.failed)} files {words}: see below.")
    told += [escape(doubt) for doubt in sample.doubts]
    if sample.duplicates:
        told.append(f"{escape(sample.duplicates_words)}.")
    if sample.passed_over:
        told.append(f"Folders that were passed over without --recursive: {escape(sample.passed_over)}.")
    return "".join(f'<p class="warning" role="note">{text}</p>' for text in told)


def _sizes(sample: Sample) -> str:
    return (
        f"<p>Sizes are of the {len(sample.whole)} whole ones among these particles; "
        f"{left_out_words(*sample.left_out)}.</p>"
    )


def _failures(failed: Sequence[tuple[str, str]]) -> str:
    if not failed:
        return ""
    rows = [f"<tr><td>{escape(name)}</td><td>{escape(reason)}</td></tr>" for name, reason in failed]
    return _table("Files that could not be analysed", ("file", "why"), rows)


def _micrographs(sample: Sample) -> str:
    rows = []
    verdicts = sample.table.groupby("report")["verdict"].apply(list).to_dict()
    for one in sample.micrographs:
        found = verdicts.get(one.report, [])
        same = f"not counted: the same file as {one.duplicate_of}" if one.duplicate_of else ""
        cells = (
            f'<a href="{quote(one.report)}/report.html">{escape(one.path)}</a>',
            str(len(found)),
            verdicts_in_short(dict(Counter(found).most_common())),
            f"{one.pixel_size_nm:.4g}",
            escape("; ".join(text for text in (same, one.warning) if text)),
        )
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    heads = ("micrograph", "particles", "what they are", "pixel (nm)", "warning")
    return _table("Micrographs", heads, rows)


def _fraction_table(found: Fractions | None) -> str:
    if found is None:
        return ""
    rows = [
        f"<tr><td>{spoken_in_html(shape)}</td><td>{count}</td><td>{named:.3f}</td>"
        f"<td>{mean:.3f} ({low:.3f} to {high:.3f})</td></tr>"
        for shape, count, named, mean, low, high in zip(
            found.shapes, found.counts, found.named, found.corrected, found.low, found.high, strict=True
        )
    ]
    return _table("Shapes", ("shape", "named", "fraction", "corrected"), rows)


def _table(title: str, heads: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    return (
        f'<section><h2>{title}</h2><table class="files"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></section>"
    )
