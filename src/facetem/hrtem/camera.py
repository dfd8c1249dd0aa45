"""The camera: clean image -> counted electrons -> what the file holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, isnan

import torch
from torch import Tensor

from facetem.core.errors import InputError
from facetem.core.grid import Grid


@dataclass(frozen=True)
class Camera:
    """Dose and camera.

    Parameters
    ----------
    dose
        Electrons per Å^2 at the specimen; `inf` gives the noise-free image.
    readout
        Standard deviation of the readout noise, in electrons per pixel.
    mtf_width
        Frequency, in cycles per pixel, at which light spread in the scintillator takes the transfer to 0.35
        of its start; `inf` is a perfect (counting) camera.
    mtf_floor
        Part of the signal that does not spread, 0 to 1.
    """

    dose: float = inf
    readout: float = 0.0
    mtf_width: float = inf
    mtf_floor: float = 0.0

    def __post_init__(self) -> None:
        if isnan(self.dose) or self.dose <= 0:
            raise InputError(f"dose: expected a number of electrons per Å^2 > 0, got {self.dose!r}")
        if not (isfinite(self.readout) and self.readout >= 0):
            raise InputError(f"readout: expected electrons per pixel >= 0, got {self.readout!r}")
        if not self.mtf_width > 0:
            raise InputError(f"mtf_width: expected cycles per pixel > 0, got {self.mtf_width!r}")
        if not 0 <= self.mtf_floor <= 1:
            raise InputError(f"mtf_floor: expected a fraction from 0 to 1, got {self.mtf_floor!r}")


def modulation_transfer(grid: Grid, camera: Camera, like: Tensor) -> Tensor:
    """MTF (y, x) of the camera at the frequencies of `grid`: (1 - a) (1 + (u / b)^2)^(-3/2) + a.

    u is in cycles per pixel. The first term is the transform of exponential light spread around the point of
    impact, exp(-2 pi b r), the second the light that does not spread.
    """
    u2 = grid.squared_frequency(like.device, like.dtype) * grid.sampling**2
    return (1 - camera.mtf_floor) * (1 + u2 / camera.mtf_width**2) ** -1.5 + camera.mtf_floor


def record(clean: Tensor, grid: Grid, cameras: Sequence[Camera], generator: torch.Generator) -> Tensor:
    """Camera images (n, y, x) of `clean` (vacuum 1), in units of the mean count in vacuum.

    Electrons arrive at random (Poisson) where the clean image says; light spread then acts on signal and shot
    noise alike, and readout noise is added last. Image i has the noise of its own generator, seeded from
    `generator`, so a batch gives what its images give one by one.

    Raises
    ------
    InputError
        If there is not one camera per image, or the image does not match `grid`.
    """
    if len(cameras) != len(clean) or tuple(clean.shape[-2:]) != grid.shape:
        raise InputError(
            f"cameras: expected one per image on {grid.shape}, got {len(cameras)} for {tuple(clean.shape)}"
        )
    seeds = torch.randint(2**62, (len(clean),), generator=generator, device=generator.device).tolist()
    return torch.stack(
        [
            _record(image, grid, camera, seed)
            for image, camera, seed in zip(clean, cameras, seeds, strict=True)
        ]
    )


def _record(clean: Tensor, grid: Grid, camera: Camera, seed: int) -> Tensor:
    own = torch.Generator(clean.device).manual_seed(seed)
    image = clean
    counts = camera.dose * grid.sampling**2
    if camera.dose < inf:
        image = torch.poisson(clean.clamp_min(0) * counts, generator=own) / counts
    if camera.mtf_width < inf:
        image = torch.fft.ifft2(torch.fft.fft2(image) * modulation_transfer(grid, camera, clean)).real
    if camera.dose < inf and camera.readout > 0:
        noise = torch.randn(clean.shape, generator=own, device=clean.device, dtype=clean.dtype)
        image = image + camera.readout / counts * noise
    return image
