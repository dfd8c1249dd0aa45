"""The camera: clean image -> counted electrons -> what the file holds.

Light (or charge) spreads around the point where an electron lands, and from electron to electron it spreads
differently and is differently bright. The image is an average over many electrons and is damped by the mean
spread, MTF(k); the shot noise is a sum of single ones and is damped less, by NTF(k) = sqrt(NPS(k) / NPS(0)). With
the efficiency at zero frequency,

    DQE(k) = DQE(0) MTF(k)^2 / NTF(k)^2

(Meyer & Kirkland, Microsc. Res. Tech. 49 (2000) 269; McMullan et al., Ultramicroscopy 109 (2009) 1126). As in
Vulovic et al., J. Struct. Biol. 183 (2013) 19, the image is damped by MTF / NTF, counted, and damped by NTF.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, isnan

import torch
from torch import Tensor

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.hrtem.curves import TransferCurve


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
    mtf
        A measured transfer of the signal, in place of `mtf_width` and `mtf_floor`.
    ntf
        Transfer of the shot noise; None: as the signal, so that the DQE is the same at all frequencies.
    dqe
        Detective quantum efficiency at zero frequency, above 0, at most 1. Shot noise is that of `dqe` times the
        dose, whether electrons are missed or their signals vary.
    gain_error
        Relative standard deviation of the pixels' gain after an imperfect gain correction. It is the same
        in every image, and there at any dose.
    gain_pattern
        Which of the possible patterns of gain: any integer, as it were the camera's serial number.
    binning
        Pixels along a side that are summed to one after readout. All else is meant for single pixels; where a
        camera adds the charges before it reads them, the readout noise of a sum is to be divided by `binning`.
    """

    dose: float = inf
    readout: float = 0.0
    mtf_width: float = inf
    mtf_floor: float = 0.0
    mtf: TransferCurve | None = None
    ntf: TransferCurve | None = None
    dqe: float = 1.0
    gain_error: float = 0.0
    gain_pattern: int = 0
    binning: int = 1

    def __post_init__(self) -> None:
        if isnan(self.dose) or self.dose <= 0:
            raise InputError(f"dose: expected a number of electrons per Å^2 > 0, got {self.dose!r}")
        if not (isfinite(self.readout) and self.readout >= 0):
            raise InputError(f"readout: expected electrons per pixel >= 0, got {self.readout!r}")
        if not self.mtf_width > 0:
            raise InputError(f"mtf_width: expected cycles per pixel > 0, got {self.mtf_width!r}")
        if not 0 <= self.mtf_floor <= 1:
            raise InputError(f"mtf_floor: expected a fraction from 0 to 1, got {self.mtf_floor!r}")
        if self.mtf is not None and (self.mtf_width < inf or self.mtf_floor > 0):
            raise InputError("mtf: expected either a curve or mtf_width and mtf_floor, got both")
        if not 0 < self.dqe <= 1:
            raise InputError(f"dqe: expected a fraction above 0, at most 1, got {self.dqe!r}")
        if not 0 <= self.gain_error < 1:
            raise InputError(f"gain_error: expected a fraction from 0 to below 1, got {self.gain_error!r}")
        if self.binning != int(self.binning) or self.binning < 1:
            raise InputError(f"binning: expected a whole number of pixels >= 1, got {self.binning!r}")
        self._check_efficiency()

    def _check_efficiency(self) -> None:
        if self.ntf is None:
            return
        u = torch.linspace(0, 0.5, 201, dtype=torch.float64)
        noise = self.ntf.at(u)
        if not float(noise.min()) > 0:
            raise InputError("ntf: expected values above 0 at all frequencies, got 0")
        efficiency = self.dqe * (_signal(self, u**2) / noise) ** 2
        worst = int(efficiency.argmax())
        if float(efficiency[worst]) > 1.001:
            raise InputError(
                "ntf: expected DQE(0) MTF^2 / NTF^2 of at most 1 at all frequencies, got "
                f"{float(efficiency[worst]):.3g} at {float(u[worst]):.3g} cycles per pixel"
            )


