"""What strangers send to the page: it stays up, answers in one line, shows nobody another's files, leaves nothing."""

import asyncio
import http.client
import io
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

pytest.importorskip("nicegui", reason="needs the libraries of the page: pip install 'facetem[page]'")
httpx = pytest.importorskip("httpx")

LIMIT = 2  # MB


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def address(served: Callable[..., AbstractContextManager[str]], temporary: Path) -> Iterator[str]:
    """A server that anyone on this machine can reach; when it ends, nothing of all this is left."""
    with served("--upload-mb", LIMIT, temporary=temporary) as told:
        yield told.rstrip("/")


@pytest.fixture
def visitor(address: str) -> Iterator[Any]:
    with httpx.Client(base_url=address, timeout=60) as client:
        assert client.get("/").status_code == 200
        yield client


def micrograph(seed: int = 0) -> bytes:
    """Noise, as npy."""
    file = io.BytesIO()
    np.save(file, np.random.default_rng(seed).normal(size=(96, 96)).astype(np.float32))
    return file.getvalue()


def send(client: Any, name: str, body: Any, **headers: str) -> Any:
    return client.post("/api/upload", content=body, headers={"x-name": quote(name), **headers})


def files_of(temporary: Path) -> list[Path]:
    """Uploads on the disk, whole or not."""
    return [path for path in temporary.glob("facetem-page-*/*/*/*") if path.is_file()]


def test_nobody_uploads_without_having_seen_the_page(address: str) -> None:
    answer = httpx.post(f"{address}/api/upload", content=micrograph(), headers={"x-name": "a.npy"})
    assert answer.status_code == 403
    assert "load the page" in answer.json()["error"]


def test_two_gigabytes_are_refused_before_they_are_sent(address: str, visitor: Any, temporary: Path) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(2000):
            sent += 1_000_000
            yield b"\x93NUMPY" + bytes(999_994)

    before = files_of(temporary)
    # As a stream of unknown length ...
    with suppress(httpx.TransportError):  # the server hangs up while we still send
        assert send(visitor, "large.npy", endless()).status_code == 413
    assert sent < 100_000_000
    # ... and as one that says how long it is.
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    connection.putrequest("POST", "/api/upload")
    cookie = "; ".join(f"{k}={v}" for k, v in visitor.cookies.items())
    for name, value in {"content-length": "2000000000", "x-name": "large.npy", "cookie": cookie}.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()  # not a byte of the body was sent
    assert answer.status == 413
    assert b"at most 2 MB, got 2000 MB" in answer.read()
    connection.close()
    assert files_of(temporary) == before
    assert visitor.get("/").status_code == 200


@pytest.mark.parametrize(
    ("name", "body", "why"),
    [
        ("bomb.zip", b"PK\x03\x04", "archives are not opened"),
        ("bomb.tif", b"PK\x03\x04" + bytes(5000), "a zip archive"),
        ("page.png", b"<html><script>alert(1)</script>", "a text or html file"),
        ("program.npy", b"MZ" + bytes(5000), "a program"),
        ("picture.tif", b"\x89PNG\r\n\x1a\n" + bytes(5000), "a png"),
        ("report.html", b"<html>", "expected one of dm3"),
        ("noending", b"II*\0", "expected one of dm3"),
        (".npy", b"\x93NUMPY", "expected one of dm3"),
        ("empty.npy", b"", "an empty file"),
        ("..", b"", "expected one of dm3"),
    ],
)
def test_what_is_no_micrograph_is_refused(
    visitor: Any, temporary: Path, name: str, body: bytes, why: str
) -> None:
    before = files_of(temporary)
    answer = send(visitor, name, body)
    assert answer.status_code in (400, 415)
    error = answer.json()["error"]
    assert why in error
    assert "\n" not in error
    assert files_of(temporary) == before


@pytest.mark.parametrize(
    "name",
    ["../../../etc/evil.npy", "..\\..\\evil.npy", "/etc/evil.npy", "a/../../evil.npy", "C:\\x\\evil.npy"],
)
def test_a_name_leads_nowhere_else(visitor: Any, temporary: Path, name: str) -> None:
    told = send(visitor, name, micrograph()).json()
    assert told["name"] == "evil.npy"
    (path,) = [p for p in files_of(temporary) if p.name == "evil.npy" and p.parent.name == told["key"]]
    assert path.parent.parent.parent.parent == temporary


def test_html_in_a_name_stays_text(visitor: Any) -> None:
    assert send(visitor, "<img src=x onerror=alert(1)>.npy", micrograph()).json()["name"] == (
        "_img src=x onerror=alert(1)_.npy"
    )


@pytest.mark.parametrize(
    "path",
    [
        "/api/items/../../../../etc/passwd",
        "/api/items/%2e%2e%2f%2e%2e%2fetc%2fpasswd/field.png",
        "/api/items/all/..%2f..%2fresult.json",
        "/api/simulated/..%2f..%2f.lock",
        "/_nicegui/static/../../../../etc/passwd",
        "//etc/passwd",
    ],
)
def test_paths_with_dots_show_nothing(address: str, visitor: Any, path: str) -> None:
    host = address.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=30)  # which leaves paths as they are
    cookie = "; ".join(f"{k}={v}" for k, v in visitor.cookies.items())
    connection.request("GET", path, headers={"cookie": cookie})
    answer = connection.getresponse()
    assert answer.status in (400, 403, 404)
    assert b"root:" not in answer.read()
    connection.close()


