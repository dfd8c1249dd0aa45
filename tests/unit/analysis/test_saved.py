"""Reports read back."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facetem.analysis.analyze import Analysis
from facetem.analysis.report import save_analysis
from facetem.analysis.saved import read_report
from facetem.analysis.table import table_row
from facetem.core.errors import InputError


@pytest.fixture(scope="module")
def saved(analysis: Analysis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    folder = tmp_path_factory.mktemp("report")
    save_analysis(analysis, folder)
    return folder


@pytest.fixture
def changed(saved: Path, tmp_path: Path) -> Callable[[Callable[[Any], object]], Path]:
    """The folder of a report whose result was changed."""

    def make(change: Callable[[Any], object]) -> Path:
        folder = shutil.copytree(saved, tmp_path / "changed")
        told = json.loads((folder / "result.json").read_text())
        change(told)
        (folder / "result.json").write_text(json.dumps(told))
        return folder

    return make


def test_a_report_says_what_the_analysis_said(saved: Path, analysis: Analysis) -> None:
    report = read_report(saved)
    assert (report.name, report.warning) == (analysis.micrograph.name, analysis.warning)
    assert report.pixel_size_nm == pytest.approx(analysis.micrograph.sampling / 10)
    assert list(map(table_row, report.particles)) == list(map(table_row, analysis.particles))


def test_of_an_earlier_version_what_it_did_not_measure_stays_blank(changed: Any) -> None:
    def forget(told: Any) -> None:
        for particle in told["particles"]:
            del particle["contrast"], particle["spot_signals"], particle["orientation_error_deg"]

    for particle in read_report(changed(forget)).particles:
        assert (particle.contrast, particle.spot_signals, particle.orientation_error_deg) == (None, (), None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda told: told["particles"][0].pop("possible"),
            "by this version, found one without possible; anal",
        ),
        (lambda told: told.pop("micrograph"), "found one without micrograph; analyse the micrograph again"),
        (lambda told: told.update(micrograph=3), "found something else; analyse"),
        (lambda told: told.update(particles=[[1]]), "found something else; analyse"),
    ],
)
def test_what_a_result_lacks_is_named(change: Callable[[Any], object], words: str, changed: Any) -> None:
    with pytest.raises(InputError, match=words):
        read_report(changed(change))


def test_a_list_is_no_result(changed: Any) -> None:
    folder = changed(lambda told: None)
    (folder / "result.json").write_text("[]")
    with pytest.raises(InputError, match=r"result\.json: expected the result of an analysis"):
        read_report(folder)
