"""`facetem simulate` from end to end: every output, the examples of docs/simulate.md, and what it refuses."""

import re
import shlex
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from facetem.app.cli import app

PAGE = Path(__file__).parents[2] / "docs" / "simulate.md"


def run(*words: object, status: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small particle without film."""
    path = tmp_path_factory.mktemp("simulate") / "scene.xyz"
    run("build", "cube", "--diameter-nm", 1.2, "--film-nm", 0, "--extent-nm", 3.2, "--seed", 5, "-o", path)
    return path


Picture = Callable[..., np.ndarray]


@pytest.fixture
def picture(scene: Path, tmp_path: Path) -> Picture:
    """The image that options give, as an array."""

    def simulated(*words: object) -> np.ndarray:
        run("simulate", scene, "-o", tmp_path / "picture.npy", "--device", "cpu", *words)
        return np.load(tmp_path / "picture.npy")

    return simulated


def blocks(language: str) -> list[str]:
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [text for name, text in fences if name == language]


def test_the_examples_of_the_page_run_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mtf.txt").write_text(blocks("text")[0])
    commands = [shlex.split(line)[1:] for block in blocks("") for line in block.splitlines()]
    assert len(commands) >= 10
    for words in commands:
        run(*words)
    flags = ("-o", "--exit-wave", "--export-drprobe")
    made = {word for words in commands for flag, word in pairwise(words) if flag in flags}
    assert made <= {path.name for path in tmp_path.iterdir()}
    assert not list(tmp_path.glob(".*partial*"))


def test_cameras_of_the_page_are_those_that_there_are() -> None:
    """Names, and the rounded figures of the table."""
    import torch

    from facetem.hrtem.cameras import CAMERAS

    lines = [
        line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")
    ]
    rows = {cells[1].strip(" `"): cells for cells in lines}
    for name, camera in CAMERAS.items():
        for column, u in ((3, 0.0), (4, 0.25), (5, 0.5)):
            told = [float(word) for word in rows[name][column].split(",")]
            at = torch.tensor([u], dtype=torch.float64)
            assert camera.mtf
            assert camera.ntf
            mtf = float(camera.mtf.at(at))
            dqe = camera.dqe * float(camera.mtf.at(at) / camera.ntf.at(at)) ** 2
            assert told == pytest.approx([mtf, dqe], abs=0.006)


def test_a_series_is_its_images_one_by_one(scene: Path, picture: Picture, tmp_path: Path) -> None:
    from rsciio.hspy import file_reader

    said = run(
        "simulate", scene, "-o", tmp_path / "s.hspy", "--defocus-nm", 4, "--focal-series", "-6:6:6", "--device", "cpu"
    ).stdout  # fmt: skip
    assert "3 images of 80 x 80 px of 0.04 nm" in said
    read = file_reader(str(tmp_path / "s.hspy"))[0]
    axes = [(a["name"], float(a["offset"]), float(a["scale"]), a["units"]) for a in read["axes"]]
    assert axes[0] == ("defocus", -2.0, 6.0, "nm")
    assert [axis[2] for axis in axes[1:]] == pytest.approx([0.04, 0.04])
    for image, defocus in zip(read["data"], (-2, 4, 10), strict=True):
        assert image == pytest.approx(picture("--defocus-nm", defocus), abs=1e-6)
    assert read["metadata"]["facetem"]["energy_kv"] == 300
    assert list(read["metadata"]["facetem"]["defocus_nm"]) == [-2, 4, 10]


def test_images_of_a_series_have_noise_of_their_own(scene: Path, tmp_path: Path) -> None:
    run("simulate", scene, "-o", tmp_path / "s.npy", "--focal-series", "5:5.02:0.01", "--dose", 100)
    series = np.load(tmp_path / "s.npy")
    assert series.shape == (3, 80, 80)
    noise = series - series.mean(0)
    correlation = np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]
    assert correlation == pytest.approx(-0.5, abs=0.05)  # of three independent ones about their mean


def test_the_image_is_that_of_the_wave(scene: Path, picture: Picture, tmp_path: Path) -> None:
    import torch
    from rsciio.hspy import file_reader

    from facetem import Aberrations, Optics
    from facetem.core.grid import Grid
    from facetem.hrtem.optics import clean_images

    run("simulate", scene, "--exit-wave", tmp_path / "w.hspy", "--device", "cpu", "--energy-kv", 200)
    read = file_reader(str(tmp_path / "w.hspy"))[0]
    wave = torch.as_tensor(read["data"])
    assert wave.is_complex()
    step = 10 * float(read["axes"][0]["scale"])
    grid = Grid((wave.shape[0], wave.shape[1]), step)
    assert grid.extent[0] == pytest.approx(32, abs=1e-4)
    image = clean_images(
        wave[None], grid, energies=[200e3], optics=[Optics(Aberrations(defocus=60.0))], shape=(80, 80)
    )
    assert image[0].numpy() == pytest.approx(picture("--energy-kv", 200), abs=2e-3)
    assert np.abs(np.abs(read["data"][:8]) - 1).max() < 0.05  # vacuum


def test_instrument_and_single_options_agree(picture: Picture) -> None:
    from facetem.hrtem.instruments import INSTRUMENTS

    name = "200kV-schottky"
    optics = INSTRUMENTS[name].optics
    single = picture(
        "--energy-kv", 200, "--defocus-nm", 0, "--cs-um", float(optics.aberrations.C30) / 1e4,
        "--focal-spread-nm", float(optics.focal_spread) / 10, "--angular-spread-mrad", float(optics.angular_spread),
        "--image-spread-nm", float(optics.image_spread) / 10,
    )  # fmt: skip
    assert picture("--instrument", name) == pytest.approx(single, abs=1e-6)


def test_a_curve_damps_the_image_as_it_says(picture: Picture, tmp_path: Path) -> None:
    (tmp_path / "mtf.txt").write_text("0 1\n0.25 0.5\n0.5 0.2\n")
    plain, damped = picture(), picture("--mtf", tmp_path / "mtf.txt")
    ratio = np.abs(np.fft.fft2(damped)[0] / np.fft.fft2(plain)[0])
    frequency = np.abs(np.fft.fftfreq(80))
    expected = np.interp(frequency, [0, 0.25, 0.5], [1, 0.5, 0.2])
    strong = np.abs(np.fft.fft2(plain)[0]) > 0.5  # above the rounding
    assert strong.sum() > 10
    assert ratio[strong] == pytest.approx(expected[strong], rel=1e-3)


def test_binning_keeps_the_pixel_size_that_was_asked_for(
    scene: Path, picture: Picture, tmp_path: Path
) -> None:
    from facetem.data.formats import read_file

    run("simulate", scene, "-o", tmp_path / "b.tif", "--binning", 2, "--sampling-nm", 0.08, "--device", "cpu")
    read = read_file(tmp_path / "b.tif")
    assert read.pixels.shape == (40, 40)
    assert read.sampling == pytest.approx(0.8, rel=1e-5)
    fine = picture("--sampling-nm", 0.04)
    assert read.pixels == pytest.approx(fine.reshape(40, 2, 40, 2).mean((1, 3)), abs=1e-5)


def test_gain_error_is_the_same_in_all_images(picture: Picture) -> None:
    first, again = (picture("--gain-error", 0.05, "--seed", seed) for seed in (1, 2))
    assert np.array_equal(first, again)
    assert (first / picture()).std() == pytest.approx(0.05, rel=0.05)


def test_dr_probes_input_alone_takes_no_multislice(scene: Path, tmp_path: Path) -> None:
    run(
        "simulate",
        scene,
        "--export-drprobe",
        tmp_path / "d",
        "--energy-kv",
        200,
        "--defocus-nm",
        5,
        "--cs-um",
        -10,
    )
    names = {path.name for path in (tmp_path / "d").iterdir()}
    assert names == {
        "structure.cel",
        "msa.prm",
        "wavimg_m1_C10_-5.prm",
        "run.sh",
        "README.txt",
        "slc",
        "wav",
        "img",
    }
    text = (tmp_path / "d" / "wavimg_m1_C10_-5.prm").read_text()
    assert "\n1, -5.0000, 0.0000\n5, -10000.0000, 0.0000\n" in text
    assert "-nx 128 -ny 128" in (tmp_path / "d" / "run.sh").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "expected at least one of --output, --exit-wave and --export-drprobe"),
        (["-o", "{}/a.jpg"], r"a\.jpg: expected a name ending in .*\.zarr"),
        (["-o", "{}/a.png", "--focal-series", "0:1:1"], "does not fit into a png"),
        (["--exit-wave", "{}/w.tif"], r"w\.tif: expected a name ending in \.hspy, \.zarr"),
        (["-o", "{}/a.hspy", "--exit-wave", "{}/a.hspy"], "expected different names"),
        (["-o", "{}/no/where/a.zarr"], "can be written to"),
        (["--export-drprobe", "{}/no/where"], "can be written to"),
        (["-o", "{}/a.tif", "--instrument", "toy"], "instrument: expected one of 80kV-cold-feg"),
        (["-o", "{}/a.tif", "--instrument", "80kV-schottky", "--energy-kv", "200"], "contradicts --instrument"),
        (["-o", "{}/a.tif", "--camera", "film"], "camera: expected one of scintillator-ccd"),
        (["-o", "{}/a.tif", "--readout", "3"], "--readout without --dose"),
        (["-o", "{}/a.tif", "--mtf", "{}/none.txt"], "none.txt: No such file"),
        (["-o", "{}/a.tif", "--aberration-nm", "C9=1"], "got 'C9'"),
        (["-o", "{}/a.tif", "--binning", "0"], "binning: expected"),
        (["-o", "{}/a.tif", "--vacuum-nm", "-1"], "vacuum: expected"),
        (["--export-drprobe", "{}/d", "--energy-kv", "2000"], "expected 10 to 1300 kV"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_leaves_nothing(
    scene: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    result = run("simulate", scene, *(word.format(tmp_path) for word in words), status=2)
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("facetem: ")
    assert re.search(said, result.stderr), result.stderr
    assert list(tmp_path.iterdir()) == []


def test_atoms_without_a_box_are_told_how_to_get_one(tmp_path: Path) -> None:
    from ase.cluster import Octahedron
    from ase.io import write

    particle = Octahedron("Au", 4, cutoff=1)
    particle.positions -= particle.positions.min(0)
    particle.cell = np.ptp(particle.positions, axis=0) + 2.0
    write(tmp_path / "tight.extxyz", particle)
    bare = particle.copy()
    bare.cell = None
    write(tmp_path / "bare.xyz", bare, format="xyz")
    for name, got in (("tight.extxyz", "expected vacuum along x"), ("bare.xyz", "got none")):
        path = tmp_path / name
        result = run("simulate", path, "-o", tmp_path / "i.tif", status=2)
        assert got in result.stderr
        assert "--vacuum-nm 1" in result.stderr
        assert not (tmp_path / "i.tif").exists()
        run("simulate", path, "-o", tmp_path / "i.tif", "--vacuum-nm", 1)
        (tmp_path / "i.tif").unlink()
