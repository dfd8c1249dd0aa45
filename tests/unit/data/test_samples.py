"""Training samples: one interface over store and live simulator, and what a batch holds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError
from facetem.core.pixels import PIXEL
from facetem.data import samples
from facetem.data.chance import Shot
from facetem.data.generate import make_shard
from facetem.data.items import Item
from facetem.data.make import make_store
from facetem.data.recipe import PERFECT, SPLITS, Detector, Images, Microscope, Recipe
from facetem.data.recipe_file import recipe_from
from facetem.data.samples import Batch, SampleStream, draw_set
from facetem.data.sources import LiveSource, Share, Showing, Source, StoreSource, Visit
from facetem.data.store import create_store

SIZE = 64


PERFECT_CAMERA = (Detector(camera=PERFECT),)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return recipe_from(
        {
            "seed": 8,
            "field_nm": 5.6,
            "accuracy": "draft",
            "particles": {
                "shapes": ["decahedron", "tetrahedron"],
                "diameter_nm": [1.4, 1.8],
                "offset_nm": 0.4,
            },
            "films": {"kinds": "random", "thickness_nm": [0.5, 1], "hard_cores_A": [1.2]},
            "images": {"dose_per_A2": [500, 5000], "neighbour": 0.0},
            "stored": {"shard": 2},
        }
    )


@pytest.fixture(scope="module")
def store(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("samples") / "store"
    make_store(recipe, path, n=4)
    return path


@pytest.fixture(scope="module")
def live(recipe: Recipe) -> LiveSource:
    return LiveSource(recipe, split="train", n=4, batch=4)


def shown(source: Source, indices: list[int], rounds: list[int] | int = 0) -> list[Showing]:
    """Showings of those specimens, each with the one before it as its mate."""
    numbers = [rounds] * len(indices) if isinstance(rounds, int) else rounds
    mates = [None, *indices[:-1]]
    group = [Visit(i, r, m) for i, r, m in zip(indices, numbers, mates, strict=True)]
    return next(s for s in source.load([group]) if s)


def item(source: Source, index: int) -> Item:
    return shown(source, [index])[0].item


def epoch(source: Source, number: int, share: Share | None = None) -> list[int]:
    return [visit.index for group in source.order(number, share or Share()) for visit in group]


def draw(source: Source, indices: list[int], seed: int = 0, size: int = SIZE) -> Batch:
    """A batch in which every showing is another one."""
    stream = SampleStream(source.recipe, split="train", size=size, seed=seed)
    return stream.draw(shown(source, indices, list(range(len(indices)))))


def tensors(batch: Batch | Item) -> dict[str, torch.Tensor]:
    return {name: value for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """To the last bit; what does not apply (NaN) is the same as itself."""
    return one.shape == other.shape and bool(torch.isclose(one, other, rtol=0, atol=0, equal_nan=True).all())


def equal(one: Batch, other: Batch) -> bool:
    return all(same(a, b) for a, b in zip(tensors(one).values(), tensors(other).values(), strict=True))


def test_store_and_simulator_hand_out_the_same(store: Path, live: LiveSource, recipe: Recipe) -> None:
    stored = StoreSource(store)
    assert stored.recipe == live.recipe == recipe
    assert len(stored) == len(live) == 4
    for i in range(4):
        one, other = item(stored, i), item(live, i)
        assert (one.label, one.energy) == (other.label, other.energy)
        for name, value in tensors(other).items():
            loaded = tensors(one)[name]
            if name == "mask":
                assert torch.equal(loaded > 0, value > 0)
            else:
                assert loaded.dtype == torch.float16  # as on disk: half the memory, and half the way to a GPU
                assert float((loaded - value).abs().max()) < 1e-3 * max(1.0, float(value.abs().max())), name


def test_the_live_source_gives_each_specimen_whatever_its_batches(recipe: Recipe, live: LiveSource) -> None:
    pairs = LiveSource(recipe, split="train", n=4, batch=2)
    for i in (3, 0):
        torch.testing.assert_close(item(pairs, i).wave, item(live, i).wave, atol=1e-5, rtol=0)
    other = LiveSource(recipe, split="test", n=4, batch=1)
    assert float((item(other, 0).wave - item(live, 0).wave).abs().max()) > 0.1


@pytest.mark.parametrize("kind", ["store", "live", "repeated"])
def test_an_epoch_shows_every_specimen_equally_often(
    kind: str, store: Path, recipe: Recipe, live: LiveSource
) -> None:
    sources: dict[str, Source] = {
        "store": StoreSource(store),
        "live": live,
        "repeated": LiveSource(recipe, split="train", n=3, batch=2, repeats=2),
    }
    source = sources[kind]
    times = 2 if kind == "repeated" else 1
    seen = epoch(source, 0)
    assert sorted(seen) == sorted(list(range(len(source))) * times)
    assert epoch(source, 0) == seen
    assert len({tuple(epoch(source, number)) for number in range(8)}) > 1
    visits = [visit for number in range(3) for group in source.order(number, Share()) for visit in group]
    assert len(set(visits)) == len(visits)  # no specimen is shown twice as the same showing


@pytest.mark.slow
def test_atoms_built_by_other_processes_are_the_same(recipe: Recipe, live: LiveSource) -> None:
    ahead = LiveSource(recipe, split="train", n=4, batch=1, workers=1)
    loaded = ahead.load(ahead.order(0, Share()))
    seen = [showing for showings in loaded if showings for showing in showings]
    assert [showing.visit.index for showing in seen] == epoch(ahead, 0)
    for showing in seen:
        expected = item(live, showing.visit.index)
        torch.testing.assert_close(showing.item.wave, expected.wave, atol=1e-5, rtol=0)


def test_a_growing_store_is_taken_in(recipe: Recipe, tmp_path: Path) -> None:
    create_store(recipe, tmp_path / "growing", split="train", n=4)
    with pytest.raises(InputError, match="at least one whole shard, found none"):
        StoreSource(tmp_path / "growing")
    make_shard(tmp_path / "growing", 1)  # shards need not come in order
    source = StoreSource(tmp_path / "growing")
    assert len(source) == 2
    assert sorted(epoch(source, 0)) == [2, 3]  # a specimen's index is that of its recipe
    first = item(source, 2)
    make_shard(tmp_path / "growing", 0)
    assert len(source) == 2
    assert sorted(epoch(source, 1)) == [0, 1, 2, 3]
    assert torch.equal(item(source, 2).wave, first.wave)
    assert len(StoreSource(tmp_path / "growing", limit=2)) == 2


def test_the_same_seed_gives_the_same_batch(live: LiveSource) -> None:
    batches = [draw(live, [0, 2, 1], seed) for seed in (1, 1, 2)]
    assert equal(batches[0], batches[1])
    assert not equal(batches[0], batches[2])


@pytest.mark.parametrize("renewal", [1.0, 0.4])
def test_a_sample_is_the_same_in_any_batch_and_process(live: LiveSource, renewal: float) -> None:
    """What went before makes no difference either: another process has seen other showings."""
    one_beam = (Microscope(energies=(200e3,)),)
    always = live.recipe.model_copy(update={"images": Images(neighbour=1.0), "microscopes": one_beam})
    alike = LiveSource(always, split="train", n=4, batch=4)
    showings = [s for number in range(4) for s in shown(alike, [0, 1, 2, 3], number)]
    one = SampleStream(always, split="train", size=SIZE, renewal=renewal)
    whole = one.draw(showings)
    other = SampleStream(always, split="train", size=SIZE, renewal=renewal, memory=0)
    for k in (14, 3, 9):
        alone = other.draw([showings[k]])
        for name, value in tensors(alone).items():
            assert same(value[0], tensors(whole)[name][k]), name


def test_what_a_batch_holds(live: LiveSource) -> None:
    batch = draw(live, [0, 1, 2, 3, 0])
    for name in ("noisy", "clean", "target", "mask"):
        images = getattr(batch, name)
        assert images.shape == (5, SIZE, SIZE), name
        assert images.dtype == torch.float32, name
        assert bool(torch.isfinite(images).all()), name
    assert set(batch.mask.unique().tolist()) == {0.0, 1.0}
    names = ["decahedron", "tetrahedron", "decahedron", "tetrahedron", "decahedron"]
    assert [SHAPES[i] for i in batch.labels.tolist()] == names
    assert bool(((batch.dose >= 500) & (batch.dose <= 5000)).all())
    assert set(batch.energy.tolist()) <= set(live.recipe.microscopes[0].energies)
    assert len(set(batch.defocus.tolist())) == 5  # fresh optics, also for the specimen that comes twice


def test_an_image_that_was_kept_is_shown_until_it_is_due_and_no_longer(live: LiveSource) -> None:
    """A stream that remembers what it showed gives what one that has seen nothing gives."""
    remembering = SampleStream(live.recipe, split="train", size=SIZE, renewal=0.5)
    defocus = []
    for number in range(6):
        fresh = SampleStream(live.recipe, split="train", size=SIZE, renewal=0.5)
        one, other = (stream.draw(shown(live, [0], number)) for stream in (remembering, fresh))
        assert equal(one, other)
        defocus.append(float(one.defocus))
    assert 1 < len(set(defocus)) < 6


def test_noisy_is_clean_with_the_noise_of_its_dose(live: LiveSource) -> None:
    """A perfect camera: the difference has the variance 1 / (dose * pixel area)."""
    images = Images(dose=(400, 4000), coarse=0.0, neighbour=0.0)
    perfect = live.recipe.model_copy(update={"images": images, "cameras": PERFECT_CAMERA})
    source = LiveSource(perfect, split="train", n=4, batch=4)
    batch = draw(source, [0, 1, 2, 3])
    for noisy, clean, dose in zip(batch.noisy, batch.clean, batch.dose, strict=True):
        variance = float(clean.mean()) / (float(dose) * samples.PIXEL**2)
        assert float((noisy - clean).var()) == pytest.approx(variance, rel=5 * (2 / SIZE**2) ** 0.5)
        assert abs(float((noisy - clean).mean())) < 5 * (variance / SIZE**2) ** 0.5


def test_vacuum_is_about_one(live: LiveSource) -> None:
    batch = draw(live, [0, 1, 2, 3] * 3)
    substrate = batch.mask == 0
    for name in ("noisy", "clean", "target"):
        assert float(getattr(batch, name)[substrate].mean()) == pytest.approx(1, abs=0.03), name


def test_image_target_and_mask_are_of_the_same_place(live: LiveSource) -> None:
    """The particle is where the mask says, in the target and in the camera image, after shift, turn and mirror."""
    batch = draw(live, [0, 1, 2, 3] * 4)
    shown = batch.mask.sum((1, 2)) > 100  # of some windows the particle is but a corner
    assert shown.sum() > 10
    parts = (part[shown] for part in (batch.target, batch.clean, batch.mask > 0))
    for target, clean, mask in zip(*parts, strict=True):
        assert float(target[mask].std()) > 1.5 * float(target[~mask].std())
        mirrored = mask.flip(-1) & ~mask
        if int(mirrored.sum()) > 0.5 * int(mask.sum()):
            assert float(target[mirrored].std()) < float(target[mask].std())
        assert float(clean[mask].std()) > float(clean[~mask].std())


def test_turns_and_mirrors_are_all_drawn(live: LiveSource) -> None:
    batch = draw(live, [0] * 40, size=min(samples.image_shape(live.recipe)))
    upright = (item(live, 0).mask > 0).float()
    ways = [torch.rot90(upright, quarter).contiguous() for quarter in range(4)]
    ways += [way.flip(-1) for way in ways]
    found = {next(k for k, way in enumerate(ways) if torch.equal(way, mask)) for mask in batch.mask}
    assert found == set(range(8))


def test_renewal_says_how_often_a_specimen_is_imaged_afresh(live: LiveSource) -> None:
    def foci(renewal: float) -> set[float]:
        stream = SampleStream(live.recipe, split="train", size=SIZE, renewal=renewal)
        return {float(stream.draw(shown(live, [0], number)).defocus) for number in range(12)}

    assert len(foci(0.0)) == 1
    assert len(foci(1.0)) == 12
    assert 2 <= len(foci(0.4)) <= 9


def test_an_image_shown_again_has_new_noise(live: LiveSource) -> None:
    stream = SampleStream(live.recipe, split="train", size=SIZE, renewal=0.0)
    first, second = (stream.draw(shown(live, [0], number)) for number in range(2))
    assert float(first.defocus) == float(second.defocus)
    assert float(first.dose) != float(second.dose)
    assert not torch.equal(first.noisy, second.noisy)


def test_a_neighbour_comes_with_its_mask_and_target(live: LiveSource) -> None:
    """The second image of a pair shows part of the first's particle: more mask, and the target agrees."""
    one_beam = (Microscope(energies=(200e3,)),)
    always = live.recipe.model_copy(update={"images": Images(neighbour=1.0), "microscopes": one_beam})
    source = LiveSource(always, split="train", n=4, batch=4)
    whole = min(samples.image_shape(always))
    batch = draw(source, [0, 1] * 4, size=whole)
    own = torch.tensor([float((item(live, i).mask > 0).sum()) for i in [0, 1] * 4])
    seen = batch.mask.sum((-1, -2))
    assert float(seen[0]) == float(own[0])  # the first has no mate
    assert int((seen[1:] > 1.3 * own[1:]).sum()) >= 4
    for target, mask in zip(batch.target, batch.mask > 0, strict=True):
        assert float(target[mask].std()) > 1.5 * float(target[~mask].std())


