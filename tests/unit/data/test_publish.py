"""Files that are whole or absent: what failures at every step leave behind."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facetem.data import publish
from facetem.data.publish import publish_shard, read_record, sweep, whole_shards, write_whole

FILES = {"labels/00004.parquet": b"labels", "waves/c.4.0": b"waves"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("labels", "waves", "shards", "tmp"):
        (tmp_path / name).mkdir()
    return tmp_path


def left(root: Path) -> list[str]:
    """All files there are, and folders of dead makers."""
    return sorted(
        p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() or p.parent.name == "tmp"
    )


def test_a_published_shard_is_whole_and_recorded(root: Path) -> None:
    publish_shard(root, 4, FILES, {"device": "cpu"})
    assert whole_shards(root) == [4]
    assert left(root) == ["labels/00004.parquet", "shards/00004.json", "waves/c.4.0"]
    record = read_record(root, 4)
    assert record["device"] == "cpu"
    assert record["files"]["waves/c.4.0"]["size"] == 5


@pytest.mark.parametrize("step", range(3))
def test_a_failure_at_any_move_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    moves: list[Any] = []

    def failing(source: Path, target: Path) -> None:
        if len(moves) == step:
            raise OSError(28, "No space left on device")
        moves.append(target)
        Path(source).rename(target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="No space"):
        publish_shard(root, 4, FILES, {})
    assert left(root) == []


def test_a_failure_to_write_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        path.write_bytes(content[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publish, "_write_synced", full)
    for attempt in (
        lambda: publish_shard(root, 4, FILES, {}),
        lambda: write_whole(root, "recipe.yaml", b"a: 1"),
    ):
        with pytest.raises(OSError, match="No space"):
            attempt()
    assert left(root) == []


def test_dead_makers_leave_nothing_after_the_sweep(root: Path) -> None:
    publish_shard(root, 3, {"labels/00003.parquet": b"", "waves/c.3.0": b""}, {})
    whole = left(root)
    (root / "tmp" / "00004-dead").mkdir()
    (root / "tmp" / "00004-dead" / "0").write_bytes(b"half")
    (root / "tmp" / "alone").write_bytes(b"half")
    (root / "labels" / "00004.parquet").write_bytes(b"moved, and then killed")
    (root / "waves" / "zarr.json").write_bytes(b"{}")
    sweep(root, ("labels", "waves"))
    assert left(root) == sorted([*whole, "waves/zarr.json"])


def _at_the_record(monkeypatch: pytest.MonkeyPatch, when: str, do: Callable[[], None]) -> None:
    """Do something just before or after a shard's record is moved into place."""
    move = os.replace

    def moving(source: Path, target: Path) -> None:
        record = Path(target).parent.name == "shards"
        if record and when == "before":
            do()
        move(source, target)
        if record and when == "after":
            do()

    monkeypatch.setattr(os, "replace", moving)


def test_a_sweep_while_a_shard_is_published_never_leaves_a_record_without_files(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers of a cluster may outlive the client that asked them, and meet the sweep of the next one."""
    _at_the_record(monkeypatch, "before", lambda: (root / "waves" / "c.4.0").unlink())
    with pytest.raises(FileNotFoundError, match="was removed"):
        publish_shard(root, 4, FILES, {})
    assert left(root) == []


def test_the_same_shard_twice_at_once_is_one_shard(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[bool] = []

    def other() -> None:
        if not done:
            done.append(True)
            publish_shard(root, 4, FILES, {})

    _at_the_record(monkeypatch, "before", other)
    publish_shard(root, 4, FILES, {})
    assert whole_shards(root) == [4]
    assert (root / "waves" / "c.4.0").read_bytes() == b"waves"
