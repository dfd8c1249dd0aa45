"""Both networks learn on one GPU at the same time, each in a process of its own, while others make their specimens.

One training alone leaves most of a GPU idle: half of its time goes into the Python that draws its conditions and hands
out its steps. Processes that begin with atoms keep the cores busy meanwhile, and what they have made stays in a store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import Empty
from threading import Thread
from typing import TYPE_CHECKING, Any

from facetem.app.command import Network
from facetem.core.errors import InputError
from facetem.data.workers import end_with_parent

if TYPE_CHECKING:
    from facetem.data.recipe import Recipe
    from facetem.learn.training import TrainingPlan

FIRST = 16  # shards that are waited for before learning begins, at most

Tell = Callable[[str, float], None]  # what is going on, and the part of it that is done
Learn = Callable[[Network, "TrainingPlan", Path, str, Callable[[float], None]], None]


@dataclass(frozen=True)
class Specimens:
    """What both are to learn from: `n` specimens of `recipe` in the store at `path`, made by `workers` processes."""

    recipe: Recipe
    path: Path
    n: int
    workers: int

    @property
    def first(self) -> int:
        """Shards that are there before learning begins: all, if they are few."""
        return min(FIRST, -(-self.n // self.recipe.stored.shard))


def learn_side_by_side(
    plans: Mapping[Network, TrainingPlan],
    specimens: Specimens,
    *,
    device: str,
    learn: Learn,
    meanwhile: Callable[[], None],
    progress: Tell,
) -> None:
    """Have `learn` bring each network to the end of its plan, and `meanwhile` done too.

    `learn` is called in a process of its own with (network, plan, the store, device, a function to be told the part
    done), `meanwhile` in another; both can be pickled.

    Raises
    ------
    InputError
        If one of the processes ends before it is done.
    """
    context = get_context("spawn")
    told: Any = context.Queue()
    maker = context.Process(target=_make, args=(specimens, device, told))
    learners = [
        context.Process(target=_learn, args=(learn, which, plan, specimens, device, told))
        for which, plan in plans.items()
    ]
    awaited = [*learners, context.Process(target=_do, args=(meanwhile, told))]
    with _running([maker, *awaited]):
        while any(process.is_alive() for process in awaited):
            try:
                step, part, wrong = told.get(timeout=1.0)
            except Empty:
                step, part, wrong = "", 0.0, _dead(maker, *awaited)
            if wrong:
                raise InputError(wrong)
            if step:
                progress(step, part)
        wrong = _dead(*awaited)
        if wrong:
            raise InputError(wrong)


def _dead(*processes: BaseProcess) -> str | None:
    codes = [process.exitcode for process in processes if process.exitcode]
    return f"training: a process ended (exit status {codes[0]}); the same command goes on" if codes else None


@contextmanager
def _running(processes: list[BaseProcess]) -> Iterator[None]:
    """The processes are started, and ended with the context, those at work too."""
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _make(specimens: Specimens, device: str, told: Any) -> None:
    from facetem.data.make import make_store
    from facetem.data.workers import local_makers

    def tell(done: int, total: int) -> None:
        told.put(("specimens", done / total, None))

    with _errors_told(told):
        makers = local_makers(specimens.workers, device)
        make_store(specimens.recipe, specimens.path, n=specimens.n, makers=makers, progress=tell)


def _learn(
    learn: Learn, which: Network, plan: TrainingPlan, specimens: Specimens, device: str, told: Any
) -> None:
    from facetem.data.publish import whole_shards

    with _errors_told(told):
        while len(whole_shards(specimens.path)) < specimens.first:
            time.sleep(0.2)
        learn(which, plan, specimens.path, device, lambda part: told.put((which.value, part, None)))


def _do(work: Callable[[], None], told: Any) -> None:
    with _errors_told(told):
        work()


@contextmanager
def _errors_told(told: Any) -> Iterator[None]:
    """What is wrong with the input is said by the first process, in one line."""
    Thread(target=end_with_parent, daemon=True).start()
    try:
        yield
    except (InputError, OSError) as error:
        told.put(("", 0.0, str(error)))
        time.sleep(5.0)  # to be read before this process's end is noticed
        raise
