"""Shards: what is in them, and that a specimen does not depend on who else is there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy.ndimage import gaussian_filter

from facetem.core.contrast import contrast
from facetem.core.errors import InputError
from facetem.core.physics import interaction_parameter
from facetem.core.pixels import PIXEL
from facetem.data.draw import draw_specimen
from facetem.data.generate import encoded_table, make_shard, shard_files
from facetem.data.items import simulated
from facetem.data.recipe import Recipe, Stored
from facetem.data.samples import SampleStream
from facetem.data.sources import Showing, Visit
from facetem.data.specimens import FOCUS_REACH, FOCUS_STEP, TARGET_OPTICS, WAVE_BAND, truth_of
from facetem.data.store import ARRAYS, create_store, open_store
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.optics import clean_images
from facetem.hrtem.scattering import scattering_factor


@pytest.fixture(scope="module")
def arrays(small_store: Path) -> dict[str, np.ndarray]:
    """All arrays of the data set, by name."""
    store = open_store(small_store)
    return {name: store.array(name)[:] for name in ARRAYS}


def test_a_shard_holds_specimens_and_their_rows(
    small_store: Path, small_recipe: Recipe, arrays: dict[str, np.ndarray]
) -> None:
    store = open_store(small_store)
    labels, particles = store.labels(), store.particles()
    assert labels["index"].tolist() == [0, 1, 2, 3]
    assert labels["label"].tolist() == ["icosahedron", "cube"] * 2
    assert {name: values.dtype.name for name, values in arrays.items()} == {
        "waves": "float16",
        "targets": "float16",
        "masks": "uint8",
        "thickness": "float16",
    }
    assert arrays["waves"].shape[:2] == (4, 2)
    assert arrays["targets"].shape == arrays["masks"].shape == arrays["thickness"].shape == (4, 120, 120)
    for i in range(4):
        specimen = draw_specimen(small_recipe, "train", i)
        row = labels.loc[i].to_dict()
        assert {name: row[name] for name in specimen.parameters} == specimen.parameters
        mine = particles[particles["index"] == i]
        assert mine["particle"].tolist() == list(range(1, len(specimen.particles) + 1))
        for told, drawn in zip(mine.to_dict("records"), specimen.particles, strict=True):
            for name, value in drawn.items():
                assert told[name] == value or (np.isnan(told[name]) and np.isnan(float(value))), name
        np.testing.assert_array_equal(arrays["masks"][i], specimen.masks)
        np.testing.assert_allclose(arrays["thickness"][i], specimen.thickness, rtol=1e-3, atol=1e-6)


def test_the_compact_form_of_waves_is_as_close_as_documented(
    small_recipe: Recipe, arrays: dict[str, np.ndarray]
) -> None:
    alone = truth_of([draw_specimen(small_recipe, "train", 3)], small_recipe, "cpu").waves[0]
    kept = torch.complex(*torch.as_tensor(arrays["waves"][3]).float())
    error = (kept - alone).abs()
    assert float(error.max()) < 6e-4
    assert float(error.square().mean().sqrt()) < 2.2e-4


def test_bytes_depend_neither_on_the_size_of_shards_nor_on_threads(
    small_store: Path, small_recipe: Recipe, tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    larger = small_recipe.model_copy(update={"stored": Stored(shard=3)})
    other = create_store(larger, tmp_path / "large", split="train", n=3)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        make_shard(other.path, 0)
        assert torch.get_num_threads() == 2  # as before
        again = shard_files(open_store(small_store), 1, "cpu")
    finally:
        torch.set_num_threads(threads)
    for name in ARRAYS:
        np.testing.assert_array_equal(other.array(name)[:], arrays[name][:3], err_msg=name)
    assert open_store(other.path).labels().equals(open_store(small_store).labels()[:3])
    for name, content in again.items():
        assert (small_store / name).read_bytes() == content, name


def test_another_version_makes_no_shard(
    small_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = create_store(small_recipe, tmp_path / "store", split="train", n=2)
    monkeypatch.setattr("facetem.data.generate.version", lambda name: "9.9")
    with pytest.raises(InputError, match=r"made by facetem .*, and this is 9\.9"):
        make_shard(store.path, 0)
    assert store.shards() == []


def test_columns_have_one_type_whatever_rows_come_together(tmp_path: Path) -> None:
    rows = [{"index": 0, "z": 1, "side": "exit"}, {"index": 1, "z": 1.5, "alloy": "AuPd", "bare": True}]
    (tmp_path / "some.parquet").write_bytes(encoded_table(rows, {"index": 0}))
    (tmp_path / "none.parquet").write_bytes(encoded_table([], {"index": 0, "particle": 0}))
    some = pq.read_table(tmp_path / "some.parquet")
    assert {field.name: str(field.type) for field in some.schema} == {
        "index": "int64",
        "z": "double",
        "side": "string",
        "alloy": "string",
        "bare": "bool",
    }
    assert some["alloy"].to_pylist() == [None, "AuPd"]
    assert pq.read_schema(tmp_path / "none.parquet").names == ["index", "particle"]


def test_waves_hold_the_band_and_masks_the_particle(
    small_store: Path, small_recipe: Recipe, arrays: dict[str, np.ndarray]
) -> None:
    waves = torch.complex(*torch.as_tensor(arrays["waves"]).float().unbind(1))
    power = torch.fft.fft2(waves).abs().square().mean(0)
    k = np.fft.fftfreq(waves.shape[-1], small_recipe.field / waves.shape[-1])
    beyond = torch.as_tensor(np.hypot(*np.meshgrid(k, k)) > WAVE_BAND + 0.01)
    assert float(power[beyond].sum() / power.sum()) < 1e-6  # rounding to half precision
    diameters = open_store(small_store).particles()["diameter"]
    for mask, diameter in zip(arrays["masks"], diameters, strict=True):
        across = 2 * ((mask > 0).sum() * PIXEL**2 / np.pi) ** 0.5
        assert 0.9 * diameter < across < 1.5 * diameter


def test_targets_show_the_particle_where_the_mask_is(arrays: dict[str, np.ndarray]) -> None:
    for target, mask in zip(arrays["targets"].astype(np.float32), arrays["masks"] > 0, strict=True):
        assert target[mask].std() > 1.5 * target[~mask].std()
        assert target[~mask].mean() == pytest.approx(1, abs=0.05)
        # Shifted by a third of the field, the mask is somewhere else.
        assert target[np.roll(mask, 40, axis=1) & ~mask].std() < target[mask].std() / 1.5


def test_targets_have_the_best_contrast_of_their_focal_series(small_recipe: Recipe) -> None:
    specimen = draw_specimen(small_recipe, "train", 1)
    truth = truth_of([specimen], small_recipe, "cpu")
    height = float(specimen.atoms.cell.lengths()[2]) - specimen.atoms.info["particle_z"][0]
    foci = height + np.arange(FOCUS_STEP, FOCUS_REACH + 1, FOCUS_STEP)
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
    assert truth.focus[0] > height  # underfocus


def test_a_vacuum_target_shows_the_particle_without_its_film(small_recipe: Recipe) -> None:
    specimen = draw_specimen(small_recipe, "train", 1)
    assert (specimen.atoms.get_tags() == 0).any()
    whole, alone = (
        truth_of([specimen], small_recipe.model_copy(update={"target": target}), "cpu")
        for target in ("best_focus", "vacuum")
    )
    torch.testing.assert_close(alone.waves, whole.waves)  # what is imaged keeps its film
    outside = whole.masks[0] == 0
    assert float(alone.targets[0][outside].std()) < 0.5 * float(whole.targets[0][outside].std())
    seen = torch.stack([one.targets[0][~outside] for one in (whole, alone)])
    assert float(torch.corrcoef(seen)[0, 1]) > 0.6  # the same lattice at the same place


def test_a_phase_target_is_that_of_the_potential(small_recipe: Recipe) -> None:
    recipe = small_recipe.model_copy(update={"target": "phase"})
    specimen = draw_specimen(recipe, "train", 3)
    truth = truth_of([specimen], recipe, "cpu")
    phase = truth.targets[0].double().numpy() - 1
    # Its mean is sigma times the sum over the atoms of the integrals of their potentials, h^2 f(0) / (2 pi m e) each.
    numbers = specimen.atoms.numbers
    integrals = {z: 47.878 * float(scattering_factor(int(z), torch.zeros(1))[0]) for z in set(numbers)}
    mean = interaction_parameter(specimen.energy) * sum(integrals[z] for z in numbers) / recipe.field**2
    assert phase.mean() == pytest.approx(mean, rel=2e-3)
    assert phase[truth.masks[0].numpy() > 0].mean() > 3 * phase[truth.masks[0].numpy() == 0].mean()
    stream = SampleStream(recipe, split="train", size=64, seed=0)
    shown = [Showing(Visit(3, 0, None), simulated(truth, 0, specimen))]
    batch = stream.draw(shown)
    columns = batch.target[0] - batch.target[0].mean()
    assert float((columns * batch.thickness[0]).sum()) > 0  # atoms bright, whatever the image shows


def test_targets_show_atoms_dark(small_recipe: Recipe) -> None:
    """Whatever the specimen: over- and underfocus give nearly the same contrast, and opposite lattices."""
    specimens = [draw_specimen(small_recipe, "train", index) for index in range(4)]
    truth = truth_of(specimens, small_recipe, "cpu")
    n = truth.targets.shape[-1]
    for specimen, target, mask in zip(specimens, truth.targets.numpy(), truth.masks.numpy(), strict=True):
        particle = specimen.atoms[specimen.atoms.get_tags() > 0]
        edges = np.linspace(0, small_recipe.field, n + 1)
        columns = np.histogram2d(particle.positions[:, 1], particle.positions[:, 0], [edges, edges])[0]
        columns = gaussian_filter(columns, 1.0) - gaussian_filter(
            columns, 6.0
        )  # the lattice without the outline
        inside = mask > 0
        assert np.corrcoef(columns[inside], target[inside])[0, 1] < -0.3
