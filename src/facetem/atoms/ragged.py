"""Ragged batches: runs of rows of flat tensors, and close pairs within each specimen, without a loop over any."""

from __future__ import annotations

import torch
from torch import Tensor


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
    """The least and the largest (run,) of `values` (row,) in runs of `count` rows; +inf and -inf in an empty one."""
    shape = (len(count),)
    if len(values) == 0:
        return values.new_full(shape, torch.inf), values.new_full(shape, -torch.inf)
    low = torch.segment_reduce(values, "min", lengths=count, unsafe=True)
    return low, torch.segment_reduce(values, "max", lengths=count, unsafe=True)


def meets(points: Tensor, batch: Tensor, others: Tensor, other_batch: Tensor, distance: float) -> Tensor:
    """Which points have one of the others of the same specimen closer than `distance`.

    Both are sorted into cubes of that size; only those of the 27 cubes around a point are compared with it.

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
    low = torch.minimum(points.amin(0), others.amin(0))
    mine, theirs = (((p - low) / distance).long() + 1 for p in (points, others))
    _, ny, nz = (torch.maximum(mine.amax(0), theirs.amax(0)) + 2).tolist()
    nx = int(max(mine[:, 0].amax(), theirs[:, 0].amax())) + 2
    sizes = mine.new_tensor([ny * nz, nz, 1])
    keys, order = ((theirs * sizes).sum(1) + other_batch * (nx * ny * nz)).sort()
    key = (mine * sizes).sum(1) + batch * (nx * ny * nz)
    steps = torch.arange(-1, 2, device=points.device)
    # Three cubes one behind the other in z are neighbours in the order: nine runs hold all 27.
    centres = key[:, None] + (steps[:, None] * (ny * nz) + steps * nz).flatten()
    first = torch.searchsorted(keys, (centres - 1).flatten())
    last = torch.searchsorted(keys, (centres + 1).flatten(), right=True)
    rows, run = spans(first, last - first)
    point = run // 9
    near = (at(points, point) - at(others, at(order, rows))).square().sum(1) < distance**2
    return close.index_fill(0, at(point, near.nonzero()[:, 0]), True)
