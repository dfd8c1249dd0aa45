"""Dr Probe's input: what its formats ask for; against files that its programs have read, where those are at hand."""

import re
from dataclasses import replace
from math import radians, sqrt
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from facetem.app.calculation import Calculation, Method
from facetem.app.drprobe import cel, export, mtf_table, wavimg_parameters
from facetem.app.structures import load_structure
from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.camera import Camera
from facetem.hrtem.curves import TransferCurve
from facetem.hrtem.optics import Optics
from facetem.hrtem.settings import Multislice

# The settings of the reference's case B. Dr Probe's 1/e half widths are sqrt(2) standard deviations.
REFERENCE = Calculation(
    energy=200e3,
    optics=Optics(
        Aberrations(C30=-1e5), focal_spread=40 / sqrt(2), angular_spread=0.2 / sqrt(2), image_spread=0.3
    ),
    camera=Camera(),
    defoci=(100.0, 50.0, 0.0, -50.0, -100.0),
    method=Method(),
    grid=Grid((512, 512), 0.125),
    shape=(512, 512),
)


def atoms_of(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Cell lengths and angles, symbols, and the eight numbers of every atom of a .cel file."""
    lines = path.read_text().splitlines()
    assert lines[0].startswith("#")
    assert lines[-1] == "*"
    rows = [line.split() for line in lines[2:-1]]
    cell = np.array([float(x) for x in lines[1].split()])
    return [row[0] for row in rows], cell, np.array([[float(x) for x in row[1:]] for row in rows])


def words(path: Path) -> list[list[str | float]]:
    """The lines of a parameter file as numbers and names."""

    def value(word: str) -> str | float:
        try:
            return float(word)
        except ValueError:
            return word.strip("'")

    return [
        [value(word) for word in line.replace(",", " ").split()] for line in path.read_text().splitlines()
    ]


def assert_same(ours: Path, theirs: Path, tolerance: float = 1e-6) -> None:
    for number, (a, b) in enumerate(zip(words(ours), words(theirs), strict=True), 1):
        assert len(a) == len(b), f"{ours.name}, line {number}: {a} {b}"
        for x, y in zip(a, b, strict=True):
            same = x == pytest.approx(y, abs=tolerance) if isinstance(y, float) else x == y
            assert same, f"{ours.name}, line {number}: {a} {b}"


@pytest.mark.parametrize(
    ("method", "model"),
    [(Method(), 1), (Method(spatial="average"), 2), (Method(spatial="envelope", temporal="envelope"), 6)],
)
def test_files_of_case_b_are_those_that_made_the_reference(
    shared: Path, tmp_path: Path, method: Method, model: int
) -> None:
    case = shared / "reference" / "caseB"
    export(tmp_path, load_structure(case / "np.xyz"), replace(REFERENCE, method=method))
    symbols, cell, numbers = atoms_of(tmp_path / "structure.cel")
    expected_symbols, expected_cell, expected = atoms_of(case / "np.cel")
    assert symbols == expected_symbols
    assert cell == pytest.approx(expected_cell)
    assert numbers[:, :3] == pytest.approx(expected[:, :3], abs=2e-9)  # the .xyz file has 1e-8 Å
    assert np.array_equal(numbers[:, 3:], expected[:, 3:])
    assert_same(tmp_path / "msa.prm", case / "prm" / "msa.prm")
    assert_same(tmp_path / "slc" / "s.prm", case / "prm" / "slices_s.prm")
    for focus in ("-10", "-5", "+0", "+5", "+10"):
        name = f"wavimg_m{model}_C10_{focus}.prm"
        assert_same(tmp_path / name, case / "prm" / name)
    run = (tmp_path / "run.sh").read_text()
    assert "celslc -cel structure.cel -slc slc/s -nx 512 -ny 512 -nz 30 -ht 200 -pps -dwf\n" in run
    assert run.count("wavimg -prm") == 5


def test_aberrations_have_dr_probes_numbers_and_components() -> None:
    lens = Optics(
        Aberrations(C12=20.0, phi12=radians(15), C23=300.0, phi23=radians(30), C56=1e4, phi56=radians(15))
    )
    text = wavimg_parameters(replace(REFERENCE, optics=lens), 50.0, "a", slices=3, has_mtf=False)
    lines = text.splitlines()
    assert lines[17] == "4"
    rows = [[float(x) for x in line.split(",")] for line in lines[18:22]]
    assert rows[0] == pytest.approx([1, -5, 0])
    assert rows[1] == pytest.approx([2, 2 * np.cos(np.pi / 6), 2 * np.sin(np.pi / 6)], abs=1e-4)
    assert rows[2] == pytest.approx([4, 0, 30], abs=1e-4)
    assert rows[3] == pytest.approx([14, 0, 1000], abs=1e-4)


def test_pixels_of_the_image_and_the_aperture() -> None:
    calculation = replace(REFERENCE, shape=(160, 160), optics=Optics(aperture=20.0, angular_spread=0.0))
    lines = wavimg_parameters(calculation, 0.0, "a", slices=30, has_mtf=True).splitlines()
    assert lines[6] == "160, 160"
    assert (lines[8], lines[9]) == ("1", "0.040000000")
    assert lines[14].startswith("0, ")
    assert lines[15] == "1, 1, 'camera.mtf'"
    assert lines[-3] == "20.0000, 0.03"


@pytest.mark.parametrize(
    "camera", [Camera(mtf=TransferCurve((0.0, 0.1, 0.5), (1.0, 0.6, 0.2))), Camera(mtf_width=0.2)]
)
def test_the_cameras_transfer_is_a_table_up_to_nyquist(tmp_path: Path, camera: Camera) -> None:
    export(tmp_path, Atoms("Au", [[1, 1, 1]], cell=[64, 64, 10]), replace(REFERENCE, camera=camera))
    numbers = [float(line) for line in (tmp_path / "camera.mtf").read_text().splitlines()]
    assert numbers[0] == len(numbers) - 1
    assert numbers[1] == 1
    u = 0.5 * 128 / (numbers[0] - 1)  # the first value is that at 0, the last that at 0.5 cycles per pixel
    assert u == 0.125
    expected = 0.575 if camera.mtf else (1 + (u / 0.2) ** 2) ** -1.5
    assert numbers[1 + 128] == pytest.approx(expected, abs=1e-6)
    assert "1, 1, 'camera.mtf'" in (tmp_path / "wavimg_m1_C10_+0.prm").read_text()
    assert mtf_table(TransferCurve((0.0, 0.5), (0.998, 0.499))).splitlines()[-1] == "0.50000000"


def test_atoms_stay_on_their_side_of_the_cell() -> None:
    """Across the beam they are folded back; on the exit plane they must not come back at the entrance."""
    atoms = Atoms("CAu", [[-1, 12, 0], [5, 5, 20]], cell=[10, 10, 20])
    text = cel(atoms, {79: 0.63})
    rows = [line.split() for line in text.splitlines()[2:-1]]
    assert [float(x) for x in rows[0][1:4]] == pytest.approx([0.9, 0.2, 0])
    assert 0.99999999 < float(rows[1][3]) < 1
    assert [float(row[5]) for row in rows] == [0.0, 0.0063]


def test_the_tilt_of_the_beam_is_the_opposite_tilt_of_the_object(tmp_path: Path) -> None:
    tilted = replace(REFERENCE, method=Method(Multislice(tilt=(10.0, -5.0))))
    export(tmp_path, Atoms("Au", [[1, 1, 1]], cell=[64, 64, 10]), tilted)
    lines = (tmp_path / "msa.prm").read_text().splitlines()
    first = lines.index("'[Multislice Parameters]'") + 1
    assert [float(line) for line in lines[first : first + 2]] == pytest.approx([-0.572958, 0.286479])


@pytest.mark.parametrize(
    ("method", "told"),
    [
        (Method(), ["Lobato's", "shared by 3 planes at most 1 nm apart", r"both end at\s+0.9, and", "2/3"]),
        (
            Method(Multislice(order=4, band=0.6, parametrization="weickenmeier_kohl")),
            ["Kohl in both", "shared by 4", "0.6"],
        ),
        (Method(Multislice(parametrization="kirkland")), ["where facetem took Kirkland's"]),
        (Method(phonons=7), ["averaged 7 configurations"]),
        (Method(Multislice(absorption={79: 0.05})), ["Absorption is left out"]),
        (Method(Multislice(tilt=(0, 1))), ["tilt of the beam is in msa.prm"]),
        (Method(temporal="envelope", spatial="average"), ["model 2 averages over foci as well"]),
    ],
)
def test_the_readme_says_what_facetem_did(tmp_path: Path, method: Method, told: list[str]) -> None:
    export(tmp_path, Atoms("Au", [[1, 1, 1]], cell=[64, 64, 10]), replace(REFERENCE, method=method))
    text = (tmp_path / "README.txt").read_text()
    for words in told:
        assert re.search(words, text), text
    assert max(map(len, text.splitlines())) <= 120
    if method == Method():
        assert not re.search("left out|averaged|as that of|model 2", text)


@pytest.mark.parametrize(
    ("change", "height", "message"),
    [
        ({"energy": 5e3}, 10, "expected 10 to 1300 kV, as Dr Probe takes, got 5"),
        ({"grid": Grid((4096, 512), 0.125)}, 10, "expected 32 to 2048 pixels along y"),
        ({}, 5000, "expected 1 to 2048 slices"),
    ],
)
def test_what_dr_probe_cannot_take_is_named(
    tmp_path: Path, change: dict, height: float, message: str
) -> None:
    atoms = Atoms("Au", [[1, 1, 1]], cell=[64, 64, height])
    with pytest.raises(InputError, match=message):
        export(tmp_path, atoms, replace(REFERENCE, **change))
    assert list(tmp_path.iterdir()) == []
