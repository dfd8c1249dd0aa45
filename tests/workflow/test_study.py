"""`facetem study` and `facetem evaluate --suite` on a handful of small bare particles."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from facetem.app.cli import app
from facetem.study.axes import STUDIES

RECIPE = """
name: tiny
field_nm: 10.4
accuracy: draft
particles: {diameter_nm: [1.5, 2.0], calibration: 0}
films: {kinds: none}
stored: {shard: 8}
"""


def run(*words: object, status: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def alone(small_weights: Path) -> tuple[object, ...]:
    """One process, and networks of which it matters only that they answer."""
    return ("--device", "cpu", "--workers", "1", *networks(small_weights))


def networks(folder: Path) -> list[str]:
    weights = {f"--{name}": str(folder / f"{name}.safetensors") for name in ("classifier", "restorer")}
    return [word for option in weights.items() for word in option]


@pytest.mark.slow
def test_a_study_writes_its_tables_figures_and_page(
    recipe: Path, alone: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = {"dose": STUDIES["dose"]["dose"], "side": STUDIES["carbon"]["side"]}
    axes["dose"] = replace(axes["dose"], quick=(200, 2000))
    monkeypatch.setitem(STUDIES, "dose", axes)
    words = ["study", "dose", "--quick", "--recipe", recipe, "--per-shape", 1, *alone, "-o"]
    said = run(*words, tmp_path / "out").output
    for stem in ("dose-dose", "dose-side"):
        for suffix in (".png", ".svg", ".csv", ".parquet", ".html"):
            assert (tmp_path / "out" / f"{stem}{suffix}").stat().st_size > 300
    table = pd.read_csv(tmp_path / "out" / "dose-dose.csv")
    assert table["value"].tolist() == [200, 2000]
    assert table["psnr_raw"].is_monotonic_increasing  # less noise
    assert (table["right_low"] <= table["right"]).all()
    assert (table["right"] <= table["right_high"]).all()
    page = (tmp_path / "out" / "README.md").read_text()
    assert "dose-side.png" in page
    assert f"{table['right'][0]:.3f}" in page
    assert page in said


@pytest.mark.slow
def test_an_interactive_figure_needs_nothing_from_elsewhere(
    recipe: Path, alone: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STUDIES, "orientation", {})
    words = ["study", "orientation", "--quick", "--recipe", recipe, "--per-shape", 1, *alone, "-o"]
    run(*words, tmp_path / "out")
    page = (tmp_path / "out" / "orientation-map.html").read_text()
    sources = re.findall(r"<(?:script|link)[^>]*(?:src|href)=\"([^\"]*)\"", page)
    assert sources == ["plotly.min.js"]
    assert (tmp_path / "out" / "plotly.min.js").stat().st_size > 1e6
    table = pd.read_parquet(tmp_path / "out" / "orientation-map.parquet")
    assert len(table) == 4 * 8  # four for each one of a sweep
    assert all(named.replace("_", " ") in page for named in set(table["named"]))
    summed = pd.read_csv(tmp_path / "out" / "orientation-map.csv").groupby("shape")["specimens"].sum()
    assert set(summed) == {4}


@pytest.mark.slow
def test_a_plan_recommends_what_its_table_says(
    recipe: Path, alone: tuple[object, ...], tmp_path: Path
) -> None:
    words = ["study", "plan", "--preset", "200kV-cold-feg", "--dose", 1000, "--diameter-nm", 1.8, "--quick"]
    said = run(*words, "--recipe", recipe, "--per-shape", 1, *alone, "-o", tmp_path / "out").output
    table = pd.read_csv(tmp_path / "out" / "plan-200kV-cold-feg.csv")
    assert sorted(set(table["dose"])) == [250, 1000]
    most = table[table["dose"] == 1000].set_index("defocus_nm")["chance"].idxmax()
    assert f"take {abs(most):g} nm {'under' if most > 0 else 'over'}focus" in said
    rows = pd.read_parquet(tmp_path / "out" / "plan-200kV-cold-feg.parquet")
    assert rows["diameter"].to_numpy() == pytest.approx(18, rel=0.03)
    assert rows.groupby(["defocus", "dose"])["psnr_raw"].mean().unstack().diff(axis=1)[1000].min() > 0


@pytest.mark.slow
def test_a_study_that_was_killed_goes_on_and_a_cluster_finds_the_same(
    recipe: Path, small_weights: Path, tmp_path: Path
) -> None:
    words = [sys.executable, "-m", "facetem.app.cli", "study", "dose", "--quick", "--recipe", str(recipe)]
    words += ["--per-shape", "1", "--device", "cpu", *networks(small_weights)]
    out, results = tmp_path / "out", tmp_path / "out" / "measured" / "results"
    first = subprocess.Popen([*words, "--workers", "2", "-o", str(out)], start_new_session=True)
    until(lambda: results.is_dir() and list(results.glob("*.parquet")))
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    whole = {path: path.stat().st_mtime_ns for path in results.glob("*.parquet")}
    assert not (out / "dose-dose.csv").exists()
    subprocess.run([*words, "--workers", "1", "-o", str(out)], check=True, capture_output=True)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in whole.items())  # not measured again
    with cluster(tmp_path) as address:
        other = tmp_path / "other"
        subprocess.run([*words, "--dask", address, "-o", str(other)], check=True, capture_output=True)
    pd.testing.assert_frame_equal(
        pd.read_csv(out / "dose-dose.csv"), pd.read_csv(other / "dose-dose.csv"), rtol=1e-5
    )


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """The address of a scheduler and a worker that speak over TCP on this machine."""
    pytest.importorskip("distributed")
    file = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", ":0"]
    started = [subprocess.Popen([*scheduler, "--scheduler-file", str(file)], stderr=subprocess.DEVNULL)]
    try:
        address = until(lambda: file.exists() and yaml.safe_load(file.read_text()))["address"]
        worker = [*dask, "worker", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        here = ["--local-directory", str(folder / "dask"), address]
        started.append(subprocess.Popen([*worker, *here], stderr=subprocess.DEVNULL))
        yield address
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def until(happens: Callable[[], Any], patience: float = 240.0) -> Any:
    """What `happens` gives, when it is something."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if found := happens():
            return found
        time.sleep(0.05)
    raise AssertionError("it has not happened")


