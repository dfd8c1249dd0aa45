"""How every image is scaled before a network sees it."""

import torch
from torch import Tensor


def levels(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of images (n, y, x), as (n, 1, 1) each."""
    dims = (-2, -1)
    return images.mean(dims, keepdim=True), images.std(dims, keepdim=True).clamp_min(1e-6)


def normalise(images: Tensor) -> Tensor:
    """Images (n, y, x) with mean 0 and standard deviation 1 each, as (n, 1, y, x)."""
    mean, spread = levels(images)
    return ((images - mean) / spread)[:, None]


def illumination(images: Tensor, generator: torch.Generator, amount: float = 0.04) -> Tensor:
    """The slow changes of a real camera over images (n, y, x), to multiply them by: tilted and curved.

    1 + g, g a random quadratic over the field with coefficients of standard deviation `amount` times a random strength
    of each image.
    """
    n, height, width = images.shape
    y = torch.linspace(-1, 1, height, device=images.device)[:, None]
    x = torch.linspace(-1, 1, width, device=images.device)[None, :]
    terms = torch.stack([x + 0 * y, y + 0 * x, x * y, x**2 - 1 / 3 + 0 * y, y**2 - 1 / 3 + 0 * x])
    strength = torch.rand(n, 1, generator=generator).square() * amount
    weights = (torch.randn(n, len(terms), generator=generator) * strength).to(images.device)
    return 1 + torch.einsum("nk,kyx->nyx", weights, terms)
