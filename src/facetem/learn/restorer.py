"""The restorer: a U-Net (Ronneberger et al. 2015) trained on random patches.

It answers with the noise-free image of the same specimen at the focus of best contrast, and with the particle
mask. The first level works on 2 x 2 pixels folded into channels, which keeps every pixel and costs a quarter.

Which way the lens has turned the contrast of each spacing is the same all over a patch, and convolutions of a few
pixels cannot see it: it is written in the rings of the power spectrum (Thon 1966), and its sign in the particle. So
what the spectrum of the whole patch says of the lens, and what the coarsest level has found, set the gain and offset of
every level's channels (FiLM, Perez et al. 2018), and the gains by spatial frequency of a filter that undoes the lens as
far as a filter can: the patch filtered so joins the finest level. To learn to read the lens, the network also answers
with the defocus.
"""

import copy
import itertools
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

TYPICAL = 4.0  # Å^2: wavelength times defocus of 16 nm at 200 kV
PATCH = 256  # px of the patches, in training and in use: wide enough to hold a particle and what it lies on


@dataclass(frozen=True)
class RestorerConfig:
    """Width of the levels, from the finest (2 px) to the coarsest."""

    widths: tuple[int, ...] = (32, 64, 96, 128)
    lens: int = 96  # numbers in which the spectrum says what the lens was like
    gains: int = 48  # of the filter, from frequency 0 to Nyquist

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    @property
    def stride(self) -> int:
        """Images must have sides that are multiples of this [px]."""
        return 2 ** len(self.widths)


class Level(nn.Module):
    """Two normalised convolutions; the channels of the second take gain and offset from a vector (n, told)."""

    def __init__(self, before: int, width: int, told: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(before, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.tune = nn.Linear(told, 2 * width)
        nn.init.zeros_(self.tune.weight)  # starts as a plain U-Net
        nn.init.zeros_(self.tune.bias)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        gain, offset = self.tune(told)[..., None, None].chunk(2, dim=1)
        return torch.relu(torch.addcmul(offset, self.layers(x), 1 + gain))


class Spectrum(nn.Module):
    """Images (n, 1, y, x) -> what their power spectrum tells of the lens (n, width).

    The logarithm of the power, averaged over cells of 1/64 of the frequency range up to Nyquist either way: rings stay,
    most of the speckle goes.
    """

    CELLS = (64, 32)  # of the half plane

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = (1, 16, 32, 48)
        self.layers = nn.Sequential()
        for before, after in itertools.pairwise(channels):
            self.layers += nn.Sequential(
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            )
        self.head = nn.Sequential(
            nn.Linear(channels[-1] * self.CELLS[0] * self.CELLS[1] // 64, width), nn.ReLU()
        )

    def log_power(self, images: Tensor) -> Tensor:
        """Logarithm of the power spectrum (n, 1, *`CELLS`), frequency 0 in the middle of the first column."""
        height, width = images.shape[-2:]
        window = torch.hann_window(height, device=images.device)[:, None] * torch.hann_window(
            width, device=images.device
        )
        amplitude = torch.fft.rfft2(images.float() * window, norm="ortho")[..., :-1]
        power = functional.adaptive_avg_pool2d(amplitude.abs().square().roll(height // 2, -2), self.CELLS)
        return power.clamp_min(1e-6).log()

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layers(self.log_power(images)).flatten(1))


def filtered(images: Tensor, gains: Tensor) -> Tensor:
    """Images (n, 1, y, x), each spatial frequency times a gain: `gains` (n, k) are those of k frequencies evenly from 0
    to Nyquist along the axes, linearly interpolated between."""
    height, width = images.shape[-2:]
    ky = torch.fft.fftfreq(height, device=images.device)[:, None]
    kx = torch.fft.rfftfreq(width, device=images.device)
    knots = gains.shape[1]
    place = (2 * (knots - 1) * torch.sqrt(ky**2 + kx**2)).clamp_max(knots - 1)
    below = place.floor().clamp_max(knots - 2).long()
    part, gains = place - below, gains.float()
    gain = torch.lerp(gains[:, below], gains[:, below + 1], part)[:, None]
    return torch.fft.irfft2(torch.fft.rfft2(images.float()) * gain, s=(height, width))


class Reading(NamedTuple):
    """What the network makes of images.

    Parameters
    ----------
    drawn : (n, 2, y, x)
        The restored image (intensity - 1, vacuum 0) and the logit of the particle mask.
    focus : (n,)
        Wavelength times defocus [Å^2] in units of `TYPICAL`, the defocus counted from the exit plane.
    """

    drawn: Tensor
    focus: Tensor


class ContrastRestorer(nn.Module):
    """Normalised images (n, 1, y, x) -> `Reading`. Sides must be multiples of `config.stride`."""

    def __init__(self, config: RestorerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or RestorerConfig()
        widths = config.widths
        self.spectrum = Spectrum(config.lens)
        self.down = nn.ModuleList(
            Level(4 if i == 0 else widths[i - 1], width, config.lens) for i, width in enumerate(widths)
        )
        told = config.lens + widths[-1]
        self.up = nn.ModuleList(
            Level(widths[i + 1] + width + (0 if i else 4), width, told)
            for i, width in reversed(list(enumerate(widths[:-1])))
        )
        lens = nn.Linear(128, config.gains + 1)
        nn.init.zeros_(lens.weight)
        nn.init.zeros_(lens.bias)
        self.lens = nn.Sequential(nn.Linear(told, 128), nn.ReLU(), lens)
        self.head = nn.Conv2d(widths[0], 8, 1)

    def forward(self, images: Tensor) -> Reading:
        told = self.spectrum(images)
        x = functional.pixel_unshuffle(images, 2)
        skips: list[Tensor] = []
        for i, level in enumerate(self.down):
            x = level(functional.max_pool2d(x, 2) if i else x, told)
            skips.append(x)
        told = torch.cat([told, x.mean((-2, -1)).to(told.dtype)], dim=1)
        lens = self.lens(told)
        undone = functional.pixel_unshuffle(filtered(images, lens[:, 1:]), 2).to(x.dtype)
        skips[0] = torch.cat([skips[0], undone], dim=1)
        for level, skip in zip(self.up, reversed(skips[:-1]), strict=True):
            x = torch.cat([functional.interpolate(x, scale_factor=2, mode="nearest"), skip], dim=1)
            x = level(x, told)
        return Reading(functional.pixel_shuffle(self.head(x), 2), lens[:, 0])


def folded(model: ContrastRestorer) -> ContrastRestorer:
    """A copy to predict with: each normalisation, by now a constant factor and offset, is part of the convolution
    before it, which saves a fifth of the time."""
    model = copy.deepcopy(model).eval()
    for level in (*model.down, *model.up):
        assert isinstance(level, Level)
        layers = level.layers
        for i in (0, 3):
            layers[i], layers[i + 1] = fuse_conv_bn_eval(layers[i], layers[i + 1]), nn.Identity()  # type: ignore[arg-type]
    return model
