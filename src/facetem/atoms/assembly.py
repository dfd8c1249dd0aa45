"""Many specimens at once on a device: what `scene.assemble` makes of particles and a film, for a whole batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from facetem.atoms.film_batch import FilmBatch
from facetem.atoms.placement import Placements, Template, concatenated, quaternions, ranks, zone_axes
from facetem.atoms.ragged import at, extremes, meets, spans, starts
from facetem.atoms.scene import CLOSEST_CARBON, CLOSEST_PARTICLES, CONTACT, SURFACE_DEPTH
from facetem.core.errors import InputError
from facetem.core.structure import Structure


@dataclass(frozen=True)
class Scenes:
    """Assembled specimens and the truth of every particle.

    Parameters
    ----------
    structure : Structure
        Specimen by specimen: film first, then the particles.
    tags : (atom,) int64
        0 film, i the i-th particle of its specimen (from 1).
    scene : (particle,) int64
    labels : tuple of str
        Shape of each particle.
    diameter : (particle,) float
        Volume-equivalent [Å].
    quaternion : (particle, 4) float
        (w, x, y, z), w >= 0, from the template's axes to those of the specimen.
    zone_axis, zone_angle : (particle, 3) int64, (particle,) float
        [uvw] nearest the beam, u >= v >= w >= 0, and the angle between them [rad]; 0 0 0 and nan where a particle is
        not one cubic crystal.
    centre : (particle, 3) float
        Centroid of the whole particle [Å].
    particle_z_range, film_z_range : (specimen, 2) float
        Lowest and highest atom [Å]; nan where there is none.
    """

    structure: Structure
    tags: Tensor
    scene: Tensor
    labels: tuple[str, ...]
    diameter: Tensor
    quaternion: Tensor
    zone_axis: Tensor
    zone_angle: Tensor
    centre: Tensor
    particle_z_range: Tensor
    film_z_range: Tensor


@dataclass(frozen=True)
class _Metal:
    """Atoms of all particles, particle after particle; `count` (particle,)."""

    xyz: Tensor
    numbers: Tensor
    particle: Tensor
    count: Tensor


def assemble_many(
    templates: Sequence[Template],
    films: FilmBatch | None,
    placements: Placements,
    *,
    extent: tuple[float, float],
    margin: float = 2.0,
    clip: bool = False,
) -> Scenes:
    """Particles deposited on films, each specimen in its box, as `facetem.atoms.scene.assemble` has it.

    Parameters
    ----------
    templates : sequence of Template
        On the device and in the precision of the result.
    films : FilmBatch or None
        One for each specimen; None: no film anywhere.
    placements : Placements
    extent : (x, y)
        Field of view [Å], that of the films.
    margin : float
        Vacuum [Å] above and below all atoms.
    clip : bool
        Leave out particle atoms that lie outside the field instead of refusing them.

    Raises
    ------
    InputError
        If the films do not fit, an atom lies outside the field (`clip` false), or two particles overlap.
    """
    n = len(placements.toward)
    _check(templates, films, placements, extent)
    metal = _turned(templates, placements)
    film, film_count = _film(films, n, metal.xyz)
    film_scene = _owners(film_count)
    height = _heights(metal, film, film_count, film_scene, placements, extent)
    shift = torch.cat([placements.centre.T.to(height), height[None]])
    xyz = metal.xyz + shift.index_select(1, metal.particle)
    metal = _inside(_Metal(xyz, metal.numbers, metal.particle, metal.count), extent, clip=clip)
    _check_apart(metal, placements)
    crowded = _crowded(film, film_scene, metal, placements)
    if len(crowded):
        left = torch.ones(film.shape[1], dtype=torch.bool, device=film.device).index_fill(0, crowded, False)
        left = left.nonzero()[:, 0]
        film = film.index_select(1, left)
        film_count = torch.bincount(at(film_scene, left), minlength=n)
    return _boxed(film, film_count, metal, height, templates, placements, extent, margin)


def _check(
    templates: Sequence[Template],
    films: FilmBatch | None,
    placements: Placements,
    extent: tuple[float, float],
) -> None:
    n = len(placements.toward)
    if len(extent) != 2 or not all(0 < length < math.inf for length in extent):
        raise InputError(f"extent: expected two positive lengths (x, y) in Å, got {extent!r}")
    if not templates:
        raise InputError("templates: expected at least one particle, got none")
    top = int(placements.template.max()) if len(placements.template) else 0
    if top >= len(templates):
        raise InputError(f"placements: expected templates below {len(templates)}, got {top}")
    if films is not None and len(films.count) != n:
        raise InputError(f"films: expected one for each of {n} specimens, got {len(films.count)}")
    if films is not None and any(abs(a - b) > 1e-3 for a, b in zip(films.extent, extent, strict=True)):
        raise InputError(f"films: expected an extent of {extent} Å, got {films.extent}")


def _owners(count: Tensor) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(count), device=count.device), count)


def _film(films: FilmBatch | None, n: int, like: Tensor) -> tuple[Tensor, Tensor]:
    if films is None:
        return like.new_empty((3, 0)), torch.zeros(n, dtype=torch.int64, device=like.device)
    return films.xyz.to(like), films.count


def _turned(templates: Sequence[Template], placements: Placements) -> _Metal:
    """All particles, rotated, each around the origin."""
    positions, numbers, sizes = concatenated(templates)
    count = sizes[placements.template]
    rows, particle = spans(starts(sizes)[placements.template], count)
    x, y, z = positions.T.contiguous().index_select(1, rows)
    turns = placements.rotation.to(positions).flatten(1).T.contiguous().index_select(1, particle)
    xyz = torch.stack([turns[3 * i] * x + turns[3 * i + 1] * y + turns[3 * i + 2] * z for i in range(3)])
    return _Metal(xyz, at(numbers, rows), particle, count)


def _heights(
    metal: _Metal,
    film: Tensor,
    film_count: Tensor,
    film_scene: Tensor,
    placements: Placements,
    extent: tuple[float, float],
) -> Tensor:
    """z (particle,) of each particle's centroid, before the box: see `scene._room`, of which this is the batch."""
    scene = placements.scene
    toward, gap = (t.to(metal.xyz) for t in (placements.toward, placements.gap))
    reach = metal.xyz[2] * at(toward[scene], metal.particle)
    foot = extremes(reach, metal.count)[1]
    surface = film[2] * at(toward, film_scene)
    nearest = extremes(surface, film_count)[0]
    room = torch.where(film_count[scene] > 0, nearest[scene], 0.0) - foot
    if film.shape[1] and len(scene):
        deepest, low = _contact_maps(metal, reach)
        # Deeper film atoms lie behind others.
        under = (surface < at(nearest, film_scene) + SURFACE_DEPTH).nonzero()[:, 0]
        met = _met(
            deepest, low, film.index_select(1, under), at(surface, under), at(film_scene, under),
            placements, extent,
        )  # fmt: skip
        room = torch.where(met.isfinite(), met, room)
    return toward[scene] * (room - gap[scene])


