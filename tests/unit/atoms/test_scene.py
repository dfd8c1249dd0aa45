"""Rotation, deposition and outlines."""

import numpy as np
import pytest
from ase import Atoms
from ase.io import read, write
from scipy import ndimage
from scipy.spatial import KDTree

from facetem.atoms.carbon import draw_random_film
from facetem.atoms.scene import assemble, draw_rotation, particle_masks, rotated
from facetem.atoms.shapes import build_particle
from facetem.core.errors import InputError

EXTENT = (80.0, 70.0)


@pytest.fixture(scope="module")
def film() -> Atoms:
    return draw_random_film(EXTENT, thickness=20, density=2.0, hard_core=1.2, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def particle() -> Atoms:
    return rotated(build_particle("octahedron", diameter=30), draw_rotation(np.random.default_rng(1)))


def test_rotations_are_proper_and_uniform():
    rng = np.random.default_rng(0)
    rotations = np.array([draw_rotation(rng) for _ in range(10_000)])
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.broadcast_to(np.eye(3), rotations.shape), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-12)
    # Haar measure: every image of every axis is uniform on the sphere (its z uniform in [-1, 1]) ...
    for entry in rotations.reshape(-1, 9).T:
        gap = np.abs(np.sort(entry) - np.linspace(-1, 1, len(entry))).max()
        assert gap < 2 * 1.63 / np.sqrt(len(entry))  # Kolmogorov-Smirnov, 1 %
    # ... and the angle of rotation has density (1 - cos angle) / pi: mean of the trace is 0, of its square 1.
    trace = np.trace(rotations, axis1=1, axis2=2)
    assert trace.mean() == pytest.approx(0, abs=0.04)
    assert (trace**2).mean() == pytest.approx(1, abs=0.08)


def test_rotated_keeps_its_argument_and_turns_columns():
    particle = build_particle("cube", diameter=20)
    before = particle.positions.copy()
    turned = rotated(particle, np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]))
    np.testing.assert_array_equal(particle.positions, before)
    np.testing.assert_allclose(turned.positions[:, 1], before[:, 0])
    assert turned.info["shape"] == "cube"


@pytest.mark.parametrize("side", ["entrance", "exit"])
@pytest.mark.parametrize("gap", [1.0, 2.5])
def test_particle_stands_off_the_film_on_its_side(film, particle, side, gap):
    specimen = assemble([particle], film, extent=EXTENT, centres=[(30.0, 40.0)], side=side, gap=gap)
    tags = specimen.get_tags()
    carbon, metal = specimen.positions[tags == 0], specimen.positions[tags == 1]
    toward_film = 1 if side == "entrance" else -1
    # Height between every particle atom and the film atoms about a bond away sideways.
    pairs = KDTree(metal[:, :2]).query_ball_tree(KDTree(carbon[:, :2]), 3.0)
    heights = [
        (toward_film * (carbon[near, 2] - z)).min(initial=np.inf)
        for z, near in zip(metal[:, 2], pairs, strict=True)
    ]
    assert min(heights) >= gap - 1e-9
    assert min(heights) == pytest.approx(gap, abs=0.7)
    surface, foot = (toward_film * carbon[:, 2]).min(), (toward_film * metal[:, 2]).max()
    assert foot - surface < 1.0
    np.testing.assert_allclose(metal[:, :2].mean(axis=0), [30, 40], atol=1e-9)
    assert len(metal) == len(particle)


def test_box_has_its_margin_and_labels(film, particle):
    specimen = assemble([particle], film, extent=EXTENT, margin=3.0)
    z = specimen.positions[:, 2]
    assert z.min() == pytest.approx(3)
    assert specimen.cell.lengths()[2] - z.max() == pytest.approx(3)
    assert specimen.cell.angles().tolist() == [90, 90, 90]
    assert specimen.pbc.tolist() == [True, True, False]
    assert (specimen.positions >= 0).all()
    assert (specimen.positions[:, :2] < EXTENT).all()
    info, metal = specimen.info, specimen.get_tags() == 1
    assert info["shape"] == "octahedron"
    assert info["film_thickness"] == 20
    assert info["centres"] == [40.0, 35.0]
    assert info["particle_z"] == pytest.approx([specimen.positions[metal, 2].mean()])
    assert info["particle_z_range"] == pytest.approx([z[metal].min(), z[metal].max()])
    assert info["film_z_range"] == pytest.approx([z[~metal].min(), z[~metal].max()])


def test_sunken_particle_pushes_carbon_away(film, particle):
    specimen = assemble([particle], film, extent=EXTENT, gap=-4.0)
    tags = specimen.get_tags()
    carbon, metal = specimen.positions[tags == 0], specimen.positions[tags == 1]
    assert metal[:, 2].max() > carbon[:, 2].min() + 2.5
    assert KDTree(metal).query(carbon)[0].min() >= 1.8
    assert 0 < len(film) - len(carbon) < 0.1 * len(film)


def test_inputs_are_left_alone(film, particle):
    before = film.positions.copy(), particle.positions.copy()
    assemble([particle], film, extent=EXTENT, gap=-2.0)
    np.testing.assert_array_equal(film.positions, before[0])
    np.testing.assert_array_equal(particle.positions, before[1])


