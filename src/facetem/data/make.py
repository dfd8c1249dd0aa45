"""Making a data set: which shards are missing, who makes them, and what to do when that fails.

A run that was stopped, however that was, goes on when the same is asked for again.
"""

from __future__ import annotations

import errno
import logging
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from facetem.core.errors import InputError
from facetem.core.words import number
from facetem.data.layout import FILES, FOLDERS, LOCK, MANIFEST
from facetem.data.publish import sweep, whole_shards, withdraw_shard
from facetem.data.recipe import Recipe, Split
from facetem.data.store import Store, check_place, create_store, seal, unseal
from facetem.data.verify import shard_files_of, verify
from facetem.data.workers import Crew, LostError, Makers, local_makers

TRIALS = 3  # times that a shard may fail
LOSSES = 10  # times that whoever makes it may be killed, which is seldom the shard's fault
FULL = (errno.ENOSPC, errno.EDQUOT)

Progress = Callable[[int, int], None]

log = logging.getLogger(__name__)


def make_store(
    recipe: Recipe,
    path: str | Path,
    *,
    n: int,
    split: Split = "train",
    makers: Makers | None = None,
    progress: Progress | None = None,
) -> Store:
    """Make a data set of at least `n` specimens (whole shards), or finish or extend the one at `path`.

    Parameters
    ----------
    makers
        `local_makers` or `dask_makers`. Default: this process.
    progress
        Called with (specimens done, specimens wanted), at first with those that are there already.

    Raises
    ------
    InputError
        If `create_store` does, another maker is at work there, or a shard cannot be made.
    OSError
        If the disk is full. What is whole stays, and the same call goes on from there.
    """
    path = Path(path)
    check_place(recipe, path, split=split, n=n)
    new = not path.exists()
    with _told_if_full(path), sole_maker(path), _no_trace_without_shards(path, new):
        store = create_store(recipe, path, split=split, n=n)
        sweep(path, FOLDERS)
        there = set(store.shards())
        wanted = -(-n // store.shard_size)
        done = sum(shard < wanted for shard in there)
        if progress:
            progress(done * store.shard_size, wanted * store.shard_size)
        if done < wanted:
            unseal(store)
            missing = (shard for shard in range(wanted) if shard not in there)
            for _ in _made(store, missing, makers or local_makers()):
                done += 1
                if progress:
                    progress(done * store.shard_size, wanted * store.shard_size)
        seal(store)
    return store


def withdraw_bad_shards(path: str | Path, progress: Progress | None = None) -> list[int]:
    """Verify the data set at `path` and take its bad shards away, so that `make_store` makes them again.

    Returns their numbers. `progress` is called with (shards verified, shards).

    Raises
    ------
    InputError
        If there is no data set, or a maker is at work there.
    """
    path = Path(path)
    with sole_maker(path):
        bad = verify(path, progress).shards
        for shard in bad:
            withdraw_shard(path, shard, shard_files_of(shard))
    return list(bad)


@contextmanager
def sole_maker(path: Path) -> Iterator[None]:
    """Nobody else makes shards at `path` for as long as the context lasts; the kernel ends it for a killed process.

    Raises
    ------
    InputError
        If somebody does already, or the folder cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / LOCK)
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"{path}: another run is making this data set; wait for it, or choose another folder"
        ) from None
    except OSError as error:
        if error.errno in FULL:
            raise
        raise InputError(f"{path}: expected a folder that can be written: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _no_trace_without_shards(path: Path, new: bool) -> Iterator[None]:
    """A data set that fails before it has a shard is taken away: another recipe may take its place. What was there
    before stays, the folder too unless it is `new`."""
    older = {entry.name for entry in path.iterdir()} - {LOCK}
    try:
        yield
    except BaseException:
        if MANIFEST not in older and not whole_shards(path):
            for place in (path / name for name in FILES if name not in older):
                if place.is_dir():
                    shutil.rmtree(place, ignore_errors=True)
                else:
                    place.unlink(missing_ok=True)
            if new:
                with suppress(OSError):
                    path.rmdir()  # unless it holds more
        raise


@contextmanager
def _told_if_full(path: Path) -> Iterator[None]:
    """Says of a full disk which data set it is about, and how to go on."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        done = len(whole_shards(path))
        told = f"{error.strerror}; {number(done, 'shard')} whole, make room and the same goes on"
        raise OSError(error.errno, told, str(path)) from None


def _made(store: Store, missing: Iterator[int], makers: Makers) -> Iterator[int]:
    """Have the missing shards made, and yield each when it is whole."""
    try:
        with makers(store.path) as crew:
            yield from _handed_out(store, missing, crew)
    finally:
        sweep(store.path, FOLDERS)  # after workers that were ended in the middle


def _handed_out(store: Store, missing: Iterator[int], crew: Crew) -> Iterator[int]:
    """Keep the crew busy: no more is handed out than it has room for, and what failed is handed out again when there
    is nothing else left."""
    again: deque[int] = deque()
    trials: Counter[tuple[int, int]] = Counter()  # of a shard that may have so many
    under_way = in_a_row = 0
    while True:
        while under_way < crew.capacity:
            shard = next(missing, None)
            if shard is None and again:
                shard = again.popleft()
            if shard is None:
                break
            crew.submit(shard)
            under_way += 1
        if not under_way:
            return
        shard, error = crew.finished()
        under_way -= 1
        if error is None:
            in_a_row = 0
            yield shard
            continue
        in_a_row += 1
        limit = LOSSES if isinstance(error, LostError) else TRIALS
        trials[shard, limit] += 1
        _judge(store, shard, error, trials[shard, limit], limit)
        if in_a_row >= LOSSES * crew.capacity:  # it is not the shards' fault: the rest need not be tried
            raise InputError(
                f"{store.path}: the last {in_a_row} shards that were tried failed, shard {shard} because {_told(error)}"
            ) from error
        again.append(shard)


def _judge(store: Store, shard: int, error: Exception, trials: int, limit: int) -> None:
    """Raise what a failure of a shard means for the run; return if the shard is to be tried again."""
    if isinstance(error, OSError) and error.errno in FULL:
        raise error
    indices = store.indices(shard)
    named = f"{store.path}: shard {shard} (specimens {indices[0]} to {indices[-1]})"
    if isinstance(error, InputError):
        raise InputError(f"{named} cannot be made: {_told(error)}") from error
    if trials >= limit:
        raise InputError(f"{named} failed {trials} times, at last because {_told(error)}") from error
    log.warning("shard %d is made again: %s", shard, _told(error))


def _told(error: Exception) -> str:
    return " ".join(f"{error}".split()) or type(error).__name__
