"""Networks whose answers are known, so that positions, turns, means and spreads can be checked."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import facetem
from facetem.core.errors import InputError
from facetem.data.micrograph import micrograph_from_array
from facetem.learn.classifier import ClassifierConfig, ShapeClassifier
from facetem.learn.folded import folded
from facetem.learn.restoration import VIEWS, Restorer, load_restorer, restored_micrograph
from facetem.learn.restorer import (
    FOCUS,
    PATCH,
    ContrastRestorer,
    Reading,
    RestorerConfig,
    Spectrum,
    filtered,
)
from facetem.learn.weights_file import save_weights

SMALL = RestorerConfig(widths=(4, 8), depths=(1, 1), up=(4, 4))


def reading(
    images: torch.Tensor, restored: torch.Tensor, *, mask: float = 20.0, error: float = -30.0
) -> Reading:
    """Of a network that answers with `restored`, takes it for the particle, finds no noise, and is sure."""
    image = images[:, 0]
    return Reading(restored, image, mask * restored, 0 * image + error, images, image[:, 0, 0])


class Signs(ContrastRestorer):
    """Answers with the sign of each pixel: the identity for a field of plus and minus one, whatever its patch."""

    def forward(self, images: torch.Tensor) -> Reading:
        return reading(images, torch.sign(images[:, 0]))


class Disagreeing(ContrastRestorer):
    """Where the input is bright it answers with the distance from the upper edge as it sees it, elsewhere with 0."""

    def forward(self, images: torch.Tensor) -> Reading:
        height = images.shape[-2]
        ramp = torch.linspace(0, 1, height, device=images.device)[:, None]
        return reading(images, torch.where(images[:, 0] > 0, ramp, 0.0))


class Doubtful(ContrastRestorer):
    """Expects an error of a tenth where the input is bright, and of a hundredth elsewhere."""

    def forward(self, images: torch.Tensor) -> Reading:
        bright = images[:, 0] > 0
        return reading(images, 0 * images[:, 0])._replace(error=torch.where(bright, 0.1, 0.01).log())


def restorer(network: type[ContrastRestorer] = ContrastRestorer, **told: float) -> Restorer:
    torch.manual_seed(3)
    return Restorer(network(SMALL).eval(), **told)


def signs(shape: tuple[int, int]) -> np.ndarray:
    return np.where(np.random.default_rng(1).random(shape) < 0.5, 1.0, -1.0).astype(np.float32)


@pytest.mark.parametrize("shape", [(64, 64), (160, 160), (256, 256), (257, 300), (90, 500), (700, 410)])
def test_a_network_that_is_the_identity_gives_the_field_back(shape: tuple[int, int]) -> None:
    """Every turn is turned back, every patch comes to its place, and every pixel is covered."""
    field = signs(shape)
    answer = restorer(Signs).restore(field)
    assert answer.image.shape == answer.mask.shape == answer.spread.shape == shape
    np.testing.assert_allclose(answer.image, 1 + field, atol=1e-5)
    np.testing.assert_allclose(answer.mask, (1 + field) / 2, atol=1e-5)
    np.testing.assert_allclose(answer.spread, 0, atol=1e-5)  # patches that agree, and are sure, have none


@pytest.mark.parametrize("shape", [(160, 160), (257, 300), (700, 410)])
def test_the_denoised_image_is_in_the_units_of_the_field(shape: tuple[int, int]) -> None:
    """A network that finds no noise gives the field back, whatever its patches are scaled by."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    field = (3000 + 2 * y + 200 * np.sin(x / 5) * (y > 100)).astype(np.float32)
    np.testing.assert_allclose(restorer(Signs).restore(field).denoised, field, rtol=1e-5)


def test_what_patches_expect_of_their_error_adds_to_what_they_differ_by() -> None:
    field = signs((300, 300))
    bright = field > 0
    spread = restorer(Doubtful).restore(field).spread
    np.testing.assert_allclose(spread[bright], 0.1, rtol=1e-4)
    np.testing.assert_allclose(spread[~bright], 0.01, rtol=1e-3)


def test_the_spread_is_where_the_patches_disagree() -> None:
    field = signs((400, 400))
    field[:, :200] = -1
    answer = restorer(Disagreeing).restore(field, views=8)
    bright = field > 0
    assert answer.spread[bright].mean() > 0.1
    assert answer.spread[~bright].max() < 1e-5


def test_the_spread_is_the_standard_deviation_of_the_views() -> None:
    """The ramp of eight turns of one patch, at the middle of an edge: 0, 1, four of about a half and so on."""
    field = signs((PATCH, PATCH))
    answer = restorer(Disagreeing).restore(field, views=8)
    ramp = torch.linspace(0, 1, PATCH)[:, None].expand(PATCH, PATCH)
    turns = torch.stack([torch.rot90(v, k) for v in (ramp, ramp.flip(-1)) for k in range(4)])
    bright = torch.as_tensor(field > 0)
    np.testing.assert_allclose(answer.spread[bright], turns.std(0)[bright], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answer.image[bright], 1 + turns.mean(0)[bright], rtol=1e-5)


