import pytest
import torch

from facetem.core.errors import InputError
from facetem.learn.classifier import ClassifierConfig, Residual, ShapeClassifier
from facetem.learn.growth import Size, grown, without
from facetem.learn.orientation import MOMENTS


def test_the_picture_has_the_sizes_it_is_compared_with() -> None:
    model = ShapeClassifier(ClassifierConfig(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1))).eval()
    answer, picture = model(torch.randn(2, 1, 256, 256))
    assert answer.logits.shape == (2, 8)
    assert answer.log_diameter.shape == answer.log_ratio.shape == (2,)
    assert answer.moments.shape == (2, len(MOMENTS))
    assert picture.target.shape == (2, 256, 256)
    assert picture.thickness.shape == picture.mask.shape == (2, 64, 64)


def test_with_and_without_the_picture_the_logits_are_the_same() -> None:
    torch.manual_seed(0)
    model = ShapeClassifier(ClassifierConfig(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1))).eval()
    images = torch.randn(2, 1, 256, 256)
    answer, _ = model(images)
    for part, alone in zip(answer, model.classify(images), strict=True):
        torch.testing.assert_close(part, alone)


def test_every_stage_and_the_stem_see_the_picture() -> None:
    """A stage left out of the picture would learn from the labels alone."""
    model = ShapeClassifier(ClassifierConfig(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1)))
    _, picture = model(torch.randn(2, 1, 64, 64))
    picture.thickness.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in (m.weight for m in model.lateral))
    stem = next(model.features.parameters())
    assert stem.grad is not None
    assert stem.grad.abs().sum() > 0


def test_a_grown_network_answers_as_before_and_learns_with_what_is_new() -> None:
    torch.manual_seed(0)
    model = ShapeClassifier(ClassifierConfig(widths=(8, 8, 8, 8), depths=(1, 1, 2, 1)))
    for norm in (m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(norm.weight, 0.5, 1)  # a trained network's blocks are not the identity
        torch.nn.init.normal_(norm.running_mean)
    larger = grown(model, Size(depths=(2, 1, 3, 1), widths=(12, 8, 8, 10), reflections=8))
    images = torch.randn(2, 1, 256, 256)
    before, after = model.eval().classify(images), larger.eval().classify(images)
    assert after.features.shape == (2, 20)
    for name in ("logits", "log_diameter", "log_ratio", "moments", "refusal"):
        torch.testing.assert_close(getattr(after, name), getattr(before, name), rtol=1e-5, atol=1e-5)
    again = (
        grown(larger, Size(widths=(12, 9, 8, 10))).eval().classify(images)
    )  # reflections are asked as before
    torch.testing.assert_close(again.logits, after.logits, rtol=1e-5, atol=1e-5)
    answer, picture = larger.train()(images)
    (picture.target.square().sum() + sum(part.square().sum() for part in answer)).backward()
    assert larger.features[0].weight.grad[8:].any((1, 2, 3)).sum() == 0  # nobody listens to new channels
    assert larger.features[5].weight.grad[:, 8:].any((1, 2, 3)).all()  # but all learn to
    added = [m for m in larger.features if isinstance(m, Residual) and not m.second_norm.weight.any()]
    assert len(added) == 2
    assert all(block.second_norm.weight.grad.any() for block in added)
    assert larger.correct[-1].weight.grad.any(1).all()  # every answer heeds the reflections


def test_a_network_that_heeds_reflections_heeds_the_same_ones_when_it_grows() -> None:
    """They come after the features of the last stage, which are more then."""
    torch.manual_seed(0)
    small = {"widths": (8, 8, 8, 8), "depths": (1, 1, 1, 1)}
    model = ShapeClassifier(ClassifierConfig(**small, reflections=8)).eval()
    images = torch.randn(2, 1, 256, 256)
    unheeded = model.classify(images).logits
    torch.nn.init.normal_(model.correct[-1].weight)  # a new network's have no say
    before = model.classify(images).logits
    assert (before - unheeded).abs().max() > 0.1
    after = grown(model, Size(widths=(8, 8, 8, 12))).eval().classify(images).logits
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("depths", [(1, 1, 1, 1), (1, 1, 2)])
def test_a_network_loses_no_blocks(depths: tuple[int, ...]) -> None:
    model = ShapeClassifier(ClassifierConfig(widths=(8, 8, 8, 8), depths=(1, 1, 2, 1)))
    with pytest.raises(InputError, match=r"depths: expected 4 numbers, at least \(1, 1, 2, 1\)"):
        grown(model, Size(depths=depths))


def test_blocks_that_do_nothing_can_be_left_out() -> None:
    """Those of a grown network are still the identity: without them it answers as it did, and as before it grew."""
    torch.manual_seed(0)
    model = ShapeClassifier(ClassifierConfig(widths=(8, 8, 8, 8), depths=(1, 1, 2, 1)))
    for norm in (m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(norm.weight, 0.5, 1)
    larger = grown(model, Size(depths=(2, 1, 4, 1))).eval()
    idle = [
        place
        for place, layer in enumerate(larger.features)
        if isinstance(layer, Residual) and not layer.second_norm.weight.any()
    ]
    smaller = without(larger, idle)
    assert smaller.config == model.config
    assert not smaller.training
    images = torch.randn(2, 1, 256, 256)
    for part, expected in zip(smaller.classify(images), larger.classify(images), strict=True):
        torch.testing.assert_close(part, expected, rtol=1e-5, atol=1e-5)
    busy = next(i for i, layer in enumerate(larger.features) if isinstance(layer, Residual) and i not in idle)
    assert (
        without(larger, [busy]).classify(images).logits - larger.classify(images).logits
    ).abs().max() > 1e-4


def test_what_is_no_residual_block_cannot_be_left_out() -> None:
    model = ShapeClassifier(ClassifierConfig(widths=(8, 8, 8, 8), depths=(1, 1, 2, 1)))
    with pytest.raises(InputError, match=r"blocks: expected some of \[3, 7, 11, 12, 16\], got \[4\]"):
        without(model, [4])
