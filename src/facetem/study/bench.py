"""What the standard suite is measured with: networks, and test specimens that are simulated once and imaged often."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from facetem.core.errors import InputError
from facetem.data.cluster import dask_makers
from facetem.data.conditions import check_energies
from facetem.data.digest import digest_of
from facetem.data.layout import MANIFEST
from facetem.data.make import make_store
from facetem.data.recipe import Recipe, Split
from facetem.data.recipe_file import shipped_recipe
from facetem.data.samples import Batch, image_set
from facetem.data.sources import StoreSource
from facetem.data.store import Store, open_store
from facetem.data.workers import Makers, local_makers
from facetem.learn.predictor import Classifier, load_classifier
from facetem.learn.restoration import Restorer, load_restorer
from facetem.learn.weights_file import shipped

Progress = Callable[[str, int, int], None]
LIBRARY = 2000  # images of training specimens, which the baselines learn from
SHARD = 16  # specimens: a study wants few of each kind


def silent(step: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Bench:
    """Networks on the bench, and the specimens that they are tried on.

    Parameters
    ----------
    folder
        Where specimens and results are kept. What is there is not made again.
    classifier, restorer
        Weights; None for those that come with the package.
    per_shape
        Specimens of each shape.
    library
        A store of training specimens for the baselines; None: they are made in `folder`.
    others
        Folder of images from another simulator, as `benchmarks/other_hands.py` makes them; None: not tried.
    workers
        Processes of this machine that work side by side.
    dask
        Address of a Dask scheduler whose workers do so instead; they see `folder` under the same path.
    """

    folder: Path
    classifier: Path | None = None
    restorer: Path | None = None
    recipe: Recipe = field(default_factory=lambda: shipped_recipe("au-4-8nm-test"))
    per_shape: int = 100
    library: Path | None = None
    others: Path | None = None
    workers: int = 1
    dask: str | None = None
    device: str = "cpu"
    progress: Progress = silent

    def __post_init__(self) -> None:
        if self.per_shape < 1:
            raise InputError(f"per-shape: expected at least 1 specimen, got {self.per_shape}")
        if self.workers < 1:
            raise InputError(f"workers: expected at least 1, got {self.workers}")

    @property
    def n(self) -> int:
        """Specimens of the test."""
        return self.per_shape * len(self.recipe.particles.shapes)

    @cached_property
    def shapes(self) -> Classifier:
        """The classifier."""
        return load_classifier(self.classifier, device=self.device)

    @cached_property
    def contrast(self) -> Restorer:
        """The restorer."""
        return load_restorer(self.restorer, device=self.device)

    @cached_property
    def weights(self) -> dict[str, str]:
        """Checksums of both files of weights."""
        files = {
            "classifier": self.classifier or shipped("classifier"),
            "restorer": self.restorer or shipped("restorer"),
        }
        return {name: digest_of(file) for name, file in files.items()}

    @staticmethod
    def mark(*of: object) -> str:
        """A name for what depends on all of these."""
        return hashlib.sha256(" ".join(map(str, of)).encode()).hexdigest()[:12]

    def store(self, recipe: Recipe, *, n: int | None = None, split: Split = "test") -> Store:
        """At least `n` specimens of a recipe (default: those of the test) in `folder`, made if they are not there; an
        interrupted run goes on. Whoever asks for the same recipe has the same specimens."""
        kept = recipe.model_copy(update={"stored": recipe.stored.model_copy(update={"shard": SHARD})})
        n = n or self.n
        path = self.folder / "specimens" / f"{recipe.name}-{split}-{self.mark(kept.to_yaml())}"
        if (path / MANIFEST).exists():
            there = open_store(path)
            if len(there.shards()) * there.shard_size >= n:
                return there
        return make_store(
            kept,
            path,
            n=n,
            split=split,
            makers=self._makers(),
            progress=lambda done, total: self.progress("simulating", done, total),
        )

    def _makers(self) -> Makers:
        if self.dask is not None:
            return dask_makers(self.dask, self.device)
        return local_makers(self.workers, self.device if self.workers <= 1 else "cpu")  # workers have no GPU

    @cached_property
    def specimens(self) -> Store:
        """The specimens of the test."""
        return self.store(self.recipe)

    @cached_property
    def bare(self) -> Store:
        """The same particles, optics and cameras, without carbon."""
        films = self.recipe.films.model_copy(update={"kinds": {"none": 1.0}})
        return self.store(self.recipe.model_copy(update={"films": films}))

    @cached_property
    def images(self) -> Batch:
        """The images of the test."""
        return self.imaged(self.specimens)

    def imaged(self, store: Store, recipe: Recipe | None = None, *, n: int | None = None) -> Batch:
        """Specimens 0 to `n` of a store under the conditions of `recipe`, by default its own."""
        return image_set(
            StoreSource(store.path, memory=1e9),
            recipe or store.recipe,
            n=n or self.n,
            device=self.device,
            split="test",
            progress=lambda done, total: self.progress("imaging", done, total),
        )

    def table(self, name: str) -> pd.DataFrame:
        """A table of the specimens, `labels` or the first `particles`, a row for each image of the test."""
        parts = [self.specimens.table(name, shard) for shard in sorted(self.specimens.shards())]
        table = pd.concat(parts, ignore_index=True)
        if name == "particles":
            table = table[table["particle"] == 1]
        return table.set_index("index").sort_index().loc[: self.n - 1]

    def training_images(self) -> Batch:
        """`LIBRARY` images of specimens that networks are trained on, as the standard test would image them."""
        recipe = shipped_recipe("au-4-8nm") if self.library is None else open_store(self.library).recipe
        stated = self.recipe
        seen = recipe.model_copy(
            update={"microscopes": stated.microscopes, "cameras": stated.cameras, "images": stated.images}
        )
        check_energies(stated, recipe)  # before thousands of specimens are made
        library = self.library or self.store(recipe, n=LIBRARY, split="train").path
        source = StoreSource(library, memory=1e9, limit=LIBRARY)
        images = image_set(
            source,
            seen,
            n=min(LIBRARY, len(source)),
            device=self.device,
            split="train",
            progress=lambda done, total: self.progress("imaging the library", done, total),
        )
        return images.known()
