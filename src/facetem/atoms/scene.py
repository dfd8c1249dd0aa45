"""Particles and film become a specimen: orientation, deposition, assembly, and each particle's outline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from facetem.atoms.lattices import Array
from facetem.atoms.shapes import atomic_volumes
from facetem.core.errors import InputError

CLOSEST_CARBON = 1.8  # Å: film atoms nearer to a particle atom than this give way
CLOSEST_PARTICLES = 2.0  # Å between atoms of two particles
CONTACT = 3.0  # Å: atoms of particle and film that are about this far apart sideways touch
SURFACE_DEPTH = 15.0  # Å: a film's surface is not rougher than this
ATOM_RADIUS = 1.6  # Å: just more than half of the widest gap between the atom columns of a metal

THICKNESS_BLUR = 2.0  # Å: atomic columns merge into one body

Side = Literal["entrance", "exit"]


def draw_rotation(rng: np.random.Generator) -> Array:
    """A rotation matrix (3, 3) uniform on SO(3): a random unit quaternion (Shoemake 1992)."""
    q = rng.normal(size=4)
    w, x, y, z = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def rotated(particle: Atoms, rotation: Array) -> Atoms:
    """A copy of `particle` turned about the origin: x -> rotation x. Labels are kept."""
    turned = particle.copy()
    turned.positions = particle.positions @ np.asarray(rotation).T
    turned.info = dict(particle.info)
    return turned


def assemble(
    particles: Sequence[Atoms],
    film: Atoms | None,
    *,
    extent: tuple[float, float],
    centres: Sequence[tuple[float, float]] | None = None,
    side: Side = "entrance",
    gap: float = 2.0,
    margin: float = 2.0,
    clip: bool = False,
) -> Atoms:
    """Particles deposited on a film, in one box.

    The beam travels along +z. On the entrance side a particle lies at smaller z than the film, lowered onto it
    until an atom is `gap` above the film atoms under it; on the exit side it is the other way round. Without a
    film the particles touch a common plane.

    Parameters
    ----------
    particles : sequence of Atoms
        Already rotated; may be empty if there is a film.
    film : Atoms or None
        Cell (x, y, thickness) with x, y equal to `extent`.
    extent : (x, y)
        Field of view [Å].
    centres : sequence of (x, y) or None
        Where each particle's centroid goes [Å]; None puts a single particle in the middle.
    side : "entrance" or "exit"
    gap : float
        [Å]; a negative one sinks the particle into the film, whose atoms closer than 1.8 Å are removed.
    margin : float
        Vacuum [Å] above and below all atoms.
    clip : bool
        Leave out particle atoms that lie outside the field instead of refusing them.

    Returns
    -------
    ase.Atoms with an orthogonal cell from the origin, periodic in x and y. Tags: 0 film, i the i-th particle
    (from 1). info (flat, survives an extxyz file): "shape" (of the first particle), "shapes" (joined by
    spaces), "diameter", "diameters", "side", "gap", "film_thickness" (0: none), "centres" (x1 y1 x2 y2 ...),
    "particle_z" (centroids) and "particle_z_range", "film_z_range" (low, high) [Å in the box].

    Raises
    ------
    InputError
        If the counts, the film's cell or the side do not fit, an atom lies outside the field (`clip` false),
        or two particles overlap.
    """
    spots = _checked_centres(particles, film, extent, centres, side)
    film_positions = np.empty((0, 3)) if film is None else _wrapped(film, extent)
    blocks, heights = [], []
    toward_film = 1.0 if side == "entrance" else -1.0
    for i, (particle, spot) in enumerate(zip(particles, spots, strict=True), start=1):
        centred = particle.positions - particle.positions.mean(axis=0)
        room = _room(film_positions, spot, centred, extent, toward_film)
        height = toward_film * (room - gap)
        placed = centred + np.array([spot[0], spot[1], height])
        seen = ((placed[:, :2] >= 0) & (placed[:, :2] < extent)).all(axis=1)
        if not clip and not seen.all():
            raise InputError(
                f"particle {i}: expected all atoms inside the field of {extent[0]:g} x {extent[1]:g} Å, got "
                f"{np.count_nonzero(~seen)} outside; widen the field, move the particle or pass clip=True"
            )
        blocks.append((placed[seen], particle.numbers[seen]))
        heights.append(height)
    _check_apart([block[0] for block in blocks])
    metal = np.concatenate([np.empty((0, 3)), *(block[0] for block in blocks)])
    film_numbers = np.empty(0, dtype=int) if film is None else film.numbers
    if gap < CLOSEST_CARBON:
        free = _free(film_positions, metal)
        film_positions, film_numbers = film_positions[free], film_numbers[free]
    positions = np.concatenate([film_positions, metal])
    numbers = np.concatenate([film_numbers, *(block[1] for block in blocks)])
    tags = np.repeat(np.arange(len(blocks) + 1), [len(film_positions), *(len(block[0]) for block in blocks)])
    if len(positions) == 0:
        raise InputError("specimen: expected at least one atom inside the field, got none")
    shift = margin - float(positions[:, 2].min())
    positions[:, 2] += shift
    depth = float(positions[:, 2].max()) + margin
    specimen = Atoms(
        numbers=numbers, positions=positions, tags=tags, cell=(*extent, depth), pbc=(True, True, False)
    )
    specimen.info = _labels(particles, film, spots, side, gap)
    specimen.info["particle_z"] = [float(h + shift) for h in heights]
    for name, mine in (("particle_z_range", tags > 0), ("film_z_range", tags == 0)):
        z = positions[mine, 2]
        if len(z):
            specimen.info[name] = [float(z.min()), float(z.max())]
    return specimen


def _checked_centres(
    particles: Sequence[Atoms],
    film: Atoms | None,
    extent: tuple[float, float],
    centres: Sequence[tuple[float, float]] | None,
    side: str,
) -> list[tuple[float, float]]:
    if side not in ("entrance", "exit"):
        raise InputError(f"side: expected 'entrance' or 'exit', got {side!r}")
    if len(extent) != 2 or not all(0 < length < math.inf for length in extent):
        raise InputError(f"extent: expected two positive lengths (x, y) in Å, got {extent!r}")
    if not particles and film is None:
        raise InputError("specimen: expected a particle or a film, got neither")
    if film is not None and not np.allclose(np.diag(np.asarray(film.cell))[:2], extent, atol=1e-3):
        raise InputError(
            f"film: expected a cell of {extent} Å in x and y, got {film.cell.lengths()[:2].tolist()}"
        )
    spots = [(extent[0] / 2, extent[1] / 2)] * min(len(particles), 1) if centres is None else list(centres)
    if len(spots) != len(particles):
        raise InputError(
            f"centres: expected one (x, y) for each of {len(particles)} particles, got {len(spots)}"
        )
    return [(float(x), float(y)) for x, y in spots]


def _wrapped(film: Atoms, extent: tuple[float, float]) -> Array:
    positions = film.positions.copy()
    for axis, period in enumerate(extent):
        along = positions[:, axis]
        if along.min() < 0 or along.max() >= period:
            positions[:, axis] = along % period
    return positions


def _room(
    film: Array, spot: tuple[float, float], particle: Array, extent: tuple[float, float], toward: float
) -> float:
    """How far a particle centred at z = 0 has to go `toward` (+1 or -1) the film to meet it, on a coarse map.

    Without a film it goes to where its last atom is at z = 0.
    """
    reach = toward * particle[:, 2]
    if len(film) == 0:
        return -float(reach.max())
    low = np.floor(particle[:, :2].min(axis=0) / CONTACT).astype(int) - 1
    shape = np.floor(particle[:, :2].max(axis=0) / CONTACT).astype(int) + 2 - low
    deepest = np.full(shape, -np.inf)
    np.maximum.at(deepest, tuple((np.floor(particle[:, :2] / CONTACT).astype(int) - low).T), reach)
    # An atom meets what is in its own cell of the map and in the eight around it.
    deepest = ndimage.maximum_filter(deepest, size=3)
    surface = toward * film[:, 2]
    # Deeper film atoms lie behind others and only cost time.
    under = np.flatnonzero(surface < surface.min() + SURFACE_DEPTH)
    cells = []
    for axis, period in enumerate(extent):
        away = film[under, axis] - spot[axis]
        cell = np.floor((away - period * np.rint(away / period)) / CONTACT).astype(int) - low[axis]
        inside = (cell >= 0) & (cell < shape[axis])
        under = under[inside]
        cells = [earlier[inside] for earlier in cells] + [cell[inside]]
    rooms = surface[under] - deepest[tuple(cells)]
    return float(rooms.min()) if np.isfinite(rooms).any() else float(surface.min() - reach.max())


def _free(film: Array, metal: Array) -> NDArray[np.bool_]:
    """Which film atoms (n, 3) are no closer than `CLOSEST_CARBON` to any metal atom."""
    free = np.ones(len(film), dtype=bool)
    if len(film) and len(metal):
        low, high = metal.min(axis=0) - CLOSEST_CARBON, metal.max(axis=0) + CLOSEST_CARBON
        # z first: few film atoms reach up to the particle.
        near = np.flatnonzero((film[:, 2] > low[2]) & (film[:, 2] < high[2]))
        if len(near):
            facing = (metal[:, 2] > film[near, 2].min() - CLOSEST_CARBON) & (
                metal[:, 2] < film[near, 2].max() + CLOSEST_CARBON
            )
            gaps = KDTree(metal[facing]).query(film[near], distance_upper_bound=CLOSEST_CARBON)[0]
            free[near] = np.isinf(gaps)
    return free


def _check_apart(blocks: list[Array]) -> None:
    for i, mine in enumerate(blocks):
        for j, other in enumerate(blocks[:i]):
            if not len(mine) or not len(other):
                continue
            if (mine.min(0) > other.max(0) + CLOSEST_PARTICLES).any() or (
                other.min(0) > mine.max(0) + CLOSEST_PARTICLES
            ).any():
                continue
            near = KDTree(other).query(mine, distance_upper_bound=CLOSEST_PARTICLES)[0].min()
            if math.isfinite(near):
                raise InputError(
                    f"particles {j + 1} and {i + 1}: expected atoms at least {CLOSEST_PARTICLES:g} Å apart, got "
                    f"{near:.2f} Å; move their centres apart"
                )


def _labels(
    particles: Sequence[Atoms], film: Atoms | None, spots: list[tuple[float, float]], side: str, gap: float
) -> dict[str, object]:
    shapes = [str(p.info.get("shape", "unknown")) for p in particles]
    diameters = [float(p.info.get("diameter", 0.0)) for p in particles]
    thickness = 0.0 if film is None else float(film.info.get("film_thickness", film.cell.lengths()[2]))
    labels: dict[str, object] = {"side": side, "gap": float(gap), "film_thickness": thickness}
    if particles:
        labels |= {
            "shape": shapes[0],
            "shapes": " ".join(shapes),
            "diameter": diameters[0],
            "diameters": diameters,
            "centres": [c for spot in spots for c in spot],
        }
    return labels


def particle_masks(atoms: Atoms, grid_shape: tuple[int, int], sampling: float) -> NDArray[np.int32]:
    """The projected outlines of the particles of a specimen.

    Atoms are drawn as disks of radius 1.6 Å, and holes between them are filled. Where particles overlap, the
    first keeps its pixels.

    Parameters
    ----------
    atoms : Atoms
        Tags: 0 substrate, i particle i.
    grid_shape : (ny, nx)
    sampling : float
        [Å/px]; pixel (iy, ix) lies at (x, y) = (ix, iy) * sampling.

    Returns
    -------
    (ny, nx) int32: 0 substrate, i particle i.
    """
    ny, nx = grid_shape
    labels = np.zeros((ny, nx), dtype=np.int32)
    tags = atoms.get_tags()
    pad = math.ceil(ATOM_RADIUS / sampling) + 1
    for tag in np.unique(tags[tags > 0]):
        pixels = np.rint(atoms.positions[tags == tag, 1::-1] / sampling).astype(int)
        low = pixels.min(axis=0) - pad
        occupied = np.zeros(pixels.max(axis=0) + pad + 1 - low, dtype=bool)
        occupied[tuple((pixels - low).T)] = True
        distances = np.asarray(ndimage.distance_transform_edt(~occupied))
        outline = np.asarray(ndimage.binary_fill_holes(distances <= ATOM_RADIUS / sampling))
        first, last = np.clip(low, 0, grid_shape), np.clip(low + outline.shape, 0, grid_shape)
        here = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
        part = outline[tuple(slice(a, b) for a, b in zip(first - low, last - low, strict=True))]
        labels[here] = np.where((labels[here] == 0) & part, tag, labels[here])
    return labels


def thickness_map(atoms: Atoms, grid_shape: tuple[int, int], sampling: float) -> NDArray[np.float32]:
    """Projected thickness (y, x) [Å] of all particles of a specimen.

    Every atom stands for its own volume, spread by a Gaussian of `THICKNESS_BLUR`, wide enough that atomic
    columns merge; the sum over the pixels times their area is the particles' volume.
    """
    inside = atoms.get_tags() > 0
    pixels = atoms.positions[inside, 1::-1] / sampling
    volumes = atomic_volumes(atoms.numbers[inside])
    counts = np.zeros(grid_shape)
    low = np.floor(pixels).astype(int)
    part = pixels - low
    # Shared among four pixels: rounding to one would make rows of atoms a few per cent too dense or too thin.
    for dy in (0, 1):
        for dx in (0, 1):
            share = np.abs(1 - dy - part[:, 0]) * np.abs(1 - dx - part[:, 1])
            np.add.at(counts, tuple(((low + np.array([dy, dx])) % grid_shape).T), share * volumes)
    return ndimage.gaussian_filter(counts / sampling**2, THICKNESS_BLUR / sampling, mode="wrap").astype(
        np.float32
    )