def test_both_of_a_pair_are_seen_through_one_lens(live: LiveSource) -> None:
    """And with one beam: no micrograph shows two particles at different voltages."""
    two_beams = Microscope(energies=(200e3, 300e3), defocus=(-200.0, 200.0))
    always = live.recipe.model_copy(update={"images": Images(neighbour=1.0), "microscopes": (two_beams,)})
    stream = SampleStream(always, split="train", size=SIZE, renewal=0.3)
    first, mate = (replace(item(live, i), energy=200e3) for i in range(2))
    for number in range(8):
        alike = stream.chance.draw([Visit(0, number, 1)], [(first.energy, mate.energy)])[0]
        assert alike.mate == Shot(1, alike.shot.round, under=0)
        other = stream.chance.draw([Visit(0, number, 1)], [(first.energy, 300e3)])[0]
        assert other.mate is None
        assert (other.exposure, other.lens) == (alike.exposure, alike.lens)
    # What is kept to be shown again is the mate's own image, not the one beside another specimen.
    beside = stream.draw([Showing(Visit(0, 0, 1), first, mate)])
    alone = stream.draw([Showing(Visit(1, 0, None), mate)])
    fresh = SampleStream(always, split="train", size=SIZE, renewal=0.3).draw(
        [Showing(Visit(1, 0, None), mate)]
    )
    assert torch.equal(alone.clean, fresh.clean)
    assert float(beside.energy[0]) == first.energy


