"""Small deterministic stand-ins for the networks, and a micrograph for them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from facetem.analysis.analyze import Analysis, analyze
from facetem.data.micrograph import Micrograph, micrograph_from_array
from facetem.learn.orientation import Orientation
from facetem.learn.support import LatticeSupport, lattice_support
from facetem.learn.verdict import is_judged, is_known

NAMES = ("truncated_octahedron", "cube", "icosahedron")


@dataclass(frozen=True)
class FakeRestoration:
    image: np.ndarray
    denoised: np.ndarray
    mask: np.ndarray
    spread: np.ndarray
    support: LatticeSupport

    def out_of_focus(self, y: float, x: float) -> float:
        return 2.0  # Å^2: at 300 kV, 10 nm


LIES = Orientation((1.0, 0.0, 0.0, 0.0), (1, 1, 0), 12.34, 0.9)


@dataclass(frozen=True)
class FakePrediction:
    shape: str
    probabilities: dict[str, float]
    confidence: float
    familiar: bool
    possible: tuple[str, ...]
    diameter: float = 61.0
    family: str = "single crystal"
    orientation: Orientation = LIES
    facet_ratio: float | None = 0.7
    foreign: float | None = None
    hidden: str = ""

    @property
    def judged(self) -> bool:
        return is_judged(self.foreign, self.hidden)

    @property
    def known(self) -> bool:
        return is_known(self.familiar, self.foreign, self.hidden)


class FakeRestorer:
    """Smooths; what is dark in the mean is particle; adds `lattice`, if it has one, to the particles."""

    def __init__(self, lattice: np.ndarray | None = None) -> None:
        self.lattice = lattice
        self.provenance = {"weights": "fake restorer", "device": "cpu"}

    def restore(self, field: Any, progress: Any = None, *, views: int = 2) -> FakeRestoration:
        smooth = ndimage.gaussian_filter(field, 3)
        if progress:
            progress(1, 1)
        mask = 1 / (1 + np.exp((smooth - 80) / 2))
        image = smooth if self.lattice is None else smooth + mask * self.lattice
        return FakeRestoration(
            image, smooth, mask, np.abs(field - smooth), lattice_support(field, image, sampling=0.4)
        )


class FakeClassifier:
    """Small particles are cubes, larger ones icosahedra, the largest are unknown; remembers what it was given."""

    def __init__(self) -> None:
        self.provenance = {"weights": "fake classifier", "device": "cpu"}
        self.batches: list[np.ndarray] = []

    def classify(self, crops: Any) -> list[FakePrediction]:
        self.batches.append(np.asarray(crops))
        return [self.one((crop < 80).mean() * crop.size * 0.16) for crop in np.asarray(crops)]

    def one(self, area: float) -> FakePrediction:
        name = "cube" if area < 2000 else "icosahedron"
        return FakePrediction(name, {n: 0.8 if n == name else 0.1 for n in NAMES}, 0.8, area < 4000, (name,))


@pytest.fixture
def classifier() -> FakeClassifier:
    return FakeClassifier()


@pytest.fixture(scope="session")
def restorer() -> FakeRestorer:
    return FakeRestorer()


@pytest.fixture(scope="session")
def discs() -> list[tuple[float, float, float]]:
    """Centre (x, y) and diameter [nm] of the particles of the micrograph; the last is cut in half by the right edge."""
    return [(6.0, 7.0, 4.6), (18.0, 8.0, 6.0), (9.0, 19.0, 7.8), (25.0, 20.0, 5.0)]


@pytest.fixture(scope="session")
def micrograph(discs: list[tuple[float, float, float]]) -> Micrograph:
    """Dark discs on noise, 25 x 26 nm, at a pixel that is not the networks' own."""
    sampling = 0.5
    y, x = (np.mgrid[:520, :500] + 0.5) * sampling / 10
    image = 100 + np.random.default_rng(2).normal(0, 4, x.shape)
    for cx, cy, d in discs:
        image -= 45.0 * (np.hypot(x - cx, y - cy) < d / 2)
    return micrograph_from_array(image, sampling, name="discs & <co>.dm4")


@pytest.fixture(scope="session")
def analysis(micrograph: Micrograph, restorer: FakeRestorer) -> Analysis:
    return analyze(micrograph, classifier=FakeClassifier(), restorer=restorer)
