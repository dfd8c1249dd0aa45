"""`facetem study` and `facetem evaluate --suite` on a handful of small bare particles."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
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


@pytest.mark.slow
def test_a_study_writes_its_tables_figures_and_page(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = {"dose": STUDIES["dose"]["dose"], "side": STUDIES["carbon"]["side"]}
    axes["dose"] = axes["dose"].__class__(**{**axes["dose"].__dict__, "quick": (200, 2000)})
    monkeypatch.setitem(STUDIES, "dose", axes)
    words = ["study", "dose", "--quick", "--recipe", recipe, "--per-shape", 1, "--device", "cpu", "-o"]
    said = run(*words, tmp_path / "out").output
    for stem in ("dose-dose", "dose-side"):
        for suffix in (".png", ".svg", ".csv", ".parquet"):
            assert (tmp_path / "out" / f"{stem}{suffix}").stat().st_size > 300
    table = pd.read_csv(tmp_path / "out" / "dose-dose.csv")
    assert table["value"].tolist() == [200, 2000]
    assert table["psnr_raw"].is_monotonic_increasing  # less noise
    page = (tmp_path / "out" / "README.md").read_text()
    assert "dose-side.png" in page
    assert f"{table['right'][0]:.3f}" in page
    assert page in said


@pytest.mark.slow
def test_the_figure_holds_its_data(recipe: Path, tmp_path: Path) -> None:
    run("study", "figure1", "--recipe", recipe, "--per-shape", 1, "--device", "cpu", "-o", tmp_path / "out")
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
def test_a_part_of_the_suite_and_its_page(recipe: Path, tmp_path: Path) -> None:
    words = ["evaluate", "--suite", "standard", "--parts", "standard", "--recipe", recipe]
    said = run(*words, "--per-shape", 1, "--device", "cpu", "-o", tmp_path / "out").output
    page = (tmp_path / "out" / "models.md").read_text()
    assert "8 specimens that no training saw (recipe `tiny`" in page
    assert page in said
    assert (tmp_path / "out" / "standard.json").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("study", "foccus"), "focus"),
        (("study", "focus", "--workers", "0"), "workers"),
        (("evaluate", "--suite", "standard", "--parts", "standrad"), "standrad"),
        (("evaluate", "--suite", "standard", "--per-shape", "0"), "per-shape"),
    ],
)
def test_what_cannot_be_studied_is_one_line(words: tuple[str, ...], named: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "out"), "--device", "cpu"])
    assert result.exit_code == 2
    assert named in result.output
    assert len(result.output.strip().splitlines()) == 1
