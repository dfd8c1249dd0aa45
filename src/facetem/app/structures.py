"""Files of atoms, and images in the formats that `facetem simulate` writes."""

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read, write
from ase.io.cif import parse_cif
from numpy.typing import NDArray

from facetem.core.errors import InputError
from facetem.data.micrograph import save_image

MARGIN = 10.0  # Å of vacuum around atoms that come without a cell
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


def load_structure(path: Path) -> Atoms:
    """Read atoms in an orthogonal cell from the origin; without a cell they get one, with `MARGIN` of vacuum.

    Raises
    ------
    InputError
        If ASE cannot read the file, it holds no atoms, or its cell is not orthogonal.
    """
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
    if atoms.cell.rank == 0:
        _put_in_a_box(atoms)
    cell = np.asarray(atoms.cell)
    if atoms.cell.rank < 3 or np.abs(cell - np.diag(np.diag(cell))).max() > 1e-6 or np.diag(cell).min() <= 0:
        raise InputError(
            f"{path}: expected an orthogonal cell along x, y, z, got {cell.tolist()}; cut one first"
        )
    return atoms


def _read_cif(path: Path) -> Atoms:
    """Atoms of the first block. Without symmetry they are taken as listed: ASE's own search for symmetric copies
    takes minutes for a film's tens of thousands of atoms, and would find none."""
    block = next(iter(parse_cif(str(path))))
    if block.get_spacegroup(True).no == 1:
        return block.get_unsymmetrized_structure()
    return block.get_atoms()


def _put_in_a_box(atoms: Atoms) -> None:
    """Give atoms a cell with `MARGIN` around them, square across the beam so that square pixels divide it."""
    size = np.ptp(atoms.positions, axis=0) + 2 * MARGIN
    width = float(np.ceil(size[:2].max()))
    atoms.set_cell([width, width, float(size[2])])
    atoms.center()
    atoms.pbc = (True, True, False)


def save_any_image(path: Path, image: NDArray[np.float32], sampling: float) -> None:
    """Write an image (y, x): float32 with its pixel size as .tif, plain float32 as .npy, 8-bit grey as .png."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        np.save(path, image)
    elif suffix == ".png":
        from imageio.v3 import imwrite

        low, high = np.percentile(image, (0.1, 99.9))
        grey = np.clip((image - low) / max(high - low, 1e-12), 0, 1)
        imwrite(path, np.round(255 * grey).astype(np.uint8))
    else:
        save_image(path, image, sampling)
