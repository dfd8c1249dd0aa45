"""Many films of the library at once, as tensors on a device: what `FilmLibrary` draws one by one.

The films lie on the device as columns of atoms, each sorted by z; a window of a turned film is a run of rows in every
column that reaches into the field, so that hardly an atom is looked at that is not used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from facetem.atoms.films import CLOSEST, NATURAL, STRAIN, THICKEST, FilmLibrary, LibraryFilm, library
from facetem.atoms.ragged import at, meets, spans
from facetem.core.errors import InputError

COLUMNS = 8  # of a film along x and along y
FAR = 1e4  # Å: between the columns on the one axis on which all heights are sorted


@dataclass(frozen=True)
class FilmBatch:
    """Carbon films of several specimens.

    Parameters
    ----------
    xyz : (3, atom) float
        [Å], specimen after specimen; x and y within the field.
    count : (specimen,) int64
        Atoms of each; 0 where there is no film.
    thickness : (specimen,) float
        [Å].
    extent : (x, y)
        Lateral period [Å].
    """

    xyz: Tensor
    count: Tensor
    thickness: Tensor
    extent: tuple[float, float]

    @classmethod
    def of(
        cls, films: Sequence[Atoms], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> FilmBatch:
        """The films of a `FilmSource`."""
        extent = films[0].cell.lengths()[:2]
        if not all(np.allclose(film.cell.lengths()[:2], extent, atol=1e-3) for film in films):
            raise InputError("films: expected all of one extent in x and y")
        xyz = np.concatenate([film.positions for film in films]).T.copy()
        for along, period in zip(xyz, extent, strict=False):
            if along.min() < 0 or along.max() >= period:
                along %= period
        thickness = [float(film.info.get("film_thickness", film.cell.lengths()[2])) for film in films]
        return cls(
            torch.as_tensor(xyz, dtype=dtype).to(device),
            torch.tensor([len(film) for film in films], device=device),
            torch.tensor(thickness, dtype=dtype, device=device),
            (float(extent[0]), float(extent[1])),
        )


@dataclass(frozen=True)
class FilmColumns:
    """The films of a library in columns.

    Parameters
    ----------
    xy : (2 atom,) complex64
        x + i y by film, column and height [Å]; then all of them mirrored, x - i y.
    z : (2 atom,) float32
    key : (atom,) float64
        z + FAR * (number of the column, counted through all films).
    ends : (column + 1,) int64
        Where the atoms of a column begin.
    period, thickness, density : (film,) float64
    """

    xy: Tensor
    z: Tensor
    key: Tensor
    ends: Tensor
    period: Tensor
    thickness: Tensor
    density: Tensor

    @classmethod
    def of(cls, films: Sequence[LibraryFilm], device: torch.device | str = "cpu") -> FilmColumns:
        """The columns of `library(folder, part)`."""
        parts, keys = [], []
        for i, film in enumerate(films):
            x, y = np.minimum((film.xyz[:2] * (COLUMNS / film.period)).astype(int), COLUMNS - 1)
            keys.append(film.xyz[2].astype(float) + FAR * ((i * COLUMNS + x) * COLUMNS + y))
            parts.append(film.xyz)
        key = np.concatenate(keys)
        order = np.argsort(key, kind="stable")
        key, xyz = key[order], np.concatenate(parts, axis=1)[:, order]
        ends = np.searchsorted(key, FAR * np.arange(len(films) * COLUMNS**2 + 1) - FAR / 2)
        known = np.array([(film.period, film.thickness, film.density) for film in films]).T
        xy = xyz[0] + np.complex64(1j) * xyz[1]
        arrays = (np.concatenate([xy, xy.conj()]), np.tile(xyz[2], 2), key, ends, *known)
        return cls(*(torch.as_tensor(a).to(device) for a in arrays))


@dataclass(frozen=True)
class Layers:
    """What is cut from which film: (layer,) tensors, by specimen and upwards. Lengths [Å] before the strain.

    Parameters
    ----------
    scene, film : int64
    stretch : float64
        Factor of all lengths.
    start, height : float64
        Of the window in z.
    alone : bool
        Whether the window may end with a free surface: it is the only layer.
    flipped : bool
        Upside down.
    angle, mirror : float64
        Turn about the beam [rad]; 1, or -1 for a mirrored film.
    shift : (layer, 2) float64
        Along the film's own x and y, as a part of its period.
    base : float64
        Height [Å], after the strain, of the layer's lower plane.
    """

    scene: Tensor
    film: Tensor
    stretch: Tensor
    start: Tensor
    height: Tensor
    alone: Tensor
    flipped: Tensor
    angle: Tensor
    mirror: Tensor
    shift: Tensor
    base: Tensor


def draw_films(
    source: FilmLibrary, columns: FilmColumns, thickness: Tensor, generator: torch.Generator
) -> FilmBatch:
    """Films of the given thicknesses (specimen,) [Å] with the distribution of `source.draw`.

    Parameters
    ----------
    columns : FilmColumns
        Of `library(source.folder, source.part)`, on the device of `thickness` and of `generator`.

    Raises
    ------
    InputError
        If a thickness is not positive or more than 1000 Å, or the source wants wavy surfaces, which only its own
        `draw` has.
    """
    if source.waviness[1] > 0:
        raise InputError(f"film waviness: expected (0, 0) for films drawn together, got {source.waviness!r}")
    if not bool(((thickness > 0) & (thickness <= THICKEST)).all()):
        raise InputError(f"film thickness: expected 0 to {THICKEST:g} Å, got {thickness.tolist()!r}")
    layers = draw_layers(source, columns, thickness.double(), generator)
    return cut_layers(layers, columns, thickness, source.extent)


def load_columns(source: FilmLibrary, device: torch.device | str = "cpu") -> FilmColumns:
    """The columns that the films of `source` are cut from."""
    return FilmColumns.of(library(source.folder, source.part), device)


def draw_layers(
    source: FilmLibrary, columns: FilmColumns, thickness: Tensor, generator: torch.Generator
) -> Layers:
    """Windows for films of `thickness` (specimen,) float64 [Å]: one film where any of the density is thick enough,
    several one on the other in equal parts of their thicknesses elsewhere."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64, device=thickness.device)

    n, n_films = len(thickness), len(columns.period)
    density = source.density[0] + (source.density[1] - source.density[0]) * uniform(n)
    stretches = (columns.density / density[:, None]) ** (1 / 3)
    fits = (stretches >= STRAIN[0]) & (stretches <= STRAIN[1])
    if not bool(fits.any(1).all()):
        raise InputError(
            f"film density: {source.folder} has no {source.part} film for {source.density} g/cm3"
        )
    heights = columns.thickness * stretches
    enough = fits & (heights >= thickness[:, None])
    alone = enough.any(1)
    usable = torch.where(alone[:, None], enough, fits)
    order = torch.where(usable, uniform(n, n_films), torch.inf).argsort(1)
    cycles = math.ceil(float((thickness / (heights * usable).sum(1)).max()))
    order = order.repeat(1, cycles)
    height = (heights * usable).gather(1, order)
    used = (height > 0) & (height.cumsum(1) - height < thickness[:, None])
    height = height * used * (thickness / (height * used).sum(1))[:, None]
    base = (height.cumsum(1) - height)[used]
    scene = used.nonzero()[:, 0]
    film = order[used]
    stretch = stretches[scene, film]
    height = height[used] / stretch
    room = columns.thickness[film] - height
    start = (-NATURAL + (room + 2 * NATURAL) * uniform(len(film))).clamp(min=0.0).minimum(room)
    flipped, mirrored = uniform(len(film)) < 0.5, uniform(len(film)) < 0.5
    angle = 2 * math.pi * uniform(len(film))
    mirror = torch.where(mirrored, 1.0, -1.0).double()
    return Layers(
        scene, film, stretch, start, height, alone[scene], flipped, angle, mirror, uniform(len(film), 2), base
    )


