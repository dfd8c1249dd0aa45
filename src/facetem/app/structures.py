"""Files of atoms: read into a box that the simulation can use, written."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.io import read, write
from ase.io.cif import parse_cif
from numpy.typing import NDArray

from facetem.core.errors import InputError

if TYPE_CHECKING:
    from facetem.hrtem.settings import Multislice

# Å. Closer than this, atoms on two sides of a box that is not meant to be periodic are neighbours.
LEAST_VACUUM = 4.0
EDGE = 1e-3  # Å: how far beyond its cell the rounding of a file may put an atom
FORMATS = {".extxyz": "extxyz", ".xyz": "extxyz", ".cif": "cif"}


def parse_zone_axis(text: str) -> list[float]:
    """The three numbers of a zone axis such as "1,1,0" or "1 1 0"."""
    parts = text.replace(",", " ").split()
    try:
        axis = [float(part) for part in parts]
    except ValueError:
        axis = []
    if len(axis) != 3 or not any(axis):
        raise InputError(f"zone axis: expected three numbers as in 1,1,0, not all zero, got {text!r}")
    return axis


def save_structure(path: Path, atoms: Atoms) -> None:
    """Write atoms in the format of the suffix of `path`."""
    write(path, atoms, format=FORMATS[path.suffix.lower()])


def load_structure(path: Path, *, vacuum: float | None = None) -> Atoms:
    """Read atoms in an orthogonal box from the origin, the beam along its z.

    Parameters
    ----------
    vacuum
        [Å] on all sides of the atoms, in a box that replaces the file's own; square across the beam, so that
        square pixels divide it. None: the file's cell is the box.

    Raises
    ------
    InputError
        If ASE cannot read the file, it holds no atoms or unknown ones, or `vacuum` is negative; without `vacuum`, if
        the file has no orthogonal cell, or one that leaves no vacuum where it is not periodic.
    """
    atoms = _read(path)
    if vacuum is not None:
        if not 0 <= vacuum < np.inf:
            raise InputError(f"vacuum: expected a thickness >= 0, got {vacuum / 10:g} nm")
        return _boxed(atoms, vacuum)
    _check_cell(path, atoms)
    if atoms.pbc[
        2
    ]:  # along x and y the simulation is periodic by itself; an atom on the exit plane stays there
        z, height = atoms.positions[:, 2], float(atoms.cell.lengths()[2])
        atoms.positions[:, 2] = np.where((z < -EDGE) | (z > height + EDGE), z % height, z)
    return atoms


def _read(path: Path) -> Atoms:
    if not path.is_file():
        raise InputError(
            f"{path}: expected a file of atoms, got {'a folder' if path.is_dir() else 'no such file'}"
        )
    try:
        atoms = _read_cif(path) if path.suffix.lower() == ".cif" else read(path)
    except Exception as error:  # ASE's readers meet bad bytes with exceptions of every kind
        raise InputError(f"{path}: expected a file of atoms that ASE reads (xyz, cif, ...), got one that it cannot "
                         f"({type(error).__name__}: {error})") from error  # fmt: skip
    if isinstance(atoms, list) or len(atoms) == 0:
        raise InputError(f"{path}: expected atoms, got none")
    if not np.isfinite(atoms.positions).all():
        raise InputError(f"{path}: expected finite positions, got NaN or infinite ones")
    return atoms


def _read_cif(path: Path) -> Atoms:
    """Atoms of the first block. Without symmetry they are taken as listed: ASE's own search for symmetric copies
    takes minutes for a film's tens of thousands of atoms, and would find none."""
    block = next(iter(parse_cif(str(path))))
    alone = block.get_spacegroup(True).no == 1
    atoms = block.get_unsymmetrized_structure() if alone else block.get_atoms()
    atoms.pbc = True  # what a cif describes is a crystal; ASE forgets it for the first kind
    return atoms


def _check_cell(path: Path, atoms: Atoms) -> None:
    cell = np.asarray(atoms.cell)
    if atoms.cell.rank < 3:
        got = "none" if atoms.cell.rank == 0 else f"a flat one, {_lengths(atoms)} nm"
        raise InputError(
            f"{path}: expected a cell to simulate in, got {got}; --vacuum-nm 1 puts the atoms in a box with 1 nm around"
        )
    if np.abs(cell - np.diag(np.diag(cell))).max() > 1e-6 or np.diag(cell).min() <= 0:
        rows = ", ".join("(" + " ".join(f"{x / 10:.4g}" for x in row) + ")" for row in cell)
        raise InputError(
            f"{path}: expected an orthogonal cell along x, y, z, got {rows} nm; cut an orthogonal one first, or put "
            "the atoms in a box with --vacuum-nm"
        )
    span: NDArray[np.float64] = np.ptp(atoms.positions, axis=0)
    free = np.diag(cell) - span
    for axis, name in enumerate("xy"):
        if not atoms.pbc[axis] and free[axis] < LEAST_VACUUM:
            raise InputError(
                f"{path}: expected vacuum along {name}, where the cell is not periodic, got "
                f"{max(free[axis], 0) / 10:.2g} nm, and the atoms would meet their own images; --vacuum-nm 1 puts "
                "1 nm around them"
            )
    z = atoms.positions[:, 2]
    if not atoms.pbc[2] and (z.min() < -EDGE or z.max() > cell[2, 2] + EDGE):
        raise InputError(
            f"{path}: expected all atoms within the cell along the beam, 0 to {cell[2, 2] / 10:.4g} nm, got "
            f"{z.min() / 10:.4g} to {z.max() / 10:.4g}; --vacuum-nm puts them in a box of their own"
        )


def _lengths(atoms: Atoms) -> str:
    return " x ".join(f"{length / 10:.4g}" for length in atoms.cell.lengths())


def _boxed(atoms: Atoms, vacuum: float) -> Atoms:
    """The atoms in a box with `vacuum` around them, square across the beam so that square pixels divide it."""
    size = np.ptp(atoms.positions, axis=0) + 2 * vacuum
    width = float(np.ceil(size[:2].max()))
    boxed = atoms.copy()
    boxed.set_cell([width, width, max(float(size[2]), 1.0)])
    boxed.center()
    boxed.pbc = (True, True, False)
    return boxed


def check_elements(path: Path, atoms: Atoms, settings: "Multislice") -> None:
    """Check the elements before anything is computed.

    Raises
    ------
    InputError
        If one is not in the table of scattering factors, or one that is to absorb is not there.
    """
    import torch

    from facetem.hrtem.scattering import scattering_factor

    for number in np.unique(atoms.numbers):
        try:
            scattering_factor(int(number), torch.zeros(1), settings.parametrization)
        except InputError as error:
            raise InputError(f"{path}: element {chemical_symbols[number]}: {error}") from error
    for number in sorted(set(settings.absorption) - set(atoms.numbers.tolist())):
        raise InputError(f"--absorption: expected elements of {path}, got {chemical_symbols[number]}")
