"""What a training learns from: a recipe's specimens, from stores or from the simulator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facetem.app.command import progress_bar
from facetem.core.errors import InputError
from facetem.data.layout import MANIFEST
from facetem.data.make import make_store
from facetem.data.recipe import Recipe
from facetem.data.recipe_file import find_recipe, load_recipe, shipped_recipe
from facetem.data.sources import LiveSource, Source, StoreSource, check_specimens
from facetem.data.store import open_store
from facetem.data.workers import local_makers

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LIVE_BLOCK, LIVE_REPEATS = 64, 4  # specimens held at once, and how often each is shown before the next come


@dataclass(frozen=True)
class Material:
    """What is learnt from, and tested on.

    Parameters
    ----------
    recipe : Path or None
        None: that of the store, or the released one.
    store : Path or None
        Where the specimens are kept, once simulated; None: they are simulated as they are needed.
    beside : tuple of Path
        Other stores, whose specimens are mixed in as they are.
    specimens, validation : int
        How many there are; how many more, never trained on, confidence is calibrated with.
    workers : int or None
        Processes that make them.
    """

    recipe: Path | None = None
    store: Path | None = None
    beside: tuple[Path, ...] = ()
    specimens: int = 16000
    validation: int = 800
    workers: int | None = None

    def wanted(self) -> Recipe:
        """The recipe of the training.

        Raises
        ------
        InputError
            If the stores do not fit it, or too few specimens are asked for.
        """
        if self.specimens < 1:
            raise InputError(f"specimens: expected at least 1, got {self.specimens}")
        if self.validation < 200:
            raise InputError(
                f"validation: expected at least 200 specimens to calibrate on, got {self.validation}"
            )
        if self.beside and self.store is None:
            raise InputError("beside: expected a --store with it, to mix its specimens with, got none")
        recipe = self._recipe()
        for other in self.beside:
            check_specimens(other, open_store(other).recipe, recipe)
        return recipe

    def _recipe(self) -> Recipe:
        if self.recipe is not None:
            return load_recipe(find_recipe(self.recipe))
        if self.store is not None and (self.store / MANIFEST).exists():
            return open_store(self.store).recipe
        return shipped_recipe("au-4-8nm")

    def source(self, recipe: Recipe, fabric: Fabric) -> Source:
        """The specimens, made first if they are to be stored."""
        device, workers = str(fabric.device), self.workers or 1
        if self.store is None:
            return LiveSource(
                recipe,
                split="train",
                n=self.specimens,
                device=device,
                batch=LIVE_BLOCK,
                repeats=LIVE_REPEATS,
                workers=workers,
            )
        if fabric.world_size > 1:
            # Simulation takes longer than processes wait for each other: the store is taken as it is.
            return StoreSource(self.store, beside=self.beside)
        with progress_bar("simulating") as show:
            # Workers are processes on the CPU; a GPU is fed from one.
            makers = local_makers(workers, device if workers <= 1 else "cpu")
            make_store(recipe, self.store, n=self.specimens, makers=makers, progress=show)
        return StoreSource(self.store, beside=self.beside)
