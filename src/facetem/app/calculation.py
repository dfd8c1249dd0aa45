"""What `facetem simulate` computes once its options are read, on what grid, and what it says about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import degrees, inf
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.core.structure import Structure, from_ase
from facetem.hrtem.aberrations import ORDERS
from facetem.hrtem.camera import Camera, record
from facetem.hrtem.optics import Average, Optics, clean_images
from facetem.hrtem.phonons import configurations
from facetem.hrtem.settings import Multislice
from facetem.hrtem.simulate import exit_waves, fine_grid, fitted_settings, resolve_device

if TYPE_CHECKING:
    from facetem.hrtem.curves import TransferCurve

Progress = Callable[[str, int, int], None]  # step, done, all


@dataclass(frozen=True)
class Method:
    """How it is calculated.

    Parameters
    ----------
    settings
        Of the multislice.
    phonons
        Configurations of vibrating atoms whose images are averaged; 0: a Debye-Waller factor on the potential instead.
    temporal, spatial
        How focal spread and convergence are treated; see `clean_images`.
    seed
        Of the noise and the vibrations.
    """

    settings: Multislice = field(default_factory=Multislice)
    phonons: int = 0
    temporal: Average = "average"
    spatial: Average = "envelope"
    seed: int = 0


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
    method
        How it is calculated, with settings that fit the specimen.
    grid
        Of the multislice.
    shape
        Pixels (y, x) of the images, binned.
    """

    energy: float
    optics: Optics
    camera: Camera
    defoci: tuple[float, ...]
    method: Method
    grid: Grid
    shape: tuple[int, int]


def plan(
    atoms: Atoms,
    *,
    energy: float,
    optics: Optics,
    camera: Camera,
    foci: tuple[float, ...] | None,
    sampling: float,
    method: Method,
) -> Calculation:
    """The grids of a calculation with image pixels of about `sampling` [Å/px]: the field holds a whole number of them.

    Raises
    ------
    InputError
        If `sampling` is not positive.
    """
    if not 0 < sampling < inf:
        raise InputError(f"sampling: expected a positive pixel size, got {sampling / 10!r} nm")
    structure = from_ase([atoms])
    x, y, _ = structure.cell[0].tolist()  # in single precision, as the calculation has it
    ((settings, _),) = fitted_settings(structure, energies=[energy], settings=method.settings)
    return Calculation(
        energy=energy,
        optics=optics,
        camera=camera,
        defoci=(float(optics.aberrations.defocus),) if foci is None else foci,
        method=replace(method, settings=settings),
        grid=fine_grid((x, y), min(settings.sampling, sampling)),
        shape=(max(2, round(y / sampling)), max(2, round(x / sampling))),
    )


def compute_waves(
    atoms: Atoms,
    calculation: Calculation,
    *,
    device: str,
    generator: torch.Generator,
    progress: Progress | None = None,
) -> Iterator[torch.Tensor]:
    """The wave (y, x) at the end of the cell, or one after the other those of all configurations of vibrating atoms."""
    method = calculation.method
    structure, settings = from_ase([atoms]).to(resolve_device(device)), method.settings
    frozen: Iterable[Structure] = (structure,)
    if method.phonons:
        frozen = configurations(structure, settings.debye_waller, generator, n=method.phonons)
        settings = replace(settings, debye_waller={})
    for k, specimen in enumerate(frozen):
        if progress:
            progress("exit wave", k, max(1, method.phonons))
        yield exit_waves(specimen, calculation.grid, energies=[calculation.energy], settings=settings)[0]


def camera_images(
    waves: Iterable[torch.Tensor],
    calculation: Calculation,
    *,
    generator: torch.Generator,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Images (focus, y, x), each with noise of its own, of an exit wave (y, x) or of the mean over several.

    A wave is asked for when the one before it has served all foci.
    """
    grid, camera, method, n = (
        calculation.grid,
        calculation.camera,
        calculation.method,
        len(calculation.defoci),
    )
    single = calculation.shape[0] * camera.binning, calculation.shape[1] * camera.binning
    pixels = Grid.over(grid.extent, single)
    clean: list[torch.Tensor] = []
    for k, wave in enumerate(waves):
        for i, defocus in enumerate(calculation.defoci):
            if progress:
                progress("images", k * n + i, n * max(1, method.phonons))
            image = clean_images(
                wave[None],
                grid,
                energies=[calculation.energy],
                optics=[calculation.optics.at(defocus)],
                shape=single,
                band=method.settings.band * grid.nyquist,
                temporal=method.temporal,
                spatial=method.spatial,
            )
            if k == 0:
                clean.append(image / max(1, method.phonons))
            else:
                clean[i] += image / method.phonons
    return np.stack([record(image, pixels, [camera], generator).cpu().numpy()[0] for image in clean])


def about(calculation: Calculation, *, structure: str) -> dict[str, Any]:
    """What a file should say about how it was made: plain values, units in the names."""
    from importlib.metadata import version

    optics, camera, grid = calculation.optics, calculation.camera, calculation.grid
    method, settings = calculation.method, calculation.method.settings
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
        "multislice_sampling_nm": [side / 10 for side in grid.pixel],
        "slice_nm": settings.slice_thickness / 10,
        "light_slice_nm": settings.light_thickness / 10,
        "order": settings.order,
        "band_nyquist": settings.band,
        "second_order": settings.second_order,
        "projection": settings.projection,
        "scattering_factors": settings.parametrization,
        "absorption": {chemical_symbols[number]: ratio for number, ratio in settings.absorption.items()},
        "tilt_mrad": list(settings.tilt),
        "phonons": method.phonons,
        "temporal": method.temporal,
        "spatial": method.spatial,
        "seed": method.seed,
    }


def _finite(value: float) -> float | str:
    return value if value < inf else "none"


def _curve(curve: TransferCurve | None) -> list[list[float]]:
    return [] if curve is None else [list(curve.frequencies), list(curve.values)]
