"""The parts of the page that need no server: jobs, sessions, labels, solids, and files that point elsewhere."""

import json
import os
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

from facetem.analysis.labels import load_labels
from facetem.app.web.contained import check_contained
from facetem.app.web.inspector import spectrum_rings
from facetem.app.web.jobs import Job, Worker
from facetem.app.web.labels import labels_csv, set_label
from facetem.app.web.results import Result
from facetem.app.web.sessions import Sessions
from facetem.app.web.settings import Settings, is_loopback
from facetem.app.web.solids import solid
from facetem.app.web.studio import Studio
from facetem.core.errors import InputError
from facetem.learn.matter import Matter

WAIT = 60.0


def write_and_hang(progress: Any, file: Path) -> None:
    file.write_text(str(os.getpid()))
    progress("hanging", 1, 2)
    time.sleep(600)


def answer(progress: Any, value: int) -> int:
    return value


def complain(progress: Any, kind: str) -> None:
    if kind == "input":
        raise InputError("a.tif: expected\nsomething else")
    if kind == "memory":
        raise MemoryError
    if kind == "killed":
        os.abort()
    raise KeyError(kind)


@pytest.fixture
def worker() -> Any:
    one = Worker("test")
    yield one
    one.close()


def test_a_cancelled_job_ends_with_its_process_and_the_next_goes_on(worker: Worker, tmp_path: Path) -> None:
    job = worker.submit(Job("a", write_and_hang, (tmp_path / "pid",)))
    until = time.monotonic() + WAIT
    while job.step != "hanging" and time.monotonic() < until:
        time.sleep(0.02)
    assert (job.state, job.done, job.total) == ("working", 1, 2)
    pid = int((tmp_path / "pid").read_text())
    behind = worker.submit(Job("a", answer, (7,)))
    assert worker.place(behind) == 1
    worker.cancel(job)
    assert job.future.result(WAIT) is None
    assert job.state == "cancelled"
    assert behind.future.result(WAIT) == 7
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    worker.cancel(behind)  # has ended, and stays as it was
    assert behind.state == "done"


def test_an_analysis_that_is_cancelled_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    studio = Studio(Settings(device="cpu"))
    try:
        session = studio.sessions.create()
        assert session is not None
        item = session.place("a.npy")
        np.save(item.path, np.random.default_rng(0).normal(size=(1500, 1500)).astype(np.float32))
        session.items[item.key] = item
        studio.start(session, item, sampling_nm=0.04)
        job = item.job
        assert job is not None
        with pytest.raises(InputError, match="under way"):
            studio.start(session, item)
        until = time.monotonic() + WAIT
        while not job.step and time.monotonic() < until:
            time.sleep(0.02)
        assert job.step
        studio.cancel(item)
        assert job.future.result(WAIT) is None
        until = time.monotonic() + WAIT
        while item.is_busy and time.monotonic() < until:
            time.sleep(0.02)
        assert (item.is_busy, item.is_done, item.error) == (False, False, "")
        left = [path for path in session.folder.rglob("*") if path.is_file()]
        assert left == [item.path]
        studio.remove(session, item)
        assert not [path for path in session.folder.rglob("*") if path.is_file()]
    finally:
        studio.close()
    assert not list(tmp_path.glob("facetem-page-*"))


