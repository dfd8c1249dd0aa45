"""Which way round a target shows the lattice: as the recorded image does."""

from __future__ import annotations

import torch
from torch import Tensor

from facetem.core.pixels import PIXEL

WIDTH = 3.0  # Å: standard deviation of the Gaussian that parts outlines from lattice; gold's {111} are 2.35 Å apart


def as_recorded(target: Tensor, clean: Tensor) -> Tensor:
    """Targets (n, y, x) with their lattice turned over where the clean image (n, y, x) shows it the other way round.

    The image of a weak phase object is odd in the defocus: at as much overfocus as the target has of underfocus, its
    fine structure H (what is left of it after a Gaussian L) would be the opposite, its outline the same,

        T' = L + s H,    s = sign sum(H H_clean)

    Nothing in a single image but faint Fresnel fringes tells on which side of the focus it was taken, and a restorer
    that had to know would have to guess. So what is dark in the image stays dark.
    """
    # Contiguous, so that rounding does not depend on what else is in the batch.
    target, clean = target.contiguous(), clean.contiguous()
    outline = _smooth(target)
    fine, seen = target - outline, clean - _smooth(clean)
    same = (fine * seen).sum((-2, -1)) >= 0
    return torch.where(same[:, None, None], target, outline - fine)


def _smooth(images: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    ky = torch.fft.fftfreq(height, PIXEL, device=images.device)[:, None]
    kx = torch.fft.rfftfreq(width, PIXEL, device=images.device)
    # Even continuation is not worth its cost: a frame of 3 sigma is all that wraps round.
    gain = torch.exp(-2 * (torch.pi * WIDTH) ** 2 * (ky**2 + kx**2))
    mean = images.mean((-2, -1), keepdim=True)
    spectrum = torch.fft.rfft2(images - mean) * gain
    # Columns side by side in memory: with strides between them they are rounded by their place in the batch.
    columns = torch.fft.ifft(spectrum.mT.contiguous()).mT
    return torch.fft.irfft(columns, n=width) + mean
