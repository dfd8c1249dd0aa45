"""The library of melt-quenched carbon films that comes with the package, and endless films drawn from it.

A film of the library is periodic in x and y and has two free surfaces. What is drawn is a window of one, at any
height, turned about the beam by any angle, shifted and mirrored, and strained by at most a few per cent to the
density asked for. A field larger than the film's period shows it again, without a seam; at the border of the
field, where its two sides meet, atoms that come too close are left out. Films for training and for testing are
different films.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import KDTree

from facetem.atoms.carbon import AVOGADRO_A3, CARBON_MASS, STEEPEST, between_surfaces
from facetem.atoms.lattices import Array
from facetem.core.errors import InputError

SHIPPED = Path(__file__).with_name("films")
DENSITY = (1.7, 3.0)  # g/cm3: what both parts of the library can be strained to
STRAIN = (0.96, 1.006)  # of the lengths of a drawn film; the library's bonds are a little long
STEPS = 1 << 16  # of the fixed-point coordinates, to a period
CLOSEST = 1.2  # Å: no bond of the library's is shorter; nearer atoms across a seam are left out
THICKEST = 1000.0  # Å
NATURAL = 5.0  # Å: a window that begins this near to a free surface begins with it

Part = Literal["training", "test"]


@dataclass(frozen=True)
class LibraryFilm:
    """One film. `xyz` (3, n) [Å] lies between 0 and `period` in x and y, and is sorted by z; the planes z = 0 and
    z = `thickness` are its surfaces on average. `density` [g/cm3] is that of its inner part."""

    name: str
    xyz: NDArray[np.float32]
    period: float
    thickness: float
    density: float


@dataclass(frozen=True)
class FilmLibrary:
    """Films of any extent, thickness and density, drawn from the library: a `FilmSource`.

    Parameters
    ----------
    extent : (x, y)
        Lateral period of all films [Å]; it need not be that of the library.
    part : "training" or "test"
    density : (low, high)
        Range of the films' densities [g/cm3], within 1.7 to 3.0.
    waviness : (low, high)
        Range of the rms undulation of the surfaces [Å]. Without any, a window that reaches a free surface keeps it,
        and others are cut flat.
    folder : Path
        Of the library.
    """

    extent: tuple[float, float]
    part: Part = "training"
    density: tuple[float, float] = (1.8, 2.6)
    waviness: tuple[float, float] = (0.0, 0.0)
    folder: Path = SHIPPED

    def __post_init__(self) -> None:
        if len(self.extent) != 2 or not all(2 * CLOSEST < length < math.inf for length in self.extent):
            raise InputError(f"film extent: expected positive lengths (x, y) in Å, got {self.extent!r}")
        if self.part not in ("training", "test"):
            raise InputError(f"film part: expected 'training' or 'test', got {self.part!r}")
        if not DENSITY[0] <= self.density[0] <= self.density[1] <= DENSITY[1]:
            wrong = self.density[0] if self.density[0] == self.density[1] else list(self.density)
            raise InputError(
                f"film density: the library of quenched films holds {DENSITY[0]:g} to {DENSITY[1]:g} g/cm3, got "
                f"{wrong!r}; random films take others"
            )
        if not 0 <= self.waviness[0] <= self.waviness[1] < math.inf:
            raise InputError(f"film waviness: expected 0 <= low <= high in Å, got {self.waviness!r}")

    def draw(self, thickness: float, rng: np.random.Generator) -> Atoms:
        """A film of `thickness` [Å]; see `FilmSource`. Where no film of the density is that thick, several are laid
        one on the other, in equal parts of their thicknesses. info: "film_thickness", "density", "films".

        Raises
        ------
        InputError
            If the thickness is not positive or more than 1000 Å, or a file of the library is missing or damaged.
        """
        if not 0 < thickness <= THICKEST:
            raise InputError(f"film thickness: expected 0 to {THICKEST:g} Å, got {thickness!r}")
        density, waviness = float(rng.uniform(*self.density)), float(rng.uniform(*self.waviness))
        spare = STEEPEST * waviness
        layers = self._layers(thickness + 2 * spare, density, rng)
        points, seams = _stacked(layers, density, self.extent, rng)
        points[:, 2] -= spare
        if waviness > 0:
            points = points[between_surfaces(points, self.extent, thickness, waviness, rng)]
        points = without_close_pairs(points, self.extent, [seam - spare for seam in seams])
        film = Atoms(
            numbers=np.full(len(points), 6),
            positions=points,
            cell=(*self.extent, thickness),
            pbc=(True, True, False),
        )
        names = " ".join(layer.name for layer, _ in layers)
        film.info = {"film_thickness": float(thickness), "density": density, "films": names}
        return film

    def _layers(
        self, thickness: float, density: float, rng: np.random.Generator
    ) -> list[tuple[LibraryFilm, float]]:
        """Films and the thickness [Å] that each gives."""
        films = [film for film in library(self.folder, self.part) if _fits(film, density)]
        if not films:
            raise InputError(f"film density: {self.folder} has no {self.part} film for {density:.3g} g/cm3")
        heights = np.array([film.thickness * _stretch(film, density) for film in films])
        enough = np.flatnonzero(heights >= thickness)
        if len(enough):
            return [(films[rng.choice(enough)], thickness)]
        order = np.resize(rng.permutation(len(films)), math.ceil(thickness / heights.min()))
        order = order[: int(np.searchsorted(np.cumsum(heights[order]), thickness)) + 1]
        share = thickness / heights[order].sum()
        return [(films[i], float(share * heights[i])) for i in order]


def _stretch(film: LibraryFilm, density: float) -> float:
    return (film.density / density) ** (1 / 3)


def _fits(film: LibraryFilm, density: float) -> bool:
    return STRAIN[0] <= _stretch(film, density) <= STRAIN[1]


def _stacked(
    layers: list[tuple[LibraryFilm, float]],
    density: float,
    extent: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[Array, list[float]]:
    """Points (n, 3) of the layers, one on the other from z = 0, and the heights of the seams between them."""
    parts, tops = [], [0.0]
    for film, height in layers:
        stretch = _stretch(film, density)
        xyz = _window(film, height / stretch, rng, free=len(layers) == 1) * np.float32(stretch)
        points = _spread(xyz, film.period * stretch, extent, rng)
        points[:, 2] += tops[-1]
        parts.append(points)
        tops.append(tops[-1] + height)
    return np.concatenate(parts), tops[1:-1]


def _window(film: LibraryFilm, height: float, rng: np.random.Generator, *, free: bool) -> NDArray[np.float32]:
    """The atoms (3, n) of a random window in z, from 0, either way up. `free`: it may end with a free surface,
    which stands out from the window here and there."""
    room = film.thickness - height
    start = min(max(float(rng.uniform(-NATURAL, room + NATURAL)), 0.0), room)
    z = film.xyz[2]
    first = 0 if free and start == 0 else int(np.searchsorted(z, start))
    last = len(z) if free and start >= room else int(np.searchsorted(z, start + height))
    xyz = film.xyz[:, first:last].copy()
    xyz[2] -= np.float32(start)
    if rng.random() < 0.5:
        xyz[2] = np.float32(height) - xyz[2]
    return xyz


def _spread(
    xyz: NDArray[np.float32], period: float, extent: tuple[float, float], rng: np.random.Generator
) -> Array:
    """The points (n, 3) of a periodic film (3, n) in a field of any extent: turned, mirrored and shifted."""
    angle, mirror = rng.uniform(0, 2 * math.pi), 1.0 if rng.random() < 0.5 else -1.0
    c, s = math.cos(angle), math.sin(angle)
    cell = np.array([[c, -s * mirror], [s, c * mirror]])  # columns: directions of the film's x and y
    shift = cell @ (rng.random(2) * period)
    x, y = cell.astype(np.float32) @ xyz[:2]
    corners = np.array([[0, 0], [extent[0], 0], [0, extent[1]], extent]) - shift
    tiles = np.floor(corners @ cell / period).astype(int)
    outline = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) @ cell.T * period
    parts = []
    for i in range(tiles[:, 0].min(), tiles[:, 0].max() + 1):
        for j in range(tiles[:, 1].min(), tiles[:, 1].max() + 1):
            offset = cell @ (np.array([i, j]) * period) + shift
            low, high = outline.min(axis=0) + offset, outline.max(axis=0) + offset
            if (high < 0).any() or (low > extent).any():
                continue
            left, bottom = (-offset).astype(np.float32)
            right, top = (extent - offset).astype(np.float32)
            seen = np.flatnonzero((x >= left) & (x < right))
            its_y = y[seen]
            seen = seen[(its_y >= bottom) & (its_y < top)]
            parts.append(np.stack([x[seen] - left, y[seen] - bottom, xyz[2, seen]]))
    # Rounding may put an atom on the far border.
    points = np.concatenate(parts, axis=1)
    for axis in (0, 1):
        np.minimum(points[axis], np.nextafter(np.float32(extent[axis]), np.float32(0)), out=points[axis])
    return points.T


def without_close_pairs(points: Array, extent: tuple[float, float], heights: list[float]) -> Array:
    """Points (n, 3) without one of any two that are closer than 1.2 Å across the border of the field, or across one
    of the planes z = `heights`, where two films meet."""
    lost = np.zeros(len(points), dtype=bool)
    for axis, period in ((0, extent[0]), (1, extent[1])):
        along = points[:, axis]
        low, high = np.flatnonzero(along < CLOSEST), np.flatnonzero(along > period - CLOSEST)
        before = points[low]
        before[:, axis] += period
        # Across a corner of the field the neighbour has moved along both axes.
        other = points[high, 1 - axis]
        ghosts = [points[high]]
        for side, shift in ((other < CLOSEST, 1), (other > extent[1 - axis] - CLOSEST, -1)):
            ghost = points[high[side]]
            ghost[:, 1 - axis] += shift * extent[1 - axis]
            ghosts.append(ghost)
        lost[low] |= _meets(before, np.concatenate(ghosts))
    for height in heights:
        above = points[:, 2] - height
        upper = np.flatnonzero((above >= 0) & (above < CLOSEST))
        lost[upper] |= _meets(points[upper], points[(above < 0) & (above > -CLOSEST)])
    return points[~lost]


def _meets(points: Array, others: Array) -> NDArray[np.bool_]:
    """Which points (n, 3) have one of the others (m, 3) closer than `CLOSEST`."""
    if not len(points) or not len(others):
        return np.zeros(len(points), dtype=bool)
    tree = KDTree(others, balanced_tree=False, compact_nodes=False)
    return np.isfinite(tree.query(points, distance_upper_bound=CLOSEST)[0])


@lru_cache(maxsize=4)
def library(folder: Path, part: Part) -> tuple[LibraryFilm, ...]:
    """The films of one part of a library.

    Raises
    ------
    InputError
        If its manifest or a file is missing or damaged.
    """
    entries = [entry for entry in manifest(folder)["films"] if entry["part"] == part]
    return tuple(_load(folder, entry) for entry in entries)


def manifest(folder: Path = SHIPPED) -> dict[str, Any]:
    """What is known of the films of a library: density, potential, seed, protocol, checks, part, sha256."""
    path = folder / "manifest.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected the manifest of a library of films, got '{error}'") from error


def _load(folder: Path, entry: dict[str, Any]) -> LibraryFilm:
    path = folder / f"{entry['name']}.npz"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected a film of the library, got '{error.strerror}'") from error
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise InputError(f"{path}: expected the film of the manifest, got a damaged or another file")
    xyz = unpacked(data, entry["period"])
    xyz[2] -= np.float32(entry["lower"])
    xyz.setflags(write=False)
    return LibraryFilm(entry["name"], xyz, entry["period"], entry["thickness"], entry["density"])


def packed(positions: Array, period: float) -> bytes:
    """Positions (n, 3) [Å] of a film as the content of its file: x, y and steps in z as 16-bit integers, a
    coordinate rounded to half of period / 65536, sorted by z; z is counted from the lowest atom."""
    step = period / STEPS
    fixed = np.rint((positions - [0, 0, positions[:, 2].min()]) / step).astype(np.int64)
    fixed[:, :2] %= STEPS
    fixed = fixed[np.argsort(fixed[:, 2], kind="stable")]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, xy=fixed[:, :2].T.astype("<u2"), dz=np.diff(fixed[:, 2], prepend=0).astype("<u2")
    )
    return buffer.getvalue()


def unpacked(data: bytes, period: float) -> NDArray[np.float32]:
    """(3, n) [Å] of what `packed` made; z is counted from the lowest atom."""
    step = period / STEPS
    with np.load(io.BytesIO(data)) as arrays:
        xy, dz = arrays["xy"], arrays["dz"]
    return (np.vstack([xy, np.cumsum(dz, dtype=np.int64)]) * step).astype(np.float32)


def surfaces(positions: Array, period: float) -> tuple[float, float, float]:
    """Density [g/cm3] of a film's inner part, height [Å] above its lowest atom of its lower mean surface, and its
    mean thickness [Å]: that of a slab of the inner density with as many atoms and the same centre."""
    z = positions[:, 2]
    low, high = np.quantile(z, [0.2, 0.8])  # away from both surfaces, however rough
    per_length = 0.6 * len(z) / float(high - low)
    thickness = len(z) / per_length
    density = per_length / period**2 * CARBON_MASS / AVOGADRO_A3
    return density, float(z.mean() - z.min()) - thickness / 2, thickness
