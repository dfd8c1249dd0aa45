"""Samples: what several micrographs hold together."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from facetem.analysis.analyze import Analysis
from facetem.analysis.report import save_analysis
from facetem.analysis.sample import Sample, compare_folders, read_sample, save_sample
from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError

CONFUSION = 36 * np.eye(len(SHAPES), dtype=int) + 1


@pytest.fixture(scope="module")
def report(analysis: Analysis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of one micrograph; not to be changed."""
    folder = tmp_path_factory.mktemp("report")
    save_analysis(analysis, folder)
    return folder


@pytest.fixture
def reports(report: Path, tmp_path: Path) -> list[Path]:
    """The same micrograph twice."""
    return [shutil.copytree(report, tmp_path / name) for name in ("one", "two")]


def test_a_sample_counts_what_its_micrographs_hold(
    reports: list[Path], analysis: Analysis, tmp_path: Path
) -> None:
    sample = read_sample(reports, CONFUSION)
    known = [p for p in analysis.particles if p.known]
    assert len(sample.table) == 2 * len(analysis.particles)
    assert sample.shapes == SHAPES
    assert sample.counts.tolist() == [2 * sum(p.shape == s for p in known) for s in sample.shapes]
    assert sum(sample.verdicts.values()) == len(sample.table)
    assert sample.fractions is not None
    assert sample.fractions.corrected.sum() == pytest.approx(1)
    sizes = sample.sizes().set_index("shape")
    whole = [p for p in known if not p.cut_by_edge]
    assert sizes.loc["all", "particles"] == 2 * len(whole)
    assert sizes.loc["all", "diameter_nm_mean"] == pytest.approx(
        np.mean([p.diameter_nm for p in whole]), abs=1e-6
    )
    diameters = 2 * [p.diameter_nm for p in whole]
    assert sizes.loc["all", "diameter_nm_sd"] == pytest.approx(np.std(diameters, ddof=1), abs=1e-3)

    page = save_sample(sample, tmp_path).read_text()
    assert f"{len(sample.table)} particles of 2 micrographs" in page
    assert 'href="one/report.html"' in page
    assert page.count("<svg") == 2
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    table = pd.read_parquet(tmp_path / "particles.parquet")
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "particles.csv")[["x_nm", "shape"]], table[["x_nm", "shape"]]
    )
    told = json.loads((tmp_path / "sample.json").read_text())
    assert told["counts"] == sample.counts.tolist()
    assert sum(row["corrected"] for row in told["fractions"]) == pytest.approx(1)


def test_without_the_errors_of_the_classifier_there_are_no_fractions(
    reports: list[Path], tmp_path: Path
) -> None:
    sample = read_sample(reports, None)
    assert sample.fractions is None
    save_sample(sample, tmp_path)
    with pytest.raises(InputError, match="does not state its errors"):
        compare_folders(tmp_path, tmp_path)


def test_samples_are_compared_if_one_classifier_read_them(reports: list[Path], tmp_path: Path) -> None:
    for name, confusion in (("a", CONFUSION), ("b", CONFUSION), ("c", CONFUSION + 1)):
        (tmp_path / name).mkdir()
        save_sample(read_sample(reports, confusion), tmp_path / name)
    same = compare_folders(tmp_path / "a", tmp_path / "b")
    assert same.sure == []
    assert np.abs(same.mean).max() < 1e-9
    with pytest.raises(InputError, match="expected a sample that the classifier of"):
        compare_folders(tmp_path / "a", tmp_path / "c")
    with pytest.raises(InputError, match=r"expected the sample\.json of facetem analyze"):
        compare_folders(tmp_path / "a", tmp_path / "nowhere")


def emptied(report: Path, *, known: bool | None = None) -> Path:
    """A report whose particles are none of these, or, without `known`, not there."""
    result = json.loads((report / "result.json").read_text())
    particles = [] if known is None else [p | {"known": known} for p in result["particles"]]
    (report / "result.json").write_text(json.dumps(result | {"particles": particles}))
    return report


@pytest.mark.parametrize("known", [None, False], ids=["no particle", "none of these"])
def test_a_sample_of_nothing_that_is_known_cannot_be_compared(
    reports: list[Path], tmp_path: Path, known: bool | None
) -> None:
    for name, report in (("full", reports[0]), ("bare", emptied(reports[1], known=known))):
        (tmp_path / name).mkdir()
        save_sample(read_sample([report], CONFUSION), tmp_path / name)
    told = json.loads((tmp_path / "bare" / "sample.json").read_text())
    assert told["shapes"] == list(SHAPES)
    assert told["counts"] == [0] * len(SHAPES)
    for pair in (("full", "bare"), ("bare", "full")):
        with pytest.raises(
            InputError, match="bare: expected at least one particle that resembles a learnt shape"
        ):
            compare_folders(*(tmp_path / name for name in pair))


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
        "shapes",
        "counts",
        "confusion",
    ],
    ids=str,
)
def test_a_damaged_sample_is_named(tmp_path: Path, damage: str | dict[str, object]) -> None:
    told = Sample(pd.DataFrame(), SHAPES, CONFUSION, {}).as_dict()
    if isinstance(damage, str):
        del told[damage]
    else:
        told |= damage
    (tmp_path / "sample.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match=r"sample\.json: expected the counts and the errors of every shape"):
        compare_folders(tmp_path, tmp_path)
    (tmp_path / "sample.json").write_text("[]")
    with pytest.raises(InputError, match=r"sample\.json: expected the sample\.json of facetem analyze"):
        compare_folders(tmp_path, tmp_path)


def test_a_result_that_is_not_whole_is_named(reports: list[Path]) -> None:
    (reports[0] / "result.json").write_text("{")
    with pytest.raises(InputError, match="one: expected the result of an analysis"):
        read_sample(reports, CONFUSION)
    shutil.rmtree(reports[0])
    with pytest.raises(InputError, match="one: expected the result of an analysis"):
        read_sample(reports, CONFUSION)
