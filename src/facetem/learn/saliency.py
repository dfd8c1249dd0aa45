"""Where in an image the network found its answer: the gradient of the odds it gives, smoothed over noise.

A gradient says what a small change of every pixel would do to the answer; that of one image is as rough as its noise.
SmoothGrad (Smilkov, Thorat, Kim, Viégas and Wattenberg, arXiv:1706.03825, 2017) is the mean gradient of copies with
noise added. Here every copy also enters in all the views that an answer is averaged over, and the gradient comes back
through them, so the map belongs to the answer that is given.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from facetem.learn.classifier import Answer
from facetem.learn.normalise import normalise
from facetem.learn.views import left_handed, views

SAMPLES = 8  # noisy copies of each view
NOISE = 0.3  # of the image's own spread
BLUR = 4.0  # px (1.6 Å): fringes flip the sign of a gradient, what lies within a fringe belongs together


class Network(Protocol):
    """What answers images (n, 1, y, x) with logits (n, classes) and more."""

    def classify(self, images: Tensor) -> Answer: ...


def saliency(
    network: Network,
    image: Tensor,
    shape: int,
    *,
    samples: int = SAMPLES,
    noise: float = NOISE,
    blur: float = BLUR,
    seed: int = 0,
) -> Tensor:
    """How much each pixel of an image (y, x) weighs in the network's odds of class `shape` against all others.

    Returns
    -------
    A map (y, x), not negative, that sums to 1 (all zero where the answer does not depend on the image).
    """
    generator = torch.Generator().manual_seed(seed)
    scaled = normalise(image[None])  # (1, 1, y, x), mean 0, spread 1
    mirrored = left_handed(scaled[:, 0])
    total = torch.zeros_like(image)
    for _ in range(samples):
        pixels = scaled.clone().requires_grad_()
        seen = views(pixels, mirrored)
        added = noise * torch.randn(seen.shape, generator=generator).to(seen)
        logits = network.classify((seen + added).contiguous(memory_format=torch.channels_last)).logits.float()
        others = torch.cat([logits[:, :shape], logits[:, shape + 1 :]], dim=1)
        odds = (logits[:, shape] - others.logsumexp(1)).mean()
        total += torch.autograd.grad(odds, pixels)[0][0, 0]
    weight = _blurred(total.abs(), blur)
    return weight / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)


def _blurred(image: Tensor, width: float) -> Tensor:
    """The image (y, x) under a Gaussian of standard deviation `width` [px], mirrored at its edges."""
    if width <= 0:
        return image
    reach = min(int(4 * width) + 1, min(image.shape) - 1)
    x = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-0.5 * (x / width) ** 2)
    kernel = (kernel / kernel.sum())[None, None]
    padded = torch.nn.functional.pad(image[None, None], (reach,) * 4, mode="reflect")
    across = torch.nn.functional.conv2d(padded, kernel[:, :, None, :])
    return torch.nn.functional.conv2d(across, kernel[:, :, :, None])[0, 0].clamp_min(0)
