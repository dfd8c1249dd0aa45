"""How every image is scaled before a network sees it."""

import torch
from torch import Tensor


def levels(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of images (n, y, x), as (n, 1, 1) each: times a factor, those of the images times
    that factor. What differs by less than numbers of this size are rounded counts as one value."""
    dims = (-2, -1)
    kind = torch.finfo(images.dtype)
    lowest, highest = images.amin(dims, keepdim=True), images.amax(dims, keepdim=True)
    size = torch.maximum(-lowest, highest).clamp_min(kind.tiny)
    # Squares of very small and very large values are no numbers. A power of two rounds nothing.
    unit = torch.exp2(torch.log2(size).floor())
    spread = unit * (images / unit).std(dims, keepdim=True).clamp_min(kind.eps)
    # The mean of equal values may be rounded to none of them.
    mean = images.mean(dims, keepdim=True).maximum(lowest).minimum(highest)
    return mean, spread


def normalise(images: Tensor) -> Tensor:
    """Images (n, y, x) of any scale with mean 0 and standard deviation 1 each, as (n, 1, y, x); zeros, where all values
    are the same."""
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
