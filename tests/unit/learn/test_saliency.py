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
from facetem.learn.views import TURNS, left_handed, views


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


def turned_back(weights: Tensor, picture: Tensor) -> Tensor:
    """The sum over the views of a picture of weights (y, x), or of those of each view (v, y, x), brought back to its
    pixels: the views are linear, so what they make of every single pixel says how."""
    side = len(picture)
    pixels = torch.eye(side**2).view(-1, 1, side, side)
    hand = left_handed(picture[None]).expand(len(pixels))
    seen = views(pixels, hand).view(TURNS, len(pixels), -1)
    each = weights.expand(TURNS, side, side).reshape(TURNS, -1)
    return torch.einsum("vpq,vq->p", seen, each).view(side, side)


def test_of_a_linear_network_it_is_the_weights_averaged_over_the_turns() -> None:
    weights = torch.randn(32, 32, generator=torch.Generator().manual_seed(1))
    for picture in (image(), image().flip(-1)):
        expected = turned_back(weights, picture).abs()
        found = saliency(Linear(weights), picture, 0, blur=0)
        torch.testing.assert_close(found, expected / expected.sum(), atol=1e-6, rtol=1e-4)


def test_pixels_that_the_answer_does_not_depend_on_weigh_nothing() -> None:
    weights = torch.zeros(32, 32)
    weights[12:20, 12:20] = 1
    found = saliency(Linear(weights), image(), 0, blur=0)
    assert float(found.sum()) == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(found > 0, turned_back(weights, image()) != 0)
    y, x = torch.meshgrid(*2 * [torch.arange(32) - 15.5], indexing="ij")
    reached = 4 * 2**0.5 + 2  # where corners are turned to, and cubic interpolation beyond
    assert found[torch.hypot(y, x) > reached].max() == 0
    blurred = saliency(Linear(weights), image(), 0, blur=2)
    assert float(blurred.sum()) == pytest.approx(1, abs=1e-5)
    assert blurred[16, 16] > blurred[8, 16] > blurred[2, 16] >= 0
    assert saliency(Linear(0 * weights), image(), 0).abs().max() == 0


def test_noise_averages_out_and_the_scale_of_the_image_does_not_matter() -> None:
    weights = torch.ones(32, 32)
    picture = image()
    shown = views((picture - picture.mean())[None, None], left_handed(picture[None]))
    exact = turned_back(shown[:, 0], picture).abs()
    exact = exact / exact.sum()
    single = saliency(Quadratic(weights), picture, 0, samples=1, noise=1.0, blur=0)
    many = saliency(Quadratic(weights), picture, 0, samples=40, noise=1.0, blur=0)
    assert (many - exact).abs().sum() < 0.3 * (single - exact).abs().sum()
    scaled = saliency(Quadratic(weights), 7 * picture - 3, 0, samples=40, noise=1.0, blur=0)
    torch.testing.assert_close(scaled, many, atol=1e-6, rtol=1e-3)


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
    """With weights of versions before, of twelve simulated images of the standard conditions, the first four of which
    these are, a pixel of the particle weighed 1.2 to 5.0 times as much as one beside it, 2.6 in the mean."""
    samples = draw_set(shipped_recipe("au-4-8nm-test"), split="validation", n=4)
    classifier = load_classifier(device="cpu")
    ratios = []
    for image, label, mask in zip(samples.noisy, samples.labels, samples.mask, strict=True):
        weight = classifier.saliency(image, SHAPES[int(label)])
        inside = mask.numpy() > 0.5
        ratios.append(weight[inside].mean() / weight[~inside].mean())
    assert min(ratios) > 1
    assert np.mean(ratios) > 2