def _contact_maps(metal: _Metal, reach: Tensor) -> tuple[Tensor, Tensor]:
    """How far each particle reaches toward the film, in cells of `CONTACT` and their neighbours (particle, x, y), and
    the first cell (particle, 2) of each map."""
    cells = (metal.xyz[:2] / CONTACT).floor()
    low, high = zip(*(extremes(axis, metal.count) for axis in cells), strict=True)
    low, high = torch.stack(low).long() - 1, torch.stack(high).long() + 1
    nx, ny = ((high - low).amax(1) + 1).tolist()
    x, y = cells.long() - low.index_select(1, metal.particle)
    flat = (metal.particle * nx + x) * ny + y
    maps = reach.new_full((low.shape[1] * nx * ny,), -torch.inf)
    maps = maps.scatter_reduce(0, flat, reach, "amax").view(-1, 1, nx, ny)
    # An atom meets what is in its own cell of the map and in the eight around it.
    return torch.nn.functional.max_pool2d(maps, 3, stride=1, padding=1)[:, 0], low.T


def _met(
    deepest: Tensor,
    low: Tensor,
    film: Tensor,
    surface: Tensor,
    film_scene: Tensor,
    placements: Placements,
    extent: tuple[float, float],
) -> Tensor:
    """How far each particle (particle,) may go until it meets the film's surface; inf where it meets nothing.

    The particles of a specimen take turns, so that memory goes with the film and not with their number.
    """
    rank, n_scenes = ranks(placements.scene), len(placements.toward)
    nx, ny = deepest.shape[1:]
    room = surface.new_full((len(deepest),), torch.inf)
    for k in range(int(rank.max()) + 1):
        mine = (rank == k).nonzero()[:, 0]
        of_scene = torch.full((n_scenes,), -1, device=mine.device)
        of_scene = of_scene.index_copy(0, placements.scene[mine], mine)
        particle = at(of_scene, film_scene)
        cell, inside = [], particle >= 0
        particle = particle.clamp(min=0)
        for axis, (period, size) in enumerate(zip(extent, (nx, ny), strict=True)):
            away = film[axis] - at(placements.centre[:, axis].to(film), particle)
            away = away - period * (away / period).round()
            cell.append((away / CONTACT).floor().long() - at(low[:, axis], particle))
            inside = inside & (cell[axis] >= 0) & (cell[axis] < size)
        seen = inside.nonzero()[:, 0]
        particle = at(particle, seen)
        flat = (particle * nx + at(cell[0], seen)) * ny + at(cell[1], seen)
        room = room.scatter_reduce(0, particle, at(surface, seen) - at(deepest.flatten(), flat), "amin")
    return room


