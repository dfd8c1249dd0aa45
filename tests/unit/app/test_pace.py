"""Progress in words: rates, times, and how often a log is told."""

import pytest

from facetem.app.pace import duration, pace, rate_and_rest


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(40, "40 s"), (89.4, "89 s"), (720, "12 min"), (12000, "3 h 20 min"), (190800, "2 d 5 h")],
)
def test_durations_read_well(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_the_rate_counts_what_was_done_here() -> None:
    assert rate_and_rest(30, 60, 10) == "3/s, 20 s left"
    assert rate_and_rest(0, 60, 10) == "rate not known yet"


def test_a_log_has_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with pace("specimens", every=0) as show:
        show(64, 256)
        show(128, 256)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "facetem: 64 of 256 specimens, rate not known yet"
    assert lines[1].startswith("facetem: 128 of 256 specimens, ")
    assert lines[1].endswith(" left")
    with pace("specimens") as show:
        show(64, 256)
        show(256, 256)
    assert capsys.readouterr().err == ""
