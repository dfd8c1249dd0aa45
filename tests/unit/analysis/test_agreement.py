"""Answers beside labels given by hand: what is counted, of what, and what is refused."""

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from facetem.analysis.agreement import Agreement, Labelled, labelled_particles, read_agreement
from facetem.analysis.labels import NO_PARTICLE
from facetem.analysis.result import ParticleResult
from facetem.core.errors import InputError


def particle(index: int, shape: str = "cube", **changes: Any) -> ParticleResult:
    told: dict[str, Any] = {
        **{"index": index, "x_nm": 1.0, "y_nm": 2.0, "diameter_nm": 5.0, "feret_nm": 6.0, "circularity": 0.9},
        **{"cut_by_edge": False, "shape": shape, "confidence": 0.9, "judged": True, "known": True},
        **{"probabilities": {"cube": 0.9, "twin": 0.1}, "possible": (shape,), "family": "single crystal"},
        **{
            "volume_diameter_nm": 5.1,
            "quaternion": (1.0, 0.0, 0.0, 0.0),
            "zone": None,
            "zone_angle_deg": None,
        },
    }
    return ParticleResult(**{**told, **changes})


LABELLED = (
    Labelled("a.tif", particle(1), "cube"),
    Labelled("a.tif", particle(2, confidence=0.8), "twin"),
    Labelled("a.tif", particle(3, possible=("cube", "twin"), confidence=0.6), "twin", "a groove"),
    Labelled("a.tif", particle(4, known=False), "cube"),
    Labelled("b.tif", particle(1, known=False), "none"),
    Labelled("b.tif", particle(2), "none"),
    Labelled("b.tif", particle(3, judged=False, known=False), "cube"),
    Labelled("b.tif", particle(4), NO_PARTICLE),
)


def test_what_is_counted_is_what_can_be_said() -> None:
    """Accepted: 1, 2. Known: 1 to 3. Judged with a shape: 1 to 4. Labelled none: two, one refused; one no particle."""
    named, likely, holds, taken, refused, found = Agreement(LABELLED).shares()
    assert (named.hits, named.n, named.expected) == (1, 2, pytest.approx(0.85))
    assert (likely.hits, likely.n, likely.expected) == (1, 3, pytest.approx(2.3 / 3))
    assert (holds.hits, holds.n, holds.expected) == (2, 3, 0.95)
    assert (taken.hits, taken.n) == (3, 4)
    assert (refused.hits, refused.n) == (1, 2)
    assert (found.hits, found.n) == (7, 8)
    low, high = taken.interval
    assert low < 0.75 < high


def test_of_nothing_nothing_is_said() -> None:
    for share in Agreement(()).shares():
        assert (share.n, share.interval) == (0, (0.0, 1.0))
    assert Agreement(()).shares()[0].expected is None


def test_confusion_is_of_labels_and_verdicts() -> None:
    assert Agreement(LABELLED).confusion() == {
        ("cube", "cube"): 1, ("twin", "cube"): 1, ("twin", "cannot tell"): 1, ("cube", "none of these"): 1,
        ("none", "none of these"): 1, ("none", "cube"): 1, ("cube", "not judged"): 1, (NO_PARTICLE, "cube"): 1,
    }  # fmt: skip


def test_table_has_the_labels_and_the_columns_of_every_table() -> None:
    rows = list(csv.DictReader(io.StringIO(Agreement(LABELLED).csv())))
    assert [(row["micrograph"], row["label"], row["index"]) for row in rows[2:4]] == [
        ("a.tif", "twin", "3"),
        ("a.tif", "cube", "4"),
    ]
    assert rows[2]["note"] == "a groove"
    assert (rows[0]["verdict"], rows[0]["p_cube"], rows[3]["confidence"]) == ("cube", "0.9000", "")


def report(folder: Path, labels: Any, name: str = "a.tif") -> Path:
    folder.mkdir(parents=True)
    told = {
        "micrograph": {"name": name, "pixel_size_nm": 0.04, "metadata": {}},
        "particles": [asdict(particle(i)) for i in (1, 2)],
        "provenance": {},
        "warning": "",
    }
    (folder / "result.json").write_text(json.dumps(told))
    (folder / "labels.json").write_text(json.dumps({"labels": labels}))
    return folder


def test_reports_are_found_however_deep_and_labels_of_none_of_their_particles_are_left(
    tmp_path: Path,
) -> None:
    """A particle 7 is of an earlier analysis; `banana` is no label."""
    report(tmp_path / "x" / "y", [{"particle": 2, "label": "twin"}, {"particle": 7, "label": "cube"}])
    report(tmp_path / "z", [{"particle": 1, "label": "banana"}, {"particle": 2, "label": "cube"}], "b.tif")
    found = read_agreement([tmp_path / "x", tmp_path / "z", tmp_path]).labelled  # each report once
    assert [(one.micrograph, one.particle.index, one.label) for one in found] == [
        ("a.tif", 2, "twin"),
        ("b.tif", 2, "cube"),
    ]
    assert labelled_particles(tmp_path / "z")[0].particle == particle(2)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder with reports, got nothing"):
        read_agreement([tmp_path / "nowhere"])
    with pytest.raises(InputError, match="expected reports with labels given on the page"):
        read_agreement([tmp_path])
    (report(tmp_path / "z", [{"particle": 1, "label": "cube"}]) / "result.json").write_text("{")
    with pytest.raises(
        InputError, match=r"result\.json: expected the result of an analysis, found one that is"
    ):
        read_agreement([tmp_path])
