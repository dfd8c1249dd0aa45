"""Stores: what is written, what a stop leaves, and what another recipe may not do."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from facetem.core.contrast import contrast
from facetem.core.errors import InputError
from facetem.data import generate
from facetem.data.draw import PIXEL, draw_specimen
from facetem.data.generate import create_store, make_store, open_store
from facetem.data.recipe import Recipe
from facetem.data.recipe_file import recipe_from
from facetem.data.specimens import FOCUS_REACH, FOCUS_STEP, TARGET_OPTICS, WAVE_BAND, truth_of
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.optics import clean_images


@pytest.fixture(scope="module", autouse=True)
def small_shards() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "SHARD", 2)
        yield


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return recipe_from(
        {
            "seed": 3,
            "field_nm": 4.8,
            "accuracy": "draft",
            "particles": {"shapes": ["icosahedron", "cube"], "diameter_nm": [1.4, 1.8], "offset_nm": 0.2},
            "films": {"kinds": "random", "thickness_nm": [0.5, 1], "hard_cores_A": [1.2]},
        }
    )


Told = list[tuple[int, int]]


@pytest.fixture(scope="module")
def told() -> Told:
    return []


@pytest.fixture(scope="module")
def whole(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory, told: Told) -> Path:
    """A store of four specimens in two shards, made in one go."""
    path = tmp_path_factory.mktemp("store") / "whole"
    make_store(recipe, path, n=3, split="train", progress=lambda *step: told.append(step))
    return path


def diameters(recipe: Recipe) -> list[float]:
    """Of the particles of the first four specimens [Å]."""
    return [float(draw_specimen(recipe, "train", i).particles[0]["diameter"]) for i in range(4)]


def contents(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a store, by name."""
    store = open_store(path)
    return {p.parent.name: store.array(p.parent.name)[:] for p in path.glob("*/zarr.json")}


def test_a_store_holds_whole_shards_and_their_labels(whole: Path, recipe: Recipe, told: Told) -> None:
    store = open_store(whole)
    assert store.recipe == recipe
    assert store.split == "train"
    assert store.shards() == [0, 1]
    labels = store.labels()
    assert labels["index"].tolist() == [0, 1, 2, 3]
    assert labels["label"].tolist() == ["icosahedron", "cube"] * 2
    assert told == [(2, 4), (4, 4)]
    arrays = contents(whole)
    assert arrays["waves"].shape[:2] == (4, 2)
    assert arrays["waves"].dtype == np.float16
    assert arrays["targets"].shape == arrays["masks"].shape == (4, 120, 120)
    for i, row in labels.iterrows():
        specimen = draw_specimen(recipe, "train", int(row["index"]))
        assert row["energy"] == specimen.energy
        assert row["side"] == specimen.atoms.info["side"], i


def test_a_sample_does_not_depend_on_its_neighbours(whole: Path, recipe: Recipe) -> None:
    """Specimen 3 alone is specimen 3 of the store, to half precision."""
    alone = truth_of([draw_specimen(recipe, "train", 3)], recipe, "cpu")
    arrays = contents(whole)
    wave = torch.view_as_real(alone.waves[0]).movedim(-1, 0).numpy()
    np.testing.assert_allclose(arrays["waves"][3], wave, atol=2e-3)
    np.testing.assert_allclose(arrays["targets"][3], alone.targets[0], atol=2e-3)
    np.testing.assert_array_equal(arrays["masks"][3], alone.masks[0] > 0)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_run_that_was_stopped_is_finished_to_the_same_store(
    whole: Path, recipe: Recipe, tmp_path: Path, lost: int
) -> None:
    """A kill within a shard: its arrays are half there, its labels are not."""
    import shutil

    import zarr

    before = contents(whole)
    copy = tmp_path / "stopped"
    shutil.copytree(whole, copy)
    (copy / "labels" / f"{lost:05d}.parquet").unlink()
    zarr.open_array(copy / "waves", mode="r+")[2 * lost] = 0
    assert open_store(copy).shards() == [1 - lost]
    told: Told = []
    make_store(recipe, copy, n=4, split="train", progress=lambda *step: told.append(step))
    assert told == [(4, 4)]  # the other shard was not made again
    after = contents(copy)
    assert {"waves", "targets", "masks"} <= set(before)
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values, err_msg=name)
    assert open_store(copy).labels().equals(open_store(whole).labels())


def test_a_finished_store_is_left_alone(whole: Path, recipe: Recipe) -> None:
    def stamps() -> dict[Path, int]:
        return {p: p.stat().st_mtime_ns for p in whole.rglob("*") if p.is_file()}

    before = stamps()
    make_store(recipe, whole, n=4, split="train")
    assert stamps() == before


