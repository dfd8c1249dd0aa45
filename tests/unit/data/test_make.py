"""Making data sets: going on, extending, one maker at a time, and crews that fail."""

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from facetem.core.errors import InputError
from facetem.data.generate import make_shard
from facetem.data.make import LOSSES, TRIALS, make_store, sole_maker
from facetem.data.manifest import read_manifest
from facetem.data.recipe import Recipe
from facetem.data.store import open_store
from facetem.data.workers import Crew, LostError, Makers

Told = list[tuple[int, int]]


def checksum(path: Path) -> str:
    return read_manifest(path)["checksum"]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_run_that_was_stopped_is_finished_to_the_same_store(
    small_store: Path, small_recipe: Recipe, tmp_path: Path, lost: int
) -> None:
    """A kill within a shard: some of its files are there, its record is not."""
    path = tmp_path / "stopped"
    shutil.copytree(small_store, path)
    (path / "shards" / f"{lost:05d}.json").unlink()
    (path / "arrays" / "waves" / f"c.{lost}.0.0.0").unlink()
    assert open_store(path).shards() == [1 - lost]
    assert open_store(path).labels()["index"].tolist() == [2 - 2 * lost, 3 - 2 * lost]
    told: Told = []
    make_store(small_recipe, path, n=4, progress=lambda *step: told.append(step))
    assert told == [(2, 4), (4, 4)]  # the other shard was not made again
    assert checksum(path) == checksum(small_store)


def test_a_finished_store_is_left_alone(small_store: Path, small_recipe: Recipe) -> None:
    def stamps() -> dict[Path, int]:
        return {p: p.stat().st_mtime_ns for p in small_store.rglob("*") if p.is_file() and p.name != ".lock"}

    before = stamps()
    make_store(small_recipe, small_store, n=4)
    assert stamps() == before


