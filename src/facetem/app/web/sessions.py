"""Whose files are whose: sessions, each with a folder of its own that goes when it ends, and the served folder."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from facetem.analysis.report import RESULT, check_output
from facetem.app.web.jobs import Job
from facetem.app.web.keeping import settle
from facetem.app.web.settings import Settings
from facetem.data.formats import EXTENSIONS

MOST_SESSIONS = 1000
MOST_FILES = 2000  # of the folder that are listed
_PREFIX = "facetem-page-"


@dataclass
class PageFile:
    """A micrograph of the page: an upload of one session, or a file of the folder.

    `name` is what is shown, `report` where its report is or will be; `sampling_nm` a pixel size that was given,
    `error` what became of the last try, and `size` the bytes that an upload has, or will have in a moment. `is_done`:
    whether there was a report when it was last looked for.
    """

    key: str
    name: str
    path: Path
    report: Path
    shared: bool = False
    sampling_nm: float | None = None
    job: Job | None = None
    error: str = ""
    size: int = 0
    is_done: bool = field(init=False)

    def __post_init__(self) -> None:
        self.look()

    def look(self) -> None:
        """Look for its report: when an analysis has ended, and when all of the folder is looked at."""
        self.is_done = (self.report / RESULT).is_file()

    @property
    def is_busy(self) -> bool:
        """Whether its analysis waits or runs."""
        return self.job is not None


@dataclass
class Session:
    """One browser: its secret `key` is in its cookie and nowhere else; its `folder` has another name."""

    key: str
    folder: Path
    items: dict[str, PageFile] = field(default_factory=dict)
    pages: int = 0  # that are open
    seen: float = field(default_factory=time.monotonic)
    arriving: dict[str, PageFile] = field(
        default_factory=dict
    )  # uploads that are under way, which it does not list yet

    def place(self, name: str) -> PageFile:
        """A new item with a folder of its own, which is made; the file is for the caller to write."""
        key = secrets.token_hex(8)
        folder = self.folder / key
        folder.mkdir(parents=True)
        return PageFile(key, name, folder / name, folder / "report")

    def add(self, item: PageFile) -> None:
        """List an item whose file is whole."""
        item.size = item.path.stat().st_size
        self.items[item.key] = item

    def size(self) -> int:
        """Bytes of its uploads, and of those under way what has come of them."""
        return sum(item.size for item in (*self.items.values(), *self.arriving.values()))

    def remove(self, item: PageFile) -> None:
        """Forget an upload, and delete what there is of it."""
        self.items.pop(item.key, None)
        shutil.rmtree(item.path.parent, ignore_errors=True)


class Sessions:
    """All sessions of a server, and the micrographs of its folder, which they share.

    Uploads are in a temporary folder that is locked as long as the server lives. Those that a killed server left are
    deleted by the next.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        _sweep()
        self.root = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
        self._lock = FileLock(self.root / ".lock")
        self._lock.acquire()
        self._sessions: dict[str, Session] = {}
        self._library: dict[str, PageFile] = {}
        if settings.report_folder is not None:
            check_output(settings.report_folder)
        self.scan()

    def create(self) -> Session | None:
        """A new session; None if there are too many."""
        if len(self._sessions) >= MOST_SESSIONS:
            self.expire(idle=600.0)
        if len(self._sessions) >= MOST_SESSIONS:
            return None
        session = Session(secrets.token_urlsafe(32), self.root / secrets.token_hex(8))
        self._sessions[session.key] = session
        return session

    def find(self, key: str) -> Session | None:
        """The session of a cookie's value."""
        session = self._sessions.get(key)
        if session is not None:
            session.seen = time.monotonic()
        return session

    def items(self, session: Session) -> list[PageFile]:
        """What a session sees: the folder's files, then its own uploads in the order that they came in."""
        return [*self._library.values(), *session.items.values()]

    def item(self, session: Session, key: str) -> PageFile | None:
        """The item of that key, if the session may see it."""
        return session.items.get(key) or self._library.get(key)

    def scan(self) -> None:
        """Look what is in the folder now."""
        folder, reports = self._settings.folder, self._settings.report_folder
        if folder is None or reports is None:
            return
        found: dict[str, PageFile] = {}
        for name, path in _micrographs(folder.resolve(), reports.resolve()):
            key = hashlib.sha256(name.encode()).hexdigest()[:16]
            if key in self._library:
                found[key] = self._library[key]
                found[key].look()
                continue
            # With its ending: two files may differ in nothing else.
            place = reports.resolve() / name
            settle(place)  # a server may have been killed
            found[key] = PageFile(key, name, path, place, shared=True)
        self._library = found

    def expire(self, idle: float) -> None:
        """Forget sessions that had no page open for `idle` seconds, with all that is theirs."""
        now = time.monotonic()
        for session in list(self._sessions.values()):
            busy = any(item.is_busy for item in session.items.values())
            if not session.pages and not session.arriving and not busy and now - session.seen > idle:
                del self._sessions[session.key]
                shutil.rmtree(session.folder, ignore_errors=True)

    def close(self) -> None:
        """Delete everything that was uploaded."""
        self._sessions.clear()
        self._lock.release()
        shutil.rmtree(self.root, ignore_errors=True)


def _micrographs(folder: Path, reports: Path) -> Iterator[tuple[str, Path]]:
    """Names and paths of the micrographs in a folder and those in it, none that a link leads out of it to."""
    listed = 0
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.suffix.lower().lstrip(".") not in EXTENSIONS or any(part.startswith(".") for part in parts):
            continue
        real = path.resolve()
        if not real.is_file() or not real.is_relative_to(folder) or real.is_relative_to(reports):
            continue
        listed += 1
        if listed > MOST_FILES:
            return
        yield "/".join(parts), real


def _sweep() -> None:
    """Delete what servers left that were killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        lock = FileLock(left / ".lock")
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):
            continue  # it is alive, or not ours
        lock.release()
        shutil.rmtree(left, ignore_errors=True)
