"""The restorer: a U-Net (Ronneberger et al. 2015) trained on random patches.

It answers with two noise-free images of the same specimen, at the focus of best contrast (restored) and at the focus it
was recorded at (denoised), with the particle mask, and with how large the error of the restored image is likely to be.
Its trunk is built like the classifier's, and may begin with what that has learnt: it has seen what particles look
like at any focus. The way up ends on 2 x 2 pixels folded into channels, beside the image itself.

Which way the lens has turned the contrast of each spacing is the same all over a patch, and convolutions of a few
pixels cannot see it: it is written in the rings of the power spectrum (Thon 1966). So what the spectrum of the whole
patch and all stages of the trunk say of the lens sets the gain and offset of the channels on the way up (FiLM, Perez et
al. 2018), and the gains by spatial frequency of two filters: one undoes the lens as far as a filter can, one the noise.
The patch filtered so joins the finest level, which answers with what is to be added to each. To learn to read the lens,
the network also answers with how far it is from focus, which the rings tell without the side.
"""

import itertools
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from facetem.learn.classifier import FOLD, ShapeClassifier, Trunk

LEVEL = 0.1  # standard deviation of a typical image, of vacuum: the scale of the gains of the filter that restores
ERRORS = (
    -7.0,
    3.0,
)  # logarithms of errors that are stated: beyond, a single pixel would decide how one learns
FOCUS = 4.0  # Å^2: wavelength times defocus of 16 nm at 200 kV
PATCH = 256  # px of the patches, in training and in use: wide enough to hold a particle and what it lies on


@dataclass(frozen=True)
class RestorerConfig:
    """The trunk as that of `ClassifierConfig`, and the width of the levels on the way up, from the finest (2 px)."""

    widths: tuple[int, ...] = (32, 64, 128, 192)
    depths: tuple[int, ...] = (1, 2, 2, 2)
    stem: int = 5
    up: tuple[int, ...] = (32, 32, 64, 128)
    lens: int = 96  # width of what the spectrum tells of the lens, and of what all stages tell together
    gains: int = 48  # of each filter, from frequency 0 to Nyquist

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    @property
    def stride(self) -> int:
        """Images must have sides that are multiples of this [px]."""
        return FOLD * 2 ** (len(self.widths) - 1)


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
    """Images (n, 1, y, x), each spatial frequency times a gain, as (n, f, y, x) for f filters: `gains` (n, f, k) are
    those of k frequencies evenly from 0 to Nyquist along the axes, linearly interpolated between."""
    height, width = images.shape[-2:]
    # As torch.fft.fftfreq and rfftfreq give them, of which the exporter to ONNX has no translation.
    rows = torch.arange(height, device=images.device)
    ky = (torch.where(rows < (height + 1) // 2, rows, rows - height) / height)[:, None]
    kx = torch.arange(width // 2 + 1, device=images.device) / width
    knots = gains.shape[-1]
    place = (2 * (knots - 1) * torch.sqrt(ky**2 + kx**2)).clamp_max(knots - 1)
    below = place.floor().clamp_max(knots - 2).long()
    part, gains = place - below, gains.float()
    gain = torch.lerp(gains[..., below], gains[..., below + 1], part)
    return torch.fft.irfft2(torch.fft.rfft2(images.float()) * gain, s=(height, width))


class Reading(NamedTuple):
    """What the network makes of images.

    Parameters
    ----------
    restored : (n, y, x)
        At the focus of best contrast: intensity - 1, vacuum 0.
    denoised : (n, y, x)
        At the focus that the image was taken at, in the units of the (normalised) image.
    mask : (n, y, x)
        Logit of the particle.
    error : (n, y, x)
        Natural logarithm of the rms error that `restored` is expected to have.
    filtered : (n, 2, y, x)
        What the filters alone make of the image, restored and denoised.
    focus : (n,)
        Wavelength times the distance from focus [Å^2], on either side, in units of `FOCUS`; counted from the exit
        plane.
    """

    restored: Tensor
    denoised: Tensor
    mask: Tensor
    error: Tensor
    filtered: Tensor
    focus: Tensor


class ContrastRestorer(nn.Module):
    """Normalised images (n, 1, y, x) -> `Reading`. Sides must be multiples of `config.stride`."""

    def __init__(self, config: RestorerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or RestorerConfig()
        self.trunk = Trunk(config.widths, config.depths, config.stem)
        self.spectrum = Spectrum(config.lens)
        self.tell = nn.Sequential(
            nn.Linear(2 * sum(config.widths) + config.lens, 2 * config.lens),
            nn.ReLU(),
            nn.Linear(2 * config.lens, config.lens),
            nn.ReLU(),
        )
        self.focus = nn.Linear(config.lens, 1)
        self.gains = nn.Linear(config.lens, 2 * config.gains)
        nn.init.zeros_(self.gains.weight)  # starts with the image as it is, in the units of each answer
        with torch.no_grad():
            self.gains.bias.copy_(torch.tensor([LEVEL, 1.0]).repeat_interleave(config.gains))
        # What each level sees: what comes from below, and the trunk's stage of its size; the finest, the image and what
        # the filters make of it.
        beside = (12, *config.widths[:-1])
        below = (*config.up[1:], config.widths[-1])
        self.up = nn.ModuleList(
            Level(below[i] + beside[i], width, config.lens)
            for i, width in reversed(list(enumerate(config.up)))
        )
        self.head = nn.Conv2d(config.up[0], 16, 1)

    @classmethod
    def beginning_as(cls, classifier: ShapeClassifier) -> "ContrastRestorer":
        """A new restorer whose trunk begins with what a classifier has learnt."""
        seen = classifier.config
        restorer = cls(RestorerConfig(widths=seen.widths, depths=seen.depths, stem=seen.stem))
        restorer.trunk.load_state_dict(classifier.features.state_dict())
        return restorer

    def forward(self, images: Tensor) -> Reading:
        stages = self.trunk.stages(functional.pixel_unshuffle(images, FOLD))
        seen = [part for x in stages for part in (x.mean((-2, -1)), x.square().mean((-2, -1)))]
        spectrum = self.spectrum(images)
        told = self.tell(torch.cat([*(part.to(spectrum.dtype) for part in seen), spectrum], dim=1))
        gains = self.gains(told).unflatten(1, (2, -1))
        begun = filtered(images, gains).to(images.dtype)
        beside = [functional.pixel_unshuffle(torch.cat([images, begun], dim=1), 2), *stages[:-1]]
        x = stages[-1]
        for level, skip in zip(self.up, reversed(beside), strict=True):
            x = torch.cat(
                [functional.interpolate(x, scale_factor=2, mode="nearest"), skip.to(x.dtype)], dim=1
            )
            x = level(x, told)
        restored, denoised, mask, error = functional.pixel_shuffle(self.head(x), 2).unbind(1)
        return Reading(
            restored=begun[:, 0] + restored,
            denoised=begun[:, 1] + denoised,
            mask=mask,
            error=error.clamp(*ERRORS),
            filtered=begun,
            focus=self.focus(told)[:, 0],
        )