def test_a_drawn_set_shows_neighbours_too(recipe: Recipe) -> None:
    """They are what an image must not be called unfamiliar for: sets to calibrate with need them as training does."""
    recipe = recipe.model_copy(update={"microscopes": (Microscope(energies=(200e3,)),)})
    alone, beside = (
        draw_set(
            recipe.model_copy(update={"images": recipe.images.model_copy(update={"neighbour": part})}),
            split="validation",
            n=6,
            size=128,
        )
        for part in (0.0, 1.0)
    )
    torch.testing.assert_close(alone.labels, beside.labels)
    assert (beside.mask.sum((1, 2)) >= alone.mask.sum((1, 2))).all()
    assert (beside.mask.sum((1, 2)) > 1.05 * alone.mask.sum((1, 2))).sum() >= 2


def test_a_drawn_set_is_drawn_again(recipe: Recipe) -> None:
    told: list[tuple[int, int]] = []
    one = draw_set(recipe, split="test", n=3, size=SIZE, progress=lambda *step: told.append(step))
    again, other = (draw_set(recipe, split="test", n=n, size=SIZE, seed=s) for n, s in ((2, 0), (2, 1)))
    assert told == [(2, 3), (3, 3)]
    assert torch.equal(one.noisy[:2], again.noisy)  # a shorter set is the beginning of a longer one
    assert not torch.equal(other.noisy, again.noisy)
    assert one.noisy.shape == (3, SIZE, SIZE)


