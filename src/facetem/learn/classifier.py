"""The shape network: a compact residual CNN.

The stem looks at the image through large filters at a stride of four pixels: like a bank of Gabor filters, it
turns lattice fringes into their local strength before the resolution drops. Four residual stages follow.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ClassifierConfig:
    """Width and number of residual blocks of each stage (side 64, 32, 16, 8 for 256 px), and the stem."""

    widths: tuple[int, ...] = (32, 64, 128, 192)
    depths: tuple[int, ...] = (1, 2, 2, 2)
    stem: int = 8  # side of the first filters [px]
    classes: int = 8
    dropout: float = 0.1

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class Residual(nn.Module):
    """x + conv(act(conv(x))), each convolution normalised."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(width)
        nn.init.zeros_(self.second_norm.weight)  # a block starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(x + self.second_norm(self.second(inner)))


class ShapeClassifier(nn.Module):
    """Normalised images (n, 1, y, x) at 0.4 Å/px -> logits (n, classes)."""

    def __init__(self, config: ClassifierConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ClassifierConfig()
        layers: list[nn.Module] = []
        before = 1
        for stage, (width, depth) in enumerate(zip(config.widths, config.depths, strict=True)):
            side, stride = (config.stem, 4) if stage == 0 else (3, 2)
            layers += [
                nn.Conv2d(before, width, side, stride=stride, padding=(side - 1) // 2, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
                *(Residual(width) for _ in range(depth)),
            ]
            before = width
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(before, config.classes)

    def forward(self, images: Tensor) -> Tensor:
        pooled = self.features(images).mean(dim=(-2, -1))
        return self.head(self.dropout(pooled))
