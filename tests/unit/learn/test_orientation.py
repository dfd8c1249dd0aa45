"""Orientations as moments of the sphere: symmetry, turns, and the way back."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from facetem.atoms.library import SHAPES
from facetem.atoms.truth import rotation_group
from facetem.data.windows import Windows
from facetem.learn import orientation as o

MIRROR = np.diag([1.0, 1.0, -1.0])


@pytest.mark.parametrize("shape", SHAPES)
def test_what_looks_alike_has_the_same_moments(shape):
    rotation = Rotation.random(random_state=1).as_matrix()
    moments = o.moments_of(shape, rotation)
    for other in o.alike(shape, rotation):
        assert np.linalg.det(other) == pytest.approx(1)
        np.testing.assert_allclose(o.moments_of(shape, other), moments, atol=1e-9)
        assert o.angle_between(shape, rotation, other) == pytest.approx(0, abs=1e-4)
    np.testing.assert_allclose(o.moments_of(shape, MIRROR @ rotation), moments, atol=1e-9)
    assert len(o.alike(shape, rotation)) == 2 * len(rotation_group(o.PROTOTYPES[o.family_of(shape)]))


@pytest.mark.parametrize("shape", SHAPES)
def test_what_does_not_look_alike_has_other_moments(shape):
    rotation = Rotation.random(random_state=2).as_matrix()
    turned = Rotation.from_rotvec([0, 0, np.deg2rad(10)]).as_matrix() @ rotation
    apart = o.angle_between(shape, rotation, turned)
    assert apart == pytest.approx(10, abs=1e-6)
    same, other = o.moments_of(shape, rotation), o.moments_of(shape, turned)
    assert np.linalg.norm(same - other) > 0.05 * np.linalg.norm(same)


@pytest.mark.parametrize("shape", ["cube", "twin", "decahedron", "icosahedron"])
def test_moments_lead_back_to_the_orientation(shape):
    for rotation in Rotation.random(6, random_state=3).as_matrix():
        found = o.find_orientation(shape, o.moments_of(shape, rotation))
        assert o.angle_between(shape, found.rotation, rotation) < 0.05
        assert found.fit == pytest.approx(1, abs=1e-3)


def test_noise_on_the_moments_moves_the_orientation_little():
    rng = np.random.default_rng(4)
    errors = []
    for rotation in Rotation.random(8, random_state=5).as_matrix():
        values = o.moments_of("cube", rotation)
        found = o.find_orientation("cube", values + 0.1 * rng.normal(size=values.shape))
        assert found.fit < 0.999
        errors.append(o.angle_between("cube", found.rotation, rotation))
    assert np.median(errors) < 6


def test_the_fit_is_the_correlation_of_the_moments():
    rng = np.random.default_rng(6)
    values = o.moments_of("twin", Rotation.random(random_state=7).as_matrix()) + 0.3 * rng.normal(size=25)
    found = o.find_orientation("twin", values)
    theirs = o.moments_of("twin", found.rotation)
    correlation = values @ theirs / np.linalg.norm(values) / np.linalg.norm(theirs)
    assert found.fit == pytest.approx(correlation, abs=1e-4)
    assert found.fit < 0.95


@pytest.mark.parametrize("turn", range(8))
def test_moments_turn_as_windows_do(turn):
    """The quarter turns of the samples, found from where the pixels of a window go."""
    size = 8
    windows = Windows(size, (size, size))
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    fields = torch.tensor(np.stack([x, y]))[None]
    places = windows.at([turn], [(0, 0)], torch.device("cpu"))
    seen = windows.cut(fields, places)[0].numpy()  # field x and y of every pixel of the window
    to_field = np.array([[s[0, 1] - s[0, 0], s[1, 0] - s[0, 0]] for s in seen])  # by the window's x and y
    matrix = np.eye(3)
    matrix[:2, :2] = to_field.T  # orthogonal: the way from the field to the window
    rotation = Rotation.random(random_state=6).as_matrix()
    expected = o.moments_of("twin", matrix @ rotation)
    turned = o.turned(torch.tensor(o.moments_of("twin", rotation)), turn % 4, mirrored=turn >= 4)
    np.testing.assert_allclose(turned.numpy(), expected, atol=1e-9)
    np.testing.assert_allclose(windows.turns[turn], matrix, atol=1e-12)


def test_the_zone_axis_is_told_of_single_crystals_alone():
    tilted = Rotation.from_euler("x", 3, degrees=True).as_matrix()
    found = o.find_orientation("cube", o.moments_of("cube", tilted))
    assert found.zone == (1, 0, 0)
    assert found.zone_angle == pytest.approx(
        3, abs=0.7
    )  # near an axis, its mirror images are near each other
    assert o.find_orientation("icosahedron", o.moments_of("icosahedron", tilted)).zone is None