def _inside(metal: _Metal, extent: tuple[float, float], *, clip: bool) -> _Metal:
    x, y, _ = metal.xyz
    seen = (x >= 0) & (x < extent[0]) & (y >= 0) & (y < extent[1])
    if bool(seen.all()):
        return metal
    if not clip:
        first = int(metal.particle[~seen][0])
        raise InputError(
            f"particle {first}: expected all atoms inside the field of {extent[0]:g} x {extent[1]:g} Å, got "
            f"{int((~seen & (metal.particle == first)).sum())} outside; widen the field, move the particle or pass "
            f"clip=True"
        )
    rows = seen.nonzero()[:, 0]
    particle = at(metal.particle, rows)
    count = torch.bincount(particle, minlength=len(metal.count))
    return _Metal(metal.xyz.index_select(1, rows), at(metal.numbers, rows), particle, count)


def _check_apart(metal: _Metal, placements: Placements) -> None:
    """Particles of a specimen that overlap are refused."""
    rank = ranks(placements.scene)
    for k in range(1, int(rank.max()) + 1 if len(rank) else 0):
        mine = at(rank == k, metal.particle).nonzero()[:, 0]
        others = at(rank < k, metal.particle).nonzero()[:, 0]
        scene, other_scene = (at(placements.scene, at(metal.particle, rows)) for rows in (mine, others))
        points, around = (metal.xyz.index_select(1, rows).T for rows in (mine, others))
        near = meets(points, scene, around, other_scene, CLOSEST_PARTICLES)
        if bool(near.any()):
            raise InputError(
                f"particle {k + 1} of specimen {int(scene[near][0])}: expected atoms at least {CLOSEST_PARTICLES:g} Å "
                f"from those of the other particles, got {int(near.sum())} that are closer; move the centres apart"
            )


