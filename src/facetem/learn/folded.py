"""Networks to predict with: normalisations, by now constant factors and offsets, are part of the convolutions before
them, which saves a fifth of the time."""

from __future__ import annotations

import copy
import itertools
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from facetem.learn.classifier import Residual

Network = TypeVar("Network", bound=nn.Module)


def folded(model: Network) -> Network:
    """A copy without normalisations after convolutions."""
    model = copy.deepcopy(model).eval()
    for part in model.modules():
        if isinstance(part, Residual):
            part.first, part.first_norm = fuse_conv_bn_eval(part.first, part.first_norm), nn.Identity()  # type: ignore[assignment]
            part.second, part.second_norm = fuse_conv_bn_eval(part.second, part.second_norm), nn.Identity()  # type: ignore[assignment]
        elif isinstance(part, nn.Sequential):
            for i, (layer, after) in enumerate(itertools.pairwise(part)):
                if isinstance(layer, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                    part[i], part[i + 1] = fuse_conv_bn_eval(layer, after), nn.Identity()
    return model
