"""Where the random patches of a restoration lie, how each is turned, and how their answers come together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

OVERLAP = (1 / 8, 1 / 4)  # of a patch's side, that it shares with the next of the same round, at random
VIEWS_OF_ONE = 8  # quarter turns and mirrors: what one position can show


@dataclass(frozen=True)
class Patch:
    """First pixel of a square patch, and the quarter turns and the mirror in which the network sees it."""

    y: int
    x: int
    quarter: int
    mirror: bool

    def seen(self, image: Tensor) -> Tensor:
        """A patch (..., y, x) as the network sees it."""
        turned = torch.rot90(image, self.quarter, (-2, -1))
        return turned.flip(-1) if self.mirror else turned

    def laid_back(self, answer: Tensor) -> Tensor:
        """What the network says of it, the way the image lies."""
        turned = answer.flip(-1) if self.mirror else answer
        return torch.rot90(turned, -self.quarter, (-2, -1))


def draw_patches(shape: tuple[int, int], side: int, views: int, rng: np.random.Generator) -> list[Patch]:
    """Patches at random positions that show every pixel of a field of `shape` (y, x) at least `views` times.

    Each of `views` rounds covers the field once: rows of patches that begin at a random height, the patches of
    each row at a random place, and every patch shares a random part of its side (`OVERLAP`) with the next. No two
    rounds show the same pixels in the same turn and mirror before all eight have been used. All patches lie within
    the field, sides of which are at least `side`. In the order of their first rows.
    """
    patches: list[Patch] = []
    turns: list[int] = []
    for _ in range(views):
        turns = turns or rng.permutation(VIEWS_OF_ONE).tolist()
        quarter, mirror = turns[-1] % 4, turns.pop() >= 4
        for y in _chain(shape[0], side, rng):
            patches += [Patch(y, x, quarter, mirror) for x in _chain(shape[1], side, rng)]
    return sorted(patches, key=lambda patch: (patch.y, patch.x))


def _chain(length: int, side: int, rng: np.random.Generator) -> list[int]:
    """First pixels of patches that follow each other from a random start until `length` is covered."""
    last = length - side
    place = -int(rng.integers(side))
    starts = [0]
    while starts[-1] < last:
        place += side - int(rng.integers(round(OVERLAP[0] * side), round(OVERLAP[1] * side) + 1))
        start = min(max(place, 0), last)
        if start > starts[-1]:
            starts.append(start)
    return starts


class Blend:
    """Weighted means of overlapping answers, and how far they are to be trusted, in the memory of one row of patches.

    Answers come in the order of their first rows; what no later one can reach is finished and let go.

    Attributes
    ----------
    image, mask, denoised : (y, x) float32
        Means of the answers.
    spread : (y, x) float32
        Standard deviation of `image` as a mixture of what the patches expect: the variance that they state, in the
        mean, and that of their images (Lakshminarayanan, Pritzel and Blundell 2017, section 2.4). Complete, as the
        others, after `finish`.
    """

    def __init__(self, shape: tuple[int, int], side: int) -> None:
        self.image, self.mask, self.denoised, self.spread = (
            np.empty(shape, dtype=np.float32) for _ in range(4)
        )
        ramp = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
        # A network knows least at the edge of a patch; the floor is for where there is nothing but edges.
        self._weight = ramp[:, None] * ramp + 1e-4
        # Sums of w, w^2, w a, w a^2, w v, w m, w d. Double precision: the variance is a difference of two sums.
        self._sums = np.zeros((7, side, shape[1]))
        self._top = 0

    def add(self, patch: Patch, answer: NDArray[np.float32]) -> None:
        """Take in the answer (4, side, side) for a patch: image, its variance, mask, denoised."""
        self._release(patch.y)
        side = answer.shape[-1]
        window = self._sums[:, :, patch.x : patch.x + side]
        value, *others = answer
        weighted = self._weight * value
        for into, part in zip(
            window,
            (self._weight, self._weight**2, weighted, weighted * value, *(self._weight * a for a in others)),
            strict=True,
        ):
            into += part

    def finish(self) -> None:
        """Complete the rows that are still held."""
        self._release(self._top + self._sums.shape[1])

    def _release(self, top: int) -> None:
        """Finish the rows above `top` and make room below."""
        done = top - self._top
        if done <= 0:
            return
        rows = slice(self._top, top)
        total, squares, first, second, stated, mask, denoised = self._sums[:, :done]
        mean = first / total
        # Of n effective views the mean has taken up one: the unbiased variance with unequal weights.
        unseen = np.maximum(1 - squares / total**2, 1e-9)
        apart = np.maximum(second / total - mean**2, 0) / unseen
        self.image[rows], self.mask[rows], self.denoised[rows] = mean, mask / total, denoised / total
        self.spread[rows] = np.sqrt(apart + stated / total)
        kept = self._sums[:, done:].copy()
        self._sums[:, : kept.shape[1]] = kept
        self._sums[:, kept.shape[1] :] = 0
        self._top = top
