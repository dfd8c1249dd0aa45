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

CARBON = 6


@dataclass(frozen=True)
class Scenes:
    """Assembled specimens and the truth of every particle.

    Parameters
    ----------
    structure : Structure
        Specimen by specimen: film first, then the particles.
    tags : (atom,) int32
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


@dataclass(frozen=True)
class _Film:
    """Atoms of all films; `count` and `nearest` (specimen,): the height [Å] of the atom that lies farthest out on the
    particles' side, and `depth` (atom,) how far behind it each lies."""

    xyz: Tensor
    scene: Tensor
    count: Tensor
    nearest: Tensor
    depth: Tensor


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
    _check(templates, films, placements, extent)
    metal = _turned(templates, placements)
    film = _film(films, placements, metal.xyz)
    height = _heights(metal, film, placements, extent)
    shift = torch.cat([placements.centre.T.to(height), height[None]])
    xyz = metal.xyz + shift.index_select(1, metal.particle)
    metal = _inside(_Metal(xyz, metal.numbers, metal.particle, metal.count), extent, clip=clip)
    _check_apart(metal, placements)
    lost = _crowded(film, metal, placements)
    return _boxed(film, lost, metal, height, templates, placements, extent, margin)


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
    if bool(((placements.template < 0) | (placements.template >= len(templates))).any()):
        raise InputError(
            f"placements: expected templates 0 to {len(templates) - 1}, got {placements.template.tolist()}"
        )
    if films is not None and len(films.count) != n:
        raise InputError(f"films: expected one for each of {n} specimens, got {len(films.count)}")
    if films is not None and any(abs(a - b) > 1e-3 for a, b in zip(films.extent, extent, strict=True)):
        raise InputError(f"films: expected an extent of {extent} Å, got {films.extent}")


def _film(films: FilmBatch | None, placements: Placements, like: Tensor) -> _Film:
    toward = placements.toward
    count = torch.zeros_like(toward, dtype=torch.int64) if films is None else films.count
    xyz = like.new_empty((3, 0)) if films is None else films.xyz.to(like)
    scene = torch.repeat_interleave(
        torch.arange(len(count), device=count.device), count, output_size=xyz.shape[1]
    )
    low, high = extremes(xyz[2], count)
    nearest = torch.where(toward > 0, low, high)
    return _Film(xyz, scene, count, nearest, (xyz[2] - at(nearest, scene)).abs_())


def _turned(templates: Sequence[Template], placements: Placements) -> _Metal:
    """All particles, rotated, each around the origin."""
    positions, numbers, sizes = concatenated(templates)
    count = sizes[placements.template]
    rows, particle = spans(starts(sizes)[placements.template], count)
    x, y, z = positions.T.contiguous().index_select(1, rows)
    turns = placements.rotation.to(positions).flatten(1).T.contiguous().index_select(1, particle)
    xyz = torch.stack([turns[3 * i] * x + turns[3 * i + 1] * y + turns[3 * i + 2] * z for i in range(3)])
    return _Metal(xyz, at(numbers, rows), particle, count)


def _heights(metal: _Metal, film: _Film, placements: Placements, extent: tuple[float, float]) -> Tensor:
    """z (particle,) of each particle's centroid, before the box: see `scene._room`, of which this is the batch."""
    scene = placements.scene
    toward, gap = (t.to(metal.xyz)[scene] for t in (placements.toward, placements.gap))
    reach = metal.xyz[2] * at(toward, metal.particle)
    foot = extremes(reach, metal.count)[1]
    # From the film's outermost atom on; without a film, from z = 0 on.
    surface = torch.where(film.count[scene] > 0, toward * film.nearest[scene], 0.0)
    room = -foot
    if film.xyz.shape[1] and len(scene):
        deepest, low = _contact_maps(metal, reach)
        met = _met(deepest, low, film, placements, extent)
        room = torch.where(met.isfinite(), met, room)
    return toward * (surface + room - gap)


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
    deepest: Tensor, low: Tensor, film: _Film, placements: Placements, extent: tuple[float, float]
) -> Tensor:
    """How far behind the film's outermost atom each particle (particle,) may go until it meets the film; inf where it
    meets nothing.

    The particles of a specimen take turns, so that memory goes with the film and not with their number.
    """
    rank, n_scenes = ranks(placements.scene), len(placements.toward)
    nx, ny = deepest.shape[1:]
    # Deeper film atoms lie behind others.
    under = (film.depth < SURFACE_DEPTH).nonzero()[:, 0]
    scene, depth = at(film.scene, under), at(film.depth, under)
    place = [at(film.xyz[axis], under) for axis in (0, 1)]
    room = depth.new_full((len(deepest),), torch.inf)
    for k in range(int(rank.max()) + 1):
        mine = (rank == k).nonzero()[:, 0]
        of_scene = torch.full((n_scenes,), -1, device=mine.device)
        particle = at(of_scene.index_copy(0, placements.scene[mine], mine), scene)
        cell, inside = [], particle >= 0
        particle = particle.clamp(min=0)
        for axis, (period, size) in enumerate(zip(extent, (nx, ny), strict=True)):
            away = place[axis] - at(placements.centre[:, axis].to(depth), particle)
            away = away - period * (away / period).round()
            cell.append((away / CONTACT).floor().long() - at(low[:, axis], particle))
            inside = inside & (cell[axis] >= 0) & (cell[axis] < size)
        seen = inside.nonzero()[:, 0]
        particle = at(particle, seen)
        flat = (particle * nx + at(cell[0], seen)) * ny + at(cell[1], seen)
        room = room.scatter_reduce(0, particle, at(depth, seen) - at(deepest.flatten(), flat), "amin")
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