def _signal(camera: Camera, squared: Tensor) -> Tensor:
    """MTF at squared frequencies [(cycles per pixel)^2]."""
    if camera.mtf is not None:
        return camera.mtf.at(squared.sqrt())
    return _transfer(squared, camera.mtf_width, camera.mtf_floor)


def _transfer(squared: Tensor, width: float | Tensor, floor: float | Tensor) -> Tensor:
    """Transfer at squared frequencies where all but the part `floor` spreads, see `modulation_transfer`."""
    return (1 - floor) * (1 + squared / width**2) ** -1.5 + floor


def _noise(camera: Camera, squared: Tensor) -> Tensor:
    """NTF at squared frequencies [(cycles per pixel)^2]."""
    return _signal(camera, squared) if camera.ntf is None else camera.ntf.at(squared.sqrt())


def _squared(grid: Grid, like: Tensor) -> Tensor:
    ky, kx = grid.frequencies(like.device, like.dtype)
    return (ky * grid.pixel[0]) ** 2 + (kx * grid.pixel[1]) ** 2


def modulation_transfer(grid: Grid, camera: Camera, like: Tensor) -> Tensor:
    """MTF (y, x) of the camera at the frequencies of `grid`: its curve, or (1 - a) (1 + (u / b)^2)^(-3/2) + a.

    u is in cycles per pixel. The first term is the transform of exponential light spread around the point of
    impact, exp(-2 pi b r), the second the light that does not spread.
    """
    return _signal(camera, _squared(grid, like))


def noise_transfer(grid: Grid, camera: Camera, like: Tensor) -> Tensor:
    """NTF (y, x) of the camera at the frequencies of `grid`: the root of the noise power over its value at 0."""
    return _noise(camera, _squared(grid, like))


def detective_quantum_efficiency(grid: Grid, camera: Camera, like: Tensor) -> Tensor:
    """DQE (y, x) without readout noise and gain error: DQE(0) MTF^2 / NTF^2."""
    if camera.ntf is None:
        return torch.full(grid.shape, camera.dqe, device=like.device, dtype=like.dtype)
    return camera.dqe * (modulation_transfer(grid, camera, like) / noise_transfer(grid, camera, like)) ** 2


def record(clean: Tensor, grid: Grid, cameras: Sequence[Camera], generator: torch.Generator) -> Tensor:
    """Camera images (n, y, x) of `clean` (vacuum 1), in units of the mean count in vacuum.

    Electrons arrive at random (Poisson) where the clean image says; light spread acts on signal and shot noise,
    each pixel multiplies by its gain, readout noise is added, and pixels are binned last. `grid` is that of the
    single pixels; binned images have its shape divided by the binning. Image i has the noise of its own
    generator, seeded from `generator`, so a batch gives what its images give one by one.

    Raises
    ------
    InputError
        If there is not one camera per image, the image does not match `grid`, or the binning differs between
        cameras or does not divide the image.
    """
    seeds = torch.randint(2**62, (len(clean),), generator=generator, device=generator.device).tolist()
    return record_each(clean, grid, cameras, seeds)


