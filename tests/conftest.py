"""What all tests share: one thread each, no display, and honest reasons for what is skipped."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

# Before numpy and torch are imported: the tests run side by side, one process a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from filelock import FileLock
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
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights of two small networks, which have learnt nothing: for what does not ask what they say."""
    import torch

    from facetem.learn.classifier import ClassifierConfig, ShapeClassifier
    from facetem.learn.release import release_restorer
    from facetem.learn.restorer import ContrastRestorer, RestorerConfig
    from facetem.learn.weights_file import save_weights

    folder, widths = tmp_path_factory.mktemp("weights"), (8, 8, 8, 8)
    torch.manual_seed(0)
    classifier = ShapeClassifier(ClassifierConfig(widths=widths, depths=(1, 1, 1, 1)))
    config = {"name": "small", "network": classifier.config.as_dict()}
    save_weights(folder / "classifier.safetensors", "classifier", classifier, config, {})
    restorer = ContrastRestorer(RestorerConfig(widths=widths, depths=(1, 1, 1, 1), up=widths))
    release_restorer(restorer, folder / "restorer.safetensors", training={})
    return folder


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


@pytest.fixture(scope="session")
def exported_graphs(weights: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """What `facetem export onnx` writes of the released weights, once for all processes of the tests."""
    from typer.testing import CliRunner

    from facetem.app.cli import app

    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "graphs"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            told = CliRunner().invoke(app, ["export", "onnx", "-o", str(folder)])
            assert told.exit_code == 0, told.output
    return folder


@pytest.fixture(scope="session")
def served() -> Callable[..., AbstractContextManager[str]]:
    """`facetem serve` with some options, as a context that gives its address and in the end sees it leave nothing."""

    @contextmanager
    def run(*options: object, temporary: Path) -> Iterator[str]:
        words = [sys.executable, "-m", "facetem.app.cli", "serve", "--port", "0", "--device", "cpu"]
        server = subprocess.Popen(
            [*words, *map(str, options)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(temporary)},
            cwd=temporary,
        )
        assert server.stdout is not None
        line = server.stdout.readline()
        try:
            found = re.fullmatch(r"facetem: (http://\S+)\n", line)
            assert found, line + (server.communicate(timeout=30)[1] if not line else "")
            yield found[1]
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                said = server.communicate(timeout=30)[1]
            except subprocess.TimeoutExpired:
                server.kill()
                raise
        assert server.returncode == 0
        assert said == ""
        assert not list(temporary.glob("facetem-page-*"))

    return run
