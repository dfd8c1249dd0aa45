"""What a training is told to learn from, and what is refused before anything is made."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facetem.app.material import Material
from facetem.core.errors import InputError
from facetem.data.recipe_file import recipe_from, shipped_recipe
from facetem.data.store import create_store


def test_the_recipe_is_the_one_named_or_that_of_the_store_or_the_released_one(
    small: dict[str, Any], tmp_path: Path
) -> None:
    stored, named = (recipe_from({**small, "name": name}) for name in ("stored", "named"))
    store, file = tmp_path / "store", tmp_path / "named.yaml"
    create_store(stored, store, split="train", n=2)
    file.write_text(named.to_yaml())
    assert Material(file, store).wanted() == named
    assert Material(store=store).wanted() == stored
    assert Material(store=tmp_path / "new").wanted() == Material().wanted() == shipped_recipe("au-4-8nm")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"specimens": 0}, "specimens: expected at least 1, got 0"),
        ({"validation": 199}, "validation: expected at least 200 specimens to calibrate on, got 199"),
        ({"beside": (Path("other"),)}, "beside: expected a --store with it"),
        ({"recipe": Path("none.yaml")}, "none.yaml"),
        ({"store": Path("here"), "beside": (Path("nowhere"),)}, "nowhere"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        replace(Material(), **changes).wanted()
