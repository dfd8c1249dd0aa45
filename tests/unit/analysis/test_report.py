"""Reports: complete, self-contained, safe against odd names."""

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.testing import assert_array_equal
from roifile import roiread
from rsciio import hspy

from facetem.analysis import report
from facetem.analysis.analyze import Analysis, analyze
from facetem.analysis.page import page
from facetem.analysis.report import save_analysis
from facetem.analysis.result import _NOT_CONVEX, _TOO_LARGE
from facetem.analysis.table import table_csv
from facetem.data.micrograph import Micrograph, load_micrograph
from facetem.learn.conformal import COVERAGE
from facetem.learn.orientation import TOLD


@pytest.fixture(scope="module")
def saved(analysis: Analysis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a report, for tests that only read it."""
    folder = tmp_path_factory.mktemp("report")
    save_analysis(analysis, folder)
    return folder


def test_the_page_states_the_coverage_of_its_sets(text: str) -> None:
    assert f"of all simulated images, at least {100 * COVERAGE:g}\u00a0% have" in text


@pytest.fixture(scope="module")
def text(saved: Path) -> str:
    return Page((saved / "report.html").read_text(encoding="utf-8")).text


def test_the_page_says_of_how_many_frames_the_image_is_the_sum(analysis: Analysis) -> None:
    metadata = analysis.micrograph.metadata | {"frames_averaged": 6, "drift_px": [3.9, 43.8]}
    movie = replace(analysis, micrograph=replace(analysis.micrograph, metadata=metadata))
    assert "sum of 6 frames, drift 43.8 × 3.9 px" in page(movie).split("</header>")[0]
    assert "sum of" not in page(analysis).split("</header>")[0]


class Page(HTMLParser):
    """Collects tags and text, and checks that what is opened is closed."""

    void = frozenset({"meta", "img", "input", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.void:
            self.open.append(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href")]
        self.ids += [v or "" for k, v in attrs if k == "id"]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.void:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data


def test_what_one_cannot_tell_is_said_with_the_shapes_that_are_possible(
    analysis: Analysis, tmp_path: Path
) -> None:
    first, *others = analysis.particles
    assert first.named
    torn = replace(first, possible=("cube", "truncated_octahedron"))
    assert (torn.verdict, torn.known, torn.named) == ("cannot tell", True, False)
    save_analysis(replace(analysis, particles=[torn, *others]), tmp_path)
    said = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert said.count("cannot tell: cube or truncated octahedron") >= 2  # in the table and in the gallery
    assert "1 of which one cannot tell" in said
    row = next(csv.DictReader((tmp_path / "particles.csv").read_text().splitlines()))
    assert (row["verdict"], row["possible"]) == ("cannot_tell", "cube truncated_octahedron")
    told = json.loads((tmp_path / "result.json").read_text())["particles"][0]
    assert told["words"] == "cannot tell: cube or truncated octahedron"
    assert told["possible"] == ["cube", "truncated_octahedron"]
    # A particle that is not judged is possible in any shape: nothing is told of it.
    assert replace(torn, judged=False, known=False).words == "not judged"


def test_the_page_stands_alone_and_is_well_formed(saved: Path) -> None:
    html = (saved / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    for link in page.links:
        assert link.startswith(("data:image/png;base64,", "#"))
    assert (
        {link[1:] for link in page.links if link[0] == "#"}
        == {f"p{i}" for i in (1, 2, 3, 4)}
        <= set(page.ids)
    )
    assert "@import" not in html
    assert not re.search(r"url\(|https?://", html)
    assert "<co>" not in html  # the name is shown, not interpreted
    assert "discs & <co>.dm4" in page.text


def test_the_page_says_what_was_found(text: str) -> None:
    assert "25.0 × 26.0 nm field" in text
    assert "0.05 nm/px (given by the user)" in text
    assert "4 particles: 1 × cube, 1 × icosahedron, 1 of no known shape, 1 not judged." in text
    assert "1 particle cut by the edge." in text
    assert "nearest: icosahedron 80%" in text
    assert "fake classifier" in text
    for words in ("projected area", "calibrated on simulated images", "None of these", "not a measurement"):
        assert words in text


def test_every_particle_has_both_diameters_its_family_and_its_spacings(analysis: Analysis) -> None:
    """Labelled; what the network says of a particle that it does not know is not told."""
    assert "Projected (nm)" in (head := page(analysis).split("<tbody>")[0])
    assert "Volume-eq. (nm)" in head
    spaced = [replace(p, spacings_nm=(0.2358, 0.2356, 0.2041)) for p in analysis.particles]
    for p, card in zip(spaced, page(replace(analysis, particles=spaced)).split("<article")[1:], strict=True):
        told = Page("<article" + card.split("</article>")[0] + "</article>").text
        assert f"Projected diameter{p.diameter_nm:.2f} nm" in told
        assert "Lattice spacings0.236, 0.204 nm" in told
        assert ("Volume-equivalent6.10 nm" in told) == p.known
        assert ("Familysingle crystal" in told) == p.known


def test_the_summary_of_one_particle_has_both_diameters(analysis: Analysis) -> None:
    first = analysis.particles[0]
    alone = replace(analysis, particles=[first], outlines=analysis.outlines[:1])
    assert f"Projected diameter {first.diameter_nm:.2f} nm. Volume-equivalent 6.10 nm." in page(alone)


def test_what_the_particles_learnt_from_measure_is_a_range(text: str) -> None:
    assert "particles learnt fromgold, 4 to 8 nm" in text
    assert "4 × 8" not in text


def test_tables_scroll_where_the_window_is_narrow(saved: Path) -> None:
    html = (saved / "report.html").read_text(encoding="utf-8")
    assert html.count("<table") == html.count('<div class="scroll"><table') == 2
    assert "section > table { display: block; overflow-x: auto; }" in html  # those of a sample's page


def test_statistics_leave_out_what_the_edge_cuts(analysis: Analysis, text: str) -> None:
    statistics = text[text.index("Statistics") : text.index("Gallery")]
    assert "cube133 %" in statistics  # one whole cube of three whole particles; the cut one is not counted
    whole = [p.diameter_nm for p in analysis.particles if not p.cut_by_edge]
    assert f"{np.mean(whole):.2f} ± {np.std(whole, ddof=1):.2f}" in statistics


def test_statistics_leave_out_what_is_not_a_whole_particle(analysis: Analysis) -> None:
    large, torn, *others = analysis.particles
    doubted = [replace(large, remarks=(_TOO_LARGE,)), replace(torn, remarks=("dim", _NOT_CONVEX)), *others]
    assert [p.whole for p in doubted] == [False, False, True, False]
    two = [*doubted, others[0]]
    outlines = [*analysis.outlines, analysis.outlines[2]]
    text = Page(page(replace(analysis, particles=two, outlines=outlines))).text
    statistics = text[text.index("Statistics") : text.index("Gallery")]
    assert "none of these2100 %" in statistics
    assert "Left out: 1 cut by the edge, 2 with an outline that may be a part's" in statistics
    diameter = others[0].diameter_nm
    assert f"Projected diameter {diameter:.2f} nm in the median ({diameter:.2f} to" in text


def test_the_table_can_be_read(analysis: Analysis, saved: Path) -> None:
    with (saved / "particles.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["verdict"] for row in rows] == ["cube", "icosahedron", "none_of_these", "not_judged"]
    for row, particle in zip(rows, analysis.particles, strict=True):
        assert float(row["diameter_nm"]) == pytest.approx(particle.diameter_nm, abs=1e-3)
        assert float(row["x_nm"]) == pytest.approx(particle.x_nm, abs=1e-3)
        assert row["p_cube"] == (f"{particle.probabilities['cube']:.4f}" if particle.judged else "")
        told = (row["family"], row["volume_diameter_nm"], row["zone"], row["zone_angle_deg"])
        assert told == (("single crystal", "6.100", "1 1 0", "12.3") if particle.known else 4 * ("",))


def test_the_result_is_json_with_its_schema(saved: Path) -> None:
    result = json.loads((saved / "result.json").read_text(encoding="utf-8"))
    assert (result["schema"], result["schema_version"]) == ("facetem-analysis", 1)
    assert result["micrograph"]["pixel_size_nm"] == pytest.approx(0.05)
    assert result["micrograph"]["field_nm_yx"] == pytest.approx([26, 25])
    assert result["provenance"]["restorer"]["device"] == "cpu"
    first = result["particles"][0]
    assert first["verdict"] == "cube"
    assert (first["family"], first["volume_diameter_nm"]) == ("single crystal", 6.1)
    assert (first["zone"], first["zone_angle_deg"]) == ([1, 1, 0], 12.34)
    x, y = np.array(first["contour_nm"]).T
    assert (x.max() - x.min(), y.max() - y.min()) == pytest.approx((4.6, 4.6), rel=0.05)
    assert (x.mean(), y.mean()) == pytest.approx((first["x_nm"], first["y_nm"]), abs=0.1)


def test_the_restored_image_keeps_its_pixel_size(analysis: Analysis, saved: Path) -> None:
    restored = load_micrograph(saved / "restored.tif")
    assert restored.sampling == pytest.approx(0.4)
    assert_array_equal(restored.image, analysis.restored)
    assert load_micrograph(saved / "spread.tif").sampling == pytest.approx(0.4)
    assert_array_equal(tifffile.imread(saved / "spread.tif"), analysis.spread)
    assert_array_equal(tifffile.imread(saved / "denoised.tif"), analysis.denoised)


def test_the_page_shows_four_pictures_and_the_range_of_the_uncertainty(
    analysis: Analysis, saved: Path, text: str
) -> None:
    html = (saved / "report.html").read_text(encoding="utf-8")
    titles = re.findall(r'<img alt="(Micrograph|Denoised|Restored|Uncertainty)"', html)
    assert titles == ["Micrograph", "Denoised", "Restored", "Uncertainty"]
    assert f"to white, {np.percentile(analysis.spread, 99.5):.2g}" in text


def test_the_result_counts_the_windows_with_lattice(analysis: Analysis, saved: Path) -> None:
    told = json.loads((saved / "result.json").read_text())["lattice_windows"]
    assert told == {"size_nm": 3.84, "with_lattice": 0, "without_support": 0}
    assert analysis.support.window == 96


def test_a_field_without_particles_has_a_report_too(classifier: Any, restorer: Any, tmp_path: Path) -> None:
    empty = np.random.default_rng(0).normal(100, 4, (300, 300))
    page = save_analysis(analyze(empty, sampling=0.4, classifier=classifier, restorer=restorer), tmp_path)
    told = Page(page.read_text(encoding="utf-8")).text
    assert "No particle found." in told
    assert "the pixel size may be wrong (it is said to be 0.04 nm), or the image inverted: " in told
    assert len((tmp_path / "particles.csv").read_text().splitlines()) == 1


def test_a_micrograph_of_strange_particles_says_so_everywhere(
    micrograph: Micrograph, restorer: Any, classifier: Any, tmp_path: Path
) -> None:
    """Three are judged: with two unknown the page warns and result.json too; with one neither does."""

    class Strict(type(classifier)):
        limit = 1800.0

        def one(self, area: float) -> Any:
            return replace(super().one(area), familiar=area < self.limit)

    strict = Strict()
    strange = analyze(micrograph, classifier=strict, restorer=restorer)
    assert [p.known for p in strange.particles if p.judged].count(False) == 2
    assert strange.warning.startswith("2 of 3 particles")
    save_analysis(strange, tmp_path)
    assert "2 of 3 particles" in Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert json.loads((tmp_path / "result.json").read_text())["warning"] == strange.warning
    strict.limit = 4000.0
    assert analyze(micrograph, classifier=strict, restorer=restorer).warning == ""


def test_outlines_for_imagej_lie_on_the_micrograph(analysis: Analysis, tmp_path: Path) -> None:
    save_analysis(analysis, tmp_path)
    rois = roiread(tmp_path / "rois.zip")
    assert [roi.name for roi in rois] == [f"{p.index} {p.verdict}" for p in analysis.particles]
    pixel = analysis.micrograph.sampling / 10  # nm
    for roi, particle in zip(rois, analysis.particles, strict=True):
        x, y = (np.asarray(roi.coordinates()).max(0) + np.asarray(roi.coordinates()).min(0)) / 2 * pixel
        if not particle.cut_by_edge:  # whose middle is not that of its box
            assert (x, y) == pytest.approx((particle.x_nm, particle.y_nm), abs=0.1)


def test_outlines_for_imagej_lie_on_the_file_where_margins_were_cut(
    analysis: Analysis, tmp_path: Path
) -> None:
    framed = replace(analysis.micrograph, metadata={"margins_cut": {"left": 40, "top": 60}})
    report.save_rois(analysis, tmp_path / "whole.zip")
    report.save_rois(replace(analysis, micrograph=framed), tmp_path / "framed.zip")
    for whole, cut in zip(roiread(tmp_path / "whole.zip"), roiread(tmp_path / "framed.zip"), strict=True):
        np.testing.assert_allclose(cut.coordinates(), whole.coordinates() + np.array([40, 60]), atol=1e-3)


def test_hyperspy_finds_the_restored_image_with_its_axes(analysis: Analysis, tmp_path: Path) -> None:
    save_analysis(analysis, tmp_path)
    (signal,) = hspy.file_reader(str(tmp_path / "restored.hspy"))
    np.testing.assert_array_equal(signal["data"], analysis.restored)
    for axis, name in zip(signal["axes"], "yx", strict=True):
        assert (axis["name"], axis["units"]) == (name, "nm")
        assert axis["scale"] == pytest.approx(analysis.sampling / 10)
        assert not axis["navigate"]
    assert "fake restorer" in signal["metadata"]["facetem"]["provenance"]


def test_the_result_is_as_its_schema_says(saved: Path) -> None:
    """Every key of a particle is described there, and none is there that is not."""
    from jsonschema import Draft202012Validator

    schema = json.loads((Path(report.__file__).parent / "result.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    result = json.loads((saved / "result.json").read_text(encoding="utf-8"))
    assert result["particles"]
    assert [error.message for error in Draft202012Validator(schema).iter_errors(result)] == []
    result["particles"][0]["diameter"] = 5.0
    assert not Draft202012Validator(schema).is_valid(result)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "12° from [1 1 0]"),
        ({"orientation_error_deg": 4.2}, "12° from [1 1 0] (typically 4° off)"),
        (
            {"orientation_error_deg": 0.2, "zone": None, "zone_angle_deg": None},
            "orientation typically 1° off",
        ),
        ({"zone": None, "zone_angle_deg": None}, ""),
        ({"orientation_error_deg": TOLD + 1}, ""),
        ({"known": False}, ""),
    ],
)
def test_how_a_particle_lies_is_told_where_it_is_known(
    analysis: Analysis, changes: dict[str, Any], words: str
) -> None:
    known = next(p for p in analysis.particles if p.known)
    assert replace(known, **changes).lies == words


def test_the_table_has_the_facets_and_how_far_the_orientation_is_off(analysis: Analysis) -> None:
    particles = [replace(p, orientation_error_deg=3.14) for p in analysis.particles]
    rows = list(csv.DictReader(io.StringIO(table_csv(particles))))
    for row, particle in zip(rows, particles, strict=True):
        told = (row["facet_ratio"], row["orientation_error_deg"])
        assert told == (("0.700", "3.1") if particle.known else ("", ""))
