"""Images that no training sees, to calibrate and to test with: drawn once for a training, and kept beside it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path

import torch

from facetem.app.command import progress_bar
from facetem.data.recipe import Recipe, Split
from facetem.data.samples import Batch, draw_set


@dataclass(frozen=True)
class HeldOut:
    """The first `n` images of a split of a recipe."""

    recipe: Recipe
    split: Split
    n: int

    def images(self, folder: Path, device: str) -> Batch:
        """The images, from `folder` if they are there."""
        names = [item.name for item in fields(Batch)]  # what an earlier version kept may lack some
        mark = sha256(" ".join([self.recipe.to_yaml(), *names]).encode()).hexdigest()[:12]
        path = folder / f"{self.recipe.name}-{self.split}-{self.n}-{mark}.pt"
        if path.exists():
            return Batch(**torch.load(path, weights_only=True))
        with progress_bar(f"{self.split} images of {self.recipe.name}") as tell:
            drawn = draw_set(self.recipe, split=self.split, n=self.n, device=device, progress=tell)
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save({name: getattr(drawn, name) for name in names}, partial)
        partial.replace(path)
        return drawn


def draw_all(sets: list[HeldOut], folder: Path, device: str) -> None:
    """Have them all in `folder`."""
    for images in sets:
        images.images(folder, device)
