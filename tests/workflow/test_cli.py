"""The commands from end to end, as a user types them."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from facetem.app.cli import app
from facetem.data.micrograph import load_micrograph, save_image


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small simulated micrograph, image.tif, and its atoms, scene.extxyz."""
    path = tmp_path_factory.mktemp("cli")
    run("build", "decahedron", "--diameter-nm", 4, "--film-nm", 1, "--seed", 5, "-o", path / "scene.extxyz")
    run(
        "simulate",
        path / "scene.extxyz",
        "-o",
        path / "image.tif",
        "--dose",
        5000,
        "--device",
        "cpu",
        "--seed",
        2,
    )
    return path


def run(*words: object, status: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result


def test_version() -> None:
    from facetem import __version__

    assert run("--version").stdout == f"facetem {__version__}\n"


def test_simulated_file_knows_its_pixel_size_and_is_normalised_to_vacuum(folder: Path) -> None:
    micrograph = load_micrograph(folder / "image.tif")
    assert micrograph.sampling == pytest.approx(0.4, rel=1e-3)
    assert micrograph.image.shape == (256, 256)
    assert micrograph.image.mean() == pytest.approx(1, abs=0.02)


def test_same_seed_same_image(folder: Path, tmp_path: Path) -> None:
    images = []
    for seed in (2, 2, 3):
        run(
            "simulate",
            folder / "scene.extxyz",
            "-o",
            tmp_path / "i.npy",
            "--dose",
            500,
            "--seed",
            seed,
            "--device",
            "cpu",
        )
        images.append(np.load(tmp_path / "i.npy"))
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_units_are_those_of_the_option_names(folder: Path, tmp_path: Path) -> None:
    """The command with nm and kV gives what the function gives with Å and eV."""
    import facetem
    from facetem.app.structures import load_structure

    told = {
        "--defocus-nm": 8,
        "--cs-um": -5,
        "--energy-kv": 200,
        "--sampling-nm": 0.05,
        "--focal-spread-nm": 2,
    }
    words = [word for pair in told.items() for word in pair]
    run("simulate", folder / "scene.extxyz", "-o", tmp_path / "i.npy", "--device", "cpu", *words)
    direct = facetem.simulate(
        load_structure(folder / "scene.extxyz"),
        energy=200e3,
        sampling=0.5,
        optics=facetem.Optics(facetem.Aberrations(defocus=80.0, C30=-5e4), focal_spread=20.0),
        device="cpu",
    )
    assert np.load(tmp_path / "i.npy") == pytest.approx(direct, abs=1e-6)


def test_build_keeps_an_older_file_when_it_fails(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "scene.xyz").write_text("precious")
    run("build", "blob", "-o", tmp_path / "scene.xyz", status=2)
    assert (tmp_path / "scene.xyz").read_text() == "precious"


@pytest.mark.usefixtures("weights")
def test_classify_as_json(folder: Path) -> None:
    from facetem import SHAPES

    told = json.loads(run("classify", folder / "image.tif", "--json", "--device", "cpu").stdout)
    assert set(told["probabilities"]) == set(SHAPES)
    assert sum(told["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert told["shape"] in SHAPES
    assert isinstance(told["known"], bool)
    assert told["possible"][0] == told["shape"]
    claimed = "accepted" if len(told["possible"]) == 1 else "abstained"
    refused = "not judged" if told["not_judged"] else "unknown"
    assert told["verdict"] == (claimed if told["known"] else refused)


@pytest.mark.usefixtures("weights")
def test_classify_draws_what_decided_and_checks_what_it_is_asked_for(folder: Path, tmp_path: Path) -> None:
    from imageio.v3 import imread

    drawn = tmp_path / "map.png"
    said = run("classify", folder / "image.tif", "--json", "--device", "cpu", "--saliency", drawn)
    assert json.loads(said.stdout)["shape"]
    assert imread(drawn).ndim == 3
    run("classify", folder / "image.tif", "--saliency", tmp_path / "map.txt", status=2)
    run("classify", folder / "image.tif", "--coverage", 90, status=2)


@pytest.mark.usefixtures("weights")
def test_classify_as_a_table(folder: Path) -> None:
    said = run("classify", folder / "image.tif", "--device", "cpu").stdout
    assert "truncated octahedron" in said
    assert "probability" in said


@pytest.mark.usefixtures("weights")
def test_restore_keeps_pixels_and_pixel_size(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "denoised.tif"
    run(
        "restore", folder / "image.tif", "-o", tmp_path / "restored.tif", "--denoised", own, "--device", "cpu"
    )
    before, after = load_micrograph(folder / "image.tif"), load_micrograph(tmp_path / "restored.tif")
    assert after.image.shape == before.image.shape
    assert after.sampling == pytest.approx(before.sampling)
    film = (slice(0, 60), slice(0, 60))  # beside the particle: the noise is gone
    assert after.image[film].std() < before.image[film].std()
    assert after.image.std() > 1.5 * after.image[film].std()  # and the particle is not
    denoised = load_micrograph(own)
    assert denoised.sampling == pytest.approx(before.sampling)
    assert denoised.image[film].std() < 0.7 * before.image[film].std()
    assert np.corrcoef(denoised.image.ravel(), before.image.ravel())[0, 1] > 0.5  # it is still that image
    assert denoised.image.mean() == pytest.approx(before.image.mean(), rel=0.02)  # in its units


@pytest.mark.usefixtures("weights")
def test_restore_writes_the_uncertainty_and_follows_its_seed(folder: Path, tmp_path: Path) -> None:
    from imageio.v3 import imread

    images = []
    for seed in (1, 1, 2):
        said = run(
            "restore",
            folder / "image.tif",
            "-o",
            tmp_path / "r.tif",
            "--spread",
            tmp_path / "s.tif",
            "--views",
            2,
            "--seed",
            seed,
            "--device",
            "cpu",
        ).stdout
        images.append(load_micrograph(tmp_path / "r.tif").image)
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])
    spread = imread(
        tmp_path / "s.tif"
    )  # as it is: what is even at the edges is a margin to the reader of micrographs
    assert spread.shape == images[0].shape
    assert spread.min() >= 0
    assert 0 < spread.mean() < 1
    assert "lattice" in said
    assert f"{tmp_path / 's.tif'}: uncertainty" in said


def test_the_number_of_views_is_the_same_from_the_shell_and_from_python() -> None:
    from inspect import signature

    from facetem.app.cli import restore
    from facetem.learn.restoration import VIEWS

    assert signature(restore).parameters["views"].default == VIEWS


@pytest.mark.usefixtures("weights")
def test_analyze_one_micrograph(folder: Path, tmp_path: Path) -> None:
    said = run("analyze", folder / "image.tif", "-o", tmp_path / "report", "--device", "cpu").stdout
    assert "report.html" in said
    for name in ("report.html", "particles.csv", "result.json", "restored.tif", "spread.tif", "overview.png"):
        assert (tmp_path / "report" / name).stat().st_size > 0


@pytest.mark.usefixtures("weights")
def test_analyze_folder_goes_on_after_a_bad_file(folder: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "a_good.tif").write_bytes((folder / "image.tif").read_bytes())
    (mixed / "b_bad.tif").write_bytes(b"torn")
    (mixed / "c_good.tif").write_bytes((folder / "image.tif").read_bytes())
    (mixed / "notes.txt").write_text("not an image")
    (mixed / "deeper").mkdir()
    (mixed / "deeper" / "d.tif").touch()
    words = ("analyze", mixed, "-o", tmp_path / "reports", "--device", "cpu", "--workers", 1)
    result = run(*words, status=1)
    assert "b_bad.tif" in result.stderr
    assert "a_good.tif" not in result.stderr
    assert "notes.txt" in result.stderr  # passed over, and said
    assert "deeper (1 micrograph); --recursive" in result.stdout
    reports = sorted(path.name for path in (tmp_path / "reports").iterdir() if path.is_dir())
    assert reports == ["a_good", "c_good"]
    assert (tmp_path / "reports" / "c_good" / "report.html").is_file()
    sample = json.loads((tmp_path / "reports" / "sample.json").read_text())
    assert sample["micrographs"] == 1
    assert "1 of 2 files identical to another, not counted again: c_good (same as a_good)" in result.stdout
    assert [one["name"] for one in sample["failed"]] == ["b_bad.tif"]
    assert "b_bad.tif" not in sample["failed"][0]["reason"]
    # Again: what is done stays, another file of the same name is read.
    first, second = (tmp_path / "reports" / name / "result.json" for name in reports)
    stamps = first.stat().st_mtime_ns, second.stat().st_mtime_ns
    assert "2 of 3 micrographs were analysed before" in run(*words, status=1).stdout
    assert (first.stat().st_mtime_ns, second.stat().st_mtime_ns) == stamps
    other = load_micrograph(mixed / "c_good.tif")
    save_image(mixed / "c_good.tif", other.image[:, ::-1], other.sampling)
    (mixed / "b_bad.tif").unlink()
    assert "1 of 2 micrographs were analysed before" in run(*words).stdout
    assert first.stat().st_mtime_ns == stamps[0]
    assert second.stat().st_mtime_ns != stamps[1]
    given = (*words, "--sampling-nm", 0.05)
    assert "before" not in run(*given).stdout  # with another pixel size
    assert "2 of 2 micrographs were analysed before" in run(*given).stdout
    assert "before" not in run(*words).stdout  # with that of the files again
    told = run("compare", tmp_path / "reports", tmp_path / "reports", "-o", tmp_path / "both.svg").stdout
    assert "differs" not in told
    assert (tmp_path / "both.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.usefixtures("weights")
def test_analyze_only_bad_files_is_bad_input_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.tif").write_bytes(b"torn")
    run("analyze", tmp_path / "bad.tif", "-o", tmp_path / "report", status=2)
    assert not (tmp_path / "report").exists()


@pytest.mark.usefixtures("weights")
def test_every_frame_of_a_movie_has_a_report_of_its_own_if_asked(folder: Path, tmp_path: Path) -> None:
    image = load_micrograph(folder / "image.tif").image
    movie, out = tmp_path / "movie.npy", tmp_path / "out"
    np.save(movie, np.stack([image, image[::-1]]))
    command = ["analyze", movie, "-o", out, "--sampling-nm", 0.04, "--frames", "--device", "cpu"]
    run(*command)
    results = [json.loads((out / f"movie-{k:04d}" / "result.json").read_text()) for k in (0, 1)]
    assert [r["micrograph"]["metadata"]["frame"] for r in results] == [0, 1]
    assert [r["micrograph"]["name"] for r in results] == ["movie.npy frame 0", "movie.npy frame 1"]
    one = load_micrograph(out / "movie-0000" / "restored.tif").image
    other = load_micrograph(out / "movie-0001" / "restored.tif").image
    assert not np.array_equal(one, other)
    assert "2 of 2 micrographs were analysed before" in run(*command).stdout


@pytest.mark.slow
def test_train_resumes_and_its_weights_work(folder: Path, small_weights: Path, tmp_path: Path) -> None:
    # No film, small particles, calculated roughly: 32 are held out to calibrate.
    recipe = tmp_path / "bare.yaml"
    recipe.write_text(
        "field_nm: 10.4\naccuracy: draft\nparticles: {diameter_nm: 1.2}\nfilms: {kinds: none}\n"
    )
    words = ["train", "restorer", "--recipe", recipe, "--specimens", 2, "-o", tmp_path / "run"]
    # Of small networks a step takes a fraction of a second.
    words += ["--start", small_weights, "--device", "cpu", "--budget"]
    run(*words, 0.01)
    first = (tmp_path / "run" / "restorer.ckpt").stat().st_mtime_ns
    run(*words, 0.1)  # goes on: a finished run of 0.01 minutes is the beginning of this one
    assert (tmp_path / "run" / "restorer.ckpt").stat().st_mtime_ns > first
    weights = tmp_path / "run" / "restorer.safetensors"
    run("restore", folder / "image.tif", "--weights", weights, "-o", tmp_path / "r.tif", "--device", "cpu")
    assert load_micrograph(tmp_path / "r.tif").image.shape == (256, 256)


@pytest.mark.slow
@pytest.mark.usefixtures("weights")
def test_demo_shows_truth_beside_prediction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from facetem import SHAPES

    monkeypatch.setenv("COLUMNS", "200")  # no name is broken over two lines
    said = run("demo", "-o", tmp_path / "demo", "--device", "cpu").stdout
    for shape in SHAPES:
        assert shape.replace("_", " ") in said
    assert f"of {len(SHAPES)} shapes right" in said
    for name in ("report.html", "micrograph.tif", "truth.csv"):
        assert (tmp_path / "demo" / name).stat().st_size > 0
    rows = (tmp_path / "demo" / "truth.csv").read_text().splitlines()[1:]
    assert sum(not row.endswith(",") for row in rows) >= len(SHAPES) // 2  # found where they are


@pytest.mark.slow
@pytest.mark.usefixtures("weights")
def test_evaluate_prints_what_the_networks_reach(tmp_path: Path) -> None:
    said = run("evaluate", "-o", tmp_path / "evaluation", "--per-shape", 1, "--device", "cpu").stdout
    for figure in ("accuracy", "calibration error", "Confusion", "PSNR", "contrast", "best Gaussian"):
        assert figure in said
    told = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    assert told["specimens"] == sum(sum(row) for row in told["confusion"]) == 8


def analysis_of_copies(folder: Path, tmp_path: Path, names: str) -> list[object]:
    """A command that analyses copies of the micrograph in `in`, one after the other, into `out`."""
    (tmp_path / "in").mkdir()
    for name in names:
        shutil.copy(folder / "image.tif", tmp_path / "in" / f"{name}.tif")
    return ["analyze", tmp_path / "in", "-o", tmp_path / "out", "--device", "cpu", "--workers", 1]


@pytest.mark.slow
@pytest.mark.usefixtures("weights")
def test_analyze_stops_at_once_when_there_is_no_more_room_and_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facetem.analysis import report

    words = analysis_of_copies(folder, tmp_path, "abcd")
    whole, room = report.save_image, iter([2])  # files of the first report

    def save_image(path: Path, image: np.ndarray, sampling: float) -> None:
        if "b" in path.parts and next(room, None) is not None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole(path, image, sampling)

    monkeypatch.setattr(report, "save_image", save_image)
    told = run(*words, status=2).output
    assert "No space left" in told
    assert "1 of 4 are finished and kept" in told
    left = tmp_path / "out" / "b" / ".partial-killed"
    left.mkdir(parents=True)
    assert "1 of 4 micrographs were analysed before" in run(*words).output
    assert not left.exists()
    assert all((tmp_path / "out" / name / "result.json").exists() for name in "abcd")


@pytest.mark.slow
@pytest.mark.usefixtures("weights")
def test_analyze_stops_at_once_when_the_folder_of_the_input_has_gone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facetem.app import batch

    words = analysis_of_copies(folder, tmp_path, "abc")
    whole = batch.save_analysis

    def save_analysis(found: Any, target: Path) -> None:
        whole(found, target)
        (tmp_path / "in").rename(tmp_path / "elsewhere")

    monkeypatch.setattr(batch, "save_analysis", save_analysis)
    told = run(*words, status=2).output
    assert told.count("no such file") == 1
    assert "1 of 3 are finished and kept" in told
    assert (tmp_path / "out" / "a" / "result.json").exists()
