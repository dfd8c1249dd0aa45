"""What is printed of a prediction."""

import json

import pytest

from facetem.app.results import print_prediction
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