def cut_layers(
    layers: Layers, columns: FilmColumns, thickness: Tensor, extent: tuple[float, float]
) -> FilmBatch:
    """The films (specimen,) of `thickness` [Å] that consist of the given layers, in a field of `extent` [Å]."""
    first, count, layer, offset = _runs(layers, columns, extent)
    rows, run = spans(first, count)
    turn = torch.polar(layers.stretch, layers.angle)[layer].to(torch.complex64)
    offset = torch.complex(*offset.float().T)
    # A mirrored film is already one in the columns.
    xy = at(columns.xy, rows) * at(turn, run) + at(offset, run)
    up = torch.where(layers.flipped, -layers.stretch, layers.stretch)
    bottom = layers.base - up * (layers.start + layers.flipped * layers.height)
    z = at(columns.z, rows) * at(up[layer].float(), run) + at(bottom[layer].float(), run)
    x, y = xy.real, xy.imag
    inside = (x >= 0) & (x < extent[0]) & (y >= 0) & (y < extent[1])
    lost = [_crowded(xy, z, inside, layers.scene[layer], run, extent)]
    if len(layers.scene) > int(layers.scene.max()) + 1:
        lost.append(_seamed(xy, z, inside, layers, layer, run))
    kept = inside.index_fill(0, torch.cat(lost), False).nonzero()[:, 0]
    atoms = torch.zeros(len(thickness), dtype=torch.int64, device=kept.device)
    ends = atoms.index_add(0, layers.scene[layer], count).cumsum(0)
    n_atoms = torch.searchsorted(kept, ends).diff(prepend=ends.new_zeros(1))
    xy = at(xy, kept)
    return FilmBatch(torch.stack([xy.real, xy.imag, at(z, kept)]), n_atoms, thickness, extent)