def test_several_particles_without_a_film_touch_one_plane(particle):
    small = build_particle("cube", diameter=18)
    specimen = assemble([particle, small], None, extent=EXTENT, centres=[(25.0, 25.0), (60.0, 50.0)])
    tops = [specimen.positions[specimen.get_tags() == i, 2].max() for i in (1, 2)]
    assert tops[0] == pytest.approx(tops[1])
    assert specimen.info["shapes"] == "octahedron cube"
    assert "film_z_range" not in specimen.info


def test_bare_film_is_a_specimen(film):
    specimen = assemble([], film, extent=EXTENT)
    assert len(specimen) == len(film)
    assert particle_masks(specimen, (70, 80), 1.0).max() == 0


def test_labels_survive_a_file(tmp_path, film, particle):
    small = build_particle("cube", diameter=18)
    specimen = assemble([particle, small], film, extent=EXTENT, centres=[(25.0, 25.0), (60.0, 50.0)])
    write(tmp_path / "specimen.xyz", specimen, format="extxyz")
    back = read(tmp_path / "specimen.xyz", format="extxyz")
    np.testing.assert_array_equal(back.get_tags(), specimen.get_tags())
    np.testing.assert_allclose(back.cell.lengths(), specimen.cell.lengths())
    assert back.pbc.tolist() == [True, True, False]
    assert set(back.info) == set(specimen.info)
    for key, value in specimen.info.items():
        if isinstance(value, str):
            assert back.info[key] == value
        else:
            np.testing.assert_allclose(np.ravel(back.info[key]), np.ravel(value))


@pytest.mark.parametrize("sampling", [0.25, 0.4])
def test_mask_covers_the_projected_atoms_and_nothing_far_away(film, particle, sampling):
    specimen = assemble([particle], film, extent=EXTENT, centres=[(30.0, 40.0)])
    shape = round(EXTENT[1] / sampling), round(EXTENT[0] / sampling)
    mask = particle_masks(specimen, shape, sampling)
    assert mask.shape == shape
    assert mask.dtype == np.int32
    metal = specimen.positions[specimen.get_tags() == 1]
    pixels = np.rint(metal[:, 1::-1] / sampling).astype(int)
    assert (mask[tuple(pixels.T)] == 1).all()
    y, x = np.nonzero(mask)
    far = KDTree(metal[:, :2]).query(np.stack([x, y], axis=1) * sampling)[0]
    assert far.max() < 1.6 + sampling
    assert ndimage.label(mask)[1] == 1
    assert ndimage.label(mask == 0)[1] == 1  # no hole


@pytest.mark.parametrize("axis", [[0, 0, 1], [0, 1, 1], [1, 1, 1], [1, 1, 2]])
def test_mask_is_solid_down_a_zone_axis(axis):
    z = np.array(axis) / np.linalg.norm(axis)
    x = np.cross([0.3, -0.7, 0.2], z)
    x /= np.linalg.norm(x)
    particle = rotated(build_particle("truncated_octahedron", diameter=40), np.stack([x, np.cross(z, x), z]))
    mask = particle_masks(assemble([particle], None, extent=EXTENT), (280, 320), 0.25)
    assert ndimage.label(mask)[1] == 1
    assert ndimage.label(mask == 0)[1] == 1


def test_masks_number_the_particles():
    cube = build_particle("cube", diameter=20)
    specimen = assemble([cube, cube], None, extent=EXTENT, centres=[(20.0, 20.0), (60.0, 50.0)])
    mask = particle_masks(specimen, (140, 160), 0.5)
    assert mask[40, 40] == 1
    assert mask[100, 120] == 2
    assert np.count_nonzero(mask == 1) == np.count_nonzero(mask == 2)


def test_clipped_particle_fills_the_field():
    big = build_particle("cube", diameter=80)
    with pytest.raises(InputError, match="clip"):
        assemble([big], None, extent=(40.0, 40.0))
    specimen = assemble([big], None, extent=(40.0, 40.0), clip=True)
    assert (specimen.positions[:, :2] >= 0).all()
    assert (specimen.positions[:, :2] < 40).all()
    # The outermost pixels may lie between the atom columns that the border cut apart.
    assert (particle_masks(specimen, (100, 100), 0.4)[3:-3, 3:-3] == 1).all()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"side": "top"}, "entrance"),
        ({"extent": (0.0, 10.0)}, "extent"),
        ({"extent": (50.0, 50.0)}, "film"),
        ({"centres": [(1.0, 1.0), (2.0, 2.0)]}, "centres"),
        ({"particles": [], "film": None}, "specimen"),
    ],
)
def test_bad_input_is_named(film, particle, changes, word):
    arguments = {"particles": [particle], "film": film, "extent": EXTENT} | changes
    with pytest.raises(InputError, match=word):
        assemble(arguments.pop("particles"), arguments.pop("film"), **arguments)


def test_overlapping_particles_are_refused(particle):
    with pytest.raises(InputError, match="apart"):
        assemble([particle, particle], None, extent=EXTENT, centres=[(35.0, 35.0), (40.0, 35.0)])
