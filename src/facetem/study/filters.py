"""What microscopists clean images with today, and how well an image is restored.

Each filter takes an image (y, x) and its pixel size [Å/px], and is left at what its authors recommend; nothing is tuned
to the target. Strengths come from the image itself (`noise_level`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from facetem.core.contrast import contrast
from facetem.study.metrics import affine_fit, psnr

Image = NDArray[np.float32]
Filter = Callable[[Image, float], Image]

CUTOFF = 0.9  # 1/Å: of the low-pass that follows Wiener and background subtraction; gold's {331} is 1.07, {222} 0.85
LATTICE_FROM = 0.35  # 1/Å: coarser periods are not looked for among the peaks
PEAKS = 6  # pairs of them, at most
PEAK_RADIUS = 1.5  # px of the spectrum that belong to a peak


def noise_level(image: Image) -> float:
    """Standard deviation of the noise, from the median of the finest wavelet details (Donoho and Johnstone 1994)."""
    from skimage.restoration import estimate_sigma

    return float(estimate_sigma(image))


def wiener(image: Image, sampling: float) -> Image:
    """Wiener filter against the rotationally averaged background (Kilaas, J. Microsc. 190 (1998) 45)."""
    from hrtem_filter.filters import wiener_filter

    return _plain(wiener_filter(image, lowpass_cutoff=_cutoff(sampling))[0])


def background_subtraction(image: Image, sampling: float) -> Image:
    """Average background subtraction filter, ABSF (Kilaas 1998)."""
    from hrtem_filter.filters import abs_filter

    return _plain(abs_filter(image, lowpass_cutoff=_cutoff(sampling))[0])


def block_matching(image: Image, sampling: float) -> Image:
    """BM3D (Dabov, Foi, Katkovnik and Egiazarian, IEEE Trans. Image Process. 16 (2007) 2080), for white noise."""
    from bm3d import bm3d  # pyright: ignore[reportMissingImports] (not installed by any extra)

    return _plain(bm3d(image, sigma_psd=noise_level(image)))


def non_local_means(image: Image, sampling: float) -> Image:
    """Non-local means (Buades, Coll and Morel, CVPR 2005), patches of 7 px within 11 px."""
    from skimage.restoration import denoise_nl_means

    level = noise_level(image)
    return denoise_nl_means(image, patch_size=7, patch_distance=11, h=0.8 * level, sigma=level)


def _plain(image: ArrayLike) -> Image:
    return np.asarray(image, dtype=np.float32)


def _cutoff(sampling: float) -> float:
    return min(0.5, CUTOFF * sampling)  # in units of 1 / pixel, as `hrtem-filter` counts


_NEEDED = {
    "Wiener": (wiener, "hrtem_filter"),
    "ABSF": (background_subtraction, "hrtem_filter"),
    "BM3D": (block_matching, "bm3d"),
    "non-local means": (non_local_means, "skimage"),
}


def installed_filters() -> Mapping[str, Filter]:
    """The filters whose packages are installed, by name: `hrtem-filter` comes with the extra `study`; `bm3d` may not be
    used commercially, and is left to the user to install."""
    return {name: run for name, (run, package) in _NEEDED.items() if find_spec(package)}


@dataclass(frozen=True)
class RestorationScores:
    """How close images come to their targets, in the mean over images; `contrast`, and its ratio to the target's,
    medians.

    `psnr` [dB] and `ssim` after the affine fit of `study.metrics`, with the target's range. `lattice` is the fidelity
    of the lattice, see `lattice_fidelity`.
    """

    psnr: float
    ssim: float
    contrast: float
    contrast_ratio: float
    lattice: float


def restoration_scores(images: Tensor, targets: Tensor, masks: Tensor) -> RestorationScores:
    """Scores of images (n, y, x) against their targets, with the particles at `masks` (n, y, x; bool)."""
    from skimage.metrics import structural_similarity

    images, targets = images.double(), targets.double()
    fitted = affine_fit(images, targets)
    similar = [
        structural_similarity(a, b, data_range=float(b.max() - b.min()))
        for a, b in zip(fitted.numpy(), targets.numpy(), strict=True)
    ]
    shown, wanted = contrast(fitted, masks), contrast(targets, masks)
    return RestorationScores(
        psnr=float(psnr(images, targets).mean()),
        ssim=float(np.mean(similar)),
        contrast=float(shown.median()),
        contrast_ratio=float((shown / wanted).median()),
        lattice=float(lattice_fidelity(images, targets).nanmean()),
    )


def lattice_fidelity(images: Tensor, targets: Tensor) -> Tensor:
    """How faithfully images (n, y, x) at 0.4 Å/px show the lattice of their targets (n,); NaN where a target has none.

        f = Re sum(F T*) / sqrt(sum(|F|^2) sum(|T|^2))

    over the strongest peaks of the target's spectrum T (Hann window; `PEAKS` pairs beyond `LATTICE_FROM`), F the
    image's spectrum. 1 is the target's lattice, 0 none or one of unrelated phase, -1
    the lattice with its contrast turned over.
    """
    from skimage.feature import peak_local_max

    from facetem.core.pixels import PIXEL

    n, height, width = targets.shape
    window = torch.hann_window(height)[:, None] * torch.hann_window(width)
    spectra = [
        torch.fft.fftshift(torch.fft.fft2((part - part.mean((-2, -1), keepdim=True)) * window), dim=(-2, -1))
        for part in (images, targets)
    ]
    ky = torch.fft.fftshift(torch.fft.fftfreq(height, PIXEL))[:, None]
    kx = torch.fft.fftshift(torch.fft.fftfreq(width, PIXEL))
    fine = torch.sqrt(ky**2 + kx**2) > LATTICE_FROM
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    fidelity = torch.full((n,), float("nan"), dtype=torch.float64)
    for i, (image, target) in enumerate(zip(*spectra, strict=True)):
        power = (target.abs().square() * fine).numpy()
        peaks = peak_local_max(power, min_distance=3, threshold_rel=0.05, num_peaks=2 * PEAKS)
        near = torch.zeros(height, width, dtype=torch.bool)
        for row, column in peaks:
            near |= (y - int(row)) ** 2 + (x - int(column)) ** 2 <= PEAK_RADIUS**2
        if near.any():
            seen, wanted = image[near], target[near]
            cross = (seen * wanted.conj()).real.sum()
            fidelity[i] = cross / (seen.norm() * wanted.norm()).clamp_min(1e-12)
    return fidelity
