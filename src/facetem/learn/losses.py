"""What training asks of the networks beside what PyTorch has losses for."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from facetem.atoms.shapes import SHAPES
from facetem.core.physics import wavelength
from facetem.data.samples import Batch
from facetem.learn.classifier import TYPICAL, Answer
from facetem.learn.orientation import FAMILIES, MOMENTS, moments, normals_of
from facetem.learn.restorer import FOCUS

NEAR = 250.0  # Å of defocus


def pose_losses(answer: Answer, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """How far diameter (relative, Huber with a bend at 5 %), moments of the orientation (length of the difference) and
    ratio of the facets (as the diameter) are from the truth, in the mean over the particles of known shape; the last,
    of those that have one.

    The length, not its square: most of the squares would be those of a few particles, twins and decahedra, whose
    orientation hardly shows, and the others' would be learnt from no more.
    """
    device = answer.logits.device
    labels = batch.labels.tolist()
    rows = [i for i, label in enumerate(labels) if label >= 0]
    if not rows:
        return answer.log_diameter.sum() * 0, answer.moments.sum() * 0, answer.log_ratio.sum() * 0
    truth = np.empty((len(rows), len(MOMENTS)))
    orientations = batch.orientation.double().numpy()
    for kind, shapes in FAMILIES.items():
        some = [k for k, i in enumerate(rows) if SHAPES[labels[i]] in shapes]
        if some:
            truth[some] = moments(
                np.einsum("nij,kj->nki", orientations[[rows[k] for k in some]], normals_of(kind))
            )
    wanted = torch.from_numpy(truth).float().to(device)
    lies = (answer.moments[rows].float() - wanted).square().sum(1).add(1e-4).sqrt().mean()
    size = torch.log(batch.diameter[rows].float() / TYPICAL).to(device)
    size_loss = functional.smooth_l1_loss(answer.log_diameter[rows].float(), size, beta=0.05)
    cubic = torch.isfinite(batch.facet_ratio)
    cut = torch.log(batch.facet_ratio[cubic].float()).to(device)
    given = answer.log_ratio[cubic.to(device)].float()
    ratio_loss = functional.smooth_l1_loss(given, cut, beta=0.05, reduction="sum") / max(1, len(cut))
    return size_loss, lies, ratio_loss


def log_error(images: Tensor, wanted: Tensor) -> Tensor:
    """Natural logarithm of the rms error of images (n, y, x), each in units of the standard deviation of the one that
    is wanted; the mean over all.

    It is the likelihood of errors that are normally distributed with a standard deviation that each image has of its
    own, and 8.7 dB of signal-to-noise ratio to one: of faint images as much is asked as of clear ones. Below an error
    of 1 % nothing is gained, or images without noise would have all the say.
    """
    errors = (images - wanted).square().mean((-2, -1)) / wanted.var((-2, -1)).clamp_min(1e-6)
    return 0.5 * (errors + 1e-4).log().mean()


def likelihood_loss(log_scale: Tensor, error: Tensor) -> Tensor:
    """Negative logarithm of the likelihood of errors that are normally distributed with standard deviation
    exp(`log_scale`), but for a constant (Nix and Weigend 1994; Kendall and Gal 2017, equation 8)."""
    return (0.5 * error.square() * torch.exp(-2 * log_scale) + log_scale).mean()


def focus_loss(focus: Tensor, batch: Batch) -> Tensor:
    """How far `Reading.focus` is from the truth: Huber, with a bend at a quarter of its unit, in the mean over the
    images within `NEAR` of focus (0 without any)."""
    near = batch.defocus.abs() <= NEAR
    wavelengths = torch.tensor([wavelength(energy) for energy in batch.energy.tolist()])
    wanted = (wavelengths * batch.defocus.abs() / FOCUS).to(focus)[near]
    return functional.smooth_l1_loss(focus[near].float(), wanted.float(), beta=0.25, reduction="sum") / max(
        1, int(near.sum())
    )
