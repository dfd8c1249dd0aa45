"""The views of an image that the classifier's answer is the mean of, so that it does not depend on how the image lies.

Turned or mirrored, a particle is the same particle. Eight turns by 45 degrees see to that, and show the network fringes
in directions that it knows better or worse; the odd ones are interpolated, and the corners that they lack are mirrored
at the image's edges. Which of the two mirror images is turned follows from the image itself: the one of positive
handedness. What remains of the differences between the two is not worth twice the time (docs/confidence.md).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from facetem.learn.classifier import Answer
from facetem.learn.orientation import MOMENTS, turned

TURNS = 8  # of the image or of its mirror image, over a whole turn: the views
REACH = 0.5  # of half the side: width of the Gaussian within which an image's handedness is looked for
QUARTERS = [4 * turn / TURNS for turn in range(TURNS)]
# A turn of moments is a linear map: (mirrored or not, view, 25, 25).
_BACK = torch.stack(
    [
        torch.stack([turned(torch.eye(len(MOMENTS)), -quarters, mirrored=mirrored) for quarters in QUARTERS])
        for mirrored in (False, True)
    ]
)


def left_handed(images: Tensor) -> Tensor:
    """Whether square images (n, y, x) are to be mirrored (n; bool): of an image and its mirror image one is.

    Under a quarter turn both x y and x^2 - y^2 change their sign, under a mirror one of them does. So the moment of
    their product with the image changes its sign under a mirror alone, and the answer with it.
    """
    axis = torch.linspace(-1, 1, images.shape[-1], dtype=torch.float64, device=images.device)
    y, x = axis[:, None], axis
    weight = x * y * (x**2 - y**2) * torch.exp(-(x**2 + y**2) / (2 * REACH**2))
    return (images * weight).sum((-2, -1)) < 0


def views(images: Tensor, mirrored: Tensor) -> Tensor:
    """The turns of square images (n, c, y, x), of those that are `mirrored` (n; bool) of their mirror images:
    (`TURNS` n, c, y, x), one turn after the other."""
    images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
    between = _half_quarter(images)
    return torch.cat(
        [torch.rot90(between if quarters % 1 else images, int(quarters), (-2, -1)) for quarters in QUARTERS]
    )


def _half_quarter(images: Tensor) -> Tensor:
    """Square images (n, c, y, x) turned by 45 degrees as `torch.rot90` turns them by 90, by cubic interpolation."""
    slant = math.sqrt(0.5)
    way = torch.tensor([[slant, -slant, 0.0], [slant, slant, 0.0]], dtype=images.dtype, device=images.device)
    places = functional.affine_grid(way[None], [1, 1, *images.shape[-2:]], align_corners=False)
    together = images.flatten(0, 1)[None]  # as channels of one image, which is all that the grid is for
    between = functional.grid_sample(
        together, places, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    return between.view_as(images)


def mean_answer(answer: Answer, mirrored: Tensor) -> Answer:
    """The mean over the `views` of each image, with the particle's moments as the image itself shows it."""
    # Not `chunk`, which the ONNX exporter takes for a statement about how many images there are.
    parts = Answer(*(part.reshape(TURNS, -1, *part.shape[1:]) for part in answer))
    straight, other = torch.einsum("vnm,hvmk->hnk", parts.moments, _BACK.to(answer.moments)) / TURNS
    lies = torch.where(mirrored[:, None], other, straight)
    return Answer(*(part.mean(0) for part in parts))._replace(moments=lies)
