"""The simulator of the page: specimens and waves that are kept, so that what comes after the wave is quick.

Only another specimen or another voltage needs another wave; focus, aberrations, dose and camera do not.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf, radians
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facetem.analysis.analyze import Progress
from facetem.core.pixels import PIXEL

if TYPE_CHECKING:
    from ase import Atoms

    from facetem.app.calculation import Calculation

_KEPT = 12  # waves of a few MB each
FREE = "free"
ZONES = {
    "free": (0, 0, 1),
    "[0 0 1]": (0, 0, 1),
    "[0 1 1]": (0, 1, 1),
    "[1 1 1]": (1, 1, 1),
    "[1 1 2]": (1, 1, 2),
}


@dataclass(frozen=True)
class Specimen:
    """What is under the beam. Lengths in nm, angles in degrees: `zone` along the beam, then turned about the beam, then
    tilted about the image's x and y."""

    shape: str = "icosahedron"
    diameter_nm: float = 5.0
    zone: str = "[0 1 1]"
    turn: float = 0.0
    tilt_x: float = 0.0
    tilt_y: float = 0.0
    ideal: bool = True
    film_nm: float = 2.0
    seed: int = 0

    @property
    def rotation(self) -> NDArray[np.float64]:
        """From the shape's axes to the image's x, y and the beam."""
        from scipy.spatial.transform import Rotation

        from facetem.atoms.build import zone_axis_rotation

        tilts = Rotation.from_euler("zxy", [self.turn, self.tilt_x, self.tilt_y], degrees=True).as_matrix()
        return tilts @ zone_axis_rotation(np.array(ZONES[self.zone], dtype=float))


@dataclass(frozen=True)
class Imaging:
    """What comes after the exit wave. `dose` in e/Å2; 0: no noise."""

    instrument: str = "300kV-schottky"
    defocus_nm: float = 6.0
    cs_um: float | None = None
    astigmatism_nm: float = 0.0
    astigmatism_deg: float = 0.0
    focal_spread_nm: float | None = None
    camera: str = "direct-counting"
    dose: float = 2000.0
    noise: int = 0


@dataclass(frozen=True)
class Shown:
    """A simulated image: PNGs of it and of its spectrum, its pixels, and how it was made."""

    image: bytes
    spectrum: bytes
    pixels: NDArray[np.float32]
    atoms: int
    seconds: float
    kept: bool


def simulate_image(progress: Progress, specimen: Specimen, imaging: Imaging) -> Shown:
    """The image of a specimen; its wave is kept."""
    import torch

    from facetem.app.calculation import camera_images
    from facetem.app.web.tasks import spectrum_png
    from facetem.figures import grey_png
    from facetem.hrtem.cameras import CAMERAS
    from facetem.hrtem.instruments import INSTRUMENTS

    torch.set_num_threads(
        1
    )  # others analyse meanwhile; threads that wait for each other would be slower than one
    began, before = time.perf_counter(), _wave.cache_info().misses
    lens = INSTRUMENTS[imaging.instrument]
    progress("exit wave", 0, 2)
    calculation, wave, n = _wave(specimen, lens.energy)
    progress("image", 1, 2)
    aberrations = replace(
        lens.optics.aberrations,
        defocus=10 * imaging.defocus_nm,
        C12=10 * imaging.astigmatism_nm,
        phi12=radians(imaging.astigmatism_deg),
    )
    if imaging.cs_um is not None:
        aberrations = replace(aberrations, C30=1e4 * imaging.cs_um)
    optics = replace(lens.optics, aberrations=aberrations)
    if imaging.focal_spread_nm is not None:
        optics = replace(optics, focal_spread=10 * imaging.focal_spread_nm)
    now = replace(
        calculation,
        optics=optics,
        camera=replace(CAMERAS[imaging.camera], dose=imaging.dose or inf),
        defoci=(10 * imaging.defocus_nm,),
    )
    pixels = camera_images((wave,), now, generator=torch.Generator().manual_seed(imaging.noise))[0]
    seconds = time.perf_counter() - began
    kept = _wave.cache_info().misses == before
    return Shown(grey_png(pixels), spectrum_png(pixels, PIXEL), pixels, n, seconds, kept)


@lru_cache(maxsize=_KEPT)
def _wave(specimen: Specimen, energy: float) -> tuple[Calculation, Any, int]:
    import torch

    from facetem.app.calculation import Method, compute_waves, plan
    from facetem.hrtem.camera import Camera
    from facetem.hrtem.optics import Optics
    from facetem.hrtem.settings import settings_of

    atoms = atoms_of(specimen)
    method = Method(settings=settings_of("draft"))
    calculation = plan(
        atoms, energy=energy, optics=Optics(), camera=Camera(), foci=(0.0,), sampling=PIXEL, method=method
    )
    (wave,) = compute_waves(atoms, calculation, device="cpu", generator=torch.Generator())
    return calculation, wave, len(atoms)


@lru_cache(maxsize=_KEPT)
def atoms_of(specimen: Specimen) -> Atoms:
    """The particle on its film."""
    from facetem.atoms.build import build

    return build(
        specimen.shape,
        diameter=10 * specimen.diameter_nm,
        orientation=specimen.rotation,
        film_thickness=10 * specimen.film_nm,
        ideal=specimen.ideal,
        seed=specimen.seed,
    )