def test_owners_take_turns(worker: Worker, tmp_path: Path) -> None:
    first = worker.submit(Job("greedy", write_and_hang, (tmp_path / "pid",)))
    while first.state == "waiting":
        time.sleep(0.01)
    greedy = [worker.submit(Job("greedy", answer, (i,))) for i in range(3)]
    modest = worker.submit(Job("modest", answer, (9,)))
    assert [worker.place(job) for job in (modest, *greedy)] == [1, 2, 3, 4]
    worker.cancel(greedy[0])
    assert greedy[0].state == "cancelled"
    worker.cancel(first)
    assert [job.future.result(WAIT) for job in (modest, *greedy)] == [9, None, 1, 2]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("input", "a.tif: expected something else"),
        ("memory", "more memory"),
        ("killed", "was killed"),
        ("odd", "KeyError"),
    ],
)
def test_whatever_goes_wrong_is_one_line_and_the_queue_goes_on(
    worker: Worker, kind: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    job = worker.submit(Job("a", complain, (kind,)))
    assert job.future.result(WAIT) is None
    assert job.state == "failed"
    assert words in job.error
    assert "\n" not in job.error
    assert worker.submit(Job("a", answer, (1,))).future.result(WAIT) == 1


def test_a_job_without_a_sign_of_life_is_given_up() -> None:
    worker = Worker("test", stalled=2.0)
    try:
        job = worker.submit(Job("a", write_and_hang, (Path(os.devnull),)))
        assert job.future.result(WAIT) is None
        assert "no sign of life" in job.error
    finally:
        worker.close()


def test_the_folder_ends_at_its_links_and_its_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    outside.mkdir()
    for path in (
        outside / "secret.tif",
        folder / "a.tif",
        folder / "inner" / "b.dm4",
        folder / ".hidden.tif",
        folder / "notes.txt",
    ):
        path.write_bytes(b"x")
    (folder / "link.tif").symlink_to(outside / "secret.tif")
    (folder / "way").symlink_to(outside)
    (folder / "same.tif").symlink_to(folder / "a.tif")
    sessions = Sessions(Settings(folder=folder))
    try:
        (folder / "facetem-reports" / "a.tif").mkdir()
        (folder / "facetem-reports" / "a.tif" / "restored.tif").write_bytes(b"x")
        sessions.scan()
        session = sessions.create()
        assert session is not None
        assert [item.name for item in sessions.items(session)] == ["a.tif", "inner/b.dm4", "same.tif"]
    finally:
        sessions.close()


def test_sessions_see_their_own_files_and_leave_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sessions = Sessions(Settings())
    mine, other = sessions.create(), sessions.create()
    assert mine is not None
    assert other is not None
    item = mine.place("a.npy")
    item.path.write_bytes(b"123")
    mine.items[item.key] = item
    assert sessions.item(mine, item.key) is item
    assert sessions.item(other, item.key) is None
    assert sessions.find(mine.key) is mine
    assert mine.key not in str(mine.folder)  # a report may tell where a file was
    mine.pages = 1
    sessions.expire(idle=0.0)
    assert item.path.exists()  # its page is open
    assert sessions.find(other.key) is None
    mine.pages = 0
    sessions.expire(idle=0.0)
    assert not mine.folder.exists()
    again = Sessions(Settings())  # another server leaves those alone that live
    assert sessions.root.exists()
    sessions._lock.release()  # as if it had been killed
    third = Sessions(Settings())
    assert not sessions.root.exists()
    again.close()
    third.close()
    assert not list(tmp_path.glob("facetem-page-*"))


@pytest.fixture
def result(tmp_path: Path) -> Result:
    particle = {"index": 2, "shape": "cube", "verdict": "cube", "confidence": 0.9, "x_nm": 5.0, "y_nm": 6.0}
    told = {
        "particles": [particle], "analysed_pixel_size_nm": 0.04, "provenance": {"sha256": "ab"},
        "micrograph": {"name": "a.tif", "field_nm_yx": [10.24, 10.24], "metadata": {}},
    }  # fmt: skip
    (tmp_path / "result.json").write_text(json.dumps(told))
    return Result(tmp_path, told)


def test_labels_are_kept_changed_and_taken_back(result: Result) -> None:
    set_label(result, 2, "twin", "a groove")
    set_label(result, 2, "decahedron", "x" * 9000)
    told = json.loads((result.folder / "labels.json").read_text())
    assert (told["schema"], told["micrograph"], told["sha256"]) == ("facetem-labels", "a.tif", "ab")
    assert [(row["particle"], row["label"], row["predicted"]) for row in told["labels"]] == [
        (2, "decahedron", "cube")
    ]
    assert len(told["labels"][0]["note"]) == 500
    assert "crops/decahedron/particle-002.tif,decahedron,2,cube" in labels_csv(load_labels(result.folder))
    for index, label in ((2, "banana"), (3, "twin"), (2, "../x")):
        with pytest.raises(InputError):
            set_label(result, index, label)
    set_label(result, 2, "")
    assert load_labels(result.folder) == {}
    (result.folder / "labels.json").write_text("{damaged")
    assert load_labels(result.folder) == {}


def test_a_label_is_of_the_report_that_was_looked_at(result: Result) -> None:
    """After another analysis the particle of that number may be another."""
    again = {**result.told, "particles": [{**result.told["particles"][0], "x_nm": 1.0}]}
    (result.folder / "result.json").write_text(json.dumps(again))
    with pytest.raises(InputError, match="analysed again"):
        set_label(result, 2, "twin")
    assert not (result.folder / "labels.json").exists()


def test_a_solid_lies_as_the_particle_does() -> None:
    along = solid("cube", 50.0, np.eye(3))
    assert set(along["legend"]) == {"100"}
    corners = np.concatenate([face["corners"] for face in along["faces"]])
    side = (np.pi / 6) ** (1 / 3) * 5.0  # of the cube of that volume [nm]
    assert np.abs(corners).max() == pytest.approx(side / 2, abs=1e-3)
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    first, second = solid("twin", 50.0, np.eye(3)), solid("twin", 50.0, turn)
    a, b = (np.array(s["faces"][3]["corners"]) for s in (first, second))
    assert b == pytest.approx(a @ turn.T, abs=1e-3)


def test_hdf5_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"\0" * 64)
    for name in ("link", "raw", "virtual", "plain"):
        path = tmp_path / f"{name}.hspy"
        with h5py.File(path, "w") as file:
            group = file.create_group("Experiments/one")
            if name == "link":
                group["data"] = h5py.ExternalLink(str(secret), "/x")
            elif name == "raw":
                group.create_dataset("data", (8, 8), "u1", external=[(str(secret), 0, 64)])
            elif name == "virtual":
                layout = h5py.VirtualLayout((8, 8), "u1")
                layout[:] = h5py.VirtualSource(str(secret), "x", (8, 8))
                group.create_virtual_dataset("data", layout)
            else:
                group["data"] = np.zeros((8, 8))
        if name == "plain":
            check_contained(path)
        else:
            with pytest.raises(InputError, match="refers to others"):
                check_contained(path)


