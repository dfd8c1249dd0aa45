"""The pixel size that many micrographs share."""

from dataclasses import replace

import pytest

from facetem.analysis.analyze import Analysis
from facetem.analysis.result import ParticleResult
from facetem.analysis.sample_scale import sample_doubts
from facetem.analysis.saved import SavedReport
from facetem.learn.matter import Matter


@pytest.fixture
def some(analysis: Analysis) -> ParticleResult:
    return analysis.particles[0]


def report(some: ParticleResult, size: float, spots: list[tuple[float, float]]) -> SavedReport:
    """The report of one micrograph of `size` [nm/px] and one particle of these spots [nm]."""
    spacings, signals = zip(*spots, strict=True)
    particle = replace(some, spacings_nm=spacings, spot_signals=signals)
    return SavedReport("a.tif", size, None, None, "", (particle,), Matter.read(None))


def test_faint_spots_of_several_micrographs_contradict_their_pixel_size_together(
    some: ParticleResult,
) -> None:
    """Each has too few; together they are gold's {111}, {200} and {220} of pixels that are 10 % smaller."""
    spots = [[(0.2591, 90.0), (0.2243, 60.0)], [(0.2595, 80.0)], [(0.2589, 50.0), (0.1587, 70.0)]]
    reports = [report(some, 0.044, seen) for seen in spots]
    (doubt,) = sample_doubts(reports)
    assert doubt.startswith("3 micrographs together: the lattice does not fit a pixel size of 0.044 nm")
    assert "10 % too large" in doubt
    assert sample_doubts(reports[:1]) == []
    right = [report(some, 0.04, [(d / 1.1, signal) for d, signal in seen]) for seen in spots]
    assert sample_doubts(right) == []


def test_micrographs_of_other_pixel_sizes_and_reports_of_before_do_not_count(some: ParticleResult) -> None:
    clear = [(0.2591, 2000.0)]
    apart = [report(some, 0.044, clear), report(some, 0.04, [(0.2355, 2000.0)])]
    assert sample_doubts(apart) == []
    old = [
        replace(one, particles=(replace(one.particles[0], spot_signals=()),))
        for one in (report(some, 0.044, clear), report(some, 0.044, clear))
    ]
    assert sample_doubts(old) == []
