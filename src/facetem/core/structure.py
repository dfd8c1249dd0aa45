"""`Structure`: a ragged batch of specimens as flat tensors, and its way from and to ASE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class Structure:
    """Atoms of several specimens, flat, with the index of the specimen that each belongs to.

    Parameters
    ----------
    positions : (atom, 3) float
        (x, y, z) [Å]; the beam travels along +z.
    numbers : (atom,) int64
        Atomic numbers.
    batch : (atom,) int64
        Specimen of each atom, non-decreasing.
    cell : (specimen, 3) float
        Orthogonal box (x, y, z) [Å] from the origin; periodic in x and y.
    """

    positions: Tensor
    numbers: Tensor
    batch: Tensor
    cell: Tensor

    def __post_init__(self) -> None:
        n = len(self.positions)
        if self.positions.shape != (n, 3):
            raise ValueError(f"positions must be (atom, 3), got {tuple(self.positions.shape)}")
        if self.numbers.shape != (n,) or self.batch.shape != (n,):
            raise ValueError(
                f"numbers and batch must be ({n},), got {tuple(self.numbers.shape)} and {tuple(self.batch.shape)}"
            )
        if self.cell.ndim != 2 or self.cell.shape[1] != 3:
            raise ValueError(f"cell must be (specimen, 3), got {tuple(self.cell.shape)}")

    @property
    def n_specimens(self) -> int:
        return len(self.cell)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Structure:
        """The same structure on another device (and float dtype)."""
        return replace(
            self,
            positions=self.positions.to(device, dtype),
            numbers=self.numbers.to(device),
            batch=self.batch.to(device),
            cell=self.cell.to(device, dtype),
        )

    def select(self, first: int, last: int) -> Structure:
        """Specimens `first` to `last` (exclusive) as a structure of their own."""
        ends = self.batch.new_tensor([first, last])
        inside = slice(*torch.searchsorted(self.batch, ends).tolist())
        return Structure(
            self.positions[inside], self.numbers[inside], self.batch[inside] - first, self.cell[first:last]
        )

    def take(self, specimens: Sequence[int]) -> Structure:
        """The given specimens, in their order, as a structure of their own."""
        parts = [self.select(i, i + 1) for i in specimens]
        return Structure(
            torch.cat([part.positions for part in parts]),
            torch.cat([part.numbers for part in parts]),
            torch.cat([part.batch + i for i, part in enumerate(parts)]),
            torch.cat([part.cell for part in parts]),
        )


def from_ase(specimens: Sequence[Atoms], dtype: torch.dtype = torch.float32) -> Structure:
    """A `Structure` of the given ASE `Atoms`, each with an orthogonal cell.

    Raises
    ------
    ValueError
        If a specimen has no atoms or its cell is not orthogonal with positive lengths.
    """
    for i, atoms in enumerate(specimens):
        if len(atoms) == 0:
            raise ValueError(f"specimen {i} has no atoms")
        cell = np.asarray(atoms.cell)
        if np.abs(cell - np.diag(np.diag(cell))).max() > 1e-6 or np.diag(cell).min() <= 0:
            raise ValueError(
                f"specimen {i} needs an orthogonal cell with positive lengths, got {cell.tolist()}"
            )
    counts = torch.tensor([len(atoms) for atoms in specimens])
    return Structure(
        positions=torch.as_tensor(np.concatenate([a.positions for a in specimens]), dtype=dtype),
        numbers=torch.as_tensor(np.concatenate([a.numbers for a in specimens]), dtype=torch.int64),
        batch=torch.repeat_interleave(torch.arange(len(specimens)), counts),
        cell=torch.as_tensor(np.stack([np.diag(np.asarray(a.cell)) for a in specimens]), dtype=dtype),
    )


def to_ase(structure: Structure) -> list[Atoms]:
    """One ASE `Atoms` per specimen, periodic in x and y."""
    from ase import Atoms

    specimens = []
    for i in range(structure.n_specimens):
        inside = structure.batch == i
        specimens.append(
            Atoms(
                numbers=structure.numbers[inside].cpu().numpy(),
                positions=structure.positions[inside].detach().cpu().numpy(),
                cell=structure.cell[i].cpu().numpy(),
                pbc=(True, True, False),
            )
        )
    return specimens