def test_another_site_is_refused(address: str, visitor: Any, temporary: Path) -> None:
    before = files_of(temporary)
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"host": "evil.example"},  # a name that was pointed here afterwards
        {"host": "127.0.0.1.evil.example"},
    ):
        answer = send(visitor, "a.npy", micrograph(), **headers)
        assert answer.status_code == 403, headers
    assert files_of(temporary) == before
    assert visitor.get("/", headers={"host": "evil.example"}).status_code == 403
    # A link to the page is no harm; its pictures elsewhere are.
    visit = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert visitor.get("/", headers=visit).status_code == 200
    assert visitor.get("/api/items/all/download.zip", headers=visit).status_code == 403
    socket = {
        "connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "origin": "https://evil.example",
    }  # fmt: skip
    answer = visitor.get("/_nicegui_ws/socket.io/?EIO=4&transport=websocket", headers=socket)
    assert answer.status_code == 403


def test_every_answer_forbids_other_servers(visitor: Any) -> None:
    for path in ("/", "/nothing-here", "/api/items/x/field.png"):
        headers = visitor.get(path).headers
        assert "connect-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_a_large_request_elsewhere_is_refused(visitor: Any) -> None:
    with suppress(httpx.TransportError):
        assert (
            visitor.post(
                "/_nicegui_ws/socket.io/?EIO=4&transport=polling", content=bytes(3_000_000)
            ).status_code
            == 413
        )
    assert visitor.get("/").status_code == 200


def test_a_broken_cookie_and_a_made_up_session_get_a_fresh_one(address: str) -> None:
    port = address.rpartition(":")[2]
    for cookie in (f"facetem-session-{port}=made-up", ';;;="', f"facetem-session-{port}=../../.."):
        answer = httpx.get(address, headers={"cookie": cookie})
        assert answer.status_code == 200
        assert "made-up" not in answer.headers["set-cookie"]
        assert "HttpOnly" in answer.headers["set-cookie"]


def test_twenty_visitors_at_once_keep_their_files_apart(address: str, temporary: Path) -> None:
    async def one(number: int) -> tuple[str, str, list[int]]:
        async with httpx.AsyncClient(base_url=address, timeout=120) as client:
            await client.get("/")

            async def slowly() -> AsyncIterator[bytes]:
                body = micrograph(number)
                for first in range(0, len(body), 8192):
                    yield body[first : first + 8192]
                    await asyncio.sleep(0.01)

            answer = await client.post(
                "/api/upload", content=slowly(), headers={"x-name": f"mine-{number}.npy"}
            )
            assert answer.status_code == 200, answer.text
            keys.append(answer.json()["key"])
            while len(keys) < 20:
                await asyncio.sleep(0.01)
            seen = [(await client.get(f"/api/items/{key}/report.html")).json()["error"] for key in keys]
            mine = [text for text in seen if "no report yet" in text]
            return answer.json()["name"], answer.json()["key"], [len(seen), len(mine)]

    keys: list[str] = []

    async def everyone() -> list[Any]:
        return await asyncio.gather(*(one(i) for i in range(20)))

    found = asyncio.run(everyone())
    assert [name for name, _, _ in found] == [f"mine-{i}.npy" for i in range(20)]
    assert len({key for _, key, _ in found}) == 20
    assert all(counts == [20, 1] for _, _, counts in found)  # of all the files a visitor finds his own
    for number, (name, key, _) in enumerate(found):
        (path,) = temporary.glob(f"facetem-page-*/*/{key}/{name}")
        assert path.read_bytes() == micrograph(number)
    assert httpx.get(address).status_code == 200


def test_a_visitor_fills_the_room_that_is_his_and_no_more(visitor: Any) -> None:
    body = micrograph() + bytes(1_900_000 - len(micrograph()))
    answers = [send(visitor, f"{i}.npy", body).status_code for i in range(5)]
    assert answers[:4] == [200] * 4
    assert answers[4] == 413


def test_beyond_this_machine_a_token_is_needed(
    served: Callable[..., AbstractContextManager[str]], tmp_path: Path
) -> None:
    with served("--host", "0.0.0.0", temporary=tmp_path) as told:
        token = told.partition("?token=")[2]
        assert len(token) >= 32
        here = f"http://127.0.0.1:{told.rpartition('/')[0].rpartition(':')[2]}/"
        assert httpx.get(here).status_code == 403
        assert httpx.get(here, params={"token": token[:-1] + "?"}).status_code == 403
        with httpx.Client() as client:
            answer = client.get(here, params={"token": token})
            assert answer.status_code == 303
            assert answer.headers["location"] == "/"  # the token does not stay in the address
            assert client.get(here).status_code == 200


def test_bad_options_are_one_line(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from facetem.app.cli import app

    for words in (
        [str(tmp_path / "missing")],
        ["--port", "70000"],
        ["--upload-mb", "0"],
        ["--host", "192.0.2.77"],
        ["--reports", str(tmp_path)],
    ):
        result = CliRunner().invoke(app, ["serve", *words])
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1


def test_archives_are_made_of_reports_alone(tmp_path: Path) -> None:
    from facetem.app.web.archive import make_archive
    from facetem.app.web.sessions import PageFile

    item = PageFile("k", "a.npy", tmp_path / "a.npy", tmp_path / "report")
    file = make_archive([item], tmp_path / "downloads")
    assert zipfile.ZipFile(file).namelist() == []
