"""Sources of specimens: a store on disk, or the simulator itself. Samples are drawn from either alike."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
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
from facetem.data.specimens import truth_of
from facetem.data.store import ARRAYS, SHARD, open_store


@dataclass(frozen=True)
class Item:
    """One specimen: exit wave (y, x) complex; target, mask and thickness [Å] (y', x') at `PIXEL`; index of the
    shape; energy [eV]."""

    wave: Tensor
    target: Tensor
    mask: Tensor
    thickness: Tensor
    label: int
    energy: float


class Source(Protocol):
    """Where specimens come from."""

    recipe: Recipe

    def __len__(self) -> int: ...

    def item(self, index: int) -> Item: ...

    def epoch(self, rng: np.random.Generator) -> Iterator[int]:
        """Indices in an order that suits both learning and the source."""
        ...


class StoreSource:
    """The specimens of a store, held in memory. `refresh` takes in shards that were made meanwhile."""

    def __init__(self, path: str | Path, device: str = "cpu", limit: int | None = None) -> None:
        self._store = open_store(path)
        self.recipe = self._store.recipe
        self._device = device
        self._limit = limit
        self._shards: list[int] = []
        self._labels: list[int] = []
        self._energies: list[float] = []
        self._arrays: dict[str, list[Tensor]] = {name: [] for name in ARRAYS}
        self.refresh()
        if not self._labels:
            raise InputError(f"{path}: expected a store with at least one whole shard, found none")

    def refresh(self) -> None:
        """Read the shards that are not in memory yet."""
        import pandas as pd

        for shard in self._store.shards():
            if shard in self._shards or (self._limit and len(self) >= self._limit):
                continue
            rows = pd.read_parquet(self._store.path / "labels" / f"{shard:05d}.parquet")
            for name, parts in self._arrays.items():
                block = self._store.array(name)[shard * SHARD : (shard + 1) * SHARD]
                parts.append(torch.as_tensor(block).to(self._device))
            self._shards.append(shard)
            self._labels += [SHAPES.index(shape) for shape in rows["shape"]]
            self._energies += [float(energy) for energy in rows["energy"]]

    def __len__(self) -> int:
        return len(self._labels)

    def epoch(self, rng: np.random.Generator) -> Iterator[int]:
        self.refresh()
        yield from rng.permutation(len(self)).tolist()

    def item(self, index: int) -> Item:
        shard, row = divmod(index, SHARD)
        wave = torch.complex(*self._arrays["waves"][shard][row].float())
        return Item(
            wave,
            self._arrays["targets"][shard][row].float(),
            self._arrays["masks"][shard][row].float(),
            self._arrays["thickness"][shard][row].float(),
            self._labels[index],
            self._energies[index],
        )


class LiveSource:
    """Specimens simulated when they are needed, and shown `repeats` times under fresh optics.

    Parameters
    ----------
    n
        Number of different specimens before they come round again.
    batch
        Specimens simulated and held at once.
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
        self._held: dict[int, Item] = {}
        self._pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers else None

    def __len__(self) -> int:
        return self._n

    def _block(self, first: int) -> range:
        return range(first, min(first + self._batch, self._n))

    def _simulate(self, indices: range, specimens: list[Specimen]) -> None:
        truth = truth_of(specimens, self.recipe, self._device)
        self._held = {
            i: Item(
                truth.waves[k],
                truth.targets[k],
                (truth.masks[k] > 0).float(),
                truth.thickness[k],
                SHAPES.index(s.shape),
                s.energy,
            )
            for k, (i, s) in enumerate(zip(indices, specimens, strict=True))
        }

    def _ahead(self, blocks: list[range]) -> Iterator[list[Specimen]]:
        """The specimens of each block, built by the pool two blocks ahead."""
        if self._pool is None:
            for block in blocks:
                yield [draw_specimen(self.recipe, self._split, i) for i in block]
            return
        jobs = [
            [self._pool.submit(draw_specimen, self.recipe, self._split, i) for i in block]
            for block in blocks[:2]
        ]
        for k in range(len(blocks)):
            if k + 2 < len(blocks):
                block = blocks[k + 2]
                jobs.append([self._pool.submit(draw_specimen, self.recipe, self._split, i) for i in block])
            yield [job.result() for job in jobs[k]]
            jobs[k] = []

    def epoch(self, rng: np.random.Generator) -> Iterator[int]:
        blocks = [self._block(first) for first in range(0, self._n, self._batch)]
        for block, specimens in zip(blocks, self._ahead(blocks), strict=True):
            self._simulate(block, specimens)
            for _ in range(self._repeats):
                yield from rng.permutation(list(block)).tolist()

    def item(self, index: int) -> Item:
        if index not in self._held:
            block = self._block(index // self._batch * self._batch)
            self._simulate(block, [draw_specimen(self.recipe, self._split, i) for i in block])
        return self._held[index]
