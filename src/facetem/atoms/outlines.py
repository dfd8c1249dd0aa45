"""Outlines and thickness of the particles of many specimens, on their device: `scene.particle_masks` in batches."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from facetem.atoms.assembly import Scenes
from facetem.atoms.placement import ranks
from facetem.atoms.ragged import at
from facetem.atoms.scene import ATOM_RADIUS, THICKNESS_BLUR
from facetem.atoms.shapes import atomic_volumes

TRUNCATED = 4.0  # standard deviations: where the Gaussian of the thickness ends


def masks(scenes: Scenes, grid_shape: tuple[int, int], sampling: float) -> Tensor:
    """The projected outline of every particle.

    Atoms are drawn as disks of radius 1.6 Å, and holes between them are filled. Where particles of a specimen
    overlap, the first keeps its pixels.

    Parameters
    ----------
    grid_shape : (ny, nx)
    sampling : float
        [Å/px]; pixel (iy, ix) lies at (x, y) = (ix, iy) * sampling.

    Returns
    -------
    (particle, ny, nx) bool: a particle's pixels are those of `scene.particle_masks`.
    """
    ny, nx = grid_shape
    pad = math.ceil(ATOM_RADIUS / sampling) + 1
    metal = (scenes.tags > 0).nonzero()[:, 0]
    position = scenes.structure.positions.index_select(0, metal)
    particle = _particles(scenes, metal)
    covered = _disks(position, particle, len(scenes.scene), (ny, nx), sampling, pad)
    outlines = _filled(covered)[:, pad : pad + ny, pad : pad + nx]
    rank = ranks(scenes.scene)
    taken = outlines.new_zeros((scenes.structure.n_specimens, ny, nx))
    owned = outlines
    for k in range(int(rank.max()) + 1 if len(rank) else 0):
        mine = (rank == k).nonzero()[:, 0]
        here = scenes.scene[mine]
        free = outlines[mine] & ~taken[here]
        owned = free if len(mine) == len(outlines) else owned.index_copy(0, mine, free)
        taken = taken.index_copy(0, here, taken[here] | outlines[mine])
    return owned


def _particles(scenes: Scenes, metal: Tensor) -> Tensor:
    """The particle of each of the atoms `metal` (row,)."""
    first = torch.searchsorted(
        scenes.scene, torch.arange(scenes.structure.n_specimens, device=scenes.scene.device)
    )
    return at(first, at(scenes.structure.batch, metal)) + at(scenes.tags, metal) - 1


def _disks(
    position: Tensor, particle: Tensor, n: int, grid_shape: tuple[int, int], sampling: float, pad: int
) -> Tensor:
    """Which pixels (n, ny + 2 pad, nx + 2 pad) have an atom of the particle within its radius.

    A disk is a stack of rows; +1 where a row begins and -1 behind its end add up, along x, to how many disks lie there.
    """
    ny, nx = (length + 2 * pad for length in grid_shape)
    radius = ATOM_RADIUS / sampling
    dy = torch.arange(-math.floor(radius), math.floor(radius) + 1, device=position.device)
    half = (radius**2 - dy.double() ** 2).sqrt().floor().long()
    x, y = ((position[:, axis, None] / sampling).round().long() + pad for axis in (0, 1))
    row = y + dy
    # Beyond the far border is a column, and one more row, to be cut off.
    row = torch.where((row >= 0) & (row < ny), row, ny)
    base = (particle[:, None] * (ny + 1) + row) * (nx + 1)
    ends = torch.cat(
        [(base + (x - half).clamp(0, nx)).flatten(), (base + (x + half + 1).clamp(0, nx)).flatten()]
    )
    steps = torch.ones(len(ends), dtype=torch.int32, device=position.device)
    steps[len(ends) // 2 :] = -1
    counts = torch.zeros(n * (ny + 1) * (nx + 1), dtype=torch.int32, device=position.device)
    counts = counts.index_add(0, ends, steps).view(n, ny + 1, nx + 1)
    return (counts.cumsum(2, dtype=torch.int32) > 0)[:, :ny, :nx]


def _filled(covered: Tensor) -> Tensor:
    """(n, y, x) bool with every hole filled: what no path between neighbouring pixels joins with the border.

    Most of what is outside is seen from the border straight along a row or a column; the rest spreads from there.
    """
    bare = ~covered
    outside = torch.zeros_like(bare)
    for axis in (1, 2):
        for seen in (bare, bare.flip(axis)):
            run = seen.cumprod(axis, dtype=torch.uint8).bool()
            outside = outside | (run if seen is bare else run.flip(axis))
    while True:
        wider = outside.clone()
        wider[:, 1:] |= outside[:, :-1]
        wider[:, :-1] |= outside[:, 1:]
        wider[:, :, 1:] |= outside[:, :, :-1]
        wider[:, :, :-1] |= outside[:, :, 1:]
        wider &= bare
        if torch.equal(wider, outside):
            return ~outside
        outside = wider


def thickness(scenes: Scenes, grid_shape: tuple[int, int], sampling: float) -> Tensor:
    """Projected thickness (specimen, y, x) [Å] of all particles: `scene.thickness_map` in batches."""
    ny, nx = grid_shape
    metal = (scenes.tags > 0).nonzero()[:, 0]
    structure = scenes.structure
    pixels = structure.positions.index_select(0, metal)[:, :2] / sampling
    low = pixels.floor()
    part_x, part_y = (pixels - low).unbind(1)
    x, y = low.long().unbind(1)
    volume = at(_volumes(at(structure.numbers, metal)).to(pixels), at(structure.numbers, metal))
    base = at(structure.batch, metal) * ny
    counts = pixels.new_zeros(structure.n_specimens * ny * nx)
    for dy in (0, 1):
        for dx in (0, 1):
            share = (1 - dy - part_y).abs() * (1 - dx - part_x).abs() * volume
            counts = counts.index_add(0, (base + (y + dy) % ny) * nx + (x + dx) % nx, share)
    spectrum = torch.fft.rfft2(counts.view(-1, ny, nx) / sampling**2)
    blur_y, blur_x = (torch.fft.fft(_blur(n, sampling).to(counts)).real for n in (ny, nx))
    return torch.fft.irfft2(spectrum * blur_y[:, None] * blur_x[: nx // 2 + 1], s=(ny, nx))


def _volumes(numbers: Tensor) -> Tensor:
    """Volume [Å3] by atomic number (119,), of those that occur."""
    present = torch.unique(numbers).cpu()
    table = torch.zeros(119, dtype=torch.float64)
    table[present] = torch.as_tensor(atomic_volumes(present.numpy()))
    return table.to(numbers.device)


def _blur(n: int, sampling: float) -> Tensor:
    """The Gaussian of the thickness (n,), around pixel 0 of a periodic row."""
    sigma = THICKNESS_BLUR / sampling
    reach = int(TRUNCATED * sigma + 0.5)
    steps = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (steps.double() / sigma) ** 2)
    return torch.zeros(n, dtype=torch.float64).index_add(0, steps % n, weights / weights.sum())
