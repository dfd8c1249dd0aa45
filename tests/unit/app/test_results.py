"""What is printed of a prediction."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from facetem.analysis.agreement import Agreement, Labelled
from facetem.analysis.analyze import Analysis
from facetem.analysis.comparing import Comparison, Counted
from facetem.analysis.population import compare_samples
from facetem.analysis.result import ParticleResult
from facetem.app.results import particle_table, print_agreement, print_comparison, print_prediction, signed
from facetem.atoms.shapes import SHAPES
from facetem.learn.orientation import Orientation
from facetem.learn.predictor import Prediction


def prediction(*, familiar: bool, foreign: float | None = None, hidden: str = "") -> Prediction:
    probabilities = {shape: 0.65 if shape == "decahedron" else 0.05 for shape in SHAPES}
    lies = Orientation((1.0, 0.0, 0.0, 0.0), None, None, 0.9)
    told = Prediction("decahedron", probabilities, 0.65, familiar, ("decahedron",), 0.9, 57.0, lies)
    return replace(told, foreign=foreign, hidden=hidden)


@pytest.mark.parametrize(
    ("foreign", "verdict", "line"),
    [(None, "not judged", "not judged: cut by the edge"), (3.5, "unknown", "a reflection of 0.350 nm")],
)
def test_of_a_particle_that_is_hidden_nothing_is_said_but_that_it_is_of_another_crystal(
    foreign: float | None, verdict: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden = prediction(familiar=True, foreign=foreign, hidden="cut by the edge")
    print_prediction(hidden, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["known"]) == (verdict, False)
    assert told["not_judged"] == ("cut by the edge" if foreign is None else None)
    print_prediction(hidden, as_json=False)
    told = capsys.readouterr().out
    assert line in told
    assert "decahedral" not in told


def test_family_and_diameter_are_told_of_known_particles_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print_prediction(prediction(familiar=True), as_json=False)
    told = capsys.readouterr().out
    assert "decahedral (0.65)" in told
    assert "5.7 nm, volume-equivalent" in told
    print_prediction(prediction(familiar=False), as_json=False)
    told = capsys.readouterr().out
    assert told.startswith("none of these")
    assert "decahedral" not in told
    assert "5.7 nm" not in told


def test_json_holds_families_diameter_and_orientation(capsys: pytest.CaptureFixture[str]) -> None:
    print_prediction(prediction(familiar=True), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["families"]["single crystal"] == pytest.approx(5 * 0.05)
    assert told["diameter_nm"] == pytest.approx(5.7)
    assert told["orientation"] == {
        "quaternion": [1, 0, 0, 0],
        "zone": None,
        "zone_angle_deg": None,
        "fit": 0.9,
        "error_deg": None,
    }


def test_two_samples_are_told_with_names_numbers_fractions_and_their_difference(
    capsys: pytest.CaptureFixture[str],
) -> None:
    errors = 36 * np.eye(len(SHAPES), dtype=int) + 1
    counts = [np.array([{"cube": a, "twin": b}.get(s, 0) for s in SHAPES]) for a, b in ((40, 0), (2, 6))]
    one, other = (
        Counted(name, SHAPES, some, errors) for name, some in zip(("mon", "tue"), counts, strict=True)
    )
    print_comparison(Comparison(one, other, compare_samples(SHAPES, *counts, errors)))
    told = capsys.readouterr().out
    for words in (
        "mon",
        "40 particles",
        "tue",
        "tue - mon",
        "beyond",
        "note: 8 particles in tue: of fewer than 10",
    ):
        assert words in told
    row = next(line for line in told.splitlines() if "cube " in line)
    found, cube = one.fractions, SHAPES.index("cube")
    assert f"{found.corrected[cube]:.3f} ({found.low[cube]:.3f} to {found.high[cube]:.3f})" in row
    assert "differs" in row
    assert "-0.000" not in told


def test_nothing_has_no_sign() -> None:
    told = [signed(x) for x in (-0.0004, 0.0, 0.0004, -0.001, 0.12)]
    assert told == ["0.000", "0.000", "0.000", "-0.001", "+0.120"]


@pytest.mark.parametrize(
    ("coverage", "told"), [(0.9, "90%"), (0.95, "95%"), (0.999, "99.9%"), (0.9999, "99.99%")]
)
def test_a_coverage_is_not_rounded_to_a_promise_of_all(
    coverage: float, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    torn = replace(prediction(familiar=True), possible=("decahedron", "twin"), coverage=coverage)
    print_prediction(torn, as_json=False)
    assert f"(possible at {told} coverage)" in capsys.readouterr().out


def test_the_table_has_both_diameters_of_known_particles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    row = {
        "index": 1,
        "x_nm": 5.0,
        "y_nm": 5.0,
        "diameter_nm": 5.63,
        "volume_diameter_nm": 5.02,
        "words": "cube",
    }
    rows = [SimpleNamespace(**row, known=known, confidence=0.98, remarks=()) for known in (True, False)]
    told = particle_table(cast(Analysis, SimpleNamespace(particles=rows)))
    assert "proj. (nm)" in told
    assert "vol. (nm)" in told
    assert [
        ("5.6" in line, "5.0 " in line.split("│")[4]) for line in told.splitlines() if "cube" in line
    ] == [
        (True, True),
        (True, False),
    ]


def test_agreement_is_printed_with_its_intervals_and_beside_what_was_stated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = ParticleResult(
        1, 1.0, 2.0, 5.0, 6.0, 0.9, False, "cube", 0.9, True, True, {"cube": 0.9}, ("cube",), "single crystal", 5.0,
        (1.0, 0.0, 0.0, 0.0), None, None,
    )  # fmt: skip
    print_agreement(Agreement((Labelled("a.tif", one, "cube"), Labelled("a.tif", one, "no_particle"))))
    told = " ".join(capsys.readouterr().out.split())
    assert "the labelled one │ 1 │ 1 │ 1.00 (0.21 to 1.00) │ 0.90" in told
    assert "found: a particle │ 1 │ 2 │ 0.50 (0.09 to 0.91) │" in told
    assert "│ not a particle │ cube │ 1 │" in told
    assert 'labelled "none of these shapes": answered so │ 0 │ 0 │ - │' in told
    assert "note: 2 labelled particles: so few say hardly anything" in told
