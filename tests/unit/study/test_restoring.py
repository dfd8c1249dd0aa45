"""How well images are restored from a focus, told of a restorer whose answers are known."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from facetem.core.pixels import PIXEL
from facetem.data.conditions import draw_optics
from facetem.data.recipe import Recipe
from facetem.data.samples import Batch
from facetem.study.restoring import WIDTH, FocusScores, at_focus, focus_scores, smoothed

SIDE = 128


@pytest.mark.parametrize("microscope", [0, 1], ids=["corrected", "conventional"])
def test_at_one_focus_all_else_is_as_it_was_drawn(microscope: int) -> None:
    """Of a microscope whose focus goes with its spherical aberration as well."""
    recipe = Recipe()
    before, there = (one.microscopes[microscope] for one in (recipe, at_focus(recipe, -75.0)))
    for seed in range(5):
        drawn, moved = (draw_optics(m, 300e3, np.random.default_rng(seed)) for m in (before, there))
        assert moved == drawn.at(-75.0)


@pytest.fixture(scope="module")
def samples() -> Batch:
    """Two discs with fringes; where they were recorded the contrast is turned over."""
    y, x = torch.meshgrid(torch.arange(SIDE) - 64.0, torch.arange(SIDE) - 64.0, indexing="ij")
    disc = torch.hypot(y, x) < 40
    generator = torch.Generator().manual_seed(0)
    ground = 0.02 * torch.randn(2, SIDE, SIDE, generator=generator)
    fringes = [torch.cos(2 * math.pi * PIXEL * (x + slope * y) / 2.5) for slope in (0.5, -0.4)]
    target = 1 + ground + disc * 0.2 * torch.stack(fringes)
    clean, mask, none = 2 - target, disc.float().expand(2, -1, -1), torch.zeros(2)
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=generator)
    return Batch(noisy, clean, target, mask, mask, none.long(), *6 * [none])


@dataclass(frozen=True)
class Answer:
    image: np.ndarray
    denoised: np.ndarray
    spread: np.ndarray


class Knowing:
    """Restores with errors that grow from left to right, and denoises without any; remembers its seeds."""

    def __init__(self, samples: Batch, spread: Callable[[np.ndarray], np.ndarray] = np.abs) -> None:
        self.samples, self.spread, self.seeds = samples, spread, []

    def restore(self, field: np.ndarray, *, seed: int) -> Answer:
        self.seeds.append(seed)
        (i,) = (i for i, noisy in enumerate(self.samples.noisy.numpy()) if np.array_equal(noisy, field))
        ramp = np.linspace(0, 0.02, SIDE)
        error = (ramp * np.random.default_rng(seed).choice([-1, 1], (SIDE, SIDE))).astype(np.float32)
        return Answer(
            self.samples.target[i].numpy() + error, self.samples.clean[i].numpy(), self.spread(error)
        )


def scored(samples: Batch, restorer: Knowing, **more: object) -> FocusScores:
    return focus_scores(samples, restorer, defocus=75.0, filters={}, **more)


def test_restored_images_are_compared_with_the_targets_and_denoised_ones_with_the_clean(
    samples: Batch,
) -> None:
    told: list[tuple[int, int]] = []
    restorer = Knowing(samples)
    found = scored(samples, restorer, progress=lambda *step: told.append(step))
    assert found.defocus == 75
    assert found.scores["restored"].lattice == pytest.approx(1, abs=0.01)
    assert found.scores["noise-free at its own focus"].lattice == pytest.approx(-1, abs=1e-3)
    assert found.scores["raw"].lattice < -0.9  # it shows the lattice turned over
    assert found.own["raw"].lattice > 0.9
    assert found.own["denoised"].psnr > 60
    assert told == [(1, 2), (2, 2)]
    assert len(set(restorer.seeds)) == 2


def test_whoever_knows_the_target_filters_as_well_as_a_filter_can(samples: Batch) -> None:
    found = scored(samples, Knowing(samples))
    assert (
        found.scores["best linear filter"].lattice > 0.9
    )  # it turns the lattice back, which no Gaussian does
    assert found.scores["best Gaussian"].lattice < 0
    assert found.own["raw"].psnr < found.own["best Gaussian"].psnr < found.own["denoised"].psnr - 10


def test_filters_are_given_the_noisy_image_and_its_pixel_size(samples: Batch) -> None:
    given: list[tuple[np.ndarray, float]] = []

    def nothing(image: np.ndarray, sampling: float) -> np.ndarray:
        given.append((image, sampling))
        return image

    found = focus_scores(samples, Knowing(samples), defocus=0.0, filters={"nothing": nothing})
    assert found.scores["nothing"] == found.scores["raw"]
    assert found.own["nothing"] == found.own["raw"]
    assert [sampling for _, sampling in given] == [PIXEL, PIXEL]


def test_a_spread_that_is_large_where_the_error_is_ranks_as_it_does(samples: Batch) -> None:
    assert scored(samples, Knowing(samples)).spearman == pytest.approx(1, abs=0.01)  # but for rounding
    upside_down = Knowing(samples, lambda error: 0.1 - np.abs(error))
    assert scored(samples, upside_down).spearman == pytest.approx(-1, abs=0.01)


def test_errors_are_compared_by_their_magnitudes_after_a_gaussian_of_two_angstroms() -> None:
    """Or errors of both signs would cancel where they are largest."""
    signs = np.random.default_rng(0).choice([-2.0, 2.0], (64, 64))
    np.testing.assert_allclose(smoothed(signs), np.full(64, 2.0))
    point = np.zeros((64, 64))
    point[32, 32] = -1
    row = smoothed(point).reshape(8, 8)[4]
    assert WIDTH * PIXEL == 2
    assert row[4] == pytest.approx(1 / (2 * np.pi * 5**2), rel=0.01)
    assert row[5] / row[4] == pytest.approx(np.exp(-(8**2) / (2 * 5**2)), rel=0.01)