def test_extending_gives_what_one_run_gives(whole: Path, recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "grown"
    make_store(recipe, path, n=2, split="train")
    assert open_store(path).shards() == [0]
    make_store(recipe, path, n=4, split="train")
    for name, values in contents(path).items():
        np.testing.assert_array_equal(values, contents(whole)[name])


def test_shards_that_are_missing_in_the_middle_are_not_counted(whole: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "gap"
    shutil.copytree(whole, copy)
    (copy / "labels" / "00000.parquet").unlink()
    assert open_store(copy).labels()["index"].tolist() == [2, 3]


def test_waves_hold_the_band_and_masks_the_particle(whole: Path, recipe: Recipe) -> None:
    arrays = contents(whole)
    waves = torch.complex(*torch.as_tensor(arrays["waves"]).float().unbind(1))
    power = torch.fft.fft2(waves).abs().square().mean(0)
    k = np.fft.fftfreq(waves.shape[-1], recipe.field / waves.shape[-1])
    beyond = torch.as_tensor(np.hypot(*np.meshgrid(k, k)) > WAVE_BAND + 0.01)
    assert float(power[beyond].sum() / power.sum()) < 1e-6  # rounding to half precision
    for mask, diameter in zip(arrays["masks"], diameters(recipe), strict=True):
        across = 2 * (mask.sum() * PIXEL**2 / np.pi) ** 0.5
        assert 0.9 * diameter < across < 1.5 * diameter


def test_targets_show_the_particle_where_the_mask_is(whole: Path) -> None:
    arrays = contents(whole)
    for target, mask in zip(arrays["targets"].astype(np.float32), arrays["masks"], strict=True):
        assert target[mask].std() > 1.5 * target[~mask].std()
        assert target[~mask].mean() == pytest.approx(1, abs=0.05)
        # Shifted by a third of the field, the mask is somewhere else.
        assert target[np.roll(mask, 40, axis=1) & ~mask].std() < target[mask].std() / 1.5


def test_targets_have_the_best_contrast_of_their_focal_series(recipe: Recipe) -> None:
    specimen = draw_specimen(recipe, "train", 1)
    truth = truth_of([specimen], recipe, "cpu")
    height = float(specimen.atoms.cell.lengths()[2]) - specimen.atoms.info["particle_z"][0]
    foci = height + np.arange(-FOCUS_REACH, FOCUS_REACH + 1, FOCUS_STEP)
    assert np.abs(foci - truth.focus[0]).min() < 1e-6
    series = clean_images(
        truth.waves.expand(len(foci), -1, -1),
        truth.grid,
        energies=[specimen.energy] * len(foci),
        optics=[replace(TARGET_OPTICS, aberrations=Aberrations(defocus=float(f))) for f in foci],
        shape=truth.targets.shape[-2:],
        band=WAVE_BAND,
    )
    reached = contrast(series, truth.masks > 0)
    assert float(contrast(truth.targets[0], truth.masks[0] > 0)) > 0.97 * float(reached.max())
    assert float(reached.max()) > 1.2 * float(reached.min())


@pytest.mark.parametrize("workers", [2])
@pytest.mark.slow
def test_workers_give_the_same(recipe: Recipe, tmp_path: Path, workers: int) -> None:
    """Other processes know nothing of this one's small shards, so this is one shard of the true size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "SHARD", 64)
        store = make_store(recipe, tmp_path / "parallel", n=1, split="validation", workers=workers)
        row = store.array("targets")[63].astype(np.float32)
    alone = truth_of([draw_specimen(recipe, "validation", 63)], recipe, "cpu")
    np.testing.assert_allclose(row, alone.targets[0], atol=2e-3)


def test_another_recipe_or_split_is_refused(whole: Path, recipe: Recipe) -> None:
    for other, split in ((recipe.model_copy(update={"seed": 4}), "train"), (recipe, "test")):
        with pytest.raises(InputError, match="holds another recipe or split; choose another folder"):
            make_store(other, whole, n=4, split=split)  # type: ignore[arg-type]
    assert open_store(whole).shards() == [0, 1]


def test_bad_stores_are_named(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"expected a data set made by facetem, found no readable manifest\.json"
    ):
        open_store(tmp_path / "absent")
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="found no readable manifest"):
        open_store(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 99, "split": "train"}))
    with pytest.raises(InputError, match=f"expected store format {generate.FORMAT}, got 99"):
        open_store(tmp_path)
    with pytest.raises(InputError, match="split: expected one of train, validation, test, got 'training'"):
        create_store(recipe, tmp_path / "new", split="training", n=2)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="n: expected at least 1 specimen, got 0"):
        create_store(recipe, tmp_path / "new", split="train", n=0)
    empty = create_store(recipe, tmp_path / "new", split="train", n=2)
    with pytest.raises(InputError, match="at least one whole shard"):
        empty.labels()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a folder that can be written"):
        create_store(recipe, tmp_path / "file" / "store", split="train", n=2)
