"""The table of particles: the same columns, spelling and blanks for one micrograph and for a sample of many."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from facetem.analysis.result import ParticleResult

CHANCE = "p_"  # before a shape: the column of its probability
DIGITS = {
    "confidence": 4, "x_nm": 3, "y_nm": 3, "diameter_nm": 3, "feret_nm": 3, "circularity": 3, "volume_diameter_nm": 3,
    "facet_ratio": 3, "zone_angle_deg": 1, "orientation_error_deg": 1, "contrast": 2, "out_of_focus_nm": 2,
    "qw": 4, "qx": 4, "qy": 4, "qz": 4,
}  # fmt: skip  # after the decimal point, of all columns that are measured


def table_columns(shapes: Sequence[str]) -> list[str]:
    """The names of the columns; `shapes` are those that the classifier gives a probability."""
    return [
        "index", "verdict", "possible", "confidence", "most_probable_shape", "known", "x_nm", "y_nm", "diameter_nm",
        "feret_nm", "circularity", "cut_by_edge", "whole", "family", "volume_diameter_nm", "facet_ratio", "zone",
        "zone_angle_deg", "orientation_error_deg", "spacings_nm", "spot_signals", "contrast", "out_of_focus_nm",
        "remarks", "qw", "qx", "qy", "qz", *(f"{CHANCE}{shape}" for shape in shapes),
    ]  # fmt: skip


def digits_of(column: str) -> int | None:
    """How many decimals a column has; None if it is text or a whole number."""
    return 4 if column.startswith(CHANCE) else DIGITS.get(column)


def table_row(p: ParticleResult) -> dict[str, Any]:
    """A particle's value of every column, None where the report claims nothing: of what could not be judged no
    probability, of what is not known neither a set of shapes nor size, family and orientation."""
    row: dict[str, Any] = dict.fromkeys(table_columns(list(p.probabilities)))
    row |= {
        "index": p.index, "verdict": p.verdict.replace(" ", "_"), "known": int(p.known),
        "cut_by_edge": int(p.cut_by_edge), "whole": int(p.whole), "remarks": "; ".join(p.remarks),
        "spacings_nm": " ".join(f"{d:.4f}" for d in p.spacings_nm),
        "spot_signals": " ".join(f"{signal:.0f}" for signal in p.spot_signals),
    }  # fmt: skip
    measured = ["x_nm", "y_nm", "diameter_nm", "feret_nm", "circularity", "contrast", "out_of_focus_nm"]
    if p.judged:
        row["most_probable_shape"] = p.shape
        row |= {f"{CHANCE}{shape}": value for shape, value in p.probabilities.items()}
    if p.known:
        row |= {"possible": " ".join(p.possible), "family": p.family}
        row |= {f"q{axis}": value for axis, value in zip("wxyz", p.quaternion, strict=True)}
        measured += ["confidence", "volume_diameter_nm", "facet_ratio", "orientation_error_deg"]
        if p.zone is not None:
            row["zone"] = " ".join(map(str, p.zone))
            measured.append("zone_angle_deg")
    row |= {name: getattr(p, name) for name in measured}
    return {name: _rounded(value, digits_of(name)) for name, value in row.items()}


def _rounded(value: Any, digits: int | None) -> Any:
    return value if value is None or digits is None else round(value, digits)


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV, each number with the decimals of its column."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_written(row[name], digits_of(name)) for name in columns] for row in rows)
    return text.getvalue()


def _written(value: Any, digits: int | None) -> str:
    if value is None or value != value:  # pandas has NaN for what is blank
        return ""
    return str(value) if digits is None else f"{value:.{digits}f}"


def table_csv(particles: Sequence[ParticleResult]) -> str:
    """The table of one micrograph."""
    shapes = list(particles[0].probabilities) if particles else []
    return csv_text(table_columns(shapes), [table_row(p) for p in particles])
