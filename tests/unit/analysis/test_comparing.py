"""Samples on disk: how two differ, what is said beside that, and which cannot be compared."""

import json
from pathlib import Path

import numpy as np
import pytest

from facetem.analysis.comparing import compare_folders
from facetem.analysis.sample import Sample, Source, sample_table
from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError

CONFUSION = 36 * np.eye(len(SHAPES), dtype=int) + 1


def sample(
    folder: Path, *, cubes: int = 0, twins: int = 0, unknown: int = 0, pixel: float = 0.02, errors: int = 0
) -> Path:
    """A folder with the sample.json of so many particles."""
    shapes = cubes * ["cube"] + twins * ["twin"] + unknown * [None]
    rows = [
        {"known": int(shape is not None), "whole": 1, "cut_by_edge": 0, "verdict": shape or "none_of_these"}
        | {"most_probable_shape": shape, "diameter_nm": 5.0, "volume_diameter_nm": 5.0}
        for shape in shapes
    ]
    sources = [Source("a", "a.tif", pixel, ""), Source("b", "b.tif", pixel, "")]
    told = Sample(sample_table(rows), SHAPES, CONFUSION + errors, sources).as_dict()
    folder.mkdir(parents=True)
    (folder / "sample.json").write_text(json.dumps(told))
    return folder


def test_samples_are_compared_if_one_classifier_read_them(tmp_path: Path) -> None:
    one, other = (sample(tmp_path / name, cubes=20, twins=2) for name in "ab")
    same = compare_folders(one, other)
    assert same.difference.sure == []
    assert np.abs(same.difference.mean).max() < 1e-9
    assert same.notes == []
    with pytest.raises(InputError, match="expected a sample that the classifier of"):
        compare_folders(one, sample(tmp_path / "c", cubes=20, errors=1))


def test_what_makes_a_difference_less_certain_is_said(tmp_path: Path) -> None:
    few = sample(tmp_path / "few", cubes=1)
    many = sample(tmp_path / "many", cubes=10, twins=10, unknown=3, pixel=0.0201)
    coarse = sample(tmp_path / "coarse", cubes=10, pixel=0.04)
    assert compare_folders(few, many).notes == [
        "1 particle in few: of fewer than 10 hardly any difference can be seen"
    ]
    assert compare_folders(many, coarse).notes == [
        "pixels of 0.0201 nm in many, of 0.04 nm in coarse: what differs may be what each magnification shows"
    ]


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    one, other = (sample(tmp_path / day / "reports", cubes=20) for day in ("mon", "tue"))
    found = compare_folders(one, other / "sample.json")
    assert (found.first.name, found.second.name) == (str(one), str(other / "sample.json"))


def test_what_is_no_sample_is_said_to_be_none(tmp_path: Path) -> None:
    good, report, bare = sample(tmp_path / "good", cubes=20), tmp_path / "report", tmp_path / "bare"
    for folder in (report, bare):
        folder.mkdir()
    (report / "result.json").write_text("{}")
    for folder, got in (
        (report, "the report of one micrograph; facetem analyze FOLDER"),
        (bare, r"a folder without sample\.json"),
        (tmp_path / "gone", "nothing: there is no such folder"),
    ):
        with pytest.raises(InputError, match=f"{folder.name}: expected a folder that facetem .*, got {got}"):
            compare_folders(good, folder)


@pytest.mark.parametrize("unknown", [0, 3], ids=["no particle", "none of these"])
def test_a_sample_of_nothing_that_is_known_cannot_be_compared(tmp_path: Path, unknown: int) -> None:
    bare, full = sample(tmp_path / "bare", unknown=unknown), sample(tmp_path / "full", cubes=20)
    told = json.loads((bare / "sample.json").read_text())
    assert told["shapes"] == list(SHAPES)
    assert told["counts"] == [0] * len(SHAPES)
    for pair in ((full, bare), (bare, full)):
        with pytest.raises(
            InputError, match="bare: expected at least one particle that resembles a learnt shape"
        ):
            compare_folders(*pair)


def test_without_the_errors_of_the_classifier_nothing_is_compared(tmp_path: Path) -> None:
    folder = sample(tmp_path / "a", cubes=20)
    told = json.loads((folder / "sample.json").read_text())
    (folder / "sample.json").write_text(json.dumps(told | {"confusion": None}))
    with pytest.raises(InputError, match="does not state its errors"):
        compare_folders(folder, folder)


@pytest.mark.parametrize(
    "damage",
    [
        {"counts": None},
        {"shapes": None},
        {"shapes": []},
        {"confusion": [[1, 2], [3]]},
        {"confusion": [[1]]},
        {"counts": ["many"] * len(SHAPES)},
        {"counts": [-1] * len(SHAPES)},
        {"sources": [{}]},
        "shapes",
        "counts",
        "confusion",
    ],
    ids=str,
)
def test_a_damaged_sample_is_named(tmp_path: Path, damage: str | dict[str, object]) -> None:
    folder = sample(tmp_path / "a", cubes=20)
    told = json.loads((folder / "sample.json").read_text())
    if isinstance(damage, str):
        del told[damage]
    else:
        told |= damage
    (folder / "sample.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match=r"sample\.json: expected the counts and the errors of every shape"):
        compare_folders(folder, folder)
    for text in ("[]", "{"):
        (folder / "sample.json").write_text(text)
        with pytest.raises(InputError, match=r"sample\.json: expected the sample\.json of facetem analyze"):
            compare_folders(folder, folder)
