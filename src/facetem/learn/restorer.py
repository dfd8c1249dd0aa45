"""The restorer: a U-Net (Ronneberger et al. 2015) trained on random patches.

It answers with the noise-free image of the same specimen at the focus of best contrast, and with the particle
mask. The first level works on 2 x 2 pixels folded into channels, which keeps every pixel and costs a quarter.
"""

import copy
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

PATCH = 256  # px of the patches, in training and in use: wide enough to hold a particle and what it lies on


@dataclass(frozen=True)
class RestorerConfig:
    """Width of the levels, from the finest (2 px) to the coarsest."""

    widths: tuple[int, ...] = (32, 64, 96, 128)

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    @property
    def stride(self) -> int:
        """Images must have sides that are multiples of this [px]."""
        return 2 ** len(self.widths)


class Level(nn.Module):
    """Two normalised convolutions."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(before, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class ContrastRestorer(nn.Module):
    """Normalised images (n, 1, y, x) -> (n, 2, y, x): the restored image (intensity - 1, vacuum 0) and the
    logit of the particle mask. Sides must be multiples of `config.stride`."""

    def __init__(self, config: RestorerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or RestorerConfig()
        widths = config.widths
        self.down = nn.ModuleList(
            Level(4 if i == 0 else widths[i - 1], width) for i, width in enumerate(widths)
        )
        self.up = nn.ModuleList(
            Level(widths[i + 1] + width, width) for i, width in reversed(list(enumerate(widths[:-1])))
        )
        self.head = nn.Conv2d(widths[0], 8, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = functional.pixel_unshuffle(images, 2)
        skips: list[Tensor] = []
        for i, level in enumerate(self.down):
            x = level(functional.max_pool2d(x, 2) if i else x)
            skips.append(x)
        for level, skip in zip(self.up, reversed(skips[:-1]), strict=True):
            x = level(torch.cat([functional.interpolate(x, scale_factor=2, mode="nearest"), skip], dim=1))
        return functional.pixel_shuffle(self.head(x), 2)


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
