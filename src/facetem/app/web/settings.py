"""What a server is told when it starts."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from facetem.core.errors import InputError

PORT = 8137
REPORTS = "facetem-reports"  # in the folder that is served
UPLOAD_MB = 512
IDLE_HOURS = 12.0
_QUOTA = 4  # uploads of the largest size that one session may keep


@dataclass(frozen=True)
class Settings:
    """How the page is served.

    Parameters
    ----------
    folder : Path or None
        Whose micrographs everyone who may see the page may analyse; None: uploads alone.
    reports : Path or None
        Where their reports are kept. Default: `facetem-reports` in the folder.
    host, port
        Where to listen; port 0 takes a free one.
    names : tuple of str
        Further names under which browsers may ask for the page, as a proxy in front of it has them.
    upload_mb : int
        Largest upload [MB].
    idle_hours : float
        After which a session without an open page is forgotten, and its files with it.
    device : str
        Where to compute.
    token : str
        What the first request must know; empty: nothing. Never empty beyond this machine.

    Raises
    ------
    InputError
        If a number is out of its range, or the folder is none.
    """

    folder: Path | None = None
    reports: Path | None = None
    host: str = "127.0.0.1"
    port: int = PORT
    names: tuple[str, ...] = ()
    upload_mb: int = UPLOAD_MB
    idle_hours: float = IDLE_HOURS
    device: str = "auto"
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise InputError(f"port: expected 0 to 65535, got {self.port}")
        if not 1 <= self.upload_mb <= 1_000_000:
            raise InputError(f"upload-mb: expected 1 to 1000000, got {self.upload_mb}")
        if not 0 < self.idle_hours < 10_000:
            raise InputError(f"idle-hours: expected a time above 0, got {self.idle_hours:g}")
        if self.folder is not None and not self.folder.is_dir():
            raise InputError(f"{self.folder}: expected a folder of micrographs, got no such folder")
        if self.reports is not None and self.folder is None:
            raise InputError("reports: expected a folder of micrographs beside it, got none; give FOLDER too")
        if not self.token and not is_loopback(self.host):
            object.__setattr__(self, "token", secrets.token_urlsafe(24))

    @property
    def upload_bytes(self) -> int:
        """Largest upload."""
        return self.upload_mb * 1_000_000

    @property
    def session_bytes(self) -> int:
        """All that one session may have uploaded at a time."""
        return _QUOTA * self.upload_bytes

    @property
    def report_folder(self) -> Path | None:
        """Where the reports of the folder's micrographs are."""
        return self.reports or (None if self.folder is None else self.folder / REPORTS)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
