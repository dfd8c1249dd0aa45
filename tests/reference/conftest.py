"""abTEM, set up to compare with."""

from collections.abc import Iterator
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def abtem() -> Iterator[ModuleType]:
    module = pytest.importorskip("abtem", reason="needs abTEM, which the `test` extra brings")
    quiet = {"dask.lazy": False, "diagnostics.progress_bar": False, "precision": "float64", "fftw.threads": 1}
    with module.config.set({**quiet, "fftw.planning_effort": "FFTW_ESTIMATE"}):
        yield module
