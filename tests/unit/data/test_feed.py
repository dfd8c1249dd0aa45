"""Batches made ahead, shared out to processes, from stores that are larger than the memory."""

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facetem.core.errors import InputError
from facetem.data import sources
from facetem.data.draw import Row
from facetem.data.feed import Ahead, feed
from facetem.data.generate import encoded_table
from facetem.data.layout import ARRAYS, array_file, array_options, encoded_array, table_file
from facetem.data.publish import publish_shard
from facetem.data.recipe import Microscope, Particles, Recipe, Stored
from facetem.data.samples import Batch, SampleStream, image_set
from facetem.data.sources import APART, LiveSource, Share, Showing, StoreSource, Visit, visits_after
from facetem.data.store import create_store, open_store
from facetem.data.windows import Windows, grown

SHARD, SHARDS = 4, 6
RECIPE = Recipe(field=48.0, particles=Particles(diameter=(14.0, 18.0)), stored=Stored(shard=SHARD))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of vacuum, in which the thickness of a specimen is its index."""
    path = tmp_path_factory.mktemp("feed") / "store"
    store = create_store(RECIPE, path, split="train", n=SHARD * SHARDS)
    for shard in range(SHARDS):
        numbers = np.array(store.indices(shard)).reshape(-1, 1, 1)
        files = {}
        for name, options in array_options(RECIPE).items():
            values = np.ones(options["shape"], options["dtype"])
            files[array_file(name, shard)] = encoded_array(
                name, values * numbers if name == "thickness" else values, RECIPE
            )
        shapes = ["cube", "octahedron", "none", "twin"]
        labels = zip(shapes, [2e5, 3e5, 2e5, 8e4], strict=True)
        index = [int(i) for i in store.indices(shard)]
        rows: list[Row] = [
            {"index": i, "label": label, "energy": energy, "calibration": 0.1}
            for i, (label, energy) in zip(index, labels, strict=True)
        ]
        files[table_file("labels", shard)] = encoded_table(rows, {})
        quarter = {"qw": 0.5**0.5, "qx": 0.0, "qy": 0.0, "qz": 0.5**0.5}
        lies: list[Row] = [
            {"index": i, "particle": 1, "diameter": 10.0 + i, "label": shape, "form": f'{{"ratio": 1.{i}}}'}
            | quarter
            for i, shape in zip(index, shapes, strict=True)
        ]
        lies.insert(1, lies[0] | {"particle": 2, "diameter": 99.0})  # another one in the same field
        lies = [row for row in lies if row["index"] != 3]  # a field without particles
        files[table_file("particles", shard)] = encoded_table(lies, {})
        publish_shard(path, shard, files, {})
    return path


def bytes_of_a_shard(path: Path) -> float:
    store = open_store(path)
    return sum(store.array(name).nbytes for name in ARRAYS) / SHARDS


def loaded(source: StoreSource, epoch: int, share: Share | None = None) -> list[list[Showing]]:
    return [showings for showings in source.load(source.order(epoch, share or Share())) if showings]


@pytest.mark.parametrize("shards_in_memory", [1, 4, 100])
def test_every_specimen_is_shown_once_an_epoch_whatever_the_memory(path: Path, shards_in_memory: int) -> None:
    source = StoreSource(path, memory=shards_in_memory * bytes_of_a_shard(path))
    for epoch in range(2):
        showings = [showing for group in loaded(source, epoch) for showing in group]
        assert sorted(showing.visit.index for showing in showings) == list(range(SHARD * SHARDS))
        for showing in showings:
            assert float(showing.item.thickness[0, 0]) == showing.visit.index
            assert showing.mate is not None
            assert float(showing.mate.thickness[0, 0]) == showing.visit.mate


def test_a_store_larger_than_the_memory_goes_by_in_windows_of_several_shards(path: Path) -> None:
    source = StoreSource(path, memory=4.5 * bytes_of_a_shard(path))
    groups = loaded(source, 0)
    assert [len(group) for group in groups] == [2 * SHARD] * 3  # two windows of two shards fit
    for group in groups:
        shards = [showing.visit.index // SHARD for showing in group]
        assert len(set(shards)) == 2
        assert shards != sorted(shards)
        assert shards != sorted(shards, reverse=True)
    windows = {
        frozenset(v.index // SHARD for v in group) for n in range(6) for group in source.order(n, Share())
    }
    assert len(windows) > 3  # other shards come together in other epochs


def test_what_fits_is_read_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    whole = sources.Shelf.read

    def counted(self: Any, shard: int, rows: list[int]) -> Any:
        read.append(shard)
        return whole(self, shard, rows)

    monkeypatch.setattr(sources.Shelf, "read", counted)
    fits, small = StoreSource(path), StoreSource(path, memory=bytes_of_a_shard(path))
    for epoch in range(3):
        loaded(fits, epoch)
    assert sorted(read) == list(range(SHARDS))
    read.clear()
    for epoch in range(3):
        loaded(small, epoch)
    assert sorted(read) == sorted(list(range(SHARDS)) * 3)


def test_specimens_of_no_class_have_no_label(path: Path) -> None:
    labels = {s.visit.index: s.item.label for group in loaded(StoreSource(path), 0) for s in group}
    assert [labels[i] for i in range(SHARD)] == [3, 2, -1, 7]


@pytest.mark.parametrize("others", [1, 3])
def test_stores_are_mixed_specimen_by_specimen(path: Path, others: int) -> None:
    beside = others * [path]
    source = StoreSource(path, beside=beside)
    (group,) = loaded(source, 0)
    assert len(source) == len(group) == (1 + others) * SHARD * SHARDS
    assert [float(s.item.thickness[0, 0]) for s in group] == [s.visit.index % APART for s in group]
    stores = [s.visit.index // APART for s in group]
    assert [stores.count(k) for k in range(1 + others)] == (1 + others) * [SHARD * SHARDS]
    assert stores not in (sorted(stores), sorted(stores, reverse=True))
    again = [v.index for g in StoreSource(path, beside=beside, memory=1).order(0, Share()) for v in g]
    assert sorted(again) == sorted(s.visit.index for s in group)


def test_stores_of_different_fields_are_not_mixed(path: Path, tmp_path: Path) -> None:
    wide = RECIPE.model_copy(update={"field": 64.0})
    create_store(wide, tmp_path / "wide", split="train", n=SHARD)
    publish_shard(tmp_path / "wide", 0, {}, {})
    with pytest.raises(InputError, match=r"wide: expected specimens in a field of 4.8 nm.*got 6.4 nm"):
        StoreSource(path, beside=[tmp_path / "wide"])


def test_specimens_of_beams_that_no_microscope_has_are_refused_before_they_are_shown(
    path: Path, tmp_path: Path
) -> None:
    one = RECIPE.model_copy(
        update={"name": "one", "microscopes": (Microscope(energies=(3e5,)), Microscope(weight=0))}
    )
    told = (
        "energies: expected specimens seen with 300 kV, .* the recipe one .*, got 80, 200, 300 kV of au-4-8nm"
    )
    create_store(one, tmp_path / "one", split="train", n=SHARD)
    publish_shard(tmp_path / "one", 0, {}, {})
    with pytest.raises(InputError, match=f"store: {told}"):
        StoreSource(tmp_path / "one", beside=[path])
    with pytest.raises(InputError, match=told):
        StoreSource(path, recipe=one)
    with pytest.raises(InputError, match=told):
        image_set(StoreSource(path), one, split="train", n=2, size=64)
    StoreSource(path, beside=[tmp_path / "one"])  # its beam is among the others


def test_size_and_orientation_are_those_of_the_first_particle_as_it_is_seen(path: Path) -> None:
    """A pixel size that is wrong by a tenth makes it look larger; a field without particles has none."""
    items = {s.visit.index: s.item for group in loaded(StoreSource(path), 0) for s in group}
    assert [items[i].diameter for i in range(3)] == pytest.approx([11.0, 12.1, 13.2])
    assert np.isnan(items[3].diameter)
    assert [items[i].facet_ratio for i in range(4)] == pytest.approx([1.0, 1.1, np.nan, np.nan], nan_ok=True)
    assert items[0].quaternion == pytest.approx((0.5**0.5, 0, 0, 0.5**0.5))
    stream = SampleStream(RECIPE, split="train", size=64)
    visits = [Visit(0, 0, None), Visit(1, 0, None)]
    batch = stream.draw([Showing(visit, items[visit.index]) for visit in visits])
    torch.testing.assert_close(batch.diameter, torch.tensor([11.0, 12.1]))
    torch.testing.assert_close(batch.facet_ratio, torch.tensor([1.0, 1.1]))
    for matrix in batch.orientation:
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(3), atol=1e-6, rtol=0)
        assert float(matrix[2, 2]) == pytest.approx(1)  # turns and mirrors keep the beam


@pytest.mark.parametrize("source", ["store", "live"])
def test_processes_share_an_epoch_and_its_batches(path: Path, source: str) -> None:
    any_of: StoreSource | LiveSource = (
        StoreSource(path) if source == "store" else LiveSource(RECIPE, split="train", n=24, batch=4)
    )

    def seen(rank: int, of: int) -> list[Visit]:
        return [visit for group in any_of.order(0, Share(5, rank, of)) for visit in group]

    alone, parts = seen(0, 1), [seen(rank, 3) for rank in range(3)]
    assert sorted(v.index for part in parts for v in part) == list(range(24))
    if source == "store":  # three parts of 2 are a batch of 6
        for k in range(4):
            together = {v for part in parts for v in part[2 * k : 2 * k + 2]}
            assert together == set(alone[6 * k : 6 * k + 6])
    mates = {v.index: v.mate for v in alone}
    assert all(mates[mate] == index for index, mate in mates.items() if mate is not None)


def test_a_process_reads_no_more_than_its_share(path: Path) -> None:
    both = [
        sorted(s.visit.index for group in loaded(StoreSource(path), 0, Share(0, rank, 2)) for s in group)
        for rank in range(2)
    ]
    assert sorted(both[0] + both[1]) == list(range(SHARD * SHARDS))
    for rank in range(2):
        source = StoreSource(path)
        loaded(source, 0, Share(0, rank, 2))
        assert sorted(source._kept) == both[rank]


def test_a_run_goes_on_where_it_stopped(path: Path) -> None:
    source = StoreSource(path, memory=2 * bytes_of_a_shard(path))
    share = Share(3)

    def first(n: int, taken: int) -> list[Visit]:
        visits: list[Visit] = []
        for group in visits_after(source, share, taken):
            visits += group
            if len(visits) >= n:
                return visits[:n]
        raise AssertionError

    whole = first(70, 0)
    assert len({v.round for v in whole}) == 3
    for taken in (1, 4, 24, 53):
        assert first(70 - taken, taken) == whole[taken:]


@pytest.mark.parametrize("drawers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_batches_are_those_of_the_source_whoever_draws(path: Path, drawers: int) -> None:
    source = StoreSource(path)
    stream = SampleStream(RECIPE, split="train", size=64)
    with feed(source, stream, batch=5, drawers=drawers) as batches:
        made = [next(batches) for _ in range(6)]
    showings = [showing for epoch in range(2) for group in loaded(source, epoch) for showing in group]
    for k, batch in enumerate(made):
        expected = SampleStream(RECIPE, split="train", size=64).draw(showings[5 * k : 5 * k + 5])
        assert isinstance(batch, Batch)
        assert torch.equal(batch.noisy, expected.noisy)
        assert torch.equal(batch.labels, expected.labels)


class Broken:
    """A source that fails when its second group is loaded."""

    recipe = RECIPE

    def __len__(self) -> int:
        return 2

    def order(self, epoch: int, share: Share) -> Iterator[list[Visit]]:
        yield [Visit(0, epoch, None)]

    def load(self, groups: Iterable[list[Visit]]) -> Iterator[list[Showing] | None]:
        raise InputError("store: gone")
        yield


def feeding() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("feed")]


def test_what_goes_wrong_ahead_is_raised_where_the_batch_is_asked_for() -> None:
    with (
        feed(Broken(), SampleStream(RECIPE, split="train", size=64), batch=1) as batches,
        pytest.raises(InputError, match="store: gone"),
    ):
        next(batches)
    assert not feeding()


def test_an_end_before_the_end_leaves_nothing_behind(path: Path) -> None:
    with feed(StoreSource(path), SampleStream(RECIPE, split="train", size=64), batch=3) as batches:
        next(batches)
        assert feeding()
    assert not feeding()


def test_values_come_in_order_and_no_further_ahead_than_told() -> None:
    made: list[int] = []
    third = threading.Event()

    def values() -> Iterator[int | None]:
        for k in range(6):
            made.append(k)
            if k == 2:
                third.set()
            yield None
            yield k

    ahead = Ahead(values(), depth=2)
    assert next(ahead) == 0
    assert third.wait(5)
    assert [*ahead] == [1, 2, 3, 4, 5]
    assert next(ahead, None) is None
    ahead.close()
    lazy = Ahead(iter(range(100)), depth=3)
    lazy.close()
    assert not feeding()


def test_windows_are_turned_mirrored_and_wrap_around() -> None:
    field = torch.arange(9.0 * 11).reshape(9, 11)
    corner = (7, -3)
    upright = torch.roll(field, (-corner[0], -corner[1]), dims=(0, 1))[:5, :5]
    windows = Windows(5, (9, 11))
    places = windows.at(list(range(8)), [corner] * 8, torch.device("cpu"))
    cut = windows.cut(field.expand(8, 2, 9, 11), places)
    for turn in range(8):
        turned = torch.rot90(upright, turn % 4)
        assert torch.equal(cut[turn, 1], turned.flip(-1) if turn >= 4 else turned), turn


def test_a_grown_mask_reaches_as_far_on_every_side() -> None:
    masks = torch.zeros(2, 60, 70)
    masks[0, 30, 40], masks[1, 2, 68] = 1, 1
    expected = torch.zeros(2, 60, 70)
    expected[0, 18:43, 28:53], expected[1, :15, 56:] = 1, 1
    assert torch.equal(grown(masks), expected)
