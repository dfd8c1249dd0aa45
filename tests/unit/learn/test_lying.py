"""How far an orientation is stated to be off."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from facetem.atoms.placement import draw_rotations
from facetem.atoms.shapes import SHAPES
from facetem.learn.lying import FEWEST, OrientationErrors
from facetem.learn.orientation import FAMILIES, Orientation, moments_of

CUBE, TWIN = SHAPES.index("cube"), SHAPES.index("twin")


def test_half_of_the_errors_are_no_larger_than_stated() -> None:
    """Errors whose typical size falls with the fit, for one family faster than for another."""
    rng = np.random.default_rng(0)

    def drawn(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        kinds, fits = rng.integers(0, 2, n), rng.uniform(0.5, 1, n)
        typical = np.where(kinds == 0, 2, 8) * (1 + 20 * (1 - fits))
        return kinds, fits, typical * np.exp(rng.normal(0, 0.5, n))

    stated = OrientationErrors.fit(*drawn(400))
    kinds, fits, errors = drawn(2000)  # others than those it was fitted to
    for kind, shape in ((0, "cube"), (1, "twin")):
        said = np.array([stated.of(shape, fit) for fit in fits[kinds == kind]])
        for half in (fits[kinds == kind] < 0.75, fits[kinds == kind] >= 0.75):
            assert (errors[kinds == kind] <= said)[half].mean() == pytest.approx(0.5, abs=0.12)
    falling = [stated.of("cube", fit) for fit in np.linspace(0, 1.2, 50)]
    assert all(a is not None and b is not None and a >= b for a, b in pairwise(falling))


def test_the_error_that_is_stated_is_the_geometric_mean() -> None:
    """Of 1 and of 100 degrees, 10: what is far off does not speak for the others."""
    stated = OrientationErrors.fit([0] * 20, [0.9] * 20, [1.0, 100.0] * 10)
    assert stated.of("cube", 0.9) == pytest.approx(10, rel=1e-3)


def test_nothing_is_stated_of_a_family_that_was_hardly_held_out() -> None:
    few = OrientationErrors.fit(
        [0] * FEWEST + [1] * (FEWEST - 1), [0.9] * (2 * FEWEST - 1), [3.0] * (2 * FEWEST - 1)
    )
    assert few.of("cube", 0.9) == pytest.approx(3, rel=1e-5)
    assert few.of("twin", 0.9) is None
    assert OrientationErrors.fit([], [], []).of("cube", 0.9) is None


def test_errors_are_measured_where_the_family_is_named_rightly() -> None:
    """Cubes whose moments are those of their orientation, twins that answer with that of another one."""
    n = 24
    turns = draw_rotations(2 * n, torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([CUBE] * n + [TWIN] * n)
    said = np.stack(
        [moments_of("cube", turn) for turn in turns[:n].numpy()]
        + [moments_of("twin", turn) for turn in turns[n:].flip(0).numpy()]
    )
    measured = OrientationErrors.measured(torch.from_numpy(said), labels, labels, turns)
    assert measured.knots[:, 0].unique().tolist() == [0, list(FAMILIES).index("singly twinned")]
    assert measured.of("cube", 1.0) == pytest.approx(0.1, abs=0.05)  # as near as is looked for
    off = measured.of("twin", 1.0)
    assert off is not None
    assert off > 20
    neighbour = torch.where(
        labels == CUBE, SHAPES.index("cuboctahedron"), labels
    )  # which lies as a cube does
    again = OrientationErrors.measured(torch.from_numpy(said), neighbour, labels, turns)
    torch.testing.assert_close(again.knots, measured.knots)
    wrong = torch.full_like(labels, SHAPES.index("icosahedron"))
    assert not len(OrientationErrors.measured(torch.from_numpy(said), wrong, labels, turns).knots)


def test_an_orientation_that_is_far_off_is_not_told() -> None:
    lies = (1.0, 0.0, 0.0, 0.0)
    assert Orientation(lies, None, None, 1.0, error=4.0).told
    assert not Orientation(lies, None, None, 0.5, error=40.0).told
    assert Orientation(lies, None, None, 0.5).told  # as far as is known
