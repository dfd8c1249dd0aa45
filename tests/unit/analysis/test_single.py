"""The one particle of an image that is classified."""

from dataclasses import dataclass

import numpy as np
import pytest

from facetem.analysis.single import Sight, sight_of
from facetem.core.pixels import FIELD
from facetem.data.micrograph import Micrograph
from facetem.learn.matter import Matter
from facetem.learn.orientation import Orientation
from facetem.learn.predictor import Prediction


class Answering:
    """A classifier that takes every image for a cube."""

    matter = Matter()

    def classify(self, crops: np.ndarray, *, coverage: float) -> list[Prediction]:
        lies = Orientation((1.0, 0.0, 0.0, 0.0), None, None, 0.9)
        return [Prediction("cube", {"cube": 1.0}, 1.0, True, ("cube",), coverage, 60.0, lies) for _ in crops]


Discs = list[tuple[float, float, float]]


@dataclass(frozen=True)
class Marked:
    mask: np.ndarray


class Marking:
    """A restorer that marks discs (y, x, radius) [px], whatever it sees."""

    def __init__(self, discs: Discs) -> None:
        self.discs = discs

    def restore(self, field: np.ndarray, progress: object = None, *, views: int = 2) -> Marked:
        y, x = np.mgrid[: field.shape[0], : field.shape[1]]
        inside = [np.hypot(y - a, x - b) <= r for a, b, r in self.discs]
        return Marked(np.any([np.zeros(field.shape, bool), *inside], axis=0).astype(np.float32))


def sight(discs: Discs, shape: tuple[int, int] = (700, 700)) -> Sight:
    """Of a field whose pixels tell their place."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return sight_of(Micrograph(1000 * y + x, 0.4, "field", {}), restorer=Marking(discs))


@pytest.mark.parametrize(
    ("discs", "place", "hidden"),
    [
        ([(300, 310, 70)], (300, 310), ""),
        ([(300, 310, 60), (500, 490, 80)], (500, 490), ""),  # the largest
        ([(300, 310, 60), (20, 500, 90)], (300, 310), ""),  # that is seen whole
        ([(300, 250, 60), (300, 370, 70)], (300, 370), ""),  # of two that touch, not the place where they do
        ([(350, 340, 200)], (350, 340), "larger than the 10.2 nm"),
        ([(20, 500, 90)], None, "cut through by the edge"),
        ([], (350, 350), ""),
    ],
)
def test_the_largest_whole_particle_is_looked_at(
    discs: Discs, place: tuple[int, int] | None, hidden: str
) -> None:
    seen = sight(discs)
    assert seen.view.shape == (FIELD, FIELD)
    assert seen.hidden.startswith(hidden)
    assert bool(seen.hidden) == bool(hidden)
    if place is not None:
        assert divmod(seen.view[FIELD // 2, FIELD // 2], 1000) == pytest.approx(place, abs=3)


@pytest.mark.parametrize(
    ("shape", "place"),
    [((290, 290), (145, 145)), ((300, 300), (110, 110)), ((290, 600), (110, 110))],
    ids=["cut out", "larger", "longer"],
)
def test_particles_are_looked_for_unless_the_image_was_cut_out_around_one(
    shape: tuple[int, int], place: tuple[int, int]
) -> None:
    """Of an image not more than 15 % larger than what the classifier sees, along both sides, it sees the middle."""
    seen = sight([(110, 110, 60)], shape)
    assert divmod(seen.view[FIELD // 2, FIELD // 2], 1000) == pytest.approx(place, abs=3)


@pytest.mark.parametrize(
    ("discs", "shape", "hidden"),
    [
        ([(128, 128, 60)], (256, 256), ""),
        ([(128, 30, 60)], (256, 128), "cut through by the edge"),
        ([(64, 64, 70)], (128, 128), "cut through by the edge"),
        ([(128, 120, 50), (10, 240, 40)], (256, 256), ""),  # a neighbour's fate is not its own
        ([], (256, 256), ""),
    ],
)
def test_of_an_image_cut_out_around_a_particle_is_said_whether_all_of_it_is_there(
    discs: Discs, shape: tuple[int, int], hidden: str
) -> None:
    seen = sight(discs, shape)
    assert seen.hidden.startswith(hidden)
    assert bool(seen.hidden) == bool(hidden)
    assert divmod(seen.view[FIELD // 2, FIELD // 2], 1000) == (shape[0] // 2, shape[1] // 2)


@pytest.mark.parametrize(
    ("spacing", "hidden", "verdict"),
    [
        (2.355, "", "accepted"),
        (2.355, "cut through by the edge", "not judged"),
        (3.53, "cut through by the edge", "unknown"),  # of another crystal, however little of it is seen
    ],
)
def test_what_is_hidden_is_not_judged_unless_it_is_another_crystal(
    spacing: float, hidden: str, verdict: str
) -> None:
    x = 0.4 * np.arange(FIELD)
    noise = np.random.default_rng(0).normal(1, 0.1, (3, FIELD, FIELD))
    views = (noise + 0.2 * np.cos(2 * np.pi * x / spacing)).astype(np.float32)
    assert Sight(views, hidden).classified(Answering()).verdict == verdict
