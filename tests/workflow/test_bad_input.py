"""Every kind of bad input: one line that names it, exit status 2, and nothing left behind."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from imageio.v3 import imwrite
from typer.testing import CliRunner

from facetem.app.cli import app
from facetem.data.micrograph import save_image


def lattice(shape: tuple[int, int] = (160, 160), sampling: float = 0.4) -> np.ndarray:
    """An image (y, x) of 2.35 Å fringes with noise, vacuum near 1."""
    rng = np.random.default_rng(3)
    x = np.arange(shape[1]) * sampling
    return (1 + 0.1 * np.sin(2 * np.pi * x / 2.35) + 0.05 * rng.normal(size=shape)).astype(np.float32)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A micrograph that nothing is wrong with."""
    path = tmp_path / "good.tif"
    save_image(path, lattice(), 0.4)
    return path


@pytest.fixture
def complaint(tmp_path: Path) -> Callable[..., str]:
    """Run a command that must fail as bad input does; its one line on stderr."""

    def run(*words: object, status: int = 2) -> str:
        before = sorted(tmp_path.rglob("*"))
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == status, result.output
        lines = result.stderr.splitlines()
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("facetem: ")
        assert sorted(tmp_path.rglob("*")) == before
        return lines[0]

    return run


Complaint = Callable[..., str]


@pytest.mark.parametrize("name", ["torn.tif", "torn.dm4", "torn.mrc", "torn.npy", "torn.png", "torn.emd"])
def test_unreadable_file(complaint: Complaint, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"II*\x00 this is no image " * 40)
    assert name in complaint("restore", tmp_path / name, "-o", tmp_path / "out.tif", "--sampling-nm", 0.04)


def test_empty_file(complaint: Complaint, tmp_path: Path) -> None:
    (tmp_path / "empty.dm4").touch()
    said = complaint("classify", tmp_path / "empty.dm4")
    assert "empty.dm4" in said
    assert "empty file" in said


def test_missing_file(complaint: Complaint, tmp_path: Path) -> None:
    assert "nowhere.tif" in complaint("classify", tmp_path / "nowhere.tif")


def test_no_pixel_size(complaint: Complaint, tmp_path: Path) -> None:
    np.save(tmp_path / "bare.npy", lattice())
    said = complaint("classify", tmp_path / "bare.npy")
    assert "bare.npy" in said
    assert "--sampling-nm" in said  # what to do


def test_rgb_pixels(complaint: Complaint, tmp_path: Path) -> None:
    imwrite(tmp_path / "colour.png", np.random.default_rng(0).integers(0, 255, (160, 160, 3), dtype=np.uint8))
    said = complaint("classify", tmp_path / "colour.png", "--sampling-nm", 0.04)
    assert "colour.png" in said
    assert "RGB" in said


def test_nan_pixels(complaint: Complaint, tmp_path: Path) -> None:
    image = lattice()
    image[5, 7] = np.nan
    np.save(tmp_path / "holes.npy", image)
    said = complaint("restore", tmp_path / "holes.npy", "-o", tmp_path / "out.tif", "--sampling-nm", 0.04)
    assert "holes.npy" in said
    assert "NaN" in said


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--views", 1, "views: expected a whole number from 2"),
        ("--seed", -1, "seed: expected a whole number from 0"),
        ("--spread", "spread.png", ".tif"),
        ("--spread", "out.tif", "another file"),
        ("--denoised", "out.tif", "another file"),
        ("--denoised", "denoised.png", ".tif"),
        ("--spread", "absent/spread.tif", "can be written to"),
    ],
)
def test_how_a_restoration_cannot_be_done(
    complaint: Complaint, tmp_path: Path, good: Path, option: str, value: object, named: str
) -> None:
    told = tmp_path / value if isinstance(value, str) else value
    said = complaint("restore", good, "-o", tmp_path / "out.tif", "--device", "cpu", option, told)
    assert named in said


def test_smaller_than_a_particle(complaint: Complaint, tmp_path: Path) -> None:
    np.save(tmp_path / "tiny.npy", lattice((60, 60)))
    said = complaint("classify", tmp_path / "tiny.npy", "--sampling-nm", 0.04)
    assert "smaller than a particle" in said


