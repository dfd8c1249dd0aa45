"""Structure -> what each plane does to the wave: its phase and its loss, on the pixels.

The atoms of a plane are spread on the grid, transformed and multiplied by what one atom of their element does: see
`gridding` and `atomic`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest

import torch
from torch import Tensor

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.core.structure import Structure
from facetem.hrtem.atomic import form
from facetem.hrtem.gridding import Footprints, Kernel
from facetem.hrtem.planes import NEGLIGIBLE, Schedule, schedule
from facetem.hrtem.settings import Multislice, Projection

ROWS = 256  # of the field, in which the atoms of a step are taken one after the other


@dataclass(frozen=True)
class Plane:
    """What one step does to the waves of all specimens.

    Parameters
    ----------
    phase : (specimen, y, x)
        [rad].
    loss : (specimen, y, x) or None
        The wave falls by exp(-loss).
    distances
        How far each specimen's wave goes then [Å].
    """

    phase: Tensor
    loss: Tensor | None
    distances: tuple[float, ...]


def planes_of(
    structure: Structure,
    grid: Grid,
    *,
    sigma: Tensor,
    settings: Multislice,
    planes: Sequence[Tensor] | None = None,
) -> Iterator[Plane]:
    """The planes of specimens in the order of the beam; those without atoms are joined to the one before.

    Parameters
    ----------
    sigma : (specimen or 1,)
        Interaction parameters [rad / (V Å)].
    planes
        Heights [Å] of each specimen's planes; default: `plane_heights`.

    Raises
    ------
    InputError
        If an atom lies outside its cell along the beam, or planes do not fit.
    """
    z = structure.positions[:, 2].detach()
    if bool((z < -1e-3).any()) or bool((z > structure.cell[structure.batch, 2] + 1e-3).any()):
        raise InputError(
            "structure: expected every atom between z = 0 and the cell height, found one outside"
        )
    if len(z) == 0:
        return
    plan = schedule(structure, settings, planes)
    steps = len(plan.distances)
    points, layers = _layers(structure, grid, plan, sigma=sigma, settings=settings)
    occupied = _occupied(plan, steps, settings.projection)
    ends = dict(zip(occupied, [*occupied[1:], steps], strict=True))  # where the plane after each lies
    # What the atoms that have been spread so far leave in this step and in the next ones.
    waiting: list[list[Tensor]] = [[] for _ in layers]
    for step in range(steps):
        for i, (layer, later) in enumerate(zip(layers, waiting, strict=True)):
            some = layer.groups[step]
            fresh = points[some].densities(layer.weights[:, some]) if some.start < some.stop else ()
            waiting[i] = [a if b is None else b if a is None else a + b for a, b in zip_longest(later, fresh)]
        if step in ends:
            spread = [later[0] if later else None for later in waiting]
            phase, loss = _transformed(layers, spread, grid)
            distances = plan.distances[step : ends[step]].sum(dim=0)
            yield Plane(phase, loss, tuple(distances.tolist()))
        waiting = [later[1:] for later in waiting]


@dataclass(frozen=True)
class _Layer:
    """One thing that the atoms of one element do.

    Parameters
    ----------
    groups : (step,)
        The atoms whose first plane each is.
    weights : (order, atom)
        Of the atoms' density in each of their planes.
    phase, loss
        What the transform of the density is multiplied with; see `Form`.
    """

    groups: tuple[slice, ...]
    weights: Tensor
    phase: Tensor
    loss: Tensor | None


def _layers(
    structure: Structure, grid: Grid, plan: Schedule, *, sigma: Tensor, settings: Multislice
) -> tuple[Footprints, list[_Layer]]:
    """All atoms on the pixels, in the order in which the layers' groups count them."""
    positions, steps = structure.positions, len(plan.distances)
    numbers, element = torch.unique(structure.numbers, return_inverse=True)
    key = element * steps + plan.first
    # Sorted by element and first step, so that those of a step lie side by side, then by row, for the cache.
    row = torch.remainder(positions[:, 1].detach() / grid.extent[0], 1.0)
    by = torch.argsort(ROWS * key + (ROWS * row).long().clamp_max(ROWS - 1))
    kernel = Kernel(settings.potential_band)
    points = Footprints.of(positions[by, :2], structure.batch[by], structure.n_specimens, grid, kernel)
    ends = torch.cumsum(torch.bincount(key, minlength=len(numbers) * steps), 0).tolist()
    groups = [slice(a, b) for a, b in pairwise([0, *ends])]
    shares, curvatures = plan.shares[by].T, plan.curvatures[by].T  # (order, atom)
    values = tuple(sigma.tolist())
    layers = []
    for e, number in enumerate(numbers.tolist()):
        mine = tuple(groups[e * steps : (e + 1) * steps])
        one = form(number, grid, values, settings, positions.device, positions.dtype)
        layers.append(_Layer(mine, shares, one.phase, one.loss))
        if one.extent is not None:
            layers.append(_Layer(mine, curvatures, one.extent, None))
    return points, layers


