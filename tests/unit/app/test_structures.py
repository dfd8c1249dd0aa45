from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import write

from facetem.app.structures import MARGIN, load_structure, parse_zone_axis, save_any_image, save_structure
from facetem.atoms.build import build
from facetem.core.errors import InputError
from facetem.data.micrograph import load_micrograph


@pytest.mark.parametrize("suffix", [".extxyz", ".xyz", ".cif"])
def test_a_scene_survives_its_file(tmp_path: Path, suffix: str) -> None:
    scene = build("cube", diameter=15.0, film_thickness=5.0, extent=40.0, seed=2)
    path = tmp_path / f"scene{suffix}"
    save_structure(path, scene)
    back = load_structure(path)
    assert np.array_equal(back.numbers, scene.numbers)
    assert back.cell.lengths() == pytest.approx(scene.cell.lengths(), abs=1e-4)
    assert back.positions == pytest.approx(scene.positions, abs=1e-3)
    if suffix != ".cif":
        assert np.array_equal(back.get_tags(), scene.get_tags())
        assert back.info["shape"] == "cube"


def test_atoms_without_a_cell_get_one_that_square_pixels_divide(tmp_path: Path) -> None:
    write(tmp_path / "water.xyz", molecule("H2O"), format="xyz")
    atoms = load_structure(tmp_path / "water.xyz")
    x, y, z = atoms.cell.lengths()
    assert x == y == round(x)
    assert (atoms.positions.min(0) >= MARGIN - 1e-9).all()
    assert (atoms.positions.max(0) <= np.array([x, y, z]) - MARGIN + 1e-9).all()


@pytest.mark.parametrize("cell", [[[10, 0, 0], [3, 10, 0], [0, 0, 10]], [10, 10, 0]])
def test_an_oblique_or_flat_cell_is_refused(tmp_path: Path, cell: object) -> None:
    write(tmp_path / "slab.extxyz", Atoms("Au", positions=[[1, 1, 1]], cell=cell))
    with pytest.raises(InputError, match="orthogonal cell"):
        load_structure(tmp_path / "slab.extxyz")


@pytest.mark.parametrize("text", ["1,1,0", "1 1 0", " 1.0, 1, 0 "])
def test_zone_axis(text: str) -> None:
    assert parse_zone_axis(text) == [1, 1, 0]


def test_image_formats(tmp_path: Path) -> None:
    from imageio.v3 import imread

    image = np.random.default_rng(1).normal(1, 0.1, (120, 110)).astype(np.float32)
    for suffix in (".tif", ".npy", ".png"):
        save_any_image(tmp_path / f"image{suffix}", image, 0.41)
    read = load_micrograph(tmp_path / "image.tif")
    assert read.sampling == pytest.approx(0.41, rel=1e-5)
    assert np.array_equal(read.image, image)
    assert np.array_equal(np.load(tmp_path / "image.npy"), image)
    grey = imread(tmp_path / "image.png")
    assert grey.dtype == np.uint8
    assert np.corrcoef(grey.ravel(), image.ravel())[0, 1] > 0.99


def test_cif_with_symmetry_is_unfolded(tmp_path: Path) -> None:
    from ase.spacegroup import crystal

    gold = crystal("Au", [(0, 0, 0)], spacegroup=225, cellpar=[4.078] * 3 + [90] * 3)
    (tmp_path / "gold.cif").write_text(
        "data_gold\n_symmetry_space_group_name_H-M 'F m -3 m'\n_symmetry_Int_Tables_number 225\n"
        "_cell_length_a 4.078\n_cell_length_b 4.078\n_cell_length_c 4.078\n"
        "_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90\n"
        "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\nAu 0 0 0\n"
    )
    atoms = load_structure(tmp_path / "gold.cif")
    assert len(atoms) == len(gold) == 4
    assert atoms.cell.lengths() == pytest.approx([4.078] * 3)