@pytest.mark.parametrize(
    ("sampling_nm", "meant"),
    [(0.15, "lattice"), (0.4, "0.4 Å/px"), (0.004, "0.4 Å/px"), (0, "positive"), (-0.04, "positive")],
)
def test_pixel_size_out_of_range_or_off_by_a_factor(
    complaint: Complaint, tmp_path: Path, sampling_nm: float, meant: str
) -> None:
    np.save(tmp_path / "scaled.npy", lattice((512, 512)))
    said = complaint("classify", tmp_path / "scaled.npy", "--sampling-nm", sampling_nm)
    assert "scaled.npy" in said
    assert meant in said


def test_unknown_shape(complaint: Complaint, tmp_path: Path) -> None:
    said = complaint("build", "blob", "-o", tmp_path / "scene.xyz")
    assert "blob" in said
    assert "icosahedron" in said  # what there is


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--diameter-nm", -5, "diameter"),
        ("--diameter-nm", 500, "diameter"),
        ("--film-nm", -1, "film"),
        ("--film-density", 40, "density"),
        ("--film-density", 1.2, "1.7 to 3 g/cm3"),
        ("--zone-axis", "0,0,0", "zone axis"),
        ("--zone-axis", "one", "zone axis"),
        ("--element", "Fe", "element"),
        ("--extent-nm", 2, "field"),
    ],
)
def test_impossible_specimen(
    complaint: Complaint, tmp_path: Path, option: str, value: object, named: str
) -> None:
    assert named in complaint("build", "cube", "-o", tmp_path / "scene.xyz", option, value)


@pytest.fixture
def atoms(tmp_path: Path) -> Path:
    path = tmp_path / "atoms.xyz"
    result = CliRunner().invoke(
        app, ["build", "cube", "--film-nm", "0", "--diameter-nm", "1.5", "-o", str(path)]
    )
    assert result.exit_code == 0, result.output
    return path


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--dose", -100, "dose"),
        ("--dose", 0, "dose"),
        ("--dose", "nan", "dose"),
        ("--energy-kv", 0, "energy"),
        ("--sampling-nm", -0.04, "sampling"),
        ("--focal-spread-nm", -3, "focal_spread"),
        ("--aperture-mrad", 0, "aperture"),
        ("--defocus-nm", "inf", "defocus"),
    ],
)
def test_impossible_imaging(
    complaint: Complaint, tmp_path: Path, atoms: Path, option: str, value: object, named: str
) -> None:
    said = complaint("simulate", atoms, "-o", tmp_path / "image.tif", "--device", "cpu", option, value)
    assert named in said


def test_no_file_of_atoms(complaint: Complaint, tmp_path: Path) -> None:
    (tmp_path / "notes.xyz").write_text("not atoms\n")
    assert "notes.xyz" in complaint("simulate", tmp_path / "notes.xyz", "-o", tmp_path / "image.tif")


@pytest.mark.parametrize("parent", ["absent", "a-file"])
@pytest.mark.parametrize(
    "words",
    [
        ["build", "cube", "-o", "{}/scene.xyz"],
        ["simulate", "{atoms}", "-o", "{}/image.tif"],
        ["restore", "{good}", "-o", "{}/restored.tif"],
    ],
    ids=lambda words: words[0],
)
def test_output_file_that_cannot_be_written(
    complaint: Complaint, tmp_path: Path, good: Path, atoms: Path, words: list[str], parent: str
) -> None:
    (tmp_path / "a-file").touch()
    said = complaint(*(word.format(tmp_path / parent, good=good, atoms=atoms) for word in words))
    assert parent in said
    assert "can be written to" in said


@pytest.mark.parametrize("command", ["demo", "analyze {good}"])
def test_output_folder_that_cannot_be_written(
    complaint: Complaint, tmp_path: Path, good: Path, command: str
) -> None:
    (tmp_path / "a-file").touch()
    said = complaint(*command.format(good=good).split(), "-o", tmp_path / "a-file" / "report")
    assert "a-file" in said
    assert "folder to write to" in said