def _runs(
    layers: Layers, columns: FilmColumns, extent: tuple[float, float]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """First row, number of rows, layer and offset (run, 2) [Å] of every column that reaches into the field."""
    device, period = layers.angle.device, columns.period[layers.film] * layers.stretch
    width = period / COLUMNS
    c, s = layers.angle.cos(), layers.angle.sin()
    # The directions of the film's x and y are the columns of this matrix.
    cell = torch.stack([c, -s * layers.mirror, s, c * layers.mirror], 1).reshape(-1, 2, 2)
    shift = (cell @ (layers.shift * period[:, None])[..., None])[..., 0]
    corners = c.new_tensor([[0, 0], [extent[0], 0], [0, extent[1]], extent])
    seen = ((corners - shift[:, None]) @ cell / width[:, None, None]).amin(1).floor().long()
    n = math.ceil(math.hypot(*extent) / float(width.min())) + 1
    i = torch.arange(n, device=device)
    grid = seen[:, None] + torch.stack(torch.meshgrid(i, i, indexing="ij"), -1).reshape(-1, 2)
    middle = ((grid + 0.5) * width[:, None, None]) @ cell.mT + shift[:, None]
    reach = (0.5 * width * (c.abs() + s.abs()))[:, None, None]
    # A little more, for rounding.
    inside = (middle > -reach - 0.01).all(-1) & (middle < corners[3] + reach + 0.01).all(-1)
    layer, _ = inside.nonzero().T
    grid = grid[inside]
    tile = torch.div(grid, COLUMNS, rounding_mode="floor")
    x, y = (grid - tile * COLUMNS).T
    column = (layers.film[layer] * COLUMNS + x) * COLUMNS + y
    at = column * FAR + layers.start[layer]
    top = columns.thickness[layers.film] - layers.height
    whole_below = (layers.alone & (layers.start == 0))[layer]
    whole_above = (layers.alone & (layers.start >= top))[layer]
    first = torch.where(whole_below, columns.ends[column], torch.searchsorted(columns.key, at))
    last = torch.searchsorted(columns.key, at + layers.height[layer])
    last = torch.where(whole_above, columns.ends[column + 1], last)
    offset = (cell[layer] @ (tile * period[layer][:, None])[..., None])[..., 0] + shift[layer]
    mirrored = (layers.mirror < 0)[layer] * len(columns.key)
    return first + mirrored, last - first, layer, offset


def _crowded(
    xy: Tensor, z: Tensor, inside: Tensor, scene: Tensor, run: Tensor, extent: tuple[float, float]
) -> Tensor:
    """The atoms at the near borders of the field that are too close to one at a far border; `scene` (run,)."""
    x, y = xy.real, xy.imag
    edge = (x < CLOSEST) | (x > extent[0] - CLOSEST) | (y < CLOSEST) | (y > extent[1] - CLOSEST)
    rows = (edge & inside).nonzero()[:, 0]
    points, scene = _points(xy, z, rows), at(scene, at(run, rows))
    lost = []
    for axis in (0, 1):
        low = (points[:, axis] < CLOSEST).nonzero()[:, 0]
        high = (points[:, axis] > extent[axis] - CLOSEST).nonzero()[:, 0]
        before, after = points[low], points[high]
        before[:, axis] += extent[axis]
        # Across a corner of the field the neighbour has moved along both axes.
        other, period = after[:, 1 - axis], extent[1 - axis]
        ghosts, owners = [after], [high]
        for side, step in ((other < CLOSEST, period), (other > period - CLOSEST, -period)):
            ghost = after[side].clone()
            ghost[:, 1 - axis] += step
            ghosts.append(ghost)
            owners.append(high[side])
        near = meets(before, scene[low], torch.cat(ghosts), scene[torch.cat(owners)], CLOSEST)
        lost.append(rows[low[near]])
    return torch.cat(lost)


def _seamed(xy: Tensor, z: Tensor, inside: Tensor, layers: Layers, layer: Tensor, run: Tensor) -> Tensor:
    """The atoms above a plane between two layers that are too close to one below it; `layer` (run,)."""
    joined = layers.scene[1:] == layers.scene[:-1]
    none = joined.new_zeros(1)
    low = torch.where(torch.cat([none, joined]), layers.base, -torch.inf).float()
    high = torch.where(torch.cat([joined, none]), layers.base + layers.height * layers.stretch, torch.inf)
    upper = (inside & (z - at(low[layer], run) < CLOSEST)).nonzero()[:, 0]
    lower = (inside & (at(high.float()[layer], run) - z < CLOSEST)).nonzero()[:, 0]
    # A seam has the number of the layer above it.
    seam, other = at(layer, at(run, upper)), at(layer, at(run, lower)) + 1
    return upper[meets(_points(xy, z, upper), seam, _points(xy, z, lower), other, CLOSEST)]


def _points(xy: Tensor, z: Tensor, rows: Tensor) -> Tensor:
    xy = at(xy, rows)
    return torch.stack([xy.real, xy.imag, at(z, rows)], 1)
