"""Files that a browser sends: written as they come, refused as soon as something is wrong with them."""

from __future__ import annotations

import asyncio
import re
import shutil
import unicodedata
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from urllib.parse import unquote

from facetem.app.web.guard import Refused
from facetem.app.web.sessions import PageFile, Session
from facetem.app.web.settings import Settings
from facetem.data.formats import EXTENSIONS

_LONGEST = 120  # characters of a name
_CHUNK = 1 << 20
_SILENT = 60.0  # s without a byte
_SPARE = 1_000_000_000  # bytes of the disk that stay free
_SIDE_BY_SIDE = 6  # uploads of one session
_MOST_FILES = 500  # of one session
_HEAD = 4096
_ARCHIVES = ("zip", "7z", "gz", "tar", "tgz", "rar", "bz2", "xz")
# How files of a type begin. mrc has no signature in its first bytes, and older files none at all.
_BEGINNINGS: dict[str, tuple[bytes, ...]] = {
    "png": (b"\x89PNG\r\n\x1a\n",),
    "jpg": (b"\xff\xd8\xff",),
    "jpeg": (b"\xff\xd8\xff",),
    "tif": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "tiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "npy": (b"\x93NUMPY",),
    "hspy": (b"\x89HDF\r\n\x1a\n",),
    "emd": (b"\x89HDF\r\n\x1a\n",),
    "dm3": (b"\0\0\0\x03",),
    "dm4": (b"\0\0\0\x04",),
    "ser": (b"II\x97\x01",),
}
_KNOWN = {
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "a zip archive",
    b"\x1f\x8b": "a gz archive",
    b"%PDF": "a pdf",
    b"MZ": "a program",
    b"\x7fELF": "a program",
    b"\x89PNG": "a png",
    b"\xff\xd8\xff": "a jpg",
    b"\x89HDF": "an hdf5 file",
    b"II*\0": "a tif",
    b"MM\0*": "a tif",
    b"\x93NUMPY": "an npy",
    b"<": "a text or html file",
}


def safe_name(told: str) -> str:
    """The name of a file as a browser tells it, percent-encoded, without folders and without what could harm.

    Raises
    ------
    Refused
        If nothing is left of it, or its ending is none that is read.
    """
    text = unicodedata.normalize("NFC", unquote(told, errors="replace"))
    name = PurePosixPath(text.replace("\\", "/")).name
    name = re.sub(r"[^\w .,()+=@#-]", "_", name).strip(" .")
    stem, _, ending = name.rpartition(".")
    ending = ending.lower()
    if ending in _ARCHIVES:
        raise Refused(415, f"{name[-_LONGEST:]}: archives are not opened; unpack it and drop its files here")
    if not stem.strip(" ._") or ending not in EXTENSIONS:
        raise Refused(415, f"{name[-_LONGEST:] or 'file'}: expected one of {', '.join(EXTENSIONS)}")
    return f"{stem[:_LONGEST]}.{ending}"


def check_beginning(name: str, head: bytes) -> None:
    """Raise Refused if a file does not begin as those of its type do."""
    ending = name.rpartition(".")[2]
    expected = _BEGINNINGS.get(ending)
    looks = next((what for start, what in _KNOWN.items() if head.startswith(start)), None)
    if expected is None:
        wrong = looks is not None
    else:
        wrong = not head.startswith(expected)
    if wrong:
        raise Refused(
            415,
            f"{name}: expected a file of type {ending}, got {looks or f'one that does not begin as {ending} files do'}",
        )


async def receive(session: Session, told: str, body: AsyncIterator[bytes], settings: Settings) -> PageFile:
    """Write an upload to a new item of the session, which does not list it yet.

    Raises
    ------
    Refused
        If its name, size or beginning is not as it should be, there is no room, or it stops; nothing is left of it.
    """
    name = safe_name(told)
    if len(session.arriving) >= _SIDE_BY_SIDE:
        raise Refused(
            429, f"{name}: there are {len(session.arriving)} uploads under way; wait for one of them"
        )
    if len(session.items) + len(session.arriving) >= _MOST_FILES:
        raise Refused(429, f"{name}: you have {_MOST_FILES} files here; remove some of them first")
    whole = False
    item = session.place(name)
    session.arriving[item.key] = item
    try:
        await _write(item, session, body, settings)
        whole = True
        return item
    except TimeoutError:
        raise Refused(408, f"{name}: nothing came for {_SILENT:g} s; send it again") from None
    except OSError as error:
        raise Refused(
            507, f"{name}: could not be kept here ({error.strerror}); tell whoever runs this page"
        ) from None
    finally:
        del session.arriving[item.key]
        if not whole:
            session.remove(item)


async def _write(item: PageFile, session: Session, body: AsyncIterator[bytes], settings: Settings) -> None:
    checked, waiting = False, bytearray()
    with item.path.open("wb") as file:
        while True:
            chunk = await asyncio.wait_for(anext(body, b""), _SILENT)
            ended = not chunk
            waiting += chunk
            item.size += len(chunk)  # before it is written, so that uploads side by side see each other's
            if item.size > settings.upload_bytes:
                raise Refused(413, f"{item.name}: expected at most {settings.upload_mb} MB, got more")
            if session.size() > settings.session_bytes:
                raise Refused(
                    413, f"{item.name}: there is no room left for your files; remove some of them first"
                )
            if not checked and (ended or len(waiting) >= _HEAD):
                if not waiting:
                    raise Refused(400, f"{item.name}: expected a micrograph, got an empty file")
                check_beginning(item.name, bytes(waiting[:_HEAD]))
                checked = True
            if ended or len(waiting) >= _CHUNK:
                if shutil.disk_usage(item.path.parent).free < len(waiting) + _SPARE:
                    raise Refused(507, f"{item.name}: there is no room left on this machine")
                await asyncio.to_thread(file.write, bytes(waiting))
                waiting.clear()
            if ended:
                return
