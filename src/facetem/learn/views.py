"""The views of an image that the classifier's answer is the mean of, so that it does not depend on how the image lies.

Turned or mirrored, a particle is the same particle. A mean over all eight quarter turns and mirrors would see to that;
four do, if which of the two mirror images is turned follows from the image itself: the one of positive handedness. What
remains of the differences among the eight is not worth twice the time (docs/confidence.md).
"""

from __future__ import annotations

import torch
from torch import Tensor

from facetem.learn.classifier import Answer
from facetem.learn.orientation import MOMENTS, turned

TURNS = 4  # of the image or of its mirror image: the views
REACH = 0.5  # of half the side: width of the Gaussian within which an image's handedness is looked for
# Turns that undo the views, of an image and of a mirrored one, whose turns undo themselves.
_UNDONE_BY = (0, 3, 2, 1), (4, 7, 6, 5)
# A turn of moments is a linear map: (mirrored or not, view, 25, 25).
_BACK = torch.stack(
    [torch.stack([turned(torch.eye(len(MOMENTS)), turn) for turn in turns]) for turns in _UNDONE_BY]
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
    """The quarter turns of square images (n, c, y, x), of those that are `mirrored` (n; bool) of their mirror images:
    (`TURNS` n, c, y, x), one turn after the other."""
    images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
    return torch.cat([torch.rot90(images, turn, (-2, -1)) for turn in range(TURNS)])


def mean_answer(answer: Answer, mirrored: Tensor) -> Answer:
    """The mean over the `views` of each image, with the particle's moments as the image itself shows it."""
    # Not `chunk`, which the ONNX exporter takes for a statement about how many images there are.
    parts = Answer(*(part.reshape(TURNS, -1, *part.shape[1:]) for part in answer))
    straight, other = torch.einsum("vnm,hvmk->hnk", parts.moments, _BACK.to(answer.moments)) / TURNS
    lies = torch.where(mirrored[:, None], other, straight)
    return Answer(*(part.mean(0) for part in parts))._replace(moments=lies)
