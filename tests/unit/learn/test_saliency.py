import numpy as np
import pytest
import torch
from torch import Tensor

from facetem.atoms.shapes import SHAPES
from facetem.data.recipe_file import shipped_recipe
from facetem.data.samples import draw_set
from facetem.learn.classifier import Answer
from facetem.learn.predictor import load_classifier
from facetem.learn.saliency import saliency
from facetem.learn.views import left_handed, views


class Linear:
    """Logit 0 is the sum of weighted pixels, the others are 0."""

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights

    def classify(self, images: Tensor) -> Answer:
        score = (images[:, 0] * self.weights).sum((1, 2))
        nothing = torch.zeros(len(images), 2)
        return Answer(torch.cat([score[:, None], nothing], dim=1), *5 * (nothing,))


class Quadratic(Linear):
    """Logit 0 is half the sum of weighted squares: its gradient is the image itself, weighted."""

    def classify(self, images: Tensor) -> Answer:
        return super().classify(0.5 * images**2)


def image(side: int = 32) -> Tensor:
    return 5 + 3 * torch.randn(side, side, generator=torch.Generator().manual_seed(0))


def spot(x: float, y: float, side: int = 32) -> Tensor:
    axis = torch.arange(side) - (side - 1) / 2
    return torch.exp(-((axis[:, None] - y) ** 2 + (axis - x) ** 2) / (2 * 2.0**2))


def test_of_a_linear_network_it_is_the_weights_averaged_over_the_turns() -> None:
    weights = spot(4, 1) + 0.5 * spot(-1, -3)
    upright = views(weights[None, None], torch.tensor([False])).mean(0)[0]
    for picture in (image(), image().flip(-1)):
        expected = upright.flip(-1) if left_handed(picture[None]) else upright
        found = saliency(Linear(weights), picture, 0, blur=0)
        torch.testing.assert_close(found, expected / expected.sum(), atol=5e-2 * float(found.max()), rtol=0)


def test_pixels_that_the_answer_does_not_depend_on_weigh_nothing() -> None:
    weights = torch.zeros(32, 32)
    weights[12:20, 12:20] = 1
    found = saliency(Linear(weights), image(), 0, blur=0)
    assert float(found.sum()) == pytest.approx(1, abs=1e-5)
    assert found[12:20, 12:20].min() > 0
    farther = torch.cdist(torch.ones(1, 2) * 15.5, torch.cartesian_prod(*2 * [torch.arange(32.0)])).view(
        32, 32
    )
    assert (
        found[farther > 4 * 2**0.5 + 2].abs().max() == 0
    )  # than its corners turn, and cubic interpolation reaches
    blurred = saliency(Linear(weights), image(), 0, blur=2)
    assert float(blurred.sum()) == pytest.approx(1, abs=1e-5)
    assert blurred[16, 16] > blurred[8, 16] > blurred[2, 16] >= 0
    assert saliency(Linear(0 * weights), image(), 0).abs().max() == 0


def test_noise_averages_out_and_the_scale_of_the_image_does_not_matter() -> None:
    weights = torch.ones(32, 32)
    picture = image()
    exact = saliency(Quadratic(weights), picture, 0, samples=1, noise=0, blur=0)
    single = saliency(Quadratic(weights), picture, 0, samples=1, noise=1.0, blur=0)
    many = saliency(Quadratic(weights), picture, 0, samples=40, noise=1.0, blur=0)
    assert (many - exact).abs().sum() < 0.3 * (single - exact).abs().sum()
    scaled = saliency(Quadratic(weights), 7 * picture - 3, 0, samples=40, noise=1.0, blur=0)
    torch.testing.assert_close(scaled, many, atol=1e-6, rtol=1e-3)


def test_of_a_quadratic_network_it_is_the_image() -> None:
    picture = spot(6, 2) - spot(-3, -4)
    found = saliency(Quadratic(spot(0, 0)), picture, 0, noise=0, blur=0)
    exact = (spot(0, 0) * (picture - picture.mean())).abs()
    torch.testing.assert_close(found, exact / exact.sum(), atol=5e-2 * float(found.max()), rtol=0)


def test_what_speaks_for_another_shape_counts() -> None:
    """The odds are those against all others, so pixels that raise another logit weigh, if they leave one's own."""
    rival = saliency(Linear(torch.ones(32, 32)), image(), 2)
    assert float(rival.sum()) == pytest.approx(1, abs=1e-5)


def test_the_map_turns_with_the_image() -> None:
    weights = torch.ones(32, 32)
    picture = image()
    upright = saliency(Quadratic(weights), picture, 0, noise=0, blur=1)
    turned = saliency(Quadratic(weights), torch.rot90(picture, 1), 0, noise=0, blur=1)
    torch.testing.assert_close(torch.rot90(upright, 1), turned, atol=1e-6, rtol=1e-3)
    mirrored = saliency(Quadratic(weights), picture.flip(-1), 0, noise=0, blur=1)
    torch.testing.assert_close(upright.flip(-1), mirrored, atol=1e-6, rtol=1e-3)


def test_what_decides_lies_on_the_particle() -> None:
    """Of twelve simulated images of the standard conditions, the first four of which these are, a pixel of the particle
    weighs 1.2 to 5.0 times as much as one beside it, 2.6 in the mean."""
    samples = draw_set(shipped_recipe("au-4-8nm-test"), split="validation", n=4)
    classifier = load_classifier(device="cpu")
    ratios = []
    for image, label, mask in zip(samples.noisy, samples.labels, samples.mask, strict=True):
        weight = classifier.saliency(image, SHAPES[int(label)])
        inside = mask.numpy() > 0.5
        ratios.append(weight[inside].mean() / weight[~inside].mean())
    assert min(ratios) > 1
    assert np.mean(ratios) > 2
