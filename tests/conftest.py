"""What all tests share: one thread each, no display, and honest reasons for what is skipped."""

import os
from pathlib import Path
from typing import Any

# Before numpy and torch are imported: the tests run side by side, one process a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import settings

settings.register_profile("facetem", deadline=None, derandomize=True)
settings.load_profile("facetem")

REPOSITORY = Path(__file__).parents[1]
WEIGHTS = REPOSITORY / "src" / "facetem" / "learn" / "weights"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def small() -> dict[str, Any]:
    """A recipe, as a file holds it, whose specimens take hundredths of a second each."""
    return {
        "name": "small",
        "seed": 3,
        "field_nm": 4.8,
        "accuracy": "draft",
        "particles": {"shapes": ["icosahedron", "cube"], "diameter_nm": [1.4, 1.8], "offset_nm": 0.2},
        "films": {"kinds": "random", "thickness_nm": [0.5, 1], "hard_cores_A": [1.2]},
        "stored": {"shard": 2},
    }


@pytest.fixture(scope="session")
def shared(repository: Path) -> Path:
    """The folder of micrographs and reference results beside the repository."""
    folder = repository.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared, which is not part of the repository")
    return folder


@pytest.fixture(scope="session")
def weights() -> Path:
    """The folder of the released weights."""
    if len(list(WEIGHTS.glob("*.safetensors"))) < 2:
        pytest.skip("needs the released weights of both networks in src/facetem/learn/weights")
    return WEIGHTS
