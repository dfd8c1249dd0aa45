import pytest

from facetem.data.recipe import Recipe
from facetem.data.recipe_file import recipe_from


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """Small bare particles, calculated roughly: a handful are simulated in a second."""
    return recipe_from(
        {
            "name": "tiny",
            "field_nm": 10.4,
            "accuracy": "draft",
            "particles": {"diameter_nm": [1.5, 2.0], "calibration": 0},
            "films": {"kinds": "none"},
            "microscopes": [{"energies_kv": [200], "defocus_nm": [-5, 5]}],
            "stored": {"shard": 8},
        }
    )