def test_no_split_is_imaged_as_another(recipe: Recipe) -> None:
    """Sample i of the test has other optics, another dose and other noise than the sample i that calibrates."""
    splits = [draw_set(recipe, split=split, n=4, size=SIZE) for split in SPLITS]
    for name in ("dose", "defocus"):
        values = torch.stack([getattr(batch, name) for batch in splits])
        assert len(values.unique()) == values.numel(), name


def test_a_sample_larger_than_the_field_is_refused(live: LiveSource) -> None:
    with pytest.raises(InputError, match="size: expected at most 140 px, the recipe's field, got 256"):
        SampleStream(live.recipe, split="train", size=256)


def test_drift_blurs_along_its_way_alone(live: LiveSource) -> None:
    """At a drift of d along a direction, a frequency k along it keeps sin(pi k d) / (pi k d), across it all."""
    still = live.recipe.model_copy(
        update={
            "cameras": (Detector(camera=PERFECT),),
            "images": Images(dose=(1e7, 1e7), coarse=0, neighbour=0),
        }
    )
    moving = still.model_copy(update={"images": still.images.model_copy(update={"drift": (3.0, 3.0)})})
    showings = shown(live, [0, 1, 2, 3])
    first, blurred = (
        SampleStream(recipe, split="train", size=128, seed=4).draw(showings) for recipe in (still, moving)
    )
    torch.testing.assert_close(first.clean, blurred.clean)  # nothing else is drawn differently
    ky, kx = np.meshgrid(*2 * [np.fft.fftfreq(128, PIXEL)], indexing="ij")
    low = np.hypot(ky, kx) < 0.3  # where the image has power, before the first zero at 1 / 3 Å
    for a, b in zip(first.noisy.double().numpy(), blurred.noisy.double().numpy(), strict=True):
        before, after = np.fft.fft2(a), np.fft.fft2(b)
        fits = []
        for way in np.radians(np.arange(0, 180, 10)):
            gain = np.sinc(3.0 * (kx * np.cos(way) + ky * np.sin(way)))
            fits.append(np.linalg.norm((after - gain * before)[low]) / np.linalg.norm((after - before)[low]))
        assert min(fits) < 0.3 < 0.9 < max(fits)


