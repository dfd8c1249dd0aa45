"""`facetem simulate`, the group "Calculation": each option reaches the calculation, and what is bad is one line."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from typer.testing import CliRunner

from facetem.app.cli import app
from facetem.hrtem.settings import ACCURACIES

PAGE = Path(__file__).parents[2] / "docs" / "simulate.md"
Picture = Callable[..., np.ndarray]


def run(*words: object, status: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Two short columns of gold."""
    places = [(x, 8.0, z) for x in (6.0, 10.0) for z in np.arange(2.0, 30.0, 2.88)]
    path = tmp_path / "scene.extxyz"
    write(path, Atoms(f"Au{len(places)}", places, cell=[16, 16, 32], pbc=True))
    return path


@pytest.fixture
def picture(scene: Path, tmp_path: Path) -> Picture:
    """The image that options give, as an array."""

    def simulated(*words: object) -> np.ndarray:
        run("simulate", scene, "-o", tmp_path / "picture.npy", "--device", "cpu", *words)
        return np.load(tmp_path / "picture.npy")

    return simulated


def metadata(path: Path) -> dict[str, Any]:
    from rsciio.hspy import file_reader

    return file_reader(str(path))[0]["metadata"]["facetem"]


@pytest.mark.parametrize(
    "words",
    [
        ("--accuracy", "draft"),
        ("--accuracy", "reference"),
        ("--slice-nm", 0.1),
        ("--scattering-factors", "kirkland"),
        ("--scattering-factors", "weickenmeier-kohl"),
        ("--absorption", "Au=0.1"),
        ("--phonons", 2),
        ("--tilt-mrad", "-8,0"),
        ("--temporal", "envelope"),
        ("--spatial", "average"),
    ],
    ids=lambda words: " ".join(map(str, words)),
)
def test_each_option_changes_the_image_a_little(picture: Picture, words: tuple[object, ...]) -> None:
    lens = ("--angular-spread-mrad", 0.5)
    plain, other = picture(*lens), picture(*lens, *words)
    difference = np.abs(other - plain).max()
    assert 1e-5 < difference < np.ptp(plain)


def test_options_mean_what_they_mean_in_python(scene: Path, picture: Picture) -> None:
    """The same numbers as `facetem.simulate` makes of the same settings, noise and vibrations included."""
    from dataclasses import replace

    from ase.io import read

    from facetem import Aberrations, Camera, Optics, simulate

    settings = replace(
        ACCURACIES["draft"],
        slice_thickness=4.0,
        light_thickness=4.0,
        parametrization="weickenmeier_kohl",
        absorption={79: 0.05},
        tilt=(8.0, -3.0),
    )
    atoms = read(scene)
    assert isinstance(atoms, Atoms)
    expected = simulate(
        atoms,
        optics=Optics(Aberrations(defocus=60.0)),
        camera=Camera(dose=500.0),
        accuracy=settings,
        temporal="envelope",
        spatial="average",
        phonons=2,
        seed=3,
        device="cpu",
    )
    words = "--accuracy draft --slice-nm 0.4 --scattering-factors weickenmeier-kohl --absorption Au=0.05"
    words += " --tilt-mrad 8,-3 --temporal envelope --spatial average --phonons 2 --seed 3 --dose 500"
    got = picture(*words.split())
    assert got == pytest.approx(expected, abs=1e-5)


def test_absorption_takes_electrons(picture: Picture) -> None:
    assert picture("--absorption", "Au=0.1").mean() < picture().mean() - 0.002


