"""Specimens -> images, in batches that fit the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from facetem.core.errors import InputError
from facetem.core.grid import Grid, fast_length
from facetem.core.physics import interaction_parameter
from facetem.core.structure import Structure, from_ase
from facetem.hrtem.camera import Camera, record
from facetem.hrtem.multislice import exit_wave
from facetem.hrtem.optics import Average, Optics, clean_images
from facetem.hrtem.phonons import configurations
from facetem.hrtem.potential import projected_potential
from facetem.hrtem.settings import Accuracy, Multislice, settings_of

if TYPE_CHECKING:
    from ase import Atoms

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
    """Specimens that fit into half of the free memory; on a CPU one, for the cache's sake."""
    if torch.device(device).type != "cuda":
        return 1
    free, _ = torch.cuda.mem_get_info(torch.device(device))
    return max(1, int(0.5 * free / (4 * ARRAYS_AT_PEAK * grid.shape[0] * grid.shape[1])))


def exit_waves(
    structure: Structure,
    grid: Grid,
    *,
    energies: Sequence[float],
    settings: Multislice | None = None,
    batch: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Exit waves (specimen, y, x) of any number of specimens, computed `batch` at a time.

    The batch is sized to the memory and halved when that runs out; it does not change the result. See
    `multislice.exit_wave` for the other parameters; `progress` is called with (done, all) specimens.

    Raises
    ------
    InputError
        If a specimen alone does not fit the memory, or see `multislice.exit_wave`.
    """

    def some(first: int, last: int) -> Tensor:
        like = structure.positions
        part = torch.tensor(energies[first:last], dtype=like.dtype, device=like.device)
        return exit_wave(structure.select(first, last), grid, energies=part, settings=settings)

    n, threads = structure.n_specimens, torch.get_num_threads()
    if batch is None and not structure.positions.is_cuda and min(n, threads) > 1:
        try:
            return torch.cat(list(_side_by_side(some, n, threads, progress)))
        except RuntimeError as error:
            if not _out_of_memory(error):
                raise
            raise _too_large(grid, structure.positions.device) from error
    size = batch or fitting_batch(grid, structure.positions.device)
    waves: list[Tensor] = []
    done = 0
    while done < n:
        try:
            waves.append(some(done, min(done + size, n)))
        except RuntimeError as error:
            if not _out_of_memory(error):
                raise
            if size == 1:
                raise _too_large(grid, structure.positions.device) from error
            size //= 2
            if structure.positions.is_cuda:
                torch.cuda.empty_cache()
            continue
        done = min(done + size, n)
        if progress:
            progress(done, n)
    return torch.cat(waves)


def _side_by_side(
    wave: Callable[[int, int], Tensor], n: int, threads: int, progress: Callable[[int, int], None] | None
) -> Iterator[Tensor]:
    """Waves of `n` specimens, each computed by one thread.

    PyTorch's own threads share the work of every small step and wait for each other after it, which on a machine that
    does something else as well takes longer than one thread alone.
    """
    learning = torch.is_grad_enabled()  # a thread's own affair

    def alone(i: int) -> Tensor:
        torch.set_num_threads(1)  # of this thread
        with torch.set_grad_enabled(learning):
            return wave(i, i + 1)

    with ThreadPoolExecutor(min(threads, n)) as pool:
        for i, result in enumerate(pool.map(alone, range(n))):
            yield result
            if progress:
                progress(i + 1, n)


def _too_large(grid: Grid, device: torch.device) -> InputError:
    return InputError(
        f"grid: {grid.shape[0]} x {grid.shape[1]} pixels do not fit the memory of {device}; expected a smaller field "
        "or larger pixels"
    )


def _out_of_memory(error: RuntimeError) -> bool:
    """Whether PyTorch found no memory: on a CPU it has no exception of its own for that."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def fine_grid(extent: tuple[float, float], sampling: float = Multislice.sampling) -> Grid:
    """A grid over `extent` (x, y) [Å] with pixels of at most `sampling` [Å/px] a side and fast Fourier transforms."""
    x, y = extent
    nx, ny = (fast_length(max(2, int(np.ceil(side / sampling - 1e-6)))) for side in extent)
    return Grid.over((y, x), (ny, nx))


def fitted_settings(
    structure: Structure, *, energies: Sequence[float], settings: Multislice
) -> list[tuple[Multislice, list[int]]]:
    """The settings that specimens of one field need, `Multislice.fitted`, each with the indices of those that need
    them.

    The phase is that of the projected potential on pixels of 0.25 Å.
    """
    groups: dict[Multislice, list[int]] = {}
    x, y, _ = structure.cell[0].tolist()
    grid = fine_grid((x, y))
    size = fitting_batch(grid, structure.positions.device)
    for first in range(0, structure.n_specimens, size):
        some = range(first, min(first + size, structure.n_specimens))
        potential = projected_potential(structure.select(some.start, some.stop), grid, settings)
        for i, highest in zip(some, potential.amax((-2, -1)).tolist(), strict=True):
            fitted = settings.fitted(interaction_parameter(energies[i]) * highest)
            groups.setdefault(fitted, []).append(i)
    return list(groups.items())


def simulate(
    specimens: Atoms | Sequence[Atoms],
    *,
    energy: float = 300e3,
    sampling: float = 0.4,
    optics: Optics | None = None,
    camera: Camera | None = None,
    accuracy: Accuracy | Multislice = "standard",
    temporal: Average = "average",
    spatial: Average = "envelope",
    phonons: int = 0,
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
    accuracy
        `draft`, `standard` or `reference`, with errors as in docs/validation.md, or settings of one's own.
    temporal, spatial
        How focal spread and convergence are treated: see `clean_images`.
    phonons
        Configurations of vibrating atoms whose images are averaged; 0: a Debye-Waller factor on the potential instead.
    seed
        Of the noise and the vibrations.
    device
        `auto`, `cpu` or `cuda`.
    progress
        Called with (done, all) exit waves.

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
    if not (isinstance(phonons, int) and phonons >= 0):
        raise InputError(f"phonons: expected a number of configurations >= 0, got {phonons!r}")
    structure = from_ase(many).to(resolve_device(device))
    cells = structure.cell[:, :2].cpu().numpy()
    if np.abs(cells - cells[0]).max() > 1e-3:
        raise InputError("specimens: expected the same cell in x and y for all; simulate them one by one")
    extent = float(cells[0, 0]), float(cells[0, 1])
    settings = settings_of(accuracy)
    shape = max(2, round(extent[1] / sampling)), max(2, round(extent[0] / sampling))
    camera = camera or Camera()
    single = shape[0] * camera.binning, shape[1] * camera.binning  # pixels before they are binned
    generator = torch.Generator().manual_seed(seed)
    energies = [energy] * len(many)
    groups = fitted_settings(structure, energies=energies, settings=settings)
    frozen: Iterable[Structure] = (structure,)
    if phonons:
        frozen = configurations(structure, settings.debye_waller, generator, n=phonons)
        groups = [(replace(fitted, debye_waller={}), members) for fitted, members in groups]
    total, done = max(1, phonons) * len(many), 0
    clean = torch.zeros((len(many), *single), device=structure.positions.device)

    def advance(part: int, _: int) -> None:
        if progress:
            progress(done + part, total)

    for atoms in frozen:
        for fitted, members in groups:
            grid = fine_grid(extent, min(fitted.sampling, sampling))
            waves = exit_waves(
                atoms.take(members),
                grid,
                energies=energies[: len(members)],
                settings=fitted,
                progress=advance,
            )
            done += len(members)
            for i, wave in zip(members, waves, strict=True):
                clean[i] += clean_images(
                    wave[None],
                    grid,
                    energies=[energy],
                    optics=[optics or Optics()],
                    shape=single,
                    band=fitted.band * grid.nyquist,
                    temporal=temporal,
                    spatial=spatial,
                )[0] / max(1, phonons)
    out = Grid.over((extent[1], extent[0]), single)
    images = [record(image[None], out, [camera], generator).cpu().numpy()[0] for image in clean]
    return images[0] if alone else np.stack(images)
