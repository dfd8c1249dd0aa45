"""Specimens -> images, in batches that fit the memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.core.structure import Structure, from_ase
from facetem.hrtem.camera import Camera, record
from facetem.hrtem.multislice import exit_wave
from facetem.hrtem.optics import Optics, clean_images
from facetem.hrtem.potential import BAND
from facetem.hrtem.scattering import DEBYE_WALLER

if TYPE_CHECKING:
    from ase import Atoms

FINE_SAMPLING = 0.25  # Å/px; at 0.4 the band limit alone changes an image of Au by a quarter of its contrast
# The multislice holds about this many arrays of the field per specimen at its peak (complex ones count two).
ARRAYS_AT_PEAK = 14


def resolve_device(device: str) -> str:
    """`auto` -> `cuda` where there is one, else `cpu`; anything else torch can use is kept.

    Raises
    ------
    InputError
        If the device is not auto, cpu or cuda, or cuda is asked for and absent.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.split(":")[0] not in ("cpu", "cuda"):
        raise InputError(f"device: expected auto, cpu or cuda, got {device!r}")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError("device: cuda was asked for but PyTorch sees no CUDA device; use auto or cpu")
    return device


def fitting_batch(grid: Grid, device: torch.device | str) -> int:
    """Specimens that fit into half of the free memory; on a CPU a few, for the cache's sake."""
    if torch.device(device).type != "cuda":
        return 2
    free, _ = torch.cuda.mem_get_info(torch.device(device))
    return max(1, int(0.5 * free / (4 * ARRAYS_AT_PEAK * grid.shape[0] * grid.shape[1])))


def exit_waves(
    structure: Structure,
    grid: Grid,
    *,
    energies: Sequence[float],
    slice_thickness: float = 2.0,
    debye_waller: Mapping[int, float] = DEBYE_WALLER,
    batch: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Exit waves (specimen, y, x) of any number of specimens, computed `batch` at a time.

    The batch is sized to the memory and halved when that runs out; it does not change the result. See
    `multislice.exit_wave` for the other parameters; `progress` is called with (done, all) specimens.
    """
    size = batch or fitting_batch(grid, structure.positions.device)
    waves: list[Tensor] = []
    done, n = 0, structure.n_specimens
    while done < n:
        last = min(done + size, n)
        some = torch.tensor(
            energies[done:last], dtype=structure.positions.dtype, device=structure.positions.device
        )
        try:
            waves.append(
                exit_wave(
                    structure.select(done, last),
                    grid,
                    energies=some,
                    slice_thickness=slice_thickness,
                    debye_waller=debye_waller,
                )
            )
        except torch.cuda.OutOfMemoryError:
            if size == 1:
                raise
            size //= 2
            torch.cuda.empty_cache()
            continue
        done = last
        if progress:
            progress(done, n)
    return torch.cat(waves)


def _fast(n: int) -> int:
    return int(next_fast_len(n) or n)  # SciPy's own type has a None in it


def fine_grid(extent: tuple[float, float], sampling: float = FINE_SAMPLING) -> Grid:
    """A grid over `extent` (x, y) [Å] with pixels of at most `sampling` [Å/px] and fast Fourier transforms.

    Pixels are square: of the numbers of rows that transform fast, the first whose pixel divides x to 0.1 %.

    Raises
    ------
    InputError
        If no pixel down to half of `sampling` does.
    """
    first = ny = _fast(int(np.ceil(extent[1] / sampling - 1e-6)))
    while ny <= 2 * first:
        step = extent[1] / ny
        nx = round(extent[0] / step)
        if abs(nx * step / extent[0] - 1) <= 1e-3:
            return Grid((ny, nx), step)
        ny = _fast(ny + 1)
    raise InputError(
        f"field {extent[0]} x {extent[1]} Å: no square pixel near {sampling} Å divides both sides"
    )


def simulate(
    specimens: Atoms | Sequence[Atoms],
    *,
    energy: float = 300e3,
    sampling: float = 0.4,
    optics: Optics | None = None,
    camera: Camera | None = None,
    slice_thickness: float = 2.0,
    fine_sampling: float = FINE_SAMPLING,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """HRTEM images of specimens as ASE `Atoms` with orthogonal cells (beam along +z).

    Parameters
    ----------
    specimens
        One or several, all with the same cell in x and y.
    energy
        Of the beam [eV].
    sampling
        Pixel size of the images, binned, [Å/px]; the field holds a whole number of pixels, so the true one is the
        cell's side over the number of pixels.
    optics, camera
        Default: an aberration-free microscope in focus on the exit plane (the end of the cell), no noise.
    slice_thickness, fine_sampling
        Of the multislice [Å, Å/px].
    seed
        Of the noise.
    device
        `auto`, `cpu` or `cuda`.

    Returns
    -------
    (y, x) or (n, y, x) float32, vacuum = 1.

    Raises
    ------
    InputError
        If the cells differ or are not orthogonal, or a number is out of its range.
    """
    alone = not isinstance(specimens, Sequence)
    many = [specimens] if alone else list(specimens)
    if not many:
        raise InputError("specimens: expected at least one")
    if not 0 < sampling < inf:
        raise InputError(f"sampling: expected a positive number of Å/px, got {sampling!r}")
    target = resolve_device(device)
    structure = from_ase(many).to(target)
    cells = structure.cell[:, :2].cpu().numpy()
    if np.abs(cells - cells[0]).max() > 1e-3:
        raise InputError("specimens: expected the same cell in x and y for all; simulate them one by one")
    extent = float(cells[0, 0]), float(cells[0, 1])
    grid = fine_grid(extent, min(fine_sampling, sampling))
    energies = [energy] * len(many)
    waves = exit_waves(structure, grid, energies=energies, slice_thickness=slice_thickness, progress=progress)
    shape = max(2, round(extent[1] / sampling)), max(2, round(extent[0] / sampling))
    camera = camera or Camera()
    single = shape[0] * camera.binning, shape[1] * camera.binning  # pixels before they are binned
    out = Grid(single, extent[1] / single[0])
    generator = torch.Generator().manual_seed(seed)
    images = []
    for wave in waves:
        clean = clean_images(
            wave[None],
            grid,
            energies=[energy],
            optics=[optics or Optics()],
            shape=single,
            band=BAND * grid.nyquist,
        )
        images.append(record(clean, out, [camera], generator).cpu().numpy()[0])
    return images[0] if alone else np.stack(images)
