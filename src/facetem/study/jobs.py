"""Jobs of a study: done here one after the other, by processes of this machine, or by workers of a Dask cluster.

A job keeps its own result in the folder of the bench, and does not work for it again: a study that was stopped goes on,
whoever worked on it before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from facetem.core.errors import InputError
from facetem.data.pool import executor_of, lost
from facetem.study.bench import Bench, silent

T = TypeVar("T")


def kept_table(path: Path, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """The table at `path`, made and written there if it is not there yet."""
    if path.exists():
        return pd.read_parquet(path)
    table = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    table.to_parquet(temporary)
    temporary.replace(path)
    return table


class Crew:
    """Whoever does the jobs of a study.

    Parameters
    ----------
    bench
        What every job works with.
    executor
        Takes jobs; None: they are done here.
    """

    def __init__(self, bench: Bench, executor: Executor | None = None) -> None:
        self.bench, self._executor = bench, executor

    def do(self, step: str, work: Callable[..., T], jobs: Sequence[tuple[Any, ...]]) -> list[T]:
        """`work(bench, *job)` of every job, in their order."""
        if self._executor is None:
            return [work(self._told(step, i, len(jobs)), *job) for i, job in enumerate(jobs)]
        folder = self.bench.folder.resolve()  # who works elsewhere may stand in another one
        quiet = replace(self.bench, folder=folder, progress=silent, workers=1, dask=None)
        begun = {self._executor.submit(work, quiet, *job): i for i, job in enumerate(jobs)}
        results: dict[int, T] = {}
        try:
            for future in as_completed(begun):
                results[begun[future]] = future.result()
                self.bench.progress(step, len(results), len(jobs))
        except lost():
            raise InputError(
                f"{step}: a process that worked on it was killed, for want of memory perhaps; the same goes on"
            ) from None
        finally:
            for future in begun:
                future.cancel()
        return [results[i] for i in range(len(jobs))]

    def _told(self, step: str, i: int, jobs: int) -> Bench:
        """The bench for job number `i`, whose progress is part of that of all."""
        return replace(
            self.bench,
            progress=lambda inner, done, total: self.bench.progress(
                f"{step}: {inner}", i * total + done, jobs * total
            ),
        )


@contextmanager
def crew_of(bench: Bench) -> Iterator[Crew]:
    """The crew that the bench asks for, which ends with the context.

    Raises
    ------
    InputError
        If the Dask scheduler or its workers cannot be used.
    """
    with executor_of(bench.workers, bench.dask, bench.folder) as executor:
        yield Crew(bench, executor)