class Focused(ContrastRestorer):
    """Reads every patch to be out of focus by half the unit that it reads in."""

    def forward(self, images: torch.Tensor) -> Reading:
        return reading(images, images[:, 0])._replace(focus=torch.full((len(images),), 0.5))


def test_out_of_focus_is_the_mean_of_the_patches_that_show_the_place() -> None:
    """In Å^2; in focus a network reads a little less than nothing now and then, which counts as nothing."""
    field = signs((PATCH, 700))
    plain = restorer(Focused).restore(field)
    assert plain.focus[:, 2] == pytest.approx(0.5 * FOCUS)
    middles = plain.focus[:, :2]
    assert (middles[:, 0] == PATCH / 2).all()  # (y, x) in a field one patch high
    assert (middles[:, 1].min(), middles[:, 1].max()) == (PATCH / 2, 700 - PATCH / 2)
    read = np.array([[128, 128, 2.0], [128, 300, 4.0], [128, 350, -6.0], [300, 128, 50.0]])
    told = replace(plain, focus=read)
    assert told.out_of_focus(100, 20) == 2
    assert told.out_of_focus(100, 200) == pytest.approx((2 + 4) / 2)
    assert told.out_of_focus(100, 420) == pytest.approx((4 + 0) / 2)
    assert told.out_of_focus(500, 900) is None


def test_more_views_come_closer_to_each_other() -> None:
    field = signs((300, 300))
    differences = []
    for views in (2, 32):
        a, b = (restorer(Disagreeing).restore(field, views=views, seed=seed).image for seed in (0, 1))
        differences.append(float(np.square(a - b).mean()))
    assert differences[1] < 0.25 * differences[0]


def test_the_scale_multiplies_the_spread_alone() -> None:
    field = signs((300, 300))
    plain, scaled = (
        restorer(Disagreeing).restore(field),
        restorer(Disagreeing, spread_scale=3.0).restore(field),
    )
    np.testing.assert_array_equal(plain.image, scaled.image)
    np.testing.assert_allclose(scaled.spread, 3 * plain.spread, rtol=1e-5)


def test_the_same_seed_gives_the_same_result_and_another_does_not() -> None:
    field = np.random.default_rng(2).normal(1, 0.1, (400, 400)).astype(np.float32)
    once, again, other = (restorer().restore(field, seed=seed) for seed in (5, 5, 6))
    for name in ("image", "denoised", "mask", "spread"):
        np.testing.assert_array_equal(getattr(once, name), getattr(again, name))
    assert not np.array_equal(once.image, other.image)
    assert np.std(once.image) > 1e-4  # it depends on the input


def test_a_restorer_begins_with_what_a_classifier_sees() -> None:
    torch.manual_seed(1)
    classifier = ShapeClassifier(ClassifierConfig(widths=(4, 8, 8, 12), depths=(1, 1, 2, 1))).eval()
    model = ContrastRestorer.beginning_as(classifier).eval()
    image = torch.randn(1, 1, 128, 128)
    seen = model.trunk(torch.nn.functional.pixel_unshuffle(image, 4))
    torch.testing.assert_close(classifier.pool(seen), classifier.classify(image).features)
    assert all(part.shape == (1, 128, 128) for part in model(image)[:4])


