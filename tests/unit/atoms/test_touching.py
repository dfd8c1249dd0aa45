"""Particles that lie against each other: they touch, and no more than that."""

import numpy as np
import pytest
from scipy.spatial import KDTree

from facetem.atoms.scene import draw_rotation, rotated
from facetem.atoms.shapes import build_particle
from facetem.atoms.touching import CONTACT, contact, draw_groups


@pytest.fixture(scope="module")
def projections() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    shapes = ("cube", "tetrahedron", "decahedron", "icosahedron", "twin", "octahedron")
    return [
        rotated(build_particle(shape, diameter=20.0, rng=rng), draw_rotation(rng)).positions[:, :2]
        for shape in shapes
    ]


def placed(across: list[np.ndarray], centres: np.ndarray) -> list[np.ndarray]:
    return [xy - xy.mean(axis=0) + centre for xy, centre in zip(across, centres, strict=True)]


def test_each_lies_against_the_one_before_it_and_overlaps_none(projections: list[np.ndarray]) -> None:
    for seed in range(8):
        (group,) = draw_groups(projections, 1.0, np.random.default_rng(seed))
        atoms = placed(projections, group.centres)
        for k, mine in enumerate(atoms[1:], start=1):
            nearest = KDTree(np.concatenate(atoms[:k])).query(mine)[0].min()
            assert nearest == pytest.approx(CONTACT, abs=1e-6)
        assert np.linalg.norm(np.concatenate(atoms), axis=1).max() == pytest.approx(group.radius)


def test_without_touching_every_particle_is_alone_and_nothing_is_drawn(projections: list[np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    groups = draw_groups(projections, 0.0, rng)
    assert [len(group.centres) for group in groups] == [1] * len(projections)
    assert rng.random() == np.random.default_rng(0).random()


def test_as_many_touch_as_are_asked_for(projections: list[np.ndarray]) -> None:
    rng = np.random.default_rng(1)
    alone = sum(len(draw_groups(projections[:2], 0.25, rng)) == 2 for _ in range(400))
    assert 0.67 < alone / 400 < 0.83  # 3.5 standard deviations of a binomial


def test_two_atoms_meet_at_the_distance_of_contact() -> None:
    fixed = np.array([[0.0, 0.0]])
    assert contact(np.zeros((1, 2)), fixed, np.array([1.0, 0.0])) == pytest.approx(CONTACT)
    off = np.array([[-5.0, 1.0]])
    assert contact(off, fixed, np.array([1.0, 0.0])) == pytest.approx(5 + np.sqrt(CONTACT**2 - 1))
    assert contact(np.array([[0.0, 3.0]]), fixed, np.array([1.0, 0.0])) == 0.0  # passes by