def _crowded(film: Tensor, film_scene: Tensor, metal: _Metal, placements: Placements) -> Tensor:
    """The film atoms that give way to particles that stand nearer than `CLOSEST_CARBON`."""
    tight = placements.gap < CLOSEST_CARBON
    nothing = torch.empty(0, dtype=torch.int64, device=film.device)
    if not film.shape[1] or not metal.xyz.shape[1] or not bool(tight.any()):
        return nothing
    # Only what lies between the lowest and the highest atom of the other kind may be close to it.
    scene = at(placements.scene, metal.particle)
    per_scene = torch.bincount(scene, minlength=len(tight))
    low, high = extremes(metal.xyz[2], per_scene)
    low = torch.where(tight, low - CLOSEST_CARBON, torch.inf)
    z = film[2]
    facing = ((z > at(low, film_scene)) & (z < at(high + CLOSEST_CARBON, film_scene))).nonzero()[:, 0]
    if not len(facing):
        return nothing
    count = torch.bincount(at(film_scene, facing), minlength=len(tight))
    low, high = extremes(at(z, facing), count)
    z = metal.xyz[2]
    near = ((z > at(low - CLOSEST_CARBON, scene)) & (z < at(high + CLOSEST_CARBON, scene))).nonzero()[:, 0]
    lost = meets(
        film.index_select(1, facing).T, at(film_scene, facing),
        metal.xyz.index_select(1, near).T, at(scene, near), CLOSEST_CARBON,
    )  # fmt: skip
    return at(facing, lost.nonzero()[:, 0])


def _boxed(
    film: Tensor,
    film_count: Tensor,
    metal: _Metal,
    height: Tensor,
    templates: Sequence[Template],
    placements: Placements,
    extent: tuple[float, float],
    margin: float,
) -> Scenes:
    """Film and particles in one order, in boxes with their margin, and the truth."""
    n, n_film = len(film_count), film.shape[1]
    metal_count = torch.zeros_like(film_count).index_add(0, placements.scene, metal.count)
    if bool((film_count + metal_count == 0).any()):
        raise InputError("specimen: expected at least one atom inside the field, got none")
    film_low, film_high = extremes(film[2], film_count)
    low, high = extremes(metal.xyz[2], metal_count)
    shift = margin - torch.minimum(low, film_low)
    depth = torch.maximum(high, film_high) + shift + margin
    first = torch.stack([starts(film_count), starts(metal_count) + n_film], 1).flatten()
    rows, run = spans(first, torch.stack([film_count, metal_count], 1).flatten())
    batch = run // 2
    xyz = torch.cat([film, metal.xyz], 1).index_select(1, rows)
    xyz[2] += at(shift, batch)
    carbon = torch.full((n_film,), 6, device=film.device)
    tags = torch.cat([torch.zeros_like(carbon), at(ranks(placements.scene) + 1, metal.particle)])
    cell = torch.cat([film.new_tensor(extent).expand(n, 2), depth[:, None]], 1)
    template = placements.template
    diameter = film.new_tensor([t.diameter for t in templates])[template]
    cubic = torch.tensor([t.cubic for t in templates], device=film.device)[template]
    axis, angle = zone_axes(placements.rotation)
    centre = torch.cat([placements.centre.to(film), (height + shift[placements.scene])[:, None]], 1)

    def ranges(low: Tensor, high: Tensor, count: Tensor) -> Tensor:
        return torch.where(count[:, None] > 0, torch.stack([low + shift, high + shift], 1), torch.nan)

    return Scenes(
        Structure(xyz.T, at(torch.cat([carbon, metal.numbers]), rows), batch, cell),
        at(tags, rows),
        placements.scene,
        tuple(templates[i].label for i in template.tolist()),
        diameter,
        quaternions(placements.rotation),
        axis * cubic[:, None],
        torch.where(cubic, angle, torch.nan),
        centre,
        ranges(low, high, metal_count),
        ranges(film_low, film_high, film_count),
    )
