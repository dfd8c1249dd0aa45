"""Batches made ahead of the network that learns from them.

Two threads: one reads or simulates the next group of specimens, one images the next batches. What goes wrong in
them is raised where the batch is asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch

from facetem.data.samples import Batch, SampleStream
from facetem.data.sources import Share, Showing, Source, visits_after

T = TypeVar("T")
BATCHES = 2  # made ahead


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
    source: Source, stream: SampleStream, *, batch: int, share: Share | None = None, taken: int = 0
) -> Iterator[Iterator[Batch]]:
    """Endless batches of a process's share of the source, made ahead as long as the context lasts.

    The first `taken` showings are left out: those of a run that goes on.
    """
    threads = torch.get_num_threads()
    loaded = Ahead(source.load(visits_after(source, share or Share(), taken)), depth=1, threads=threads)
    # One core for images, the others for learning: two crowds of threads on the same cores wait for each other.
    batches = Ahead(_batches(loaded, stream, batch), depth=BATCHES, threads=1)
    try:
        yield batches
    finally:
        loaded.close()  # first: the other thread may be waiting for it
        batches.close()
        torch.set_num_threads(threads)  # the last number set is also that of threads to come


def _batches(loaded: Iterable[list[Showing]], stream: SampleStream, size: int) -> Iterator[Batch]:
    waiting: list[Showing] = []
    for showings in loaded:
        for showing in showings:
            waiting.append(showing)
            if len(waiting) == size:
                yield stream.draw(waiting)
                waiting = []
