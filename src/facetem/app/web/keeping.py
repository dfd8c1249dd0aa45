"""A report put in the place of an earlier one: wherever that ends, one of them is there, and no label is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

from facetem.app.web.labels import carry_labels


def move_report(aside: Path, report: Path) -> None:
    """Put the whole report in `aside` where it belongs, with the labels of the report that is there.

    The earlier one is set beside it, and deleted when the new one is in its place.

    Raises
    ------
    OSError
        If it cannot be put there; what was there is there again.
    """
    fresh, old = _beside(report)
    report.parent.mkdir(parents=True, exist_ok=True)
    settle(report)
    try:
        shutil.move(aside, fresh)
        if report.exists():
            report.rename(old)
            carry_labels(old, fresh)  # now that none can be added to them
        fresh.rename(report)
    finally:
        settle(report)


def settle(report: Path) -> None:
    """End a move, wherever it came to: the earlier report goes if there is a new one in its place, else it returns."""
    fresh, old = _beside(report)
    if old.exists() and not report.exists():
        old.rename(report)
    for left in (old, fresh):
        shutil.rmtree(left, ignore_errors=True)


def _beside(report: Path) -> tuple[Path, Path]:
    """Where the new report and the earlier one are meanwhile: on the same disk, so that they move at once."""
    return report.with_name(f".{report.name}.new"), report.with_name(f".{report.name}.old")
