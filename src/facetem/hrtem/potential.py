"""Structure -> what each plane does to the wave: its phase and its loss, on the pixels.

The atoms of a plane are spread on the grid, transformed and multiplied by what one atom of their element does: see
`gridding` and `atomic`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.core.structure import Structure
from facetem.hrtem.atomic import Form, form
from facetem.hrtem.gridding import Footprints, Kernel
from facetem.hrtem.planes import NEGLIGIBLE, schedule
from facetem.hrtem.settings import Multislice


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
    steps, order = len(plan.distances), settings.order
    numbers, element = torch.unique(structure.numbers, return_inverse=True)
    key = element * steps + plan.first
    # Atoms sorted by element and first step: those with a share in a step lie side by side. Then by row, for the cache.
    row = torch.remainder(structure.positions[:, 1].detach() / grid.extent[0], 1.0)
    by = torch.argsort(key.double() + 0.999 * row.double())
    edges = [0, *torch.cumsum(torch.bincount(key, minlength=len(numbers) * steps), 0).tolist()]
    points = Footprints.of(
        structure.positions[by, :2],
        structure.batch[by],
        structure.n_specimens,
        grid,
        Kernel(settings.potential_band),
    )
    first, shares, curvatures = plan.first[by], plan.shares[by], plan.curvatures[by]
    part = shares.detach().abs()
    if (
        settings.projection == "finite"
    ):  # an atom on a plane has no share in the next ones, but an extent there
        part = part + curvatures.detach().abs()
    matter = torch.zeros(steps, device=z.device, dtype=shares.dtype)
    for i in range(order):
        matter = matter.index_add(0, first + i, part[:, i])
    occupied = (matter > NEGLIGIBLE).nonzero()[:, 0].tolist()
    values = tuple(sigma.tolist())
    forms = [form(number, grid, values, settings, z.device, z.dtype) for number in numbers.tolist()]
    for step, following in zip(occupied, [*occupied[1:], steps], strict=True):
        groups = []
        for e in range(len(numbers)):
            some = slice(edges[e * steps + max(step - order + 1, 0)], edges[e * steps + step + 1])
            if some.start < some.stop:
                which = (step - first[some])[:, None]
                weights = shares[some].gather(1, which)[:, 0], curvatures[some].gather(1, which)[:, 0]
                groups.append((forms[e], points[some], *weights))
        phase, loss = _transformed(groups, grid)
        yield Plane(phase, loss, tuple(plan.distances[step:following].sum(dim=0).tolist()))


def _transformed(
    groups: Sequence[tuple[Form, Footprints, Tensor, Tensor]], grid: Grid
) -> tuple[Tensor, Tensor | None]:
    """Phase and loss (specimen, y, x) of groups of atoms: what each does, where, shares and their curvatures."""
    phase = loss = None
    for one, points, shares, curvatures in groups:
        spectrum = torch.fft.rfft2(points.density(shares))
        term = spectrum * one.phase
        if one.extent is not None:
            term = term + torch.fft.rfft2(points.density(curvatures)) * one.extent
        phase = term if phase is None else phase + term
        if one.loss is not None:
            loss = spectrum * one.loss if loss is None else loss + spectrum * one.loss
    assert phase is not None  # an occupied step has a group
    inverse = [torch.fft.irfft2(x, s=grid.shape) for x in (phase, loss) if x is not None]
    return inverse[0], inverse[1] if loss is not None else None


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
        spectrum = torch.fft.rfft2(points.density((element == e).to(potential.dtype)))
        v = form(number, grid, (1.0,), settings, potential.device, potential.dtype).phase
        potential = potential + torch.fft.irfft2(spectrum * v, s=grid.shape)
    return potential
