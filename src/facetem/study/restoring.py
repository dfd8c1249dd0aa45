"""How well images are restored from any focus, beside what else microscopists would use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from torch import Tensor

from facetem.core.pixels import PIXEL
from facetem.data.recipe import Recipe
from facetem.data.samples import Batch
from facetem.learn.restoration import Restoration, Restorer
from facetem.study.filters import Filter, RestorationScores, restoration_scores
from facetem.study.metrics import best_gaussian, best_linear

FOCI = (-150.0, -75.0, 0.0, 75.0, 150.0)  # Å, counted from the exit plane
WIDTH = 5  # px: standard deviation of the Gaussian that spread and error are compared after; 2 Å, a lattice spacing
EVERY = 8  # px: of the smoothed maps, every so many are compared

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FocusScores:
    """Restoration of images taken at `defocus` [Å], by method: `scores` against the noise-free images at the focus of
    best contrast, `own` against those at their own focus, which a denoiser is asked for.

    `spearman` is the rank correlation of the restorer's spread with its true error, both after a Gaussian of `WIDTH`,
    all pixels together.
    """

    defocus: float
    scores: dict[str, RestorationScores]
    own: dict[str, RestorationScores]
    spearman: float


def at_focus(recipe: Recipe, defocus: float) -> Recipe:
    """The recipe with every image at one defocus [Å], all else as it was drawn before."""
    there = {"defocus": (defocus, defocus), "scherzer": None}  # which would state it in its place
    microscopes = tuple(microscope.model_copy(update=there) for microscope in recipe.microscopes)
    return recipe.model_copy(update={"microscopes": microscopes})


def focus_scores(
    samples: Batch,
    restorer: Restorer,
    *,
    defocus: float,
    filters: Mapping[str, Filter],
    progress: Progress = lambda done, total: None,
) -> FocusScores:
    """Scores of the restorer and of filters on samples that were all taken at one focus."""
    noisy = samples.noisy.float().numpy()
    restored: list[Restoration] = []
    smoothed: dict[str, list[Tensor]] = {name: [] for name in filters}
    for i, image in enumerate(noisy):
        restored.append(restorer.restore(image, seed=i))
        for name, run in filters.items():
            smoothed[name].append(torch.from_numpy(np.asarray(run(image, PIXEL), dtype=np.float32)))
        progress(i + 1, len(noisy))
    filtered = {name: torch.stack(stack) for name, stack in smoothed.items()}

    def scores(target: Tensor, ours: Mapping[str, Tensor]) -> dict[str, RestorationScores]:
        images = {
            "raw": samples.noisy,
            "best Gaussian": best_gaussian(samples.noisy, target),
            "best linear filter": best_linear(samples.noisy, target),
            **filtered,
            **ours,
        }
        inside = samples.mask > 0.5
        return {name: restoration_scores(stack, target, inside) for name, stack in images.items()}

    answers = {
        name: torch.from_numpy(np.stack([getattr(answer, name) for answer in restored]))
        for name in ("image", "denoised")
    }
    errors = [answer.image - true for answer, true in zip(restored, samples.target.numpy(), strict=True)]
    return FocusScores(
        defocus,
        scores(samples.target, {"noise-free at its own focus": samples.clean, "restored": answers["image"]}),
        own=scores(samples.clean, {"denoised": answers["denoised"]}),
        spearman=_rank([answer.spread for answer in restored], errors),
    )


def _rank(spreads: list[NDArray], errors: list[NDArray]) -> float:
    spread, error = (np.concatenate([smoothed(part) for part in parts]) for parts in (spreads, errors))
    return float(np.asarray(spearmanr(spread, error))[0])


def smoothed(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """What spread and error are compared as: magnitudes after a Gaussian of `WIDTH`, every `EVERY` px, as one row."""
    return gaussian_filter(np.abs(values), WIDTH)[::EVERY, ::EVERY].ravel()