def test_vibrations_follow_the_seed(picture: Picture) -> None:
    words = ("--phonons", 3, "--accuracy", "draft")
    first, again, other = (picture(*words, "--seed", seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_one_configuration_serves_all_foci(picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    from facetem.app import calculation

    waves = []
    real = calculation.exit_waves
    monkeypatch.setattr(
        calculation, "exit_waves", lambda *a, **k: waves.append(k["settings"].debye_waller) or real(*a, **k)
    )
    words = ("--phonons", 2, "--accuracy", "draft")
    series = picture(*words, "--focal-series", "-4:4:4")
    assert waves == [{}, {}]  # of two configurations, of resting atoms
    for image, defocus in zip(series, (-4, 0, 4), strict=True):
        assert image == pytest.approx(picture(*words, "--defocus-nm", defocus), abs=1e-6)


def test_files_say_how_they_were_calculated(scene: Path, tmp_path: Path) -> None:
    run(
        "simulate", scene, "-o", tmp_path / "i.hspy", "--device", "cpu", "--slice-nm", 0.5, "--tilt-mrad", "2,1",
        "--scattering-factors", "kirkland", "--absorption", "Au=0.05", "--phonons", 1, "--temporal", "envelope",
    )  # fmt: skip
    told, standard = metadata(tmp_path / "i.hspy"), ACCURACIES["standard"]
    assert (told["slice_nm"], told["light_slice_nm"]) == (0.5, 0.5)
    assert (told["order"], told["band_nyquist"]) == (standard.order, standard.band)
    assert told["second_order"] == standard.second_order
    assert (told["projection"], told["scattering_factors"]) == (standard.projection, "kirkland")
    assert list(told["tilt_mrad"]) == [2, 1]
    assert told["absorption"]["Au"] == 0.05
    assert (told["phonons"], told["temporal"], told["spatial"]) == (1, "envelope", "envelope")


def test_presets_of_the_page_are_those_that_there_are() -> None:
    lines = [line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    rows = [cells[1:-1] for cells in lines if len(cells) == 8 and cells[1].strip(" `") in ACCURACIES]
    told = {(cells[0].strip(" `"), cells[1].strip()): [float(cell) for cell in cells[2:5]] for cells in rows}
    for name, preset in ACCURACIES.items():
        above = [phase for phase, _, _ in preset.columns]
        for low, high in zip([None, *above], [*above, None], strict=True):
            phases = (
                f"up to {high:g}" if low is None else f"{low:g} to {high:g}" if high else f"above {low:g}"
            )
            fitted = preset.fitted(1e-3 if low is None else low + 1e-3)
            lengths = [fitted.sampling / 10, fitted.slice_thickness / 10, fitted.light_thickness / 10]
            assert told.pop((name, phases)) == pytest.approx(lengths)
    assert not told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--accuracy", "best"], "--accuracy: expected one of draft, standard, reference, got 'best'"),
        (["--scattering-factors", "peng"], "--scattering-factors: expected one of lobato, kirkland"),
        (["--slice-nm", "0"], "--slice-nm: expected a positive distance"),
        (["--absorption", "gold=1"], "--absorption gold=1: expected SYMBOL=RATIO"),
        (["--absorption", "C=0.1"], r"--absorption: expected elements of .*scene\.extxyz, got C"),
        (["--phonons", "-2"], "--phonons: expected 0 to"),
        (["--phonons", "2", "--exit-wave", "{}/w.hspy"], "--exit-wave contradicts --phonons"),
        (["--tilt-mrad", "4"], "--tilt-mrad: expected X,Y"),
        (["--tilt-mrad", "400,0"], "--tilt-mrad: expected X,Y within 50 mrad"),
        (["--temporal", "both"], "--temporal: expected one of average, envelope"),
        (["--spatial", "both"], "--spatial: expected one of average, envelope"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    scene: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    filled = [word.format(tmp_path) for word in words]
    result = run("simulate", scene, "-o", tmp_path / "i.tif", *filled, status=2)
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert re.search(said, result.stderr), result.stderr
    assert list(tmp_path.iterdir()) == [scene]


@pytest.mark.parametrize("command", ["build", "simulate", "classify", "restore", "analyze"])
def test_help_keeps_its_units(command: str) -> None:
    said = run(command, "--help").output
    assert "(nm" in said
    assert "[nm" not in said