def test_folded_normalisations_answer_as_before() -> None:
    torch.manual_seed(0)
    model = ContrastRestorer(SMALL)
    for _ in range(3):  # statistics that are not those of a new layer
        model(2 + torch.randn(4, 1, 64, 64))
    model.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = torch.randn(2, 1, 64, 64)
    for now, then in zip(folded(model)(images), model(images), strict=True):
        torch.testing.assert_close(now, then, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_filter_multiplies_each_frequency_by_its_gain() -> None:
    """Plane waves in any direction come out scaled, and turned over where the gain is negative."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    gains = torch.stack([torch.ones(9), torch.linspace(1, -1, 9)])[None]
    for ky, kx in ((8, 0), (0, 8), (16, 0), (12, 16), (-12, 16)):
        wave = torch.cos(2 * torch.pi * (ky * y + kx * x) / 64)
        same, turned = filtered(wave[None, None], gains)[0]
        torch.testing.assert_close(same, wave, rtol=0, atol=1e-5)
        # From 1 at frequency 0 to -1 at Nyquist, 32 of these units.
        torch.testing.assert_close(turned, (1 - 2 * (ky**2 + kx**2) ** 0.5 / 32) * wave, rtol=0, atol=1e-5)


def test_the_spectrum_shows_what_the_lens_lets_through_where_it_belongs() -> None:
    """Noise through a lens that is blind at 0.3 and 0.6 of Nyquist has dark rings there, in every direction."""
    torch.manual_seed(0)
    frequency = torch.linspace(0, 1, 81)
    gains = torch.sin(torch.pi * frequency / 0.3)
    seen = filtered(torch.randn(8, 1, 256, 256), gains.expand(8, 1, -1))
    power = Spectrum(8).log_power(seen).mean((0, 1))
    y, x = torch.meshgrid(torch.arange(64) - 31.5, torch.arange(32) + 0.5, indexing="ij")
    radius = torch.hypot(y, x) / 32
    for part in (y < 0, y > 0):
        by_radius = {
            r: float(power[part & ((radius - r).abs() < 0.02)].mean()) for r in (0.15, 0.3, 0.45, 0.6, 0.75)
        }
        for dark, bright in ((0.3, 0.15), (0.3, 0.45), (0.6, 0.45), (0.6, 0.75)):
            assert by_radius[dark] < by_radius[bright] - 2


def test_progress_ends_with_all_patches() -> None:
    told: list[tuple[int, int]] = []
    restorer(Signs).restore(signs((300, 300)), lambda *step: told.append(step))
    assert told[-1][0] == told[-1][1] >= VIEWS
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize("field", [np.zeros((10, 10)), np.full((100, 100), np.nan), np.zeros((2, 100, 100))])
def test_what_is_no_image_is_refused(field: np.ndarray) -> None:
    with pytest.raises(InputError, match="at least 64 px"):
        restorer().restore(field)


@pytest.mark.parametrize(
    ("told", "named"),
    [({"views": 1}, "views"), ({"views": 2.5}, "views"), ({"views": True}, "views"), ({"seed": -1}, "seed")],
)
def test_bad_arguments_are_named_in_one_line(told: dict[str, int], named: str) -> None:
    with pytest.raises(InputError, match=named) as caught:
        restorer().restore(signs((100, 100)), **told)
    assert "\n" not in str(caught.value)


def test_the_image_at_its_own_focus_or_at_the_best_one(tmp_path: Path) -> None:
    path = tmp_path / "restorer.safetensors"
    save_weights(path, "restorer", ContrastRestorer(SMALL).eval(), {"network": SMALL.as_dict()}, {})
    field = np.random.default_rng(2).normal(700, 50, (256, 256)).astype(np.float32)
    micrograph = micrograph_from_array(field, 0.4)
    whole = restored_micrograph(micrograph, load_restorer(path, device="cpu"))
    told: dict[str, Any] = {"sampling": 0.4, "weights": path, "device": "cpu"}
    np.testing.assert_array_equal(facetem.restore(field, **told), whole.image)
    np.testing.assert_array_equal(facetem.restore(field, focus="own", **told), whole.denoised)
    assert abs(whole.denoised.mean() / 700 - 1) < 0.05  # in the units of the field
    with pytest.raises(InputError, match="focus: expected one of best, own, got 'worst'"):
        facetem.restore(field, **told | {"focus": "worst"})


def test_the_file_says_the_scale_and_without_it_is_one(tmp_path: Path) -> None:
    field = signs((256, 256))
    model = ContrastRestorer(SMALL).eval()
    spreads = []
    for name, told in (("plain", {}), ("scaled", {"spread_scale": 4.0})):
        path = tmp_path / f"{name}.safetensors"
        save_weights(path, "restorer", model, {"network": SMALL.as_dict(), **told}, {})
        spreads.append(load_restorer(path, device="cpu").restore(field).spread)
    np.testing.assert_allclose(spreads[1], 4 * spreads[0], rtol=1e-5)
    assert spreads[0].max() > 0


def test_a_micrograph_is_restored_on_its_own_pixels(tmp_path: Path) -> None:
    """The function of the package and the one beside it agree, at a pixel that is not the network's."""
    path = tmp_path / "own.safetensors"
    save_weights(path, "restorer", ContrastRestorer(SMALL).eval(), {"network": SMALL.as_dict()}, {})
    image = np.random.default_rng(4).normal(1, 0.1, (240, 300)).astype(np.float32)
    told = {"views": 2, "seed": 3}
    plain = facetem.restore(image, sampling=0.5, weights=path, device="cpu", **told)
    whole = restored_micrograph(micrograph_from_array(image, 0.5), load_restorer(path, device="cpu"), **told)
    assert plain.shape == whole.spread.shape == whole.mask.shape == image.shape
    np.testing.assert_array_equal(plain, whole.image)
    assert (whole.spread >= 0).all()
    assert replace(whole).support.window == 96


def test_the_mask_of_a_micrograph_is_a_probability() -> None:
    """An edge from 0 to 1 overshoots when it is brought to the micrograph's own pixels."""
    y, x = np.mgrid[:240, :300]
    disc = np.where(np.hypot(y - 120, x - 150) < 60, 1.0, -1.0)
    noisy = disc + np.random.default_rng(0).normal(0, 0.1, disc.shape)
    mask = restored_micrograph(micrograph_from_array(noisy, 0.3), restorer(Signs), views=2).mask
    assert mask[120, 150] > 0.9
    assert mask[10, 10] < 0.1
    assert (mask.min(), mask.max()) == (0, 1)