def test_an_ome_tif_that_names_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), metadata={"axes": "YX"}, ome=True)
    check_contained(path)
    with tifffile.TiffFile(path) as tif:
        told = tif.ome_metadata
    assert told is not None
    uuid = '<UUID FileName="/etc/passwd">urn:uuid:1</UUID></TiffData>'
    worse = (
        told.replace("/></Pixels>", f">{uuid}</Pixels>")
        if "/></Pixels>" in told
        else told.replace("<TiffData", f'<TiffData IFD="0">{uuid}<TiffData', 1)
    )
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), description=worse.encode(), metadata=None)
    with pytest.raises(InputError, match="refers to others"):
        check_contained(path)


def test_a_token_is_there_where_others_can_come() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "192.0.2.1")] == [
        True, True, True, False, False,
    ]  # fmt: skip
    assert Settings().token == ""
    assert len(Settings(host="0.0.0.0").token) >= 32
    assert Settings(host="0.0.0.0").token != Settings(host="0.0.0.0").token


def test_rings_over_a_spectrum_are_those_of_the_metals_that_were_learnt() -> None:
    told = {"provenance": {"learnt": Matter(("Pt", "Pb")).as_dict()}}
    learnt = Result(Path("."), told).learnt
    assert learnt.metal == "platinum or lead"
    drawn = spectrum_rings(learnt)
    assert drawn.count("<circle") == 6
    assert "Pb {111} 2.86 Å" in drawn
    assert "Au {111} 2.35 Å" in spectrum_rings(Result(Path("."), {}).learnt)