def _crowded(film: _Film, metal: _Metal, placements: Placements) -> Tensor:
    """The film atoms that give way to particles that stand nearer than `CLOSEST_CARBON`."""
    tight = placements.gap < CLOSEST_CARBON
    nothing = torch.empty(0, dtype=torch.int64, device=film.scene.device)
    if not len(film.scene) or not len(metal.particle) or not bool(tight.any()):
        return nothing
    # Only film atoms no deeper than the particles reach, and particle atoms no farther out than those, may be close.
    scene = at(placements.scene, metal.particle)
    toward = placements.toward.to(film.nearest)
    depth = (metal.xyz[2] - at(film.nearest, scene)) * at(toward, scene)
    deepest = extremes(depth, torch.zeros_like(film.count).index_add(0, placements.scene, metal.count))[1]
    bound = torch.where(tight, deepest + CLOSEST_CARBON, -torch.inf)
    facing = (film.depth < bound.max()).nonzero()[:, 0]
    facing = facing[at(film.depth, facing) < at(bound, at(film.scene, facing))]
    near = ((depth > -CLOSEST_CARBON) & at(tight, scene)).nonzero()[:, 0]
    lost = meets(
        film.xyz.index_select(1, facing).T, at(film.scene, facing),
        metal.xyz.index_select(1, near).T, at(scene, near), CLOSEST_CARBON,
    )  # fmt: skip
    return at(facing, lost.nonzero()[:, 0])


def _boxed(
    film: _Film,
    lost: Tensor,
    metal: _Metal,
    height: Tensor,
    templates: Sequence[Template],
    placements: Placements,
    extent: tuple[float, float],
    margin: float,
) -> Scenes:
    """Film without its `lost` atoms and particles in one order, in boxes with their margin, and the truth."""
    n, n_film = len(film.count), len(film.scene)
    metal_count = torch.zeros_like(film.count).index_add(0, placements.scene, metal.count)
    film_count = film.count - torch.bincount(at(film.scene, lost), minlength=n)
    if bool((film_count + metal_count == 0).any()):
        raise InputError("specimen: expected at least one atom inside the field, got none")
    left = torch.ones(n_film + len(metal.particle), dtype=torch.bool, device=lost.device)
    left = left.index_fill(0, lost, False).nonzero()[:, 0]
    counts = torch.stack([film_count, metal_count], 1).flatten()
    first = torch.stack([starts(film_count), starts(metal_count) + n_film - len(lost)], 1).flatten()
    rows, run = spans(first, counts)
    batch = run >> 1
    xyz = torch.cat([film.xyz, metal.xyz], 1).index_select(1, at(left, rows))
    place = spans(film_count.cumsum(0) + starts(metal_count), metal_count)[0]
    numbers = torch.full_like(batch, CARBON).index_copy(0, place, metal.numbers)
    rank = (ranks(placements.scene) + 1).int()
    tags = torch.zeros_like(batch, dtype=torch.int32).index_copy(0, place, at(rank, metal.particle))
    low, high = (t.view(n, 2) for t in extremes(xyz[2], counts))
    shift = margin - low.amin(1)
    depth = high.amax(1) + shift + margin
    z_range = torch.stack([low, high], 2) + shift[:, None, None]
    z_range = torch.where(counts.view(n, 2, 1) > 0, z_range, torch.nan)
    xyz[2] += at(shift, batch)
    cell = torch.cat([xyz.new_tensor(extent).expand(n, 2), depth[:, None]], 1)
    template = placements.template
    diameter = xyz.new_tensor([t.diameter for t in templates])[template]
    cubic = torch.tensor([t.cubic for t in templates], device=xyz.device)[template]
    axis, angle = zone_axes(placements.rotation)
    centre = torch.cat([placements.centre.to(xyz), (height + shift[placements.scene])[:, None]], 1)

    return Scenes(
        Structure(xyz.T, numbers, batch, cell),
        tags,
        placements.scene,
        tuple(templates[i].label for i in template.tolist()),
        diameter,
        quaternions(placements.rotation),
        axis * cubic[:, None],
        torch.where(cubic, angle, torch.nan),
        centre,
        z_range[:, 1],
        z_range[:, 0],
    )