def record_each(clean: Tensor, grid: Grid, cameras: Sequence[Camera], seeds: Sequence[int]) -> Tensor:
    """`record`, with the seed of each image's noise."""
    if not len(seeds) == len(cameras) == len(clean) or tuple(clean.shape[-2:]) != grid.shape:
        raise InputError(
            f"cameras: expected one per image on {grid.shape}, got {len(cameras)} for {tuple(clean.shape)}"
        )
    binnings = {camera.binning for camera in cameras}
    if len(binnings) > 1 or any(n % b for n in grid.shape for b in binnings):
        raise InputError(
            f"binning: expected one number that divides {grid.shape} pixels, got {sorted(binnings)}"
        )
    noise = [torch.Generator(clean.device).manual_seed(seed) for seed in seeds]
    image = _Exposure(grid, cameras, noise, _squared(grid, clean)).of(clean)
    (b,) = binnings or {1}
    if b > 1:
        image = image.reshape(len(image), grid.shape[0] // b, b, grid.shape[1] // b, b).mean((2, 4))
    return image


@dataclass(frozen=True)
class _Exposure:
    """What becomes of images in their cameras: one thing after the other, each to those whose camera does it. `squared`
    are the frequencies of `_squared`."""

    grid: Grid
    cameras: Sequence[Camera]
    noise: Sequence[torch.Generator]
    squared: Tensor

    def of(self, images: Tensor) -> Tensor:
        steps = (
            (lambda camera: camera.ntf is not None, self._damped),
            (lambda camera: camera.dose < inf, self._counted),
            (_measured, self._spread_as_measured),
            (_spreads, self._spread),
            (lambda camera: camera.gain_error > 0, self._gained),
            (lambda camera: camera.dose < inf and camera.readout > 0, self._read),
        )
        for does, step in steps:
            rows = [i for i, camera in enumerate(self.cameras) if does(camera)]
            if len(rows) == len(images):
                images = step(images, rows)
            elif rows:
                index = torch.tensor(rows, device=images.device)
                images = images.index_copy(0, index, step(images[rows], rows))
        return images

    def _damped(self, images: Tensor, rows: list[int]) -> Tensor:
        """As MTF / NTF says."""
        cameras = [self.cameras[i] for i in rows]
        quotients = [_signal(camera, self.squared) / _noise(camera, self.squared) for camera in cameras]
        return _filtered(images, torch.stack(quotients))

    def _counted(self, images: Tensor, rows: list[int]) -> Tensor:
        counts = self._counts(rows) * images.new_tensor([self.cameras[i].dqe for i in rows])[:, None, None]
        means = images.clamp_min(0) * counts
        drawn = [torch.poisson(mean, generator=self.noise[i]) for i, mean in zip(rows, means, strict=True)]
        return torch.stack(drawn) / counts

    def _spread(self, images: Tensor, rows: list[int]) -> Tensor:
        """As the MTF of two numbers says, all at once."""
        shapes = images.new_tensor([(self.cameras[i].mtf_width, self.cameras[i].mtf_floor) for i in rows])
        return _filtered(images, _transfer(self.squared, *shapes.T[..., None, None]))

    def _spread_as_measured(self, images: Tensor, rows: list[int]) -> Tensor:
        """As NTF says."""
        return _filtered(images, torch.stack([_noise(self.cameras[i], self.squared) for i in rows]))

    def _gained(self, images: Tensor, rows: list[int]) -> Tensor:
        gains = [1 + self.cameras[i].gain_error * _gain_pattern(self.cameras[i], images[0]) for i in rows]
        return images * torch.stack(gains)

    def _read(self, images: Tensor, rows: list[int]) -> Tensor:
        one = images[0]
        noise = [
            torch.randn(one.shape, generator=self.noise[i], device=one.device, dtype=one.dtype) for i in rows
        ]
        spread = images.new_tensor([self.cameras[i].readout for i in rows])[:, None, None] / self._counts(
            rows
        )
        return images + spread * torch.stack(noise)

    def _counts(self, rows: list[int]) -> Tensor:
        """Electrons a pixel in vacuum (n, 1, 1)."""
        counts = [self.cameras[i].dose * self.grid.pixel_area for i in rows]
        return self.squared.new_tensor(counts)[:, None, None]


def _measured(camera: Camera) -> bool:
    return camera.mtf is not None or camera.ntf is not None


def _spreads(camera: Camera) -> bool:
    return camera.mtf_width < inf and not _measured(camera)


def _filtered(images: Tensor, spectra: Tensor) -> Tensor:
    return torch.fft.ifft2(torch.fft.fft2(images) * spectra).real


def _gain_pattern(camera: Camera, like: Tensor) -> Tensor:
    """Deviations (y, x) of the pixels' gain, of variance 1; one camera has one pattern, on every device."""
    own = torch.Generator().manual_seed(camera.gain_pattern)
    return torch.randn(like.shape, generator=own, dtype=torch.float32).to(like.device, like.dtype)
