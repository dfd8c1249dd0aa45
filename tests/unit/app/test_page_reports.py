"""A report that takes the place of an earlier one: labels stay, and at no moment are both reports lost."""

import json
import shutil
from pathlib import Path

import pytest

from facetem.app.web import keeping
from facetem.app.web.keeping import move_report, settle
from facetem.app.web.sessions import Sessions
from facetem.app.web.settings import Settings


def made(folder: Path, number: int) -> Path:
    """A report, told by its number."""
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"particles": [], "number": number}))
    return folder


def number_of(report: Path) -> int:
    return json.loads((report / "result.json").read_text())["number"]


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_labels_of_all_earlier_reports_are_kept(tmp_path: Path) -> None:
    report = tmp_path / "reports" / "a.tif"
    for n in range(4):
        move_report(made(tmp_path / "aside", n), report)
        assert number_of(report) == n
        (report / "labels.json").write_text(f"by hand {n}")
    kept = {path.name: path.read_text() for path in report.glob("labels*")}
    assert kept == {
        "labels.json": "by hand 3",
        "labels-earlier-1.json": "by hand 0",
        "labels-earlier-2.json": "by hand 1",
        "labels-earlier-3.json": "by hand 2",
    }
    (report / "labels.json").unlink()  # taken away, a gap among them, and one of an older version
    (report / "labels-earlier-1.json").rename(report / "labels-earlier.json")
    move_report(made(tmp_path / "aside", 4), report)
    assert sorted(path.read_text() for path in report.glob("labels*")) == [f"by hand {n}" for n in range(3)]
    assert [path.name for path in report.parent.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("broken", ["shutil.move", "carry_labels", "second rename"])
def test_a_report_that_cannot_be_put_in_its_place_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    report = made(tmp_path / "reports" / "a.tif", 1)
    (report / "labels.json").write_text("by hand")
    aside = made(tmp_path / "aside", 2)
    with monkeypatch.context() as patch:
        if broken == "second rename":
            really = Path.rename
            patch.setattr(
                Path, "rename", lambda self, to: full() if self.suffix == ".new" else really(self, to)
            )
        elif broken == "shutil.move":
            patch.setattr(shutil, "move", full)
        else:
            patch.setattr(keeping, "carry_labels", full)
        with pytest.raises(OSError, match="No space"):
            move_report(aside, report)
    assert number_of(report) == 1
    assert (report / "labels.json").read_text() == "by hand"
    assert [path.name for path in report.parent.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("moment", ["before the new one is there", "when it is there"])
def test_the_next_server_ends_the_move_of_one_that_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """What is then on the disk is what a kill leaves: nothing that ends a move was run."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / "folder"
    report = made(folder / "facetem-reports" / "a.tif", 1)
    (folder / "a.tif").write_bytes(b"x")
    (report / "labels.json").write_text("by hand")
    monkeypatch.setattr(keeping, "settle", lambda report: None)
    aside = made(tmp_path / "aside", 2)
    if moment == "when it is there":
        move_report(aside, report)
    else:
        monkeypatch.setattr(keeping, "carry_labels", killed)
        with pytest.raises(KeyboardInterrupt):
            move_report(aside, report)
        assert not report.exists()
    sessions = Sessions(Settings(folder=folder))
    try:
        assert [path.name for path in report.parent.iterdir()] == ["a.tif"]
        labels = [path.read_text() for path in report.glob("labels*.json")]
        assert labels == ["by hand"]
        assert number_of(report) == (1 if moment.startswith("before") else 2)
        session = sessions.create()
        assert session is not None
        assert [item.is_done for item in sessions.items(session)] == [True]
    finally:
        sessions.close()


def test_where_no_move_was_under_way_nothing_changes(tmp_path: Path) -> None:
    settle(tmp_path / "reports" / "none.tif")
    assert list(tmp_path.iterdir()) == []
    report = made(tmp_path / "a.tif", 1)
    settle(report)
    assert number_of(report) == 1
