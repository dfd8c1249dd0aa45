"""Long work beside the server: a queue, one process that works on it, progress, and an end at any moment.

A job that is cancelled has its process killed: nothing else ends a reader that hangs in a damaged file, and what the
process held goes with it. The next job starts another.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any, Literal

from facetem.app.web.process import serve_jobs

State = Literal["waiting", "working", "done", "failed", "cancelled"]
STALLED = 900.0  # s without a sign of life, after which a job is given up


@dataclass
class Job:
    """Something to compute: `function(progress, *args)`, importable by name, in another process.

    `owner` is whose it is; owners take turns. `future` ends with the job's result, or None if there is none.
    """

    owner: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    state: State = "waiting"
    step: str = ""
    done: int = 0
    total: int = 0
    error: str = ""
    future: Future[Any] = field(default_factory=Future)
    began: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ("waiting", "working")


class Worker:
    """One process that does jobs one after the other; it starts with the first."""

    def __init__(self, name: str, *, stalled: float = STALLED) -> None:
        self._name, self._stalled = name, stalled
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._current: Job | None = None
        self._last = ""
        self._closed = False
        self._process: Any = None
        self._pipe: Any = None
        self._thread = threading.Thread(target=self._run, name=f"facetem {name}", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> Job:
        """Put a job at the end of the queue."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()
        return job

    def place(self, job: Job) -> int:
        """How many jobs come before this one that waits, as things stand."""
        with self._changed:
            ahead = int(self._current is not None)
            queue, last = list(self._waiting), self._current.owner if self._current else self._last
            while queue:
                following = _next(queue, last)
                if following is job:
                    return ahead
                queue.remove(following)
                last, ahead = following.owner, ahead + 1
        return 0

    def waiting_of(self, owner: str) -> int:
        """How many jobs of an owner wait."""
        with self._changed:
            return sum(job.owner == owner for job in self._waiting)

    def cancel(self, job: Job) -> None:
        """End a job, whatever it does; one that has ended stays as it is."""
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
                _end(job, "cancelled")
            elif job is self._current and job.state == "working":
                job.state = "cancelled"
                self._kill()

    def close(self) -> None:
        """End everything."""
        with self._changed:
            self._closed = True
            for job in self._waiting:
                _end(job, "cancelled")
            self._waiting.clear()
            if self._current is not None:
                self._current.state = "cancelled"
            self._kill()
            self._changed.notify()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                job = _next(self._waiting, self._last)
                self._waiting.remove(job)
                self._current, self._last = job, job.owner
                job.state, job.began = "working", time.monotonic()
            try:
                self._do(job)
            except Exception as error:  # noqa: BLE001 (a thread that ends would end the queue with it)
                _fail(job, f"could not be started: {error}")
            with self._changed:
                self._current = None

    def _do(self, job: Job) -> None:
        if self._process is None or not self._process.is_alive():
            self._start()
        with self._changed:
            if job.state == "cancelled":
                _end(job, "cancelled")
                return
        try:
            self._pipe.send((job.function, job.args))
            while True:
                if not self._pipe.poll(self._stalled):
                    with self._changed:
                        self._kill()
                    _fail(job, f"gave no sign of life for {self._stalled:g} s and was stopped")
                    return
                kind, *told = self._pipe.recv()
                if kind == "step":
                    job.step, job.done, job.total = told
                    continue
                break
        except (EOFError, OSError):
            with self._changed:
                self._kill()  # it is as good as dead, but may pass for alive when the next job comes
            if job.state == "cancelled":
                _end(job, "cancelled")
            else:
                _fail(job, "the process that worked on it was killed, for want of memory perhaps")
            return
        if job.state == "cancelled":
            _end(job, "cancelled")
        elif kind == "done":
            job.state = "done"
            job.future.set_result(told[0])
        else:
            if kind == "broken":
                sys.stderr.write(told[1])
            _fail(job, told[0])

    def _start(self) -> None:
        context = get_context("spawn")  # a process with threads cannot be forked safely
        mine, its = context.Pipe()
        process = context.Process(target=serve_jobs, args=(its,), name=f"facetem {self._name}", daemon=True)
        process.start()
        its.close()
        with self._changed:
            self._pipe, self._process = mine, process
            if self._closed:
                self._kill()

    def _kill(self) -> None:
        """With the lock held."""
        if self._process is not None:
            self._process.kill()
            self._process.join(timeout=5)
            self._process = None


def _next(queue: list[Job], last: str) -> Job:
    """The first job of somebody else than the one served last, or the first of all."""
    return next((job for job in queue if job.owner != last), queue[0])


def _end(job: Job, state: State) -> None:
    job.state = state
    if not job.future.done():
        job.future.set_result(None)


def _fail(job: Job, reason: str) -> None:
    job.error = reason
    _end(job, "failed")
