"""What is printed of a prediction."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from facetem.analysis.analyze import Analysis
from facetem.app.results import particle_table, print_prediction
from facetem.atoms.shapes import SHAPES
from facetem.learn.orientation import Orientation
from facetem.learn.predictor import Prediction


def prediction(*, known: bool) -> Prediction:
    probabilities = {shape: 0.65 if shape == "decahedron" else 0.05 for shape in SHAPES}
    lies = Orientation((1.0, 0.0, 0.0, 0.0), None, None, 0.9)
    return Prediction("decahedron", probabilities, 0.65, known, ("decahedron",), 0.9, 57.0, lies)


def test_family_and_diameter_are_told_of_known_particles_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print_prediction(prediction(known=True), as_json=False)
    told = capsys.readouterr().out
    assert "decahedral (0.65)" in told
    assert "5.7 nm, volume-equivalent" in told
    print_prediction(prediction(known=False), as_json=False)
    told = capsys.readouterr().out
    assert told.startswith("none of these")
    assert "decahedral" not in told
    assert "5.7 nm" not in told


def test_json_holds_families_diameter_and_orientation(capsys: pytest.CaptureFixture[str]) -> None:
    print_prediction(prediction(known=True), as_json=True)
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


@pytest.mark.parametrize(
    ("coverage", "told"), [(0.9, "90%"), (0.95, "95%"), (0.999, "99.9%"), (0.9999, "99.99%")]
)
def test_a_coverage_is_not_rounded_to_a_promise_of_all(
    coverage: float, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    torn = replace(prediction(known=True), possible=("decahedron", "twin"), coverage=coverage)
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
