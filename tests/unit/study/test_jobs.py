"""Jobs: in order, by whoever does them."""

import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from facetem.core.errors import InputError
from facetem.study.bench import Bench
from facetem.study.jobs import Crew, crew_of, kept_table


def told(bench: Bench, number: int) -> tuple[int, int, int]:
    """A job: its number, its process, and the workers that it may start."""
    bench.progress("inside", 1, 2)
    return number, os.getpid(), bench.workers


def killed(bench: Bench) -> None:
    """A job whose process is killed."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_jobs_are_done_here_one_after_the_other(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    bench = Bench(tmp_path, progress=lambda *step: seen.append(step))
    assert Crew(bench).do("step", told, [(5,), (7,)]) == [(5, os.getpid(), 1), (7, os.getpid(), 1)]
    assert seen == [("step: inside", 1, 4), ("step: inside", 3, 4)]


@pytest.mark.slow
def test_processes_do_them_side_by_side_in_order_and_start_none(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    with crew_of(Bench(tmp_path, workers=2, progress=lambda *step: seen.append(step))) as crew:
        found = crew.do("step", told, [(i,) for i in range(6)])
        assert [number for number, _, _ in found] == list(range(6))
        assert os.getpid() not in {process for _, process, _ in found}
        assert {workers for *_, workers in found} == {1}
        assert seen == [("step", i, 6) for i in range(1, 7)]
        with pytest.raises(InputError, match="step: a process that worked on it was killed"):
            crew.do("step", killed, [()])


def test_a_table_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "some" / "table.parquet"
    table = pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]})
    pd.testing.assert_frame_equal(kept_table(path, lambda: table), table)
    pd.testing.assert_frame_equal(kept_table(path, lambda: pytest.fail("made again")), table)


def test_no_scheduler_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with (
        pytest.raises(InputError, match="expected the address of a running scheduler"),
        crew_of(Bench(tmp_path, dask="here")),
    ):
        pass
