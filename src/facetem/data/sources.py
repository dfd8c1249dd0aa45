"""Sources of specimens: a store on disk, or the simulator itself. Samples are drawn from either alike.

A source says in which order an epoch shows its specimens, and loads them group by group. In an epoch the
specimens go in pairs: two that follow each other may be shown side by side.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

import numpy as np

from facetem.core.errors import InputError
from facetem.data.conditions import check_energies
from facetem.data.draw import Specimen, draw_specimen
from facetem.data.items import Item, Shelf, simulated
from facetem.data.recipe import Recipe, Split
from facetem.data.specimens import truth_of, wave_grid
from facetem.data.store import open_store


@dataclass(frozen=True, slots=True)
class Visit:
    """Specimen `index` is shown for the time number `round`; `mate` is the other specimen of its pair."""

    index: int
    round: int
    mate: int | None


@dataclass(frozen=True)
class Showing:
    """A visit with its specimen, and that of its mate."""

    visit: Visit
    item: Item
    mate: Item | None = None


@dataclass(frozen=True)
class Share:
    """The seed of the order, and which of so many processes sees every `of`-th pair of it."""

    seed: int = 0
    rank: int = 0
    of: int = 1


class Source(Protocol):
    """Where specimens come from."""

    recipe: Recipe

    def __len__(self) -> int: ...

    def order(self, epoch: int, share: Share) -> Iterator[list[Visit]]:
        """What a process is shown in an epoch, in groups of specimens that are held together; quick."""
        ...

    def load(self, groups: Iterable[list[Visit]]) -> Iterator[list[Showing] | None]:
        """The specimens of the groups. None now and then, in between, where one may stop."""
        ...


def visits_after(source: Source, share: Share, taken: int) -> Iterator[list[Visit]]:
    """Endless groups of visits, epoch after epoch, without the first `taken`, which are not loaded either."""
    for epoch in count():
        for group in source.order(epoch, share):
            if taken < len(group):
                yield group[taken:]
            taken = max(0, taken - len(group))


def pairs(indices: Sequence[int], round: int = 0, share: Share | None = None) -> list[Visit]:
    """Visits of the pairs that `indices` make in their order; of a share, its own alone."""
    share = share or Share()
    visits: list[Visit] = []
    for first in range(2 * share.rank, len(indices), 2 * share.of):
        pair = indices[first : first + 2]
        mates = (pair[1], pair[0]) if len(pair) == 2 else (None,)
        visits += [Visit(index, round, mate) for index, mate in zip(pair, mates, strict=True)]
    return visits


def _showings(group: list[Visit], items: dict[int, Item]) -> list[Showing]:
    return [
        Showing(visit, items[visit.index], None if visit.mate is None else items[visit.mate])
        for visit in group
    ]


def _specimens_of(group: Iterable[Visit]) -> list[int]:
    shown = {index for visit in group for index in (visit.index, visit.mate)}
    return sorted(index for index in shown if index is not None)


def check_specimens(place: str | Path, specimens: Recipe, recipe: Recipe) -> None:
    """Raise InputError if those of a recipe, stored at `place`, cannot be imaged under the conditions of `recipe`."""
    if wave_grid(specimens) != wave_grid(recipe):
        raise InputError(
            f"{place}: expected specimens in a field of {recipe.field / 10:g} nm, as the recipe {recipe.name} has it, "
            f"got {specimens.field / 10:g} nm"
        )
    try:
        check_energies(recipe, specimens)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


APART = 1 << 32  # between the indices of specimens of different stores
WINDOW = 1e9  # bytes of specimens that are shuffled together: none is shown before they are all read


class StoreSource:
    """The specimens of a store, which may be larger than the memory and may still grow: shards that were made
    meanwhile are taken in with the next epoch.

    Parameters
    ----------
    beside
        Other stores, of the same field and beams of the first's, whose specimens are mixed in. The recipe is that of
        the first.
    memory
        Bytes for specimens. A store that fits is kept; a larger one is read anew in every epoch, the next window of
        shards while one is shown. Shards are in random order, and specimens in random order within a window, which
        takes at most half of the memory.
    limit
        Whole shards are taken in until there are as many specimens.
    recipe
        Under whose conditions the specimens are to be imaged; by default their own.
    device
        Where they are held; its memory is then what is meant above.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        beside: Sequence[str | Path] = (),
        memory: float = 8e9,
        limit: int | None = None,
        recipe: Recipe | None = None,
        device: str = "cpu",
    ) -> None:
        paths = [path, *beside]
        self._shelves = [Shelf(open_store(place), device) for place in paths]
        self.recipe = recipe or self._shelves[0].store.recipe
        self._memory, self._limit = memory, limit
        self._shards: list[list[int]] = [[] for _ in paths]  # of each store
        self._kept: dict[int, Item] = {}
        self.refresh()
        for place, shelf, shards in zip(paths, self._shelves, self._shards, strict=True):
            if not shards:
                raise InputError(f"{place}: expected a store with at least one whole shard, found none")
            check_specimens(place, shelf.store.recipe, self.recipe)

    def refresh(self) -> None:
        """Take in the shards that have been made meanwhile."""
        for shelf, shards in zip(self._shelves, self._shards, strict=True):
            known = set(shards)
            for shard in shelf.store.shards():
                if shard not in known and not (self._limit and len(shards) * shelf.rows >= self._limit):
                    shards.append(shard)

    def __len__(self) -> int:
        return sum(
            len(shards) * shelf.rows for shelf, shards in zip(self._shelves, self._shards, strict=True)
        )

    @property
    def _fits(self) -> bool:
        return self._bytes <= self._memory

    @property
    def _bytes(self) -> float:
        shelves = zip(self._shelves, self._shards, strict=True)
        return sum(len(shards) * shelf.rows * shelf.size for shelf, shards in shelves)

    def order(self, epoch: int, share: Share) -> Iterator[list[Visit]]:
        self.refresh()
        rng = np.random.default_rng([share.seed, epoch])
        shards = [(k, shard) for k, some in enumerate(self._shards) for shard in sorted(some)]
        shards = [shards[i] for i in rng.permutation(len(shards))]
        window = max(1, int(min(self._memory / 2, WINDOW) / (self._bytes / len(shards))))
        for some in np.array_split(np.array(shards), -(-len(shards) // window)):
            rows = [
                k * APART + index for k, shard in some for index in self._shelves[k].store.indices(int(shard))
            ]
            yield pairs([int(i) for i in rng.permutation(rows)], epoch, share)

    def load(self, groups: Iterable[list[Visit]]) -> Iterator[list[Showing] | None]:
        for group in groups:
            if not self._fits:
                self._kept = {}
            indices = _specimens_of(group)
            items = {index: self._kept[index] for index in indices if index in self._kept}
            missing = [index for index in indices if index not in items]
            wanted: dict[tuple[int, int], list[int]] = {}
            for index in missing:
                k, row = divmod(index, APART)
                wanted.setdefault((k, row // self._shelves[k].rows), []).append(row % self._shelves[k].rows)
            for (k, shard), rows in sorted(wanted.items()):
                items |= {k * APART + i: item for i, item in self._shelves[k].read(shard, rows).items()}
                yield None
            if self._fits:
                self._kept |= items
            yield _showings(group, items)


AHEAD = 2  # blocks whose atoms are built before they are needed


class LiveSource:
    """Specimens simulated when they are needed, and shown `repeats` times under fresh optics.

    Several processes simulate different blocks.

    Parameters
    ----------
    n
        Number of different specimens before they come round again.
    batch
        Specimens of a block, which are held together.
    workers
        Processes that build atoms ahead of the simulation; 0 builds them in this one.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        split: Split,
        n: int,
        device: str = "cpu",
        batch: int = 2,
        repeats: int = 1,
        workers: int = 0,
    ) -> None:
        self.recipe = recipe
        self._split: Split = split
        self._n, self._device, self._batch, self._repeats = n, device, batch, repeats
        self._pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers else None

    def __len__(self) -> int:
        return self._n

    def order(self, epoch: int, share: Share) -> Iterator[list[Visit]]:
        alone = Share()  # a block's pairs are all seen by the process that simulates it
        for first in range(share.rank * self._batch, self._n, share.of * self._batch):
            rng = np.random.default_rng([share.seed, epoch, first])
            block = range(first, min(first + self._batch, self._n))
            rounds = range(epoch * self._repeats, (epoch + 1) * self._repeats)
            yield [
                visit
                for round in rounds
                for visit in pairs(rng.permutation(list(block)).tolist(), round, alone)
            ]

    def load(self, groups: Iterable[list[Visit]]) -> Iterator[list[Showing] | None]:
        at_once = 2 if self._device == "cpu" else 32
        for group, building in self._building(groups):
            items: dict[int, Item] = {}
            while building:
                some = [building.popleft() for _ in range(min(at_once, len(building)))]
                items |= self._simulated([(index, self._built(job, index)) for index, job in some])
                yield None
            yield _showings(group, items)

    def _building(
        self, groups: Iterable[list[Visit]]
    ) -> Iterator[tuple[list[Visit], deque[tuple[int, Future[Specimen] | None]]]]:
        """Each group with its specimens, which the pool builds `AHEAD` groups ahead."""
        coming = iter(groups)
        begun = deque((group, self._begin(group)) for group in islice(coming, 1 + AHEAD))
        try:
            while begun:
                yield begun[0]
                begun.popleft()
                begun.extend((group, self._begin(group)) for group in islice(coming, 1))
        finally:
            for job in (job for _, jobs in begun for _, job in jobs if job):
                job.cancel()

    def _begin(self, group: list[Visit]) -> deque[tuple[int, Future[Specimen] | None]]:
        return deque(
            (i, self._pool.submit(draw_specimen, self.recipe, self._split, i) if self._pool else None)
            for i in _specimens_of(group)
        )

    def _built(self, job: Future[Specimen] | None, index: int) -> Specimen:
        return job.result() if job else draw_specimen(self.recipe, self._split, index)

    def _simulated(self, specimens: list[tuple[int, Specimen]]) -> dict[int, Item]:
        truth = truth_of([specimen for _, specimen in specimens], self.recipe, self._device)
        return {index: simulated(truth, k, specimen) for k, (index, specimen) in enumerate(specimens)}
