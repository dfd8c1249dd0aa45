"""Where specimens act on the wave, and how an atom is shared by the planes next to it.

Between two planes the wave propagates, and what an atom at height z would do to it is a smooth function of z there.
Interpolating that function (Lagrange) from the planes' heights gives each plane its share of the atom, so that a
plane may stand for more depth than when every atom is moved to the nearest one. The shares add up to 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

import torch
from torch import Tensor

from facetem.core.errors import InputError
from facetem.core.structure import Structure
from facetem.hrtem.settings import Multislice

LIGHT = 20  # calcium: elements up to here scatter weakly
# Å, of two planes: a flat layer of atoms has planes too. The extent of an atom goes with 1 / distance^2, and planes
# closer than atoms are wide would take turns at scattering much more than the atom does.
CLOSEST = {"infinite": 0.1, "finite": 2.0}
NEGLIGIBLE = 1e-9  # share of an atom


@dataclass(frozen=True)
class Schedule:
    """The steps of a batch of specimens, last one at the exit side, in which all of them take part.

    Parameters
    ----------
    distances : (step, specimen)
        From a specimen's plane to its next, or to the end of its cell [Å]. A specimen of fewer planes enters later:
        until then the wave before it stays as it is.
    first : (atom,) int64
        The first step that has a share of the atom; the steps after it have the others.
    shares, curvatures : (atom, order)
        Shares of each atom and their second derivatives by its height [1 / Å^2].
    """

    distances: Tensor
    first: Tensor
    shares: Tensor
    curvatures: Tensor


def plane_heights(structure: Structure, settings: Multislice) -> list[Tensor]:
    """Heights (plane,) [Å] of each specimen's planes, ascending, from its first atom to its last.

    They are evenly spaced by `slice_thickness` at most. Where a stretch of several such steps has light elements only,
    those in its middle are left out, as far as `light_thickness` allows.
    """
    z = structure.positions[:, 2].detach().cpu().double()
    heavy = (structure.numbers > LIGHT).cpu()
    counts = torch.bincount(structure.batch.cpu(), minlength=structure.n_specimens).tolist()
    closest = CLOSEST[settings.projection]
    thickness = max(settings.slice_thickness, closest)
    stretch = max(1, floor(settings.light_thickness / thickness + 1e-6))
    planes = []
    for heights, is_heavy in zip(z.split(counts), heavy.split(counts), strict=True):
        if len(heights) == 0:
            planes.append(z.new_zeros(0))
            continue
        low, depth = float(heights.min()), float(heights.max() - heights.min())
        n = max(ceil(depth / thickness - 1e-6), settings.order - 1)
        if stretch > 1:
            n = ceil(max(n, 1) / stretch) * stretch
        step = max(depth / max(n, 1), closest)
        start = low + depth / 2 - step * n / 2
        if n % 2 and depth <= step * (n - 1):
            start += step / 2  # a layer lies on a plane, not between two of them
        index = torch.arange(n + 1)
        if stretch > 1:
            stretches = (
                ((heights[is_heavy] - start) / step / stretch).floor().long().clamp(0, n // stretch - 1)
            )
            dense = torch.zeros(n // stretch + 1, dtype=torch.bool)
            dense[stretches] = True
            sparse = index[(index % stretch == 0) | dense[index // stretch]]
            index = sparse if len(sparse) >= settings.order else index
        planes.append(start + step * index.double())
    return planes


def schedule(structure: Structure, settings: Multislice, planes: Sequence[Tensor] | None = None) -> Schedule:
    """Share all atoms among planes: the given heights (plane,) [Å] of every specimen, or `plane_heights`.

    Raises
    ------
    InputError
        If planes do not fit the specimens.
    """
    device, dtype, order = structure.positions.device, structure.positions.dtype, settings.order
    if planes is None:
        planes = plane_heights(structure, settings)
    elif len(planes) != structure.n_specimens:
        raise InputError(f"planes: expected those of {structure.n_specimens} specimens, got {len(planes)}")
    numbers = [len(heights) for heights in planes]
    occupied = torch.bincount(structure.batch, minlength=structure.n_specimens).tolist()
    for n, atoms in zip(numbers, occupied, strict=True):
        if atoms and n < order:
            raise InputError(f"planes: expected at least {order}, the order, for each specimen, got {n}")
    steps = max(numbers, default=0)
    table = torch.zeros((len(planes), steps), dtype=torch.float64)  # last plane in the last column
    distances = torch.zeros((steps, len(planes)), dtype=torch.float64)
    ends = structure.cell[:, 2].cpu().double()
    for i, heights in enumerate(planes):
        if len(heights):
            heights = torch.as_tensor(heights, dtype=torch.float64).cpu()
            if not bool((torch.diff(heights) > 0).all()) or not bool(torch.isfinite(heights).all()):
                raise InputError("planes: expected ascending heights in Å, found some that do not ascend")
            table[i, steps - len(heights) :] = heights
            distances[steps - len(heights) :, i] = torch.diff(heights, append=ends[i : i + 1])
    start = steps - torch.tensor(numbers)
    first = _first(structure, table.to(device), start.to(device), order)
    nodes = table.to(device, dtype)[
        structure.batch[:, None], first[:, None] + torch.arange(order, device=device)
    ]
    shares, curvatures = _lagrange(structure.positions[:, 2], nodes)
    return Schedule(distances, first, shares, curvatures)


def _first(structure: Structure, table: Tensor, start: Tensor, order: int) -> Tensor:
    """(atom,): the first of the `order` columns of `table` (specimen, step) that surround each atom's height."""
    z = structure.positions[:, 2].detach().to(table.dtype)
    steps = table.shape[1]
    column = torch.arange(steps, device=z.device)
    # Heights before a specimen's first plane are below all its atoms; an atom lies above how many borders?
    borders = (table[:, 1:] + table[:, :-1]) / 2 if order % 2 else table[:, 1:]
    borders = torch.where(column[None, 1:] <= start[:, None], -torch.inf, borders)
    rows = borders.contiguous()
    above = torch.empty_like(structure.batch)
    counts = torch.bincount(structure.batch, minlength=len(table)).tolist()
    edge = 0
    for row, count in zip(rows, counts, strict=True):
        above[edge : edge + count] = torch.searchsorted(row, z[edge : edge + count].contiguous(), right=True)
        edge += count
    lowest = start[structure.batch]
    return torch.minimum(torch.maximum(above - (order - 1) // 2, lowest), lowest.new_tensor(steps - order))


def _lagrange(z: Tensor, nodes: Tensor) -> tuple[Tensor, Tensor]:
    """Lagrange weights (atom, order) of heights z (atom,) for nodes (atom, order), and their second derivatives."""
    n = nodes.shape[1]
    distance = z[:, None] - nodes
    weights, curvatures = [], []
    for a in range(n):
        others = [b for b in range(n) if b != a]
        scale = torch.ones_like(z)
        weight = torch.ones_like(z)
        for b in others:
            scale = scale / (nodes[:, a] - nodes[:, b])
            weight = weight * distance[:, b]
        # Twice the sum over pairs left out: of a product of n - 1 linear factors.
        curvature = torch.zeros_like(z)
        for i, b in enumerate(others):
            for c in others[i + 1 :]:
                rest = torch.ones_like(z)
                for d in others:
                    if d not in (b, c):
                        rest = rest * distance[:, d]
                curvature = curvature + 2 * rest
        weights.append(weight * scale)
        curvatures.append(curvature * scale)
    return torch.stack(weights, dim=1), torch.stack(curvatures, dim=1)
