"""Who makes shards on this machine: this process itself, or others that it starts.

A `Crew` is handed shards and says, one at a time, what became of them. The module imports nothing heavy: processes
begin here, and numpy has to find the number of threads set when it is first imported.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process, set_start_method
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

PER_GPU = 10  # processes that make specimens on one GPU: each builds its atoms on a core meanwhile
PATIENCE = 10.0  # s, for a process to end by itself


class LostError(Exception):
    """A worker has ended before its shard was done: killed, or out of memory."""


class Crew(Protocol):
    """Whoever makes the shards of a data set."""

    @property
    def capacity(self) -> int:
        """How many shards are to be under way at a time."""
        ...

    def submit(self, shard: int) -> None:
        """Hand out a shard."""
        ...

    def finished(self) -> tuple[int, Exception | None]:
        """Wait for a shard that was handed out: its number, and what went wrong."""
        ...


# Makes the crew for a data set and ends it with the context, whatever is still under way then.
Makers = Callable[[Path], AbstractContextManager[Crew]]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def local_makers(workers: int = 1, device: str = "cpu") -> Makers:
    """`workers` processes on this machine; with 1, this process itself."""

    @contextmanager
    def start(path: Path) -> Iterator[Crew]:
        if workers <= 1:
            yield Alone(path, device)
            return
        crew = Processes(path, workers, device)
        try:
            yield crew
        finally:
            crew.end()

    return start


@dataclass
class Alone:
    """This process makes one shard after the other."""

    path: Path
    device: str
    capacity: int = 1
    _next: int = -1

    def submit(self, shard: int) -> None:
        self._next = shard

    def finished(self) -> tuple[int, Exception | None]:
        return self._next, _attempt(self.path, self._next, self.device)


@dataclass
class _Worker:
    process: BaseProcess
    line: Connection
    shard: int = -1


@dataclass
class Processes:
    """Processes of this machine, one shard each at a time. One that was killed is replaced."""

    path: Path
    capacity: int
    device: str
    _idle: list[_Worker] = field(default_factory=list)
    _busy: list[_Worker] = field(default_factory=list)

    def submit(self, shard: int) -> None:
        worker = self._idle.pop() if self._idle else self._started()
        worker.shard = shard
        self._busy.append(worker)
        with suppress(OSError):  # killed while it was idle: `finished` finds its line closed
            worker.line.send(shard)

    def finished(self) -> tuple[int, Exception | None]:
        ready = wait([worker.line for worker in self._busy])[0]
        worker = next(worker for worker in self._busy if worker.line is ready)
        self._busy.remove(worker)
        try:
            outcome = worker.line.recv()
        except (EOFError, OSError):
            worker.process.join()
            worker.line.close()
            return worker.shard, LostError(f"its process ended ({_ending(worker.process.exitcode)})")
        self._idle.append(worker)
        return worker.shard, outcome

    def end(self) -> None:
        """End all processes, those at work at once."""
        for worker in self._busy:
            worker.process.terminate()
        for worker in self._idle:
            worker.line.close()
        for worker in (*self._idle, *self._busy):
            worker.process.join(PATIENCE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.line.close()

    def _started(self) -> _Worker:
        context = get_context("spawn")  # a process that has run PyTorch cannot be forked safely
        mine, its = context.Pipe()
        process = context.Process(target=_serve, args=(its, self.path, self.device), daemon=True)
        process.start()
        its.close()  # or the end of the process would not close the line
        return _Worker(process, mine)


def _ending(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"


def _serve(line: Connection, path: Path, device: str) -> None:
    """What a process of `Processes` does until its line is closed."""
    import signal
    from threading import Thread

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the first process says what happens
    Thread(target=end_with_parent, daemon=True).start()
    if os.name != "nt":
        # Locks are then nobody's to clean up: those of a killed process would be reported as leaked at the end.
        set_start_method("fork", force=True)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    while True:
        try:
            shard = line.recv()
        except EOFError:
            return
        line.send(_attempt(path, shard, device))


def end_with_parent() -> None:
    """End this process when the one that started it has: nobody would take what it makes."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _attempt(path: Path, shard: int, device: str) -> Exception | None:
    """Make a shard; what went wrong, as something that can be sent to another process."""
    from facetem.data.generate import make_shard

    try:
        make_shard(path, shard, device)
    except Exception as error:  # noqa: BLE001 - whatever it is, who waits for the shard is to say it
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # noqa: BLE001 - nor is it known what an exception cannot be pickled for
            return RuntimeError(f"{type(error).__name__}: {error}")
        return error
    return None
