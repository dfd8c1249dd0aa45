"""The one definition of particle/substrate contrast."""

import torch
from torch import Tensor

FLOOR = 0.005  # of the vacuum level: what a substrate that is all but empty counts as


def contrast(image: Tensor, particle: Tensor) -> Tensor:
    """Particle/substrate contrast (...,) of images (..., y, x): how far the particle stands out of its support.

        C = sqrt(<(I - <I>_S)^2>_P) / sqrt(<(I - <I>_S)^2>_S)

    the rms deviation of the particle's pixels P from the mean of the substrate S, its lattice fringes and its
    mean darkness alike, in units of the substrate's own rms granularity. 1 is a particle that drowns.

    Parameters
    ----------
    image
        Any linear scale with vacuum about 1.
    particle : (..., y, x) bool
        The particle's projection; the rest is substrate.
    """
    inside = particle.to(image.dtype)
    outside = 1 - inside
    dims = (-2, -1)
    mean = (image * outside).sum(dims, keepdim=True) / outside.sum(dims, keepdim=True).clamp_min(1)
    square = (image - mean) ** 2
    signal = (square * inside).sum(dims) / inside.sum(dims).clamp_min(1)
    ground = (square * outside).sum(dims) / outside.sum(dims).clamp_min(1)
    return torch.sqrt(signal) / torch.sqrt(ground).clamp_min(FLOOR)