def _occupied(plan: Schedule, steps: int, projection: Projection) -> list[int]:
    """The steps that have more than a `NEGLIGIBLE` part of any atom.

    With finite projection an atom on a plane has no share in the next ones, but an extent there.
    """
    matter = torch.zeros(steps, device=plan.shares.device, dtype=plan.shares.dtype)
    part = plan.shares.detach().abs()
    if projection == "finite":
        part = part + plan.curvatures.detach().abs()
    for i, weights in enumerate(part.T):
        matter = matter.index_add(0, plan.first + i, weights)
    return (matter > NEGLIGIBLE).nonzero()[:, 0].tolist()


def _transformed(
    layers: Sequence[_Layer], spread: Sequence[Tensor | None], grid: Grid
) -> tuple[Tensor, Tensor | None]:
    """Phase and loss (specimen, y, x) of a step whose atoms are `spread`, layer by layer."""
    phase = loss = None
    for layer, density in zip(layers, spread, strict=True):
        if density is None:
            continue
        spectrum = torch.fft.rfft2(density)
        phase = spectrum * layer.phase if phase is None else phase + spectrum * layer.phase
        if layer.loss is not None:
            loss = spectrum * layer.loss if loss is None else loss + spectrum * layer.loss
    assert phase is not None  # an occupied step has atoms
    inverse = [_inverse(x, grid) for x in (phase, loss) if x is not None]
    return inverse[0], inverse[1] if loss is not None else None


def _inverse(spectrum: Tensor, grid: Grid) -> Tensor:
    """`irfft2` that transforms columns side by side in memory, in about the same time.

    With strides between them, FFT libraries take columns together across the specimens of a batch, and round each by
    its place among them: by the batch, in the end.
    """
    return torch.fft.irfft(torch.fft.ifft(spectrum.mT.contiguous()).mT, n=grid.shape[1])


def projected_potential(structure: Structure, grid: Grid, settings: Multislice | None = None) -> Tensor:
    """Projected potential (specimen, y, x) [V Å] of whole specimens, up to the band limit of `settings`."""
    settings = settings or Multislice()
    numbers, element = torch.unique(structure.numbers, return_inverse=True)
    potential = structure.positions.new_zeros((structure.n_specimens, *grid.shape))
    points = Footprints.of(
        structure.positions[:, :2],
        structure.batch,
        structure.n_specimens,
        grid,
        Kernel(settings.potential_band),
    )
    for e, number in enumerate(numbers.tolist()):
        spectrum = torch.fft.rfft2(points.densities((element == e).to(potential.dtype)[None])[0])
        v = form(number, grid, (1.0,), settings, potential.device, potential.dtype).phase
        potential = potential + _inverse(spectrum * v, grid)
    return potential
