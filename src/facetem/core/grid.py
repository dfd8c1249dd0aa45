"""The sampling grid of images and waves, and its reciprocal grid."""

from dataclasses import dataclass

import torch
from scipy.fft import next_fast_len
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """A periodic grid of `shape` (y, x) pixels of `sampling` [Å/px] along y, and `aspect` times that along x.

    Pixel (iy, ix) lies at y = iy * sampling, x = ix * sampling * aspect: no half-pixel offset. Most pixels are square;
    the cell of a crystal may leave no choice.
    """

    shape: tuple[int, int]
    sampling: float
    aspect: float = 1.0

    def __post_init__(self) -> None:
        if len(self.shape) != 2 or min(self.shape) < 2:
            raise ValueError(f"grid shape must be two integers >= 2 (y, x), got {self.shape!r}")
        if not 0 < self.sampling < float("inf"):
            raise ValueError(f"grid sampling must be a positive number of Å/px, got {self.sampling!r}")
        if not 0 < self.aspect < float("inf"):
            raise ValueError(f"grid aspect must be a positive number, got {self.aspect!r}")

    @classmethod
    def over(cls, extent: tuple[float, float], shape: tuple[int, int]) -> "Grid":
        """`shape` (y, x) pixels over `extent` (y, x) [Å]."""
        sampling = extent[0] / shape[0]
        return cls(shape, sampling, extent[1] / shape[1] / sampling)

    @property
    def pixel(self) -> tuple[float, float]:
        """Sides (y, x) of a pixel [Å]."""
        return self.sampling, self.sampling * self.aspect

    @property
    def pixel_area(self) -> float:
        """[Å^2]."""
        return self.sampling**2 * self.aspect

    @property
    def extent(self) -> tuple[float, float]:
        """Field of view (y, x) [Å]."""
        return self.shape[0] * self.pixel[0], self.shape[1] * self.pixel[1]

    @property
    def nyquist(self) -> float:
        """Largest frequency [1/Å] that the pixels can hold in every direction."""
        return 0.5 / max(self.pixel)

    def frequencies(
        self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, Tensor]:
        """Frequencies ky (y, 1) and kx (1, x) [1/Å] in the order of `torch.fft.fft2`."""
        ky = torch.fft.fftfreq(self.shape[0], self.pixel[0], device=device, dtype=dtype)
        kx = torch.fft.fftfreq(self.shape[1], self.pixel[1], device=device, dtype=dtype)
        return ky[:, None], kx[None, :]

    def squared_frequency(
        self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """k^2 (y, x) [1/Å^2]."""
        ky, kx = self.frequencies(device, dtype)
        return ky**2 + kx**2


def fast_length(n: int) -> int:
    """The smallest number of pixels from `n` on that transforms fast."""
    return int(next_fast_len(n) or n)  # SciPy's own type has a None in it


def fourier_crop(spectrum: Tensor, shape: tuple[int, int]) -> Tensor:
    """Change the number of Fourier coefficients (..., y, x) to `shape`, cropping or zero-padding.

    The coefficients keep their values: after `ifft2` multiply by the ratio of the pixel counts to keep the
    mean. This is band-limited resampling at a fixed field of view.
    """
    have = (spectrum.shape[-2], spectrum.shape[-1])
    cropped = spectrum.new_zeros((*spectrum.shape[:-2], *shape))
    for rows in _kept(have[0], shape[0]):
        for columns in _kept(have[1], shape[1]):
            cropped[..., rows, columns] = spectrum[..., rows, columns]
    return cropped


def _kept(have: int, want: int) -> tuple[slice, slice]:
    """The non-negative and the negative frequencies that `have` and `want` coefficients share."""
    n = min(have, want)
    return slice(0, n - n // 2), slice(-(n // 2), None)


def fourier_resample(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """Resample images or waves (..., y, x) of a fixed field of view to `shape` pixels, band-limited.

    The mean is kept; real input gives real output.
    """
    scale = shape[0] * shape[1] / (image.shape[-2] * image.shape[-1])
    resampled = torch.fft.ifft2(fourier_crop(torch.fft.fft2(image), shape)) * scale
    return resampled if image.is_complex() else resampled.real
