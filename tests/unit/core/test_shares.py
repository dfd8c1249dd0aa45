"""Intervals of counted shares against a table."""

import pytest

from facetem.core.shares import wilson_interval


def test_wilson_interval_matches_the_literature() -> None:
    # Brown, Cai and DasGupta (2001) and any table: 8 of 10 gives 0.490 to 0.943
    assert wilson_interval(8, 10) == pytest.approx((0.490, 0.943), abs=1e-3)
    assert wilson_interval(10, 10)[1] == 1
    assert wilson_interval(0, 10)[0] == 0


def test_of_no_trial_nothing_is_known() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
