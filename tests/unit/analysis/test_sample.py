"""Samples: what several micrographs hold together."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from facetem.analysis.analyze import Analysis
from facetem.analysis.report import save_analysis
from facetem.analysis.sample import read_sample, save_sample
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
    sample = read_sample(reports, tmp_path, CONFUSION)
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
        np.mean([p.diameter_nm for p in whole]), abs=1e-3
    )
    diameters = 2 * [p.diameter_nm for p in whole]
    assert sizes.loc["all", "diameter_nm_sd"] == pytest.approx(np.std(diameters, ddof=1), abs=1e-3)

    page = save_sample(sample, tmp_path).read_text()
    assert f"{len(sample.table)} particles of 2 micrographs" in page
    single = replace(sample, table=sample.table[:1], micrographs=sample.micrographs[:1])
    assert "<h1>1 particle of 1 micrograph</h1>" in save_sample(single, tmp_path / "one").read_text()
    assert 'href="one/report.html"' in page
    assert page.count("<svg") == 2
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    table = pd.read_parquet(tmp_path / "particles.parquet")
    kept = ["x_nm", "most_probable_shape", "confidence"]
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "particles.csv")[kept], table[kept], check_dtype=False
    )
    told = json.loads((tmp_path / "sample.json").read_text())
    assert told["counts"] == sample.counts.tolist()
    assert sum(row["corrected"] for row in told["fractions"]) == pytest.approx(1)


def test_the_table_is_that_of_the_micrographs_with_their_names(reports: list[Path], tmp_path: Path) -> None:
    save_sample(read_sample(reports, tmp_path, CONFUSION), tmp_path)
    told, each = (
        list(csv.reader((path / "particles.csv").read_text().splitlines())) for path in (tmp_path, reports[0])
    )
    assert told[0] == ["micrograph", "report", "duplicate_of", *each[0]]
    assert [row[3:] for row in told[1:]] == 2 * each[1:]
    assert {tuple(row[:2]) for row in told[1:]} == {("discs & <co>.dm4", "one"), ("discs & <co>.dm4", "two")}


def test_nothing_is_told_of_what_the_report_does_not_judge(reports: list[Path], tmp_path: Path) -> None:
    save_sample(read_sample(reports[:1], tmp_path, CONFUSION), tmp_path)
    rows = {
        row["verdict"]: row for row in csv.DictReader((tmp_path / "particles.csv").read_text().splitlines())
    }
    claims = ["confidence", "possible", "family", "volume_diameter_nm", "facet_ratio", "zone", "qw"]
    assert [rows["not_judged"][name] for name in (*claims, "most_probable_shape", "p_cube")] == 9 * [""]
    assert [rows["none_of_these"][name] for name in claims] == 7 * [""]
    assert rows["none_of_these"]["most_probable_shape"] == "icosahedron"  # the nearest, as the report says
    assert all(rows["cube"][name] for name in claims)


def changed(report: Path, **changes: object) -> Path:
    told = json.loads((report / "result.json").read_text())
    (report / "result.json").write_text(json.dumps(told | changes))
    return report


def test_the_page_tells_what_became_of_every_file(report: Path, tmp_path: Path) -> None:
    names = ("m10", "m2", "day 1/m#3")
    reports = [shutil.copytree(report, tmp_path / name) for name in names]
    changed(reports[0], warning="check the pixel <size>")
    sample = read_sample(reports, tmp_path, CONFUSION)
    assert [one.report for one in sample.micrographs] == ["day 1/m#3", "m2", "m10"]
    assert sample.table["report"].unique().tolist() == ["day 1/m#3", "m2", "m10"]
    sample = replace(sample, failed=[("torn.tif", "expected a tif, got <noise>")], passed_over="old (3)")
    page = save_sample(sample, tmp_path).read_text()
    rows = page[page.index("<h2>Micrographs") :].split("<tr>")[2:]
    assert 'href="day%201/m%233/report.html">day 1/discs &amp; &lt;co&gt;.dm4</a>' in rows[0]
    short = "1 × cube, 1 × icosahedron, 1 × none of these, 1 × not judged"
    assert f"<td>4</td><td>{short}</td><td>0.05</td><td></td>" in rows[1]
    assert "<td>check the pixel &lt;size&gt;</td>" in rows[2]
    assert "<td>torn.tif</td><td>expected a tif, got &lt;noise&gt;</td>" in page
    head = page[: page.index("</header>")]
    assert "1 of 4 files could not be analysed" in head
    assert "1 of 4 files came with a warning" in head
    assert "passed over without --recursive: old (3)" in head
    assert "td a { color: var(--accent); text-decoration: underline; }" in head
    told = json.loads((tmp_path / "sample.json").read_text())
    assert told["failed"] == [{"name": "torn.tif", "reason": "expected a tif, got <noise>"}]
    assert [one["warning"] for one in told["sources"]] == ["", "", "check the pixel <size>"]


def with_contents(report: Path, sha256: str, frame: int | None = None) -> Path:
    told = json.loads((report / "result.json").read_text())
    metadata = told["micrograph"]["metadata"] | {"frame": frame}
    micrograph = told["micrograph"] | {"metadata": metadata}
    return changed(report, provenance=told["provenance"] | {"sha256": sha256}, micrograph=micrograph)


def test_identical_files_count_once(report: Path, tmp_path: Path) -> None:
    names = ("a", "b", "c", "frame-0", "frame-1")
    a, b, c, *frames = (shutil.copytree(report, tmp_path / name) for name in names)
    kept = [with_contents(a, "1"), with_contents(c, "2")]
    kept += [with_contents(frame, "3", k) for k, frame in enumerate(frames)]
    alone, sample = (
        read_sample(reports, tmp_path, CONFUSION) for reports in (kept, [*kept, with_contents(b, "1")])
    )
    assert alone.duplicates_words == ""
    assert sample.duplicates_words == "1 of 5 files identical to another, not counted again: b (same as a)"
    assert sample.contents == alone.contents == "16 particles of 4 micrographs"
    assert (sample.counts.tolist(), sample.verdicts) == (alone.counts.tolist(), alone.verdicts)
    pd.testing.assert_frame_equal(sample.sizes(), alone.sizes())
    assert sample.table.query("duplicate_of == 'a'")["report"].tolist() == 4 * ["b"]  # still in the table
    page = save_sample(sample, tmp_path).read_text()
    assert (
        "1 of 5 files identical to another, not counted again: b (same as a)."
        in page[: page.index("</header>")]
    )
    assert "<td>not counted: the same file as a</td>" in page
    told = json.loads((tmp_path / "sample.json").read_text())
    assert (told["micrographs"], told["particles"]) == (4, 16)
    assert [one["duplicate_of"] for one in told["sources"]] == ["", "a", "", "", ""]


def test_sizes_are_of_whole_particles(report: Path, tmp_path: Path) -> None:
    reports = [shutil.copytree(report, tmp_path / name) for name in ("a", "b")]
    first, *others = json.loads((report / "result.json").read_text())["particles"]
    assert first["known"]
    torn = first | {"remarks": ["not convex: particles that overlap, or none"]}
    cut = first | {"cut_by_edge": True}
    changed(reports[1], particles=[torn, torn, cut, *others])
    one, both = (read_sample(some, tmp_path, CONFUSION) for some in (reports[:1], reports))
    n = len(one.whole)
    assert (one.left_out, both.left_out) == ((0, 0), (1, 2))
    assert both.sizes().set_index("shape").loc["all", "particles"] == 2 * n - 1
    page = save_sample(both, tmp_path).read_text()
    words = (
        f"Sizes are of the {2 * n - 1} whole ones among these particles; left out: 1 cut by the edge, 2 with"
    )
    assert words in page
    told = json.loads((tmp_path / "sample.json").read_text())
    assert told["sizes_left_out"] == {"cut_by_edge": 1, "doubtful_outline": 2}


def test_without_the_errors_of_the_classifier_there_are_no_fractions(
    reports: list[Path], tmp_path: Path
) -> None:
    sample = read_sample(reports, tmp_path, None)
    assert sample.fractions is None
    save_sample(sample, tmp_path)
    assert json.loads((tmp_path / "sample.json").read_text())["fractions"] is None


def test_a_result_that_is_not_whole_is_named(reports: list[Path], tmp_path: Path) -> None:
    (reports[0] / "result.json").write_text("{")
    with pytest.raises(
        InputError, match=r"result\.json: expected the result of an analysis, found one that is not"
    ):
        read_sample(reports, tmp_path, CONFUSION)
    shutil.rmtree(reports[0])
    with pytest.raises(InputError, match=r"one: expected the report of an analysis, found no result\.json"):
        read_sample(reports, tmp_path, CONFUSION)