@pytest.mark.parametrize(
    "command",
    [
        "restore {folder}/restored.tif -o {folder}/restored.tif",
        "restore {folder}/restored.tif -o {folder}/new.tif --spread {folder}/restored.tif",
        "classify {folder}/restored.png --sampling-nm 0.04 --saliency {folder}/restored.png",
        "analyze {folder}/restored.tif -o {folder}",
        "analyze {folder}/restored.tif {folder}/other/../restored.png -o {folder}/.. --workers 1",
    ],
)
def test_nothing_is_written_over_the_input(complaint: Complaint, tmp_path: Path, command: str) -> None:
    """The last: of several files, the report of restored.tif goes into a folder of its name."""
    folder = tmp_path / "restored.tif" if "/.." in command and "analyze" in command else tmp_path / "in"
    (folder / "other").mkdir(parents=True)
    save_image(folder / "restored.tif", lattice(), 0.4)
    imwrite(folder / "restored.png", (100 * lattice()).astype(np.uint8))
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert "another file than the input" in complaint(
        *command.format(folder=folder).split(), "--device", "cpu"
    )
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_output_folder_without_permission(complaint: Complaint, tmp_path: Path, good: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    assert "locked" in complaint("analyze", good, "-o", locked / "report")


def test_unknown_suffix_of_the_output(complaint: Complaint, tmp_path: Path) -> None:
    assert ".extxyz" in complaint("build", "cube", "-o", tmp_path / "scene.doc")


@pytest.mark.parametrize("command", ["classify {} --weights {}", "restore {} --weights {} -o out.tif"])
def test_corrupt_weights(complaint: Complaint, tmp_path: Path, good: Path, command: str) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{not json at all}")
    assert "broken.safetensors" in complaint(*command.format(good, broken).split())


def test_cuda_where_there_is_none(complaint: Complaint, tmp_path: Path, atoms: Path) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    assert "cuda" in complaint("simulate", atoms, "-o", tmp_path / "image.tif", "--device", "cuda")


def test_folder_without_micrographs(complaint: Complaint, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert str(tmp_path) in complaint("analyze", tmp_path, "-o", tmp_path / "reports")


def test_as_a_program_it_says_one_line_and_no_traceback(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "facetem.app.cli", "build", "blob", "-o", str(tmp_path / "scene.xyz")]
    words[1:3] = ["-c", "from facetem.app.cli import main; main()"]
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stdout == ""
    assert re.fullmatch(r"facetem: shape: .*blob.*\n", run.stderr)
    assert list(tmp_path.iterdir()) == []


def test_traceback_shows_where_it_comes_from(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--traceback", "build", "blob", "-o", str(tmp_path / "scene.xyz")])
    assert isinstance(result.exception, ValueError)


@pytest.mark.parametrize(
    ("recipe", "named"),
    [
        ("colour: red\n", "colour"),
        ("particles:\n  diamter_nm: [4, 8]\n", "diamter_nm"),
        ("particles:\n  shapes: [ball]\n", "ball"),
        ("images:\n  dose_per_A2: [-5, 100]\n", "dose_per_A2"),
        ("microscopes:\n- energies_kv: [300000]\n", "20 to 1500 kV"),
        ("particles: [1,\n", "YAML"),
    ],
)
def test_bad_recipe(complaint: Complaint, tmp_path: Path, recipe: str, named: str) -> None:
    (tmp_path / "bad.yaml").write_text(recipe)
    said = complaint("train", "classifier", "--recipe", tmp_path / "bad.yaml", "-o", tmp_path / "run")
    assert "bad.yaml" in said
    assert named in said


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--specimens", 0, "specimens"),
        ("--validation", 3, "validation"),
        ("--budget", 0, "budget"),
        ("--budget", "3 weeks", "budget"),
    ],
)
def test_impossible_training(
    complaint: Complaint, tmp_path: Path, option: str, value: object, named: str
) -> None:
    assert named in complaint("train", "restorer", "-o", tmp_path / "run", "--device", "cpu", option, value)


def test_impossible_evaluation(complaint: Complaint, tmp_path: Path) -> None:
    assert "per-shape" in complaint("evaluate", "-o", tmp_path / "evaluation", "--per-shape", 0)
