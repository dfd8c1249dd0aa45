"""The shape network: a compact residual CNN.

The stem looks at the image through filters of 20 px (8 Å) at a stride of four: like a bank of Gabor filters, it
tells the direction and spacing of lattice fringes before the resolution drops. Four residual stages follow.

Besides the shape it answers how large the particle is, how it lies, how far its cube faces are cut, and whether it is
none of the shapes at all.

In training the stages also feed a picture of what there is to see: the projected thickness of the particle, its
mask and its image at best focus. Three bits of label per image teach a network slowly; a thickness in every
pixel, from which the 3D shape follows, teaches it fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from facetem.learn.orientation import MOMENTS
from facetem.learn.reflections import Reflections

TYPICAL = 60.0  # Å, of diameters
HIDDEN = 128  # width of the layer before size and orientation
FOLD = 4  # the image enters as FOLD x FOLD pixels folded into channels: filters at a stride of FOLD, quicker


@dataclass(frozen=True)
class ClassifierConfig:
    """Width and number of residual blocks of each stage (side 64, 32, 16, 8 for 256 px), and the stem."""

    widths: tuple[int, ...] = (32, 64, 128, 192)
    depths: tuple[int, ...] = (1, 2, 2, 2)
    stem: int = 5  # side of the first filters, in units of `FOLD` pixels; odd
    classes: int = 8
    lateral: int = 32  # width of the layers that draw the picture
    dropout: float = 0.1
    reflections: int = 0  # width of what the power spectrum tells; 0: it is not looked at

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class Residual(nn.Module):
    """x + conv(act(conv(x))), each convolution normalised."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(width)
        nn.init.zeros_(self.second_norm.weight)  # a block starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(x + self.second_norm(self.second(inner)))


class Trunk(nn.Sequential):
    """Folded images (n, `FOLD`^2, y, x) -> features of the last stage (n, c, y / 8, x / 8), for four stages."""

    def __init__(self, widths: tuple[int, ...], depths: tuple[int, ...], stem: int) -> None:
        layers: list[nn.Module] = []
        ends: list[int] = []
        before = FOLD**2
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            side, stride = (stem, 1) if stage == 0 else (3, 2)
            layers += [
                nn.Conv2d(before, width, side, stride=stride, padding=side // 2, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
                *(Residual(width) for _ in range(depth)),
            ]
            before = width
            ends.append(len(layers) - 1)
        super().__init__(*layers)
        self.ends = ends

    def stages(self, x: Tensor) -> list[Tensor]:
        """The features of every stage, the finest first."""
        found = []
        for i, layer in enumerate(self):
            x = layer(x)
            if i in self.ends:
                found.append(x)
        return found


class Answer(NamedTuple):
    """What the network says of images.

    Parameters
    ----------
    logits : (n, classes)
    log_diameter : (n,)
        Natural logarithm of the volume-equivalent diameter in units of `TYPICAL`.
    log_ratio : (n,)
        Natural logarithm of d{100} / d{111}, if the particle is of a cubic class.
    moments : (n, 25)
        How the particle lies, see `facetem.learn.orientation`.
    refusal : (n,)
        Logit of "none of these".
    features : (n, 2 c)
        What all of these are read from.
    """

    logits: Tensor
    log_diameter: Tensor
    log_ratio: Tensor
    moments: Tensor
    refusal: Tensor
    features: Tensor


class Picture(NamedTuple):
    """What the network makes of an image: `target` (n, y, x), the intensity - 1 at best focus; `thickness` and
    `mask` (n, y / 4, x / 4), the projected thickness [nm] and the logit of the particle."""

    target: Tensor
    thickness: Tensor
    mask: Tensor


class ShapeClassifier(nn.Module):
    """Normalised images (n, 1, y, x) at 0.4 Å/px -> logits (n, classes) and a `Picture`."""

    def __init__(self, config: ClassifierConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ClassifierConfig()
        self.features = Trunk(config.widths, config.depths, config.stem)
        before = config.widths[-1]
        self.lateral = nn.ModuleList(nn.Conv2d(width, config.lateral, 1) for width in config.widths)
        self.draw = nn.Sequential(
            nn.Conv2d(config.lateral, config.lateral, 3, padding=1, bias=False),
            nn.BatchNorm2d(config.lateral),
            nn.ReLU(inplace=True),
            nn.Conv2d(config.lateral, FOLD**2 + 2, 1),
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(2 * before, config.classes)
        self.refuse = nn.Sequential(
            nn.Linear(2 * sum(config.widths), HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)
        )
        self.pose = nn.Sequential(
            nn.Linear(2 * before, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 + len(MOMENTS))
        )
        if config.reflections:
            self.reflections = Reflections(config.reflections)
            said = nn.Linear(2 * HIDDEN, config.classes + 3 + len(MOMENTS))
            nn.init.zeros_(said.weight)  # begins without a say
            nn.init.zeros_(said.bias)
            self.correct = nn.Sequential(
                nn.Linear(2 * before + config.reflections, 2 * HIDDEN), nn.ReLU(), said
            )

    @staticmethod
    def pool(stage: Tensor) -> Tensor:
        """Features (n, 2 c) of the last stage (n, c, y, x): the mean tells what prevails, the maximum what is
        there at all, such as a twin plane."""
        return torch.cat([stage.mean(dim=(-2, -1)), stage.amax(dim=(-2, -1))], dim=1)

    def read(self, images: Tensor, features: Tensor, refusal: Tensor) -> Answer:
        """The answer in features (n, 2 c) and the refusal (n,), corrected by what the images' reflections tell."""
        pose = self.pose(features)
        parts = (self.head(features), pose[:, :1], pose[:, 1:2], pose[:, 2:], refusal[:, None])
        if self.config.reflections:
            told = self.reflections(images).to(features.dtype)
            corrections = self.correct(torch.cat([features, told], dim=1))
            sizes = [part.shape[1] for part in parts]
            parts = tuple(a + b for a, b in zip(parts, corrections.split(sizes, dim=1), strict=True))
        logits, diameter, ratio, moments, refusal = parts
        return Answer(logits, diameter[:, 0], ratio[:, 0], moments, refusal[:, 0], features)

    def refusal(self, stages: Sequence[Tensor]) -> Tensor:
        """The logit of "none of these" (n,). Every stage has a say: on its way up the trunk forgets what the shape does
        not depend on, such as another lattice."""
        return self.refuse(torch.cat([self.pool(stage) for stage in stages], dim=1))[:, 0]

    def classify(self, images: Tensor) -> Answer:
        """The answer, without the picture."""
        stages = self.features.stages(functional.pixel_unshuffle(images, FOLD))
        return self.read(images, self.pool(stages[-1]), self.refusal(stages))

    def forward(self, images: Tensor) -> tuple[Answer, Picture]:
        """The answer, and the picture that training compares with the truth."""
        stages = self.features.stages(functional.pixel_unshuffle(images, FOLD))
        total: Tensor | None = None
        for lateral, stage in zip(reversed(self.lateral), reversed(stages), strict=True):
            here = lateral(stage)
            total = here if total is None else here + functional.interpolate(total, scale_factor=2.0)
        assert total is not None
        drawn = self.draw(torch.relu(total)).float()
        answer = self.read(images, self.dropout(self.pool(stages[-1])), self.refusal(stages))
        *_, thickness, mask = drawn.unbind(1)
        return answer, Picture(functional.pixel_shuffle(drawn[:, :-2], FOLD)[:, 0], thickness, mask)
