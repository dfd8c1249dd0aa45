"""Micrographs one by one: what becomes of those that cannot be analysed, and which are known again."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from facetem.analysis.analyze import _provenance
from facetem.analysis.sample import Sample, Source, sample_table
from facetem.analysis.sample_page import sample_page
from facetem.analysis.table import table_columns
from facetem.app import batch
from facetem.app.batch import Done, Settings, analyze_job, is_done
from facetem.app.micrographs import Batch, Task
from facetem.atoms.shapes import SHAPES
from facetem.data.digest import digest_of
from facetem.learn.stated import Stated
from facetem.learn.weights_file import shipped


def failing(error: Exception) -> Callable[..., Any]:
    def analyze(*args: object, **options: object) -> Any:
        raise error

    return analyze


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return Task(tmp_path / "large.tif", tmp_path / "report")


@pytest.fixture(autouse=True)
def no_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "_networks", lambda settings: (None, None))


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory")],
)
def test_a_micrograph_too_large_for_the_memory_is_a_failed_file(
    task: Task, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(batch, "analyze", failing(error))
    done = analyze_job(task, Settings())
    assert isinstance(done, Done)
    assert done.failed
    assert not done.hopeless  # the others may fit
    assert done.complaint.startswith(f"{task.file}: does not fit into memory")


def test_a_bug_does_not_become_a_failed_file(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "analyze", failing(RuntimeError("shapes cannot be multiplied")))
    with pytest.raises(RuntimeError, match="multiplied"):
        analyze_job(task, Settings())


class Network:
    """What is asked of a network for the provenance."""

    def __init__(self, name: str) -> None:
        self.provenance = {"sha256": digest_of(shipped(name))}


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(
    ("name", "pixels"), [("a.tif", "a.tif"), ("a.zspy", "a.zspy/data/0.0"), ("a.emi", "a_1.ser")]
)
def test_what_was_analysed_is_known_again_by_all_that_holds_its_pixels(
    tmp_path: Path, name: str, pixels: str
) -> None:
    (tmp_path / "a.zspy" / "data").mkdir(parents=True)
    for file in ("a.tif", "a.emi", "a_1.ser", "a.zspy/data/0.0", "a.zspy/.zattrs"):
        (tmp_path / file).write_bytes(b"as it was")
    task = Task(tmp_path / name, tmp_path / "report")
    told: Any = _provenance(task.file, Network("classifier"), Network("restorer"))  # type: ignore[arg-type]
    metadata = {"pixel_size_from": "file"}
    task.folder.mkdir()
    result = {"provenance": told, "micrograph": {"pixel_size_nm": 0.04, "metadata": metadata}}
    (task.folder / "result.json").write_text(json.dumps(result))
    assert is_done(task, Settings())
    (tmp_path / pixels).write_bytes(b"otherwise")
    assert not is_done(task, Settings())


def test_the_line_of_a_movie_says_what_was_summed(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    micrograph = SimpleNamespace(name="a.tif", metadata={"frames_averaged": 6, "drift_px": [3.9, 43.8]})
    found = SimpleNamespace(micrograph=micrograph, particles=[], warning="")
    monkeypatch.setattr(batch, "analyze", lambda *args, **options: found)
    monkeypatch.setattr(batch, "save_analysis", lambda found, folder: None)
    line = analyze_job(task, Settings()).line
    assert line.startswith("a.tif (sum of 6 frames, drift 43.8 × 3.9 px): 0 particles; report in")


def test_what_many_micrographs_say_of_their_pixel_size_is_printed_with_singulars_where_they_belong(
    task: Task, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Source("r", "a.tif", 0.04, "")
    rows = [dict.fromkeys(table_columns([])) | {"micrograph": "a.tif", "report": "r", "verdict": "unknown"}]
    said = "2 micrographs together: too large"
    sample = Sample(sample_table(rows), SHAPES, None, [source], doubts=[said])
    kept: list[Sample] = []
    monkeypatch.setattr(batch, "is_done", lambda task, settings: True)
    monkeypatch.setattr(batch, "load_classifier", lambda *args, **options: SimpleNamespace(stated=Stated()))
    monkeypatch.setattr(batch, "read_sample", lambda reports, output, confusion: sample)
    monkeypatch.setattr(
        batch, "save_sample", lambda sample, folder: kept.append(sample) or folder / "index.html"
    )
    assert batch.analyze_batch(Batch([task]), task.folder.parent, Settings()) == 0
    told = capsys.readouterr()
    assert "1 particle of 1 micrograph:" in told.out
    assert said in told.err
    assert said in sample_page(kept[0], {})