def test_coarse_images_end_at_their_band(live: LiveSource) -> None:
    """As larger camera pixels would have held them: nothing beyond, everything below."""
    images = Images(coarse=1.0, band=(0.6, 0.6), neighbour=0.0)
    coarse = live.recipe.model_copy(update={"images": images, "cameras": PERFECT_CAMERA})
    source = LiveSource(coarse, split="train", n=2, batch=2)
    batch = draw(source, [0, 1])
    power = torch.fft.fft2(batch.noisy).abs() ** 2
    k = torch.fft.fftfreq(SIZE, samples.PIXEL).abs()
    beyond = (k[:, None] > 0.61) | (k[None, :] > 0.61)
    assert float(power[:, beyond].max()) < 1e-6 * float(power[:, ~beyond].mean())
    assert float(power[:, ~beyond].min()) > 0


def test_the_particle_takes_electrons_away_as_its_thickness_says(live: LiveSource) -> None:
    def images(loss: float) -> Batch:
        microscopes = (Microscope(lossy=1.0, loss=(loss, loss)),)
        lossy = live.recipe.model_copy(update={"microscopes": microscopes})
        source = LiveSource(lossy, split="train", n=2, batch=2)
        return draw(source, [0, 1])

    kept, lost = images(0.0), images(0.01)
    torch.testing.assert_close(lost.clean, kept.clean * torch.exp(-0.01 * kept.thickness))
    assert float(lost.clean.min()) < 0.95 * float(kept.clean.min())
    assert torch.equal(lost.target, kept.target)