@pytest.mark.slow
def test_the_figure_holds_its_data(recipe: Path, alone: tuple[object, ...], tmp_path: Path) -> None:
    run("study", "figure1", "--recipe", recipe, "--per-shape", 1, *alone, "-o", tmp_path / "out")
    with np.load(tmp_path / "out" / "figure1.npz") as data:
        assert data["confusion"].sum(axis=1).tolist() == [1] * 8
        assert data["restored"].shape == data["target"].shape == (3, 3, 256, 256)
        turned = [
            np.corrcoef(a.ravel(), b.ravel())[0, 1]
            for a, b in zip(data["target"][:, 0], data["target"][:, 2], strict=True)
        ]
        assert min(turned) < 0.5  # on the two sides of the focus, the lattice is turned over
    assert (tmp_path / "out" / "figure1.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.slow
def test_a_part_of_the_suite_and_its_page(recipe: Path, alone: tuple[object, ...], tmp_path: Path) -> None:
    words = ["evaluate", "--suite", "standard", "--parts", "standard", "--recipe", recipe]
    said = run(*words, "--per-shape", 1, *alone, "-o", tmp_path / "out").output
    page = (tmp_path / "out" / "models.md").read_text()
    assert "8 specimens that no training saw (recipe `tiny`" in page
    assert page in said
    assert (tmp_path / "out" / "standard.json").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("study", "foccus"), "focus"),
        (("study", "focus", "--workers", "0"), "workers"),
        (("study", "focus", "--workers", "2", "--dask", "tcp://here:1"), "--dask"),
        (("study", "focus", "--dose", "100"), "--dose"),
        (("study", "focus", "--recipe", "nowhere.yaml"), "nowhere.yaml"),
        (("study", "plan", "--dose", "100"), "--preset"),
        (("study", "plan", "--preset", "200kV", "--dose", "100", "--diameter-nm", "5"), "300kV-schottky"),
        (("study", "plan", "--preset", "200kV-cold-feg", "--dose", "-3", "--diameter-nm", "5"), "dose"),
        (("study", "plan", "--preset", "200kV-cold-feg", "--dose", "9", "--diameter-nm", "50"), "diameter"),
        (("evaluate", "--suite", "standard", "--parts", "standrad"), "standrad"),
        (("evaluate", "--suite", "standard", "--per-shape", "0"), "per-shape"),
    ],
)
def test_what_cannot_be_studied_is_one_line(words: tuple[str, ...], named: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "out"), "--device", "cpu"])
    assert result.exit_code == 2
    assert named in result.output
    assert len(result.output.strip().splitlines()) == 1
