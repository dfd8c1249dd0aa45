"""Uploads side by side, without a server: what they are allowed is shared, and free again when one of them fails."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from facetem.app.web.guard import Refused
from facetem.app.web.sessions import Sessions
from facetem.app.web.settings import Settings
from facetem.app.web.upload import receive

PIECE = 50_000  # bytes


async def slowly(length: int) -> AsyncIterator[bytes]:
    """An npy file in pieces, between which others have their turn."""
    head = b"\x93NUMPY"
    for first in range(0, length, PIECE):
        yield head.ljust(min(PIECE, length - first), b"\0")
        head = b""
        await asyncio.sleep(0)


def test_uploads_side_by_side_share_the_room_of_their_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of six that would fill it one and a half times, those are kept for which there is room."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    settings = Settings(upload_mb=1)
    sessions = Sessions(settings)
    session = sessions.create()
    assert session is not None

    async def send(length: int) -> int:
        try:
            session.add(await receive(session, "a.npy", slowly(length), settings))
        except Refused as refused:
            return refused.status
        return 200

    async def all_at_once(*lengths: int) -> list[int]:
        return await asyncio.gather(*map(send, lengths))

    def on_disk() -> int:
        return sum(path.stat().st_size for path in session.folder.rglob("*.npy"))

    try:
        assert sorted(asyncio.run(all_at_once(*6 * [1_000_000]))) == 4 * [200] + 2 * [413]
        assert on_disk() == session.size() == 4_000_000
        assert asyncio.run(all_at_once(50)) == [413]
        session.remove(next(iter(session.items.values())))
        # What is too large gives back what it had taken.
        assert asyncio.run(all_at_once(2_000_000)) == [413]
        assert asyncio.run(all_at_once(1_000_000)) == [200]
        assert on_disk() == session.size() == 4_000_000
        assert not session.arriving
    finally:
        sessions.close()
