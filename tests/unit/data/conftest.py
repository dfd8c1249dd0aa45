"""A small data set that the tests of stores share."""

from pathlib import Path

import pytest

from facetem.data.make import make_store
from facetem.data.recipe import Recipe

SMALL = {
    "name": "small",
    "seed": 3,
    "field": 48.0,
    "accuracy": "draft",
    "specimens": {
        "shapes": ["icosahedron", "cube"],
        "diameter": [14, 18],
        "offset": 2.0,
        "film_thickness": [5, 10],
        "hard_cores": [1.2],
        "bare": 0.0,
    },
}


@pytest.fixture(scope="session")
def small_recipe() -> Recipe:
    """Specimens that take hundredths of a second each."""
    return Recipe.model_validate(SMALL)


@pytest.fixture(scope="session")
def small_store(small_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete data set of four specimens in two shards; not to be changed."""
    path = tmp_path_factory.mktemp("small") / "store"
    make_store(small_recipe, path, n=3, shard_size=2)
    return path
