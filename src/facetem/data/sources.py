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
import torch
from torch import Tensor

from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError
from facetem.data.draw import Specimen, draw_specimen
from facetem.data.recipe import Recipe, Split
from facetem.data.specimens import truth_of, wave_grid
from facetem.data.store import ARRAYS, Store, open_store


@dataclass(frozen=True)
class Item:
    """One specimen as it is stored, in any precision and on any device: exit wave (2, y, x), its real and imaginary
    part; target, mask and thickness [Å] (y', x') at `PIXEL`; index of the shape, -1 for one that is no class;
    energy [eV]; volume-equivalent diameter [Å], with the error of the pixel size, and the unit quaternion (w, x, y, z)
    from the shape's axes to the specimen's, both of the first particle."""

    wave: Tensor
    target: Tensor
    mask: Tensor
    thickness: Tensor
    label: int
    energy: float
    diameter: float = 0.0
    quaternion: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)


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


def _pairs(indices: Sequence[int], round: int, share: Share) -> list[Visit]:
    """Those of the pairs of `indices` that belong to a share."""
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


APART = 1 << 32  # between the indices of specimens of different stores
WINDOW = 1e9  # bytes of specimens that are shuffled together: none is shown before they are all read


class StoreSource:
    """The specimens of a store, which may be larger than the memory and may still grow: shards that were made
    meanwhile are taken in with the next epoch.

    Parameters
    ----------
    beside
        Another store, of the same field, whose specimens are mixed in. The recipe is that of the first.
    memory
        Bytes for specimens. A store that fits is kept; a larger one is read anew in every epoch, the next window of
        shards while one is shown. Shards are in random order, and specimens in random order within a window, which
        takes at most half of the memory.
    limit
        Whole shards are taken in until there are as many specimens.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        beside: str | Path | None = None,
        memory: float = 8e9,
        limit: int | None = None,
    ) -> None:
        paths = [path] if beside is None else [path, beside]
        self._shelves = [_Shelf(open_store(place)) for place in paths]
        self.recipe = self._shelves[0].store.recipe
        self._memory, self._limit = memory, limit
        self._shards: list[list[int]] = [[] for _ in paths]  # of each store
        self._kept: dict[int, Item] = {}
        self.refresh()
        for place, shelf, shards in zip(paths, self._shelves, self._shards, strict=True):
            if not shards:
                raise InputError(f"{place}: expected a store with at least one whole shard, found none")
            if wave_grid(shelf.store.recipe) != wave_grid(self.recipe):
                raise InputError(
                    f"{place}: expected specimens in a field of {self.recipe.field / 10:g} nm, as in {path}, got "
                    f"{shelf.store.recipe.field / 10:g} nm"
                )

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
        return len(self) * self._shelves[0].size <= self._memory

    def order(self, epoch: int, share: Share) -> Iterator[list[Visit]]:
        self.refresh()
        rng = np.random.default_rng([share.seed, epoch])
        shards = [(k, shard) for k, some in enumerate(self._shards) for shard in sorted(some)]
        shards = [shards[i] for i in rng.permutation(len(shards))]
        size = self._shelves[0].rows * self._shelves[0].size
        window = max(1, int(min(self._memory / 2, WINDOW) / size))
        for some in np.array_split(np.array(shards), -(-len(shards) // window)):
            rows = [
                k * APART + index for k, shard in some for index in self._shelves[k].store.indices(int(shard))
            ]
            yield _pairs([int(i) for i in rng.permutation(rows)], epoch, share)

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


class _Shelf:
    """Reads specimens of a store, in the precision that they have there."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._arrays = {name: store.array(name) for name in ARRAYS}
        one = (array.dtype.itemsize * int(np.prod(array.shape[1:])) for array in self._arrays.values())
        self.size = sum(one)  # bytes of one specimen
        self.rows = store.shard_size

    def read(self, shard: int, rows: list[int]) -> dict[int, Item]:
        """Those specimens of a shard, by index."""
        first, *_, last = self.store.indices(shard)
        if last >= self._arrays["waves"].shape[0]:  # the store has been extended
            self._arrays = {name: self.store.array(name) for name in ARRAYS}
        labels = self.store.table("labels", shard)
        classes, energies = list(labels["label"]), list(labels["energy"])
        particles = self.store.table("particles", shard).groupby("index").first()
        lies = particles.reindex(labels["index"])
        diameters = lies["diameter"].to_numpy() * (1 + labels["calibration"].to_numpy())
        turns = lies[["qw", "qx", "qy", "qz"]].to_numpy(dtype=float)
        blocks = {name: torch.from_numpy(self._rows(name, first, rows)) for name in ARRAYS}
        return {
            first + row: Item(
                blocks["waves"][k],
                blocks["targets"][k],
                blocks["masks"][k],
                blocks["thickness"][k],
                class_index(classes[row]),
                float(energies[row]),
                float(diameters[row]),
                _quaternion(turns[row]),
            )
            for k, row in enumerate(rows)
        }

    def _rows(self, name: str, first: int, rows: list[int]) -> np.ndarray:
        array = self._arrays[name]
        if len(rows) == self.store.shard_size:
            return array[first : first + len(rows)]
        return array.oindex[np.asarray(rows) + first]  # no other specimen's bytes are read


def class_index(label: str) -> int:
    """The index of a class in `SHAPES`, -1 for what is none of them."""
    return SHAPES.index(label) if label in SHAPES else -1


def _quaternion(values: Iterable[float]) -> tuple[float, float, float, float]:
    w, x, y, z = (float(value) for value in values)
    return w, x, y, z


def _pose(specimen: Specimen) -> tuple[float, tuple[float, float, float, float]]:
    """Diameter, as it appears, and quaternion of the first particle; NaN without one."""
    nan = float("nan")
    row = specimen.particles[0] if specimen.particles else {}
    diameter = float(row.get("diameter", nan)) * (1 + float(specimen.parameters["calibration"]))
    return diameter, _quaternion(float(row.get(name, nan)) for name in ("qw", "qx", "qy", "qz"))


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
                for visit in _pairs(rng.permutation(list(block)).tolist(), round, alone)
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
        return {
            index: Item(
                torch.view_as_real(truth.waves[k]).movedim(-1, 0),
                truth.targets[k],
                truth.masks[k],
                truth.thickness[k],
                class_index(specimen.label),
                specimen.energy,
                *_pose(specimen),
            )
            for k, (index, specimen) in enumerate(specimens)
        }
