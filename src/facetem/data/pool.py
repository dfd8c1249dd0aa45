"""Who does jobs side by side: processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from facetem.data.cluster import connected


@contextmanager
def executor_of(workers: int, dask: str | None, folder: Path) -> Iterator[Executor | None]:
    """What takes jobs: the workers of the Dask scheduler at the address `dask`, who see `folder`; or `workers`
    processes of this machine; or None, if that is one.

    Raises
    ------
    InputError
        If the Dask scheduler or its workers cannot be used.
    """
    if dask is not None:
        with connected(dask, folder) as client, client.get_executor(pure=False) as executor:
            yield executor
    elif workers > 1:
        context = get_context("spawn")  # a process that has run PyTorch cannot be forked safely
        with ProcessPoolExecutor(workers, mp_context=context, initializer=one_thread) as executor:
            yield executor
    else:
        yield None


def one_thread() -> None:
    """Processes side by side take a core each."""
    import torch

    torch.set_num_threads(1)


def lost() -> tuple[type[BaseException], ...]:
    """What a job ends with whose process was killed."""
    dask = sys.modules.get("distributed")
    return (BrokenExecutor,) if dask is None else (BrokenExecutor, dask.KilledWorker)
