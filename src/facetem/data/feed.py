"""Batches made ahead of the network that learns from them.

Two threads: one reads or simulates the next group of specimens, one images the next batches. What goes wrong in
them is raised where the batch is asked for. A GPU images faster than one process can draw lenses and cameras, so other
processes do that for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from threading import Thread
from typing import Generic, TypeVar

import torch

from facetem.data.chance import Chance, Drawn
from facetem.data.samples import Batch, SampleStream, energies
from facetem.data.sources import Share, Showing, Source, Visit, visits_after
from facetem.data.workers import end_with_parent

T = TypeVar("T")
BATCHES = 2  # made ahead
DRAWERS = 3  # processes that draw for a GPU


class Ahead(Generic[T]):
    """The values of an iterator, `depth` of them made ahead in a thread.

    None among the values is left out: there, and after every value, the thread can be stopped. `threads` is how
    many PyTorch may use in it.
    """

    def __init__(self, values: Iterable[T | None], depth: int, threads: int = 1) -> None:
        self._values = iter(values)
        self._stopped = False
        self._thread = ThreadPoolExecutor(
            1,
            thread_name_prefix="feed",
            initializer=torch.set_num_threads,
            initargs=(threads,),
        )
        self._coming = deque(self._thread.submit(self._make) for _ in range(depth))

    def _make(self) -> tuple[T] | None:
        while not self._stopped:
            value = next(self._values, self)
            if value is self:
                break
            if value is not None:
                return (value,)  # type: ignore[return-value]
        return None

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        made: Future[tuple[T] | None] = self._coming[0]
        value = made.result()
        if value is None:
            raise StopIteration
        self._coming.popleft()
        self._coming.append(self._thread.submit(self._make))
        return value[0]

    def close(self) -> None:
        """Stop at the next value, and wait for that."""
        self._stopped = True
        self._thread.shutdown(wait=True, cancel_futures=True)
        close = getattr(self._values, "close", None)
        if close:
            close()


@contextmanager
def feed(
    source: Source,
    stream: SampleStream,
    *,
    batch: int,
    share: Share | None = None,
    taken: int = 0,
    drawers: int | None = None,
) -> Iterator[Iterator[Batch]]:
    """Endless batches of a process's share of the source, made ahead as long as the context lasts.

    The first `taken` showings are left out: those of a run that goes on. `drawers` are the processes that draw; by
    default some for a GPU, and none for the CPU, which needs longer for the images.
    """
    threads = torch.get_num_threads()
    loaded = Ahead(source.load(visits_after(source, share or Share(), taken)), depth=1, threads=threads)
    # One core for images, the others for learning: two crowds of threads on the same cores wait for each other.
    if drawers is None:
        drawers = DRAWERS if stream.device.type == "cuda" else 0
    drawing = _Drawers(stream.chance, drawers)
    batches = Ahead(_batches(loaded, stream, batch, drawing), depth=BATCHES, threads=1)
    try:
        yield batches
    finally:
        loaded.close()  # first: the other thread may be waiting for it
        batches.close()
        drawing.close()
        torch.set_num_threads(threads)  # the last number set is also that of threads to come


class _Drawers:
    """Draws of `chance`, in `processes` of their own or, with 0, in the process that asks."""

    def __init__(self, chance: Chance, processes: int) -> None:
        self._chance = chance
        self.ahead = 2 * processes  # batches, of which each process has its next
        self._pool: Executor | None = None
        if processes:
            spawn = get_context("spawn")
            self._pool = ProcessPoolExecutor(processes, mp_context=spawn, initializer=_end_with_parent)

    def begin(self, showings: Sequence[Showing]) -> Future[list[Drawn]]:
        """What is drawn for showings, now or soon."""
        asked = [showing.visit for showing in showings], energies(showings)
        if self._pool:
            return self._pool.submit(_draw, self._chance, *asked)
        done: Future[list[Drawn]] = Future()
        done.set_result(_draw(self._chance, *asked))
        return done

    def close(self) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)


def _draw(
    chance: Chance, visits: Sequence[Visit], beams: Sequence[tuple[float, float | None]]
) -> list[Drawn]:
    return chance.draw(visits, beams)


def _end_with_parent() -> None:
    Thread(target=end_with_parent, daemon=True).start()


def _batches(
    loaded: Iterable[list[Showing]], stream: SampleStream, size: int, drawers: _Drawers
) -> Iterator[Batch]:
    waiting: list[Showing] = []
    coming: deque[tuple[list[Showing], Future[list[Drawn]]]] = deque()
    for showings in loaded:
        for showing in showings:
            waiting.append(showing)
            if len(waiting) == size:
                coming.append((waiting, drawers.begin(waiting)))
                waiting = []
            if len(coming) > drawers.ahead:
                these, drawn = coming.popleft()
                yield stream.image(these, drawn.result())
