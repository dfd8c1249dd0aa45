"""Pictures and pages of atoms, and the sheets of the library."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from imageio.v3 import imread

from facetem.app.gallery import boxed, looking, shape_row, zones
from facetem.app.render import bond_length, neighbour_colours, neighbours, render
from facetem.app.view import check_view, save_view, view_page
from facetem.atoms.build import build
from facetem.atoms.library import LIBRARY
from facetem.atoms.shapes import build_particle
from facetem.core.errors import InputError


def test_the_nearer_ball_hides_the_farther_and_is_larger() -> None:
    red, blue = "#ff0000", "#0000ff"
    image = render(np.array([[0.0, 0, 5], [0, 0, -5]]), [red, blue], radius=2.0, pixels=100).astype(int)
    assert (image[50, 50, 0] > 80) & (image[50, 50, 2] < 40)
    assert not ((image[..., 2] > 60) & (image[..., 0] < 20)).any()  # nothing of the blue one is seen
    beside = render(np.array([[-4.0, 0, 5], [4, 0, -5]]), [red, blue], radius=2.0, pixels=100).astype(int)
    assert (beside[:, :50, 1] < 200).sum() > 1.3 * (beside[:, 50:, 1] < 200).sum()


def test_picture_has_y_up_and_x_to_the_right() -> None:
    corner = np.array([[0.0, 0, 0], [-10, 0, 0], [10, 0, 0], [0, -10, 0], [0, 10, 0]])
    image = render(corner, ["#888888"] * 4 + ["#ff0000"], radius=2.0, pixels=120).astype(int)
    red = np.argwhere((image[..., 0] > 100) & (image[..., 1] < 60)).mean(axis=0)
    assert red[0] < 30
    assert red[1] == pytest.approx(60, abs=3)


def test_faces_of_a_cuboctahedron_have_the_colours_of_their_neighbours() -> None:
    regular = 923  # atoms, seven along an edge
    atoms = build_particle("cuboctahedron", diameter=(6 / np.pi * regular * 4.078**3 / 4) ** (1 / 3))
    counts = neighbours(atoms)
    assert bond_length(atoms) == pytest.approx(4.078 / np.sqrt(2), rel=1e-3)
    assert len(atoms) == regular
    # Within their edges, six squares have (n - 2)^2 atoms and eight triangles (n - 2) (n - 3) / 2.
    assert np.sum(counts == 8) == 6 * 5**2
    assert np.sum(counts == 9) == 8 * 10
    assert len(set(neighbour_colours(counts))) == 4


def test_page_holds_every_atom_and_nothing_of_the_network(tmp_path: Path) -> None:
    scene = build("twin", diameter=20.0, film_thickness=5.0, extent=50.0, seed=2)
    page = view_page(scene)
    found = re.search(r"const data = (\{.*?\});\n", page)
    assert found is not None
    data = json.loads(found[1])
    n = len(scene)
    assert len(data["positions"]) == 3 * n
    assert sum(data["particle"]) == (scene.get_tags() == 1).sum()
    assert len(data["surface"]["of"]) == len(data["elements"]["of"]) == n
    first = np.array(data["positions"]).reshape(-1, 3) / 100
    gaps = scene.positions - scene.positions[scene.get_tags() == 1].mean(axis=0) - first
    assert np.abs(gaps).max() < 0.006
    assert not re.search(r"https?://|src=|@import|url\(", page)
    assert "twin, " in page


def test_view_is_a_page_and_a_picture(tmp_path: Path) -> None:
    scene = build("cube", diameter=18.0, film_thickness=0.0, ideal=True, orientation=(1, 0, 0))
    picture = save_view(tmp_path / "cube.html", scene)
    assert {p.name for p in tmp_path.iterdir()} == {"cube.html", "cube.png"}
    assert imread(picture).shape[2] == 3
    with pytest.raises(InputError, match=r"\.html"):
        check_view(tmp_path / "cube.png")


@pytest.mark.parametrize("shape", LIBRARY)
def test_zones_are_laid_on_the_beam(shape: str) -> None:
    assert len(zones(shape)) == 2
    for along, up in zones(shape).values():
        rotation = looking(along, up)
        assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-9)
        assert np.linalg.det(rotation) == pytest.approx(1)
        assert rotation @ (np.array(along) / np.linalg.norm(along)) == pytest.approx([0, 0, 1], abs=1e-9)
        assert (rotation @ np.asarray(up, dtype=float))[1] < 0  # upwards in an image, whose y points down


def test_twin_plane_is_seen_in_the_columns() -> None:
    """Along [110] a twin's columns are few, and mirror images of each other."""
    twin = build_particle("twin", diameter=30)
    flat = twin.positions @ looking(*zones("twin")["[110]"]).T
    columns = np.unique(np.round(flat[:, :2], 1), axis=0)
    mirrored = np.unique(np.round(flat[:, :2] * [1, -1], 1), axis=0)
    assert len(columns) < len(twin) / 5
    assert len(np.unique(np.concatenate([columns, mirrored]) + 0.0, axis=0)) == len(columns)


def test_row_of_the_gallery_shows_the_particle_in_vacuum() -> None:
    row = shape_row("icosahedron", device="cpu")
    assert list(row.images) == ["five-fold axis", "three-fold axis"]
    for image in row.images.values():
        assert image[:4].mean() == pytest.approx(1, abs=0.03)  # the vacuum around it
        assert image.std() > 0.05


def test_box_has_vacuum_around() -> None:
    box = boxed(build_particle("cube", diameter=20), 40.0)
    assert box.positions.min() > 1.9
    assert (box.positions.max(axis=0) < box.cell.lengths() - 1.9).all()
