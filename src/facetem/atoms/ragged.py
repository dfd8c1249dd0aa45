"""Ragged batches: runs of rows of flat tensors, and close pairs within each specimen, without a loop over any."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 256  # rows that are reduced together
MOST_CUBES = 1 << 22  # of a table of cubes


def spans(first: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of many runs, one run after the other.

    Parameters
    ----------
    first, count : (run,) int64
        Where each run begins and how many rows it has.

    Returns
    -------
    rows, run : (row,) int64
    """
    total = int(count.sum())
    run = torch.repeat_interleave(torch.arange(len(count), device=count.device), count, output_size=total)
    skipped = first - (count.cumsum(0) - count)
    return torch.arange(total, device=count.device).add_(at(skipped, run)), run


def at(values: Tensor, rows: Tensor) -> Tensor:
    """values[rows], several times as fast on a processor."""
    return values.index_select(0, rows)


def starts(count: Tensor) -> Tensor:
    """Where runs of `count` (run,) rows begin when they follow one another."""
    return count.cumsum(0) - count


def extremes(values: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the largest (run,) of `values` (row,) in runs of `count` rows; +inf and -inf in an empty one.

    Blocks of rows that belong to one run are reduced first, which is many times as fast as row by row.
    """
    ends = count.cumsum(0)
    blocks = values[: len(values) // BLOCK * BLOCK].view(-1, BLOCK)
    first = torch.arange(len(blocks), device=count.device) * BLOCK
    owner, last_owner = (torch.searchsorted(ends, rows, right=True) for rows in (first, first + BLOCK - 1))
    whole = owner == last_owner
    # Blocks of two runs, and the rows behind the last block, are taken row by row.
    rest = (first[~whole][:, None] + torch.arange(BLOCK, device=count.device)).flatten()
    rest = torch.cat([rest, torch.arange(len(blocks) * BLOCK, len(values), device=count.device)])
    owner = torch.cat([owner[whole], torch.searchsorted(ends, rest, right=True)])
    single = values[rest]
    low, high = (
        values.new_full((len(count),), start).scatter_reduce(0, owner, torch.cat([block[whole], single]), how)
        for start, block, how in ((torch.inf, blocks.amin(1), "amin"), (-torch.inf, blocks.amax(1), "amax"))
    )
    return low, high


def meets(points: Tensor, batch: Tensor, others: Tensor, other_batch: Tensor, distance: float) -> Tensor:
    """Which points have one of the others of the same specimen closer than `distance`.

    Both are sorted into cubes of at least that size; only those of the 27 cubes around a point are compared with it.

    Parameters
    ----------
    points, others : (n, 3), (m, 3) float
        Not periodic.
    batch, other_batch : (n,), (m,) int64

    Returns
    -------
    (n,) bool
    """
    close = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    if not len(points) or not len(others):
        return close
    low, high = torch.minimum(points.amin(0), others.amin(0)), torch.maximum(points.amax(0), others.amax(0))
    n_batches = int(torch.maximum(batch.amax(), other_batch.amax())) + 1
    volume = float((high - low + 3 * distance).prod()) * n_batches
    size = max(distance, (volume / MOST_CUBES) ** (1 / 3))
    nx, ny, nz = (((high - low) / size).long() + 3).tolist()  # an empty cube at either end
    strides = torch.tensor([[ny * nz], [nz], [1]], device=points.device)
    key, other_key = (
        b * (nx * ny * nz) + ((((p - low) / size).long() + 1).T * strides).sum(0)
        for p, b in ((points, batch), (others, other_batch))
    )
    order = other_key.argsort()
    filled = torch.bincount(other_key, minlength=n_batches * nx * ny * nz)
    begin = torch.cat([filled.new_zeros(1), filled.cumsum(0)])
    steps = torch.arange(-1, 2, device=points.device)
    # Three cubes one behind the other in z are neighbours in the order: nine runs hold all 27.
    centres = (key[:, None] + (steps[:, None] * (ny * nz) + steps * nz).flatten()).flatten()
    first, last = at(begin, centres - 1), at(begin, centres + 2)
    rows, run = spans(first, last - first)
    point = run // 9
    near = (at(points, point) - at(others, at(order, rows))).square().sum(1) < distance**2
    return close.index_fill(0, at(point, near.nonzero()[:, 0]), True)
