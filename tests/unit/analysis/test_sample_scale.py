"""The pixel size that many micrographs share."""

import json
from pathlib import Path
from typing import Any

from facetem.analysis.sample_scale import sample_doubts


def report(folder: Path, size: float, spots: list[tuple[float, float]], **without: Any) -> Path:
    """A folder with the result of one micrograph of `size` [nm/px] and one particle of these spots [nm]."""
    particle = {"spacings_nm": [d for d, _ in spots], "spot_signals": [signal for _, signal in spots]}
    for key in without:
        del particle[key]
    folder.mkdir()
    told = {"micrograph": {"pixel_size_nm": size}, "particles": [particle], "provenance": {}}
    (folder / "result.json").write_text(json.dumps(told))
    return folder


def test_faint_spots_of_several_micrographs_contradict_their_pixel_size_together(tmp_path: Path) -> None:
    """Each has too few; together they are gold's {111}, {200} and {220} of pixels that are 10 % smaller."""
    spots = [[(0.2591, 90.0), (0.2243, 60.0)], [(0.2595, 80.0)], [(0.2589, 50.0), (0.1587, 70.0)]]
    reports = [report(tmp_path / f"m{i}", 0.044, some) for i, some in enumerate(spots)]
    (doubt,) = sample_doubts(reports)
    assert doubt.startswith("3 micrographs together: the lattice does not fit a pixel size of 0.044 nm")
    assert "10 % too large" in doubt
    assert sample_doubts(reports[:1]) == []
    right = [
        report(tmp_path / f"r{i}", 0.04, [(d / 1.1, signal) for d, signal in some])
        for i, some in enumerate(spots)
    ]
    assert sample_doubts(right) == []


def test_micrographs_of_other_pixel_sizes_and_reports_of_before_do_not_count(tmp_path: Path) -> None:
    clear = [(0.2591, 2000.0)]
    apart = [report(tmp_path / "a", 0.044, clear), report(tmp_path / "b", 0.04, [(0.2355, 2000.0)])]
    assert sample_doubts(apart) == []
    old = [report(tmp_path / f"old{i}", 0.044, clear, spot_signals=None) for i in range(2)]
    assert sample_doubts(old) == []