def test_extending_gives_what_one_run_gives(small_store: Path, small_recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "grown"
    make_store(small_recipe, path, n=2)
    assert open_store(path).shards() == [0]
    assert checksum(path) != checksum(small_store)
    make_store(small_recipe, path, n=4)
    assert checksum(path) == checksum(small_store)


def test_two_makers_do_not_meet(small_store: Path, small_recipe: Recipe) -> None:
    with sole_maker(small_store), pytest.raises(InputError, match="another run is making this data set"):
        make_store(small_recipe, small_store, n=6)
    make_store(small_recipe, small_store, n=4)  # when the first has gone


class Failing:
    """A crew that fails as a function of (shard, times it was tried) says."""

    capacity = 2

    def __init__(self, path: Path, fault: Callable[[int, int], Exception | None]) -> None:
        self.path, self.fault = path, fault
        self.waiting: list[int] = []
        self.tried: dict[int, int] = {}
        self.most = 0

    def submit(self, shard: int) -> None:
        self.waiting.append(shard)
        self.most = max(self.most, len(self.waiting))

    def finished(self) -> tuple[int, Exception | None]:
        shard = self.waiting.pop(0)
        self.tried[shard] = self.tried.get(shard, 0) + 1
        error = self.fault(shard, self.tried[shard])
        if error is None:
            make_shard(self.path, shard)
        return shard, error


Crews = list[Failing]


def makers(fault: Callable[[int, int], Exception | None], crews: Crews | None = None) -> Makers:
    @contextmanager
    def start(path: Path) -> Iterator[Crew]:
        crew = Failing(path, fault)
        if crews is not None:
            crews.append(crew)
        yield crew

    return start


def test_lost_shards_are_made_again(
    small_store: Path, small_recipe: Recipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    crews: Crews = []
    lost = LostError("its process ended (signal 9)")
    twice = makers(lambda shard, tried: lost if tried < 3 else None, crews)
    make_store(small_recipe, tmp_path / "store", n=4, makers=twice)
    assert crews[0].tried == {0: 3, 1: 3}
    assert crews[0].most == 2  # no more than the crew has room for
    assert checksum(tmp_path / "store") == checksum(small_store)
    assert "shard 0 is made again: its process ended (signal 9)" in caplog.text


def test_a_shard_that_keeps_failing_ends_the_run_by_name_when_the_others_are_made(
    small_recipe: Recipe, tmp_path: Path
) -> None:
    path = tmp_path / "store"
    crews: Crews = []
    always = makers(lambda shard, tried: RuntimeError("no room") if shard == 0 else None, crews)
    with pytest.raises(
        InputError, match=r"shard 0 \(specimens 0 to 1\) failed 3 times, at last because no room"
    ):
        make_store(small_recipe, path, n=10, makers=always)
    assert crews[0].tried == {0: TRIALS, 1: 1, 2: 1, 3: 1, 4: 1}
    assert open_store(path).shards() == [1, 2, 3, 4]  # stay
    make_store(small_recipe, path, n=4)
    assert open_store(path).shards() == [0, 1, 2, 3, 4]


def test_a_shard_may_be_lost_more_often_than_it_may_fail(small_recipe: Recipe, tmp_path: Path) -> None:
    crews: Crews = []
    always = makers(lambda shard, tried: LostError("killed") if shard == 1 else None, crews)
    with pytest.raises(
        InputError, match=r"shard 1 \(specimens 2 to 3\) failed 10 times, at last because killed"
    ):
        make_store(small_recipe, tmp_path / "store", n=4, makers=always)
    assert crews[0].tried == {0: 1, 1: LOSSES}


def test_a_run_in_which_everything_fails_does_not_try_it_all(small_recipe: Recipe, tmp_path: Path) -> None:
    crews: Crews = []
    bad = makers(lambda shard, tried: RuntimeError("no device"), crews)
    with pytest.raises(InputError, match=r"the last 20 shards .* failed, shard 19 because no device"):
        make_store(small_recipe, tmp_path / "store", n=200, makers=bad)
    assert crews[0].tried == dict.fromkeys(range(LOSSES * Failing.capacity), 1)


def test_an_impossible_shard_ends_the_run_at_once_and_leaves_nothing(
    small_recipe: Recipe, tmp_path: Path
) -> None:
    crews: Crews = []
    bad = makers(lambda shard, tried: InputError("diameter: too large"), crews)
    with pytest.raises(InputError, match=r"shard 0 .* cannot be made: diameter: too large"):
        make_store(small_recipe, tmp_path / "store", n=4, makers=bad)
    assert crews[0].tried == {0: 1}
    assert not (tmp_path / "store").exists()


def test_what_was_there_before_outlasts_a_run_that_makes_no_shard(
    small_recipe: Recipe, tmp_path: Path
) -> None:
    """A recipe of one's own, kept where its data set is to be."""
    path = tmp_path / "store"
    path.mkdir()
    bad = makers(lambda shard, tried: InputError("diameter: too large"))
    for words in (small_recipe.to_yaml(), "seed: 4\n"):  # it is what would be written, or is not
        (path / "recipe.yaml").write_text(words)
        with pytest.raises(InputError, match=r"diameter: too large|found recipe\.yaml and no manifest"):
            make_store(small_recipe, path, n=4, makers=bad)
        assert [(file.name, file.read_text()) for file in path.iterdir()] == [("recipe.yaml", words)]
    (path / "recipe.yaml").unlink()
    with pytest.raises(InputError, match="diameter: too large"):
        make_store(small_recipe, path, n=4, makers=bad)
    assert list(path.iterdir()) == []  # the folder was there


def test_a_full_disk_ends_the_run_and_says_how_to_go_on(small_recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "store"
    full = makers(lambda shard, tried: OSError(errno.ENOSPC, "No space left on device") if shard else None)
    with pytest.raises(
        OSError, match="No space left on device; 1 shard whole, make room and the same"
    ) as raised:
        make_store(small_recipe, path, n=6, makers=full)
    assert raised.value.filename == str(path)
    assert open_store(path).shards() == [0]
    assert list((path / "tmp").iterdir()) == []
