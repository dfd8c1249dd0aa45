from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import write

from facetem.app.structures import check_elements, load_structure, parse_zone_axis, save_structure
from facetem.atoms.build import build
from facetem.core.errors import InputError
from facetem.hrtem.settings import Multislice


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


def test_vacuum_makes_a_box_that_square_pixels_divide(tmp_path: Path) -> None:
    write(tmp_path / "water.xyz", molecule("H2O"), format="xyz")
    atoms = load_structure(tmp_path / "water.xyz", vacuum=10.0)
    x, y, z = atoms.cell.lengths()
    assert x == y == round(x)
    assert (atoms.positions.min(0) >= 10 - 1e-9).all()
    assert (atoms.positions.max(0) <= np.array([x, y, z]) - 10 + 1e-9).all()
    assert z == pytest.approx(20 + np.ptp(atoms.positions[:, 2]))


def test_vacuum_takes_the_place_of_a_cell(tmp_path: Path) -> None:
    write(
        tmp_path / "oblique.extxyz",
        Atoms("Au2", [[0, 0, 0], [2, 9, 9]], cell=[[10, 0, 0], [3, 10, 0], [0, 0, 10]]),
    )
    atoms = load_structure(tmp_path / "oblique.extxyz", vacuum=5.0)
    assert np.ptp(atoms.positions, axis=0) == pytest.approx([2, 9, 9])
    assert atoms.cell.lengths() == pytest.approx([19, 19, 19])


@pytest.mark.parametrize(
    ("cell", "pbc", "message"),
    [
        (None, False, r"expected a cell to simulate in, got none; --vacuum-nm 1 puts"),
        ([10, 10, 0], False, r"got a flat one, 1 x 1 x 0 nm; --vacuum-nm 1"),
        ([[10, 0, 0], [3, 10, 0], [0, 0, 10]], True, r"orthogonal cell .*, got \(1 0 0\), \(0.3 1 0\), .* --vacuum-nm"),
        ([[0, 10, 0], [-10, 0, 0], [0, 0, 10]], True, r"orthogonal cell along x, y, z"),
        ([5, 20, 20], False, r"vacuum along x, where the cell is not periodic, got 0.1 nm.*--vacuum-nm"),
        ([20, 2, 20], (True, False, True), r"vacuum along y, .* got 0.1 nm"),
        ([20, 20, 3], (True, True, False), r"within the cell along the beam, 0 to 0.3 nm, got 0 to 0.4"),
    ],
)  # fmt: skip
def test_cells_that_cannot_be_simulated_are_named_with_what_to_do(
    tmp_path: Path, cell: object, pbc: object, message: str
) -> None:
    path = tmp_path / "slab.extxyz"
    write(path, Atoms("Au2", positions=[[1, 0.5, 0], [5, 1.5, 4]], cell=cell, pbc=pbc))
    with pytest.raises(InputError, match=message) as caught:
        load_structure(path)
    assert str(path) in str(caught.value)


def test_a_periodic_crystal_needs_no_vacuum_and_is_folded_along_the_beam(tmp_path: Path) -> None:
    cell = [4.0, 4.0, 4.0]
    write(tmp_path / "bulk.extxyz", Atoms("Au3", [[0, 0, -1], [2, 2, 4], [3, 3, 9]], cell=cell, pbc=True))
    atoms = load_structure(tmp_path / "bulk.extxyz")
    assert atoms.positions[:, 2] == pytest.approx([3, 4, 1])  # an atom on the exit plane stays there


def test_elements_without_scattering_factors_are_named(tmp_path: Path) -> None:
    path = tmp_path / "water.xyz"
    lobato, kohl = Multislice(), Multislice(parametrization="weickenmeier_kohl")
    check_elements(path, molecule("H2O"), lobato)
    with pytest.raises(InputError, match=r"water.xyz: element H: .*weickenmeier"):
        check_elements(path, molecule("H2O"), kohl)
    with pytest.raises(InputError, match="element X: "):
        check_elements(path, Atoms("AuX", positions=[[0, 0, 0], [1, 1, 1]]), lobato)


def test_what_absorbs_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "water.xyz"
    check_elements(path, molecule("H2O"), Multislice(absorption={8: 0.1}))
    with pytest.raises(InputError, match=r"--absorption: expected elements of .*water.xyz, got Au"):
        check_elements(path, molecule("H2O"), Multislice(absorption={8: 0.1, 79: 0.1}))


@pytest.mark.parametrize("vacuum", [-1.0, float("nan"), float("inf")])
def test_vacuum_that_is_none_is_refused(tmp_path: Path, vacuum: float) -> None:
    write(tmp_path / "water.xyz", molecule("H2O"), format="xyz")
    with pytest.raises(InputError, match="vacuum: expected a thickness >= 0"):
        load_structure(tmp_path / "water.xyz", vacuum=vacuum)


@pytest.mark.parametrize("text", ["1,1,0", "1 1 0", " 1.0, 1, 0 "])
def test_zone_axis(text: str) -> None:
    assert parse_zone_axis(text) == [1, 1, 0]


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
