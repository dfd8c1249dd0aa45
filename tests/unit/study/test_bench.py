"""The bench: what is asked for in vain is said before anything is simulated."""

from pathlib import Path

import pytest

from facetem.core.errors import InputError
from facetem.data.recipe import Recipe
from facetem.study.bench import Bench


def test_a_library_of_other_beams_is_refused_before_it_is_made(recipe: Recipe, tmp_path: Path) -> None:
    bench = Bench(tmp_path, recipe=recipe)
    with pytest.raises(InputError, match=r"seen with 200 kV, .* got 80, 200, 300 kV of au-4-8nm"):
        bench.training_images()
    assert list(tmp_path.iterdir()) == []
