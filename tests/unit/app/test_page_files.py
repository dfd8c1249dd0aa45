"""The list of micrographs, without a browser: what it offers, and what a look at it costs, which is taken often."""

from collections.abc import Iterator
from pathlib import Path

import pytest

nicegui = pytest.importorskip(
    "nicegui", reason="needs the libraries of the page: pip install 'facetem[page]'"
)
from nicegui import Client, ui  # noqa: E402
from nicegui.page import page  # noqa: E402

from facetem.app.web.files import Files  # noqa: E402
from facetem.app.web.settings import Settings  # noqa: E402
from facetem.app.web.studio import Studio  # noqa: E402

MANY = 60


class Counted(str):
    """A key that counts how often it is compared with another."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """Of a folder of many files, the first of which has a report."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / "folder"
    report = folder / "facetem-reports" / "00.tif"
    report.mkdir(parents=True)
    (report / "result.json").write_text('{"particles": []}')
    for n in range(MANY):
        (folder / f"{n:02}.tif").write_bytes(b"x")
    one = Studio(Settings(folder=folder, device="cpu"))
    for item in one.sessions._library.values():
        item.key = Counted(item.key)
    one.sessions._library = {item.key: item for item in one.sessions._library.values()}
    yield one
    one.close()


@pytest.fixture
def client() -> Client:
    return Client(page(""), request=None)


def shown(studio: Studio, client: Client) -> Files:
    session = studio.sessions.create()
    assert session is not None
    with client:
        return Files(studio, session, open_=lambda item: None, gone=lambda: None)


def test_another_pixel_size_can_be_given_whatever_has_become_of_a_file(
    studio: Studio, client: Client
) -> None:
    first, second, *_ = studio.sessions._library.values()
    second.error = "damaged"
    shown(studio, client)
    fields = [e.props["aria-label"] for e in client.elements.values() if isinstance(e, ui.number)]
    assert fields == [f"Pixel size of {n:02}.tif in nm" for n in range(MANY)]
    assert (first.is_done, second.is_done) == (True, False)
    # Where there is a result it takes a single line until it is asked for.
    assert [e.tag for e in client.elements.values() if e.tag == "details"] == ["details"]


def test_a_look_at_many_files_costs_little(
    studio: Studio, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken several times a second: it asks the disk nothing, and compares no file with all others."""
    files = shown(studio, client)
    asked: list[Path] = []
    monkeypatch.setattr(Path, "is_file", lambda self: bool(asked.append(self)))
    Counted.compared = 0
    files.look()
    assert asked == []
    assert Counted.compared <= 2 * MANY


def test_a_report_that_came_or_went_is_seen_when_the_folder_is_looked_at(studio: Studio) -> None:
    first, second, *_ = studio.sessions._library.values()
    second.report.mkdir()
    (first.report / "result.json").rename(second.report / "result.json")
    studio.sessions.scan()
    assert (first.is_done, second.is_done) == (False, True)
