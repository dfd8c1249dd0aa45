from pathlib import Path

import pytest
import torch

from facetem.core.errors import InputError
from facetem.hrtem.cameras import CAMERAS
from facetem.hrtem.curves import FrequencyUnit, TransferCurve, load_curve

CURVE = TransferCurve((0.0, 0.1, 0.5), (1.0, 0.6, 0.2))


def test_a_curve_goes_through_its_points_and_straight_between_them() -> None:
    u = torch.tensor([[0.0, 0.05, 0.1], [0.3, 0.5, 0.7]], dtype=torch.float64)
    expected = torch.tensor([[1.0, 0.8, 0.6], [0.4, 0.2, 0.2]], dtype=torch.float64)
    torch.testing.assert_close(CURVE.at(u), expected)
    assert CURVE.at(u.float()).dtype == torch.float32


def test_it_is_exactly_one_at_zero() -> None:
    nearly = TransferCurve((0.0, 0.5), (0.997, 0.1))
    assert nearly.at(torch.tensor([0.0])).item() == 1.0


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("# f MTF\n0 1\n0.1 0.6\n0.5 0.2\n", "cycles-per-pixel"),
        ("0,1\n0.1,0.6 # with commas\n0.5,0.2\n", "cycles-per-pixel"),
        ("0 1\n0.2 0.6\n1.0 0.2\n", "nyquist"),
    ],
)
def test_both_units_give_the_same_curve(tmp_path: Path, text: str, unit: FrequencyUnit) -> None:
    (tmp_path / "mtf.txt").write_text(text)
    assert load_curve(tmp_path / "mtf.txt", unit=unit) == CURVE


@pytest.mark.parametrize(
    ("text", "unit", "message"),
    [
        ("0 1\n0.5 0.4\n1 0.1\n", "cycles-per-pixel", "up to 1; if they are fractions .*--mtf-unit nyquist"),
        ("0 1\n0.25 0.4\n0.5 0.1\n", "nyquist", "up to 0.5; if they are cycles .*cycles-per-pixel"),
        ("0 1\n0.3 0.4\n", "cycles-per-pixel", "up to the Nyquist frequency, .* got up to 0.3"),
        ("0 250\n0.5 10\n", "cycles-per-pixel", "the value 1 at frequency 0, got 250; divide"),
        ("0.1 1\n0.5 0.1\n", "cycles-per-pixel", "start at 0 and increase"),
        ("0 1\n0.5 0.3\n0.4 0.2\n0.5 0.1\n", "cycles-per-pixel", "start at 0 and increase"),
        ("0 1\n0.5 -0.3\n", "cycles-per-pixel", "values from 0 to about 1, got -0.3"),
        ("0 1\n0.2 nan\n0.5 0.1\n", "cycles-per-pixel", "finite"),
        ("1\n0.5\n0.1\n", "cycles-per-pixel", "expected two columns"),
        ("0 1 2\n0.5 1 2\n", "cycles-per-pixel", "expected two columns"),
        ("frequency mtf\n0 1\n0.5 0.1\n", "cycles-per-pixel", "two columns of numbers"),
        ("", "cycles-per-pixel", "expected two columns"),
    ],
)
def test_files_that_are_not_a_curve_are_named(
    tmp_path: Path, text: str, unit: FrequencyUnit, message: str
) -> None:
    path = tmp_path / "mtf.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_curve(path, unit=unit)
    assert str(path) in str(caught.value)


def test_cameras_by_name_are_what_their_sources_say() -> None:
    nyquist = torch.tensor([0.5], dtype=torch.float64)
    at_nyquist = {
        name: (float(c.mtf.at(nyquist)), c.dqe * float(c.mtf.at(nyquist) / c.ntf.at(nyquist)) ** 2)
        for name, c in CAMERAS.items()
        if c.mtf and c.ntf
    }
    assert len(at_nyquist) == len(CAMERAS)
    assert at_nyquist["direct-counting"] == pytest.approx((0.388, 0.23))
    assert at_nyquist["direct-integrating"] == pytest.approx((0.052, 0.273))
    mtf, dqe = at_nyquist["scintillator-ccd"]
    assert (mtf, dqe) == pytest.approx((0.037, 0.4 * 0.037**1.25))
