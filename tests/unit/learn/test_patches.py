import tracemalloc

import numpy as np
import pytest
import torch

from facetem.learn.patches import Blend, Patch, draw_patches

SIDE = 32


@pytest.mark.parametrize("shape", [(32, 32), (33, 40), (32, 200), (150, 97)])
@pytest.mark.parametrize("views", [1, 3, 9])
def test_every_pixel_is_shown_at_least_as_often_as_asked(shape: tuple[int, int], views: int) -> None:
    for seed in range(10):
        shown = np.zeros(shape, dtype=int)
        for patch in draw_patches(shape, SIDE, views, np.random.default_rng(seed)):
            assert 0 <= patch.y <= shape[0] - SIDE
            assert 0 <= patch.x <= shape[1] - SIDE
            shown[patch.y : patch.y + SIDE, patch.x : patch.x + SIDE] += 1
        assert shown.min() >= views


def test_little_more_is_computed_than_was_asked_for() -> None:
    patches = draw_patches((1000, 1000), SIDE, 4, np.random.default_rng(0))
    assert len(patches) * SIDE**2 < 4 * 1.6 * 1000**2


def test_neighbours_share_an_eighth_at_least() -> None:
    """What a network makes up at the edge of a patch is outweighed there."""
    for seed in range(20):
        rows: dict[int, list[int]] = {}
        for patch in draw_patches((SIDE, 500), SIDE, 1, np.random.default_rng(seed)):
            rows.setdefault(patch.y, []).append(patch.x)
        assert max(np.diff(row).max() for row in rows.values()) <= SIDE - SIDE // 8


def test_positions_are_random_and_follow_the_seed() -> None:
    draws = [draw_patches((200, 200), SIDE, 2, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert len({patch.x % SIDE for patch in draws[0]}) > 15
    assert [patch.y for patch in draws[0]] == sorted(patch.y for patch in draws[0])


def test_eight_views_of_one_place_are_the_eight_turns() -> None:
    image = torch.arange(SIDE**2).reshape(SIDE, SIDE)
    seen = [patch.seen(image) for patch in draw_patches((SIDE, SIDE), SIDE, 8, np.random.default_rng(2))]
    assert len({tuple(view.flatten().tolist()) for view in seen}) == 8


@pytest.mark.parametrize("quarter", range(4))
@pytest.mark.parametrize("mirror", [False, True])
def test_an_answer_is_laid_back_as_the_image_lies(quarter: int, mirror: bool) -> None:
    image = torch.randn(2, 5, 5)
    patch = Patch(0, 0, quarter, mirror)
    assert torch.equal(patch.laid_back(patch.seen(image)), image)


def test_blend_is_the_weighted_mean_of_all_that_covers_a_pixel() -> None:
    """Against sums over the whole field, which need no rows to be let go."""
    rng = np.random.default_rng(3)
    shape = (130, 90)
    patches = draw_patches(shape, SIDE, 5, rng)
    answers = np.abs(rng.normal(size=(len(patches), 4, SIDE, SIDE))).astype(np.float32)
    blend = Blend(shape, SIDE)
    layers = np.full((len(patches), 4, *shape), np.nan)
    weights = np.zeros((len(patches), *shape))
    ramp = np.sin(np.pi * (np.arange(SIDE) + 0.5) / SIDE) ** 2
    for i, (patch, answer) in enumerate(zip(patches, answers, strict=True)):
        blend.add(patch, answer)
        here = np.s_[patch.y : patch.y + SIDE, patch.x : patch.x + SIDE]
        layers[i][:, *here], weights[i][here] = answer, ramp[:, None] * ramp + 1e-4
    blend.finish()
    values = np.nan_to_num(layers)
    total = weights.sum(0)
    mean = (weights * values[:, 0]).sum(0) / total
    variance = (weights * (values[:, 0] - mean) ** 2).sum(0) / total / (1 - (weights**2).sum(0) / total**2)
    np.testing.assert_allclose(blend.image, mean, rtol=1e-5, atol=1e-6)
    stated, mask, denoised = ((weights * values[:, i]).sum(0) / total for i in (1, 2, 3))
    np.testing.assert_allclose(blend.mask, mask, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(blend.denoised, denoised, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(blend.spread, np.sqrt(variance + stated), rtol=1e-4, atol=1e-5)


def test_memory_is_that_of_the_results_and_one_row_of_patches() -> None:
    """A field eight times as high takes eight times the results and no more sums."""
    width, held = 512, []
    for height in (512, 4096):
        tracemalloc.start()
        blend = Blend((height, width), SIDE)
        answer = np.ones((4, SIDE, SIDE), dtype=np.float32)
        for patch in draw_patches((height, width), SIDE, 2, np.random.default_rng(0)):
            blend.add(patch, answer)
        blend.finish()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        held.append(peak - 4 * 4 * height * width)
    assert held[1] - held[0] < 2e6  # the list of the patches; sums of the whole field would be 80 MB
