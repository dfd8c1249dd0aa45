"""What no image can tell, whatever reads it: particles whose projections are the same."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import KDTree

from facetem.atoms.cut import cut
from facetem.atoms.facets import FCC
from facetem.atoms.lattices import stacked_lattice
from facetem.atoms.library import LIBRARY, facets

Array = NDArray[np.float64]
# In the axes of a stack of {111} layers z is their normal, y a <112> and x a <110> within them.
ALONG_112 = [(0.0, 1.0, 0.0), (math.sqrt(3) / 2, 0.5, 0.0), (-math.sqrt(3) / 2, 0.5, 0.0)]
ELSEWHERE = [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.5, math.sqrt(3) / 2, 0.0), (0.0, 1.0, 1.0)]


@pytest.fixture(scope="module")
def crystal() -> Array:
    """A truncated octahedron with <111> along z and a layer at z = 0."""
    ideal = facets("truncated_octahedron", LIBRARY["truncated_octahedron"].ideal)
    to_layers = np.linalg.inv(FCC.cells[0]) @ stacked_lattice(()).cells[0]
    return cut(ideal, 2000, origin=np.zeros(3)) @ to_layers


@pytest.fixture(scope="module")
def twin(crystal: Array) -> Array:
    """Its lower half and the mirror image of that."""
    below, middle = crystal[crystal[:, 2] < -0.1], crystal[np.abs(crystal[:, 2]) < 0.1]
    return np.concatenate([below, middle, below * [1, 1, -1]])


def unlike(one: Array, other: Array, beam: tuple[float, ...]) -> float:
    """The part of the columns along `beam` for which the other particle has none of as many atoms at the same place."""
    across = np.linalg.svd(np.array([beam]))[2][1:]

    def columns(sites: Array) -> dict[tuple[int, ...], int]:
        places = np.round(sites @ across.T * 50).astype(int)
        return {tuple(p): n for p, n in zip(*np.unique(places, axis=0, return_counts=True), strict=True)}

    first, second = columns(one), columns(other)
    return sum(second.get(place) != n for place, n in first.items()) / len(first)


def test_the_twin_is_another_particle_of_as_many_atoms(crystal: Array, twin: Array) -> None:
    assert len(crystal) == len(twin)
    assert np.mean(KDTree(crystal).query(twin)[0] > 0.5) > 0.2


@pytest.mark.parametrize("beam", ALONG_112)
def test_along_112_with_the_twin_plane_edge_on_both_have_the_same_projection(
    crystal: Array, twin: Array, beam: tuple[float, ...]
) -> None:
    """The crystal has a centre, and a mirror plane that holds the beam: its projection is symmetric to the twin plane,
    so that a half and its mirror image have the projection of the whole."""
    assert unlike(crystal, twin, beam) == 0


@pytest.mark.parametrize("beam", ELSEWHERE)
def test_along_other_directions_they_have_not(crystal: Array, twin: Array, beam: tuple[float, ...]) -> None:
    assert unlike(crystal, twin, beam) > 0.3
