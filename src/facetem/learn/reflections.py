"""What the reflections of the lattice tell: where the spots of an image's power spectrum are, and how strong."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from facetem.learn.normalise import normalise

SIDE = 128  # frequencies along an axis of the spectrum: of images of 256 px, up to half of Nyquist, 0.63 / Å
CHANNELS = (1, 16, 32, 64, 64)


class Reflections(nn.Module):
    """Images (n, 1, y, x) -> what their power spectrum tells (n, width).

    Convolutions that shrink the half plane sixteenfold find the spots; which cell they are in is kept, since the angles
    between reflections are those between lattice planes, and their directions say how the crystal lies.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for before, after in itertools.pairwise(CHANNELS):
            self.layers += nn.Sequential(
                nn.Conv2d(before, after, 5 if before == 1 else 3, stride=2, padding=2 if before == 1 else 1),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            )
        cells = (SIDE // 16) * (SIDE // 2 // 16)
        self.head = nn.Sequential(nn.Linear(CHANNELS[-1] * cells, width), nn.ReLU())

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layers(log_power(images)).flatten(1))


def log_power(images: Tensor) -> Tensor:
    """Logarithm of the power spectrum (n, 1, `SIDE`, `SIDE` / 2) of images (n, 1, y, x) of at least `SIDE` pixels,
    normalised, on the half plane of frequencies x >= 0, with frequency 0 in the middle of the first column."""
    height, width = images.shape[-2:]
    window = [torch.hann_window(n, device=images.device) for n in (height, width)]
    power = torch.fft.rfft2(images.float() * window[0][:, None] * window[1]).abs().square()
    power = power.roll(SIDE // 2, -2)[..., :SIDE, : SIDE // 2]
    floor = (1e-3 * power.mean((-2, -1), keepdim=True)).clamp_min(torch.finfo(power.dtype).tiny)
    return normalise(torch.log(power + floor)[:, 0])
