"""`facetem shapes` and the shapes of `facetem build`, as a user types them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.io import read
from typer.testing import CliRunner

from facetem.app.cli import app
from facetem.atoms.library import LIBRARY


def run(*words: object, status: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result


def test_shapes_lists_the_library() -> None:
    told = json.loads(run("shapes", "--json").stdout)
    assert {row["shape"]: row["class"] for row in told} == {
        name: kind.label for name, kind in LIBRARY.items()
    }
    assert "icosahedron" in run("shapes").stdout


@pytest.mark.parametrize("suffix", [".xyz", ".extxyz", ".cif"])
def test_any_shape_is_built_with_its_labels(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"scene{suffix}"
    run("build", "hexagonal_plate", "-o", path, "--diameter-nm", 2.5, "--film-nm", 0, "--ideal")
    atoms = read(path)
    assert not isinstance(atoms, list)
    assert set(atoms.symbols) == {"Au"}
    if suffix != ".cif":
        assert atoms.info["class"] == "none"
        assert set(atoms.info["facets"]) == {"111", "100"}


def test_wulff_shape_of_given_energies_is_viewed(tmp_path: Path) -> None:
    path, page = tmp_path / "w.extxyz", tmp_path / "w.html"
    run("build", "wulff", "--energies", "111:1.0,100:1.15", "--ideal", "--film-nm", 0, "--diameter-nm", 3,
        "-o", path, "--view", page)  # fmt: skip
    atoms = read(path)
    assert not isinstance(atoms, list)
    assert atoms.info["class"] == "truncated_octahedron"
    assert page.is_file()
    assert page.with_suffix(".png").is_file()


def test_core_and_shell_are_two_metals(tmp_path: Path) -> None:
    path = tmp_path / "scene.extxyz"
    run("build", "icosahedron", "--second", "Ag", "--alloy", "core-shell", "--shell", 2, "--diameter-nm", 2.5,
        "--film-nm", 0, "-o", path)  # fmt: skip
    atoms = read(path)
    assert not isinstance(atoms, list)
    assert set(atoms.symbols) == {"Au", "Ag"}
    radii = np.linalg.norm(atoms.positions - atoms.positions.mean(axis=0), axis=1)
    assert radii[atoms.numbers == 47].mean() > radii[atoms.numbers == 79].max() * 0.8


def test_relaxed_particle_comes_from_the_cache_the_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = ("build", "decahedron", "--ideal", "--relax", "--diameter-nm", 2, "--film-nm", 0, "-o")
    run(*words, tmp_path / "one.extxyz")
    (stored,) = (tmp_path / "cache" / "facetem" / "relaxed").iterdir()
    before = stored.stat().st_mtime_ns
    run(*words, tmp_path / "two.extxyz")
    assert stored.stat().st_mtime_ns == before
    assert (tmp_path / "one.extxyz").read_bytes() == (tmp_path / "two.extxyz").read_bytes()
    assert read(tmp_path / "one.extxyz").info["relaxed"] == "SecondMoment"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("blob",), "shape"),
        (("cube", "--element", "Xx"), "element"),
        (("cube", "--second", "Fe"), "element"),
        (("cube", "--diameter-nm", "0.1"), "diameter"),
        (("cube", "--diameter-nm", "1000"), "diameter"),
        (("twin", "--second", "Cu", "--alloy", "L1_0"), "L1_0"),
        (("wulff", "--energies", "11:2"), "--energies"),
        (("cube", "--energies", "111:1"), "energies"),
        (("decahedron", "--cut", "0.7"), "cut"),
        (("parallel_twins", "--twin-layers", "3,1"), "flips"),
        (("cube", "--view", "picture.png"), "--view"),
        (("cube", "--element", "Al", "--relax"), "relaxation"),
    ],
)
def test_bad_input_is_one_line_and_status_2(words: tuple[str, ...], named: str, tmp_path: Path) -> None:
    result = run("build", *words, "-o", tmp_path / "scene.extxyz", status=2)
    assert result.stderr.count("\n") == 1
    assert named in result.stderr
    assert list(tmp_path.iterdir()) == []
