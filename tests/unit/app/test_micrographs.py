"""Which micrographs are found where, and what their reports are called."""

from pathlib import Path

import numpy as np
import pytest

from facetem.analysis.report import FILES
from facetem.app.micrographs import find_micrographs
from facetem.core.errors import InputError


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def reports(found: list[Path], output: Path, *, recursive: bool = False) -> list[str]:
    batch = find_micrographs(found, output, recursive=recursive)
    return [task.folder.relative_to(output).as_posix() for task in batch.tasks]


def test_reports_of_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    folder = touched(tmp_path, "one.tif", "one.png", "two.tif", "v1.2.tif", "v1.3.tif")
    assert reports([folder], tmp_path / "out") == ["one.png", "one.tif", "two", "v1.2", "v1.3"]


def test_the_pixels_of_an_emi_are_in_its_ser_files(tmp_path: Path) -> None:
    folder = touched(tmp_path, "a.emi", "a_1.ser", "a_2.ser", "b.emi")
    tasks = find_micrographs([folder], tmp_path).tasks
    assert [task.file.name for task in tasks] == ["a_1.ser", "a_2.ser", "b.emi"]


def test_what_is_not_there_is_named_before_anything_is_analysed(tmp_path: Path) -> None:
    folder = touched(tmp_path, "a.tif")
    with pytest.raises(
        InputError, match=r"tpyo/b\.tif: expected a micrograph or a folder of them, got no such"
    ):
        find_micrographs([folder / "a.tif", folder / "tpyo/b.tif"], tmp_path / "out")


def test_a_frame_and_a_file_do_not_share_a_report(tmp_path: Path) -> None:
    np.save(tmp_path / "movie.npy", np.zeros((3, 8, 8)))
    np.save(tmp_path / "movie-0001.npy", np.zeros((8, 8)))
    with pytest.raises(InputError, match="different names, got movie-0001 more than once"):
        find_micrographs([tmp_path], tmp_path / "out", frames=True)
    assert sorted(reports([tmp_path], tmp_path / "out")) == ["movie", "movie-0001"]


def test_the_pictures_of_a_report_are_no_micrographs(tmp_path: Path) -> None:
    """Whose folder is that of the micrograph itself, as after `facetem analyze a.tif -o .`"""
    folder = touched(tmp_path, "a.tif", *FILES)
    assert reports([folder], tmp_path / "out") == ["a"]


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    """Micrographs in folders, beside a former report, what the output holds, a link back and what is no micrograph."""
    folder = touched(
        tmp_path / "in",
        "a.tif",
        "mon/a.tif",
        "mon/late/a.tif",
        "tue/a.tif",
        "tue/a.png",
        "tue/movie.zspy/0.0",
        "notes/log.txt",
        ".hidden/a.tif",
        "old/report.html",
        "old/result.json",
        "old/restored.tif",
        "out/b/denoised.tif",
    )
    (folder / "mon" / "back").symlink_to(folder)
    return folder


def test_folders_of_a_folder_are_looked_into_if_asked(nested: Path) -> None:
    batch = find_micrographs([nested], nested / "out", recursive=True)
    assert not batch.passed_over
    assert [task.folder.relative_to(nested / "out").as_posix() for task in batch.tasks] == [
        "a",
        "mon/a",
        "mon/late/a",
        "tue/a.png",
        "tue/a.tif",
        "tue/movie",
    ]


def test_folders_that_are_passed_over_are_counted(nested: Path) -> None:
    batch = find_micrographs([nested], nested / "out")
    assert [task.file for task in batch.tasks] == [nested / "a.tif"]
    assert batch.passed_over == {nested / "mon": 2, nested / "tue": 3}
    assert batch.passed_over_words == f"{nested}/mon (2 micrographs), {nested}/tue (3 micrographs)"


def test_a_folder_of_folders_alone_is_told_how_to_be_read(nested: Path) -> None:
    (nested / "a.tif").unlink()
    with pytest.raises(InputError, match=r"got none; with --recursive .*: mon, tue$"):
        find_micrographs([nested], nested / "out")
