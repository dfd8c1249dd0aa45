"""What `facetem simulate` computes once its options are read, on what grid, and what it says about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import degrees, inf
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.core.structure import from_ase
from facetem.hrtem.aberrations import ORDERS
from facetem.hrtem.camera import Camera, record
from facetem.hrtem.optics import Average, Optics, clean_images
from facetem.hrtem.potential import BAND
from facetem.hrtem.scattering import DEBYE_WALLER
from facetem.hrtem.simulate import FINE_SAMPLING, exit_waves, fine_grid, resolve_device

if TYPE_CHECKING:
    from facetem.hrtem.curves import TransferCurve


@dataclass(frozen=True)
class Calculation:
    """One specimen under one or several foci.

    Parameters
    ----------
    energy
        Of the beam [eV].
    optics, camera
        The lens, whose defocus gives way to `defoci`, and what takes the images.
    defoci
        One image each [Å].
    spatial
        How the convergence of the beam is treated; see `clean_images`.
    grid
        Of the multislice.
    shape
        Pixels (y, x) of the images, binned.
    slice_thickness
        [Å].
    debye_waller
        B [Å^2] by atomic number.
    """

    energy: float
    optics: Optics
    camera: Camera
    defoci: tuple[float, ...]
    spatial: Average
    grid: Grid
    shape: tuple[int, int]
    slice_thickness: float
    debye_waller: Mapping[int, float]


def plan(
    atoms: Atoms,
    *,
    energy: float,
    optics: Optics,
    camera: Camera,
    foci: tuple[float, ...] | None,
    sampling: float,
) -> Calculation:
    """The grids of a calculation with image pixels of about `sampling` [Å/px]: the field holds a whole number of them.

    Raises
    ------
    InputError
        If `sampling` is not positive, or no square pixels divide the field.
    """
    if not 0 < sampling < inf:
        raise InputError(f"sampling: expected a positive pixel size, got {sampling / 10!r} nm")
    x, y, _ = from_ase([atoms]).cell[0].tolist()  # in single precision, as the calculation has it
    return Calculation(
        energy=energy,
        optics=optics,
        camera=camera,
        defoci=(float(optics.aberrations.defocus),) if foci is None else foci,
        spatial="envelope",
        grid=fine_grid((x, y), min(FINE_SAMPLING, sampling)),
        shape=(max(2, round(y / sampling)), max(2, round(x / sampling))),
        slice_thickness=2.0,
        debye_waller=DEBYE_WALLER,
    )


def compute_wave(
    atoms: Atoms,
    calculation: Calculation,
    *,
    device: str,
    progress: Callable[[int, int], None] | None = None,
) -> torch.Tensor:
    """The wave (y, x) at the end of the cell."""
    return exit_waves(
        from_ase([atoms]).to(resolve_device(device)),
        calculation.grid,
        energies=[calculation.energy],
        slice_thickness=calculation.slice_thickness,
        debye_waller=calculation.debye_waller,
        progress=progress,
    )[0]


def camera_images(
    wave: torch.Tensor,
    calculation: Calculation,
    *,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Images (focus, y, x) of an exit wave (y, x), each with noise of its own."""
    grid, camera, n = calculation.grid, calculation.camera, len(calculation.defoci)
    single = calculation.shape[0] * camera.binning, calculation.shape[1] * camera.binning
    pixels = Grid(single, grid.extent[0] / single[0])
    generator = torch.Generator().manual_seed(seed)
    images = []
    for i, defocus in enumerate(calculation.defoci):
        if progress:
            progress(i, n)
        clean = clean_images(
            wave[None],
            grid,
            energies=[calculation.energy],
            optics=[calculation.optics.at(defocus)],
            shape=single,
            band=BAND * grid.nyquist,
            spatial=calculation.spatial,
        )
        images.append(record(clean, pixels, [camera], generator).cpu().numpy()[0])
    return np.stack(images)


def about(calculation: Calculation, *, structure: str, seed: int) -> dict[str, Any]:
    """What a file should say about how it was made: plain values, units in the names."""
    from importlib.metadata import version

    optics, camera, grid = calculation.optics, calculation.camera, calculation.grid
    lens = optics.aberrations
    aberrations = {
        name: [float(getattr(lens, name)) / 10, degrees(float(getattr(lens, "phi" + name[1:], 0.0)))]
        for name in ORDERS
        if name != "C10" and getattr(lens, name)
    }
    return {
        "facetem": version("facetem"),
        "structure": structure,
        "energy_kv": calculation.energy / 1e3,
        "defocus_nm": [defocus / 10 for defocus in calculation.defoci],
        "defocus_from": "end of the cell, positive: underfocus",
        "aberrations_nm_deg": aberrations,
        "focal_spread_nm": float(optics.focal_spread) / 10,
        "angular_spread_mrad": float(optics.angular_spread),
        "aperture_mrad": _finite(optics.aperture),
        "image_spread_nm": float(optics.image_spread) / 10,
        "dose_per_square_angstrom": _finite(camera.dose),
        "readout_electrons": camera.readout,
        "dqe": camera.dqe,
        "mtf": _curve(camera.mtf) or [_finite(camera.mtf_width), camera.mtf_floor],
        "ntf": _curve(camera.ntf),
        "gain_error": camera.gain_error,
        "binning": camera.binning,
        "multislice_pixels": list(grid.shape),
        "multislice_sampling_nm": grid.sampling / 10,
        "slice_nm": calculation.slice_thickness / 10,
        "seed": seed,
    }


def _finite(value: float) -> float | str:
    return value if value < inf else "none"


def _curve(curve: TransferCurve | None) -> list[list[float]]:
    return [] if curve is None else [list(curve.frequencies), list(curve.values)]
