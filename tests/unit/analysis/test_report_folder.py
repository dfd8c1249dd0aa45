"""The folder of a report: all of it is there or none, nothing of an earlier one, and what is not its own stays."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facetem.analysis import report
from facetem.analysis.analyze import Analysis, analyze
from facetem.analysis.report import check_output, save_analysis
from facetem.core.errors import InputError

FILES = [
    "denoised.tif",
    "gallery.png",
    "overview.png",
    "overview.svg",
    "particles.csv",
    "report.html",
    "restored.hspy",
    "restored.tif",
    "result.json",
    "rois.zip",
    "sizes.png",
    "sizes.svg",
    "spread.tif",
]


def test_what_a_report_may_have_is_listed() -> None:
    """By it the command line sees that a report would be written over a micrograph."""
    assert sorted(report.FILES) == FILES


def test_all_files_are_there(analysis: Analysis, tmp_path: Path) -> None:
    page = save_analysis(analysis, tmp_path / "out")
    assert page == tmp_path / "out" / "report.html"
    assert sorted(p.name for p in page.parent.iterdir()) == FILES


def test_an_old_report_is_replaced_and_other_files_stay(analysis: Analysis, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "report.html").write_text("old")
    save_analysis(analysis, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "report.html").read_text() != "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*FILES, "notes.txt"])


def test_nothing_of_an_earlier_report_is_left(
    analysis: Analysis, classifier: Any, restorer: Any, tmp_path: Path
) -> None:
    """One without particles has no outlines and no gallery: those of the report before are not its own."""
    fresh, used = tmp_path / "fresh", tmp_path / "used"
    field = np.random.default_rng(0).normal(100, 4, (300, 300))
    empty = analyze(field, sampling=0.4, classifier=classifier, restorer=restorer)
    save_analysis(analysis, used)
    (used / "labels.json").write_text("mine")
    for folder in (fresh, used):
        save_analysis(empty, folder)
    names = {path.name for path in fresh.iterdir()}
    assert set(FILES) - names == {"gallery.png", "rois.zip", "sizes.png", "sizes.svg"}
    assert {path.name for path in used.iterdir()} == names | {"labels.json"}
    assert (used / "labels.json").read_text() == "mine"


def test_where_the_result_is_everything_is(
    analysis: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At no moment is the result of one report beside files of another."""
    save_analysis(analysis, tmp_path)
    before: list[list[str]] = []
    really = os.replace

    def watched(source: Path, target: Path) -> None:
        before.append([path.name for path in tmp_path.iterdir() if path.is_file()])
        really(source, target)

    monkeypatch.setattr(report.os, "replace", watched)
    save_analysis(analysis, tmp_path)
    moved = before[-len(FILES) :]
    assert len(moved) == len(FILES)
    assert not any("result.json" in names for names in moved)
    assert (tmp_path / "result.json").exists()


def test_a_folder_that_cannot_be_made_is_one_clear_error(analysis: Analysis, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="expected a folder to write to") as caught:
            save_analysis(analysis, folder)
        assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_failure_halfway_leaves_nothing(
    analysis: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "save_image", full)
    with pytest.raises(InputError, match="No space left"):
        save_analysis(analysis, tmp_path / "deep" / "out")
    assert list(tmp_path.iterdir()) == []


def test_trying_a_folder_writes_nothing_into_it(tmp_path: Path) -> None:
    made = check_output(tmp_path / "a" / "b")
    assert made == [tmp_path / "a" / "b", tmp_path / "a"]
    assert list((tmp_path / "a" / "b").iterdir()) == []
    assert check_output(tmp_path) == []
