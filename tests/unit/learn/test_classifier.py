import torch

from facetem.learn.classifier import ClassifierConfig, ShapeClassifier
from facetem.learn.orientation import MOMENTS


def test_the_picture_has_the_sizes_it_is_compared_with() -> None:
    model = ShapeClassifier(ClassifierConfig(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1))).eval()
    answer, picture = model(torch.randn(2, 1, 256, 256))
    assert answer.logits.shape == (2, 8)
    assert answer.log_diameter.shape == (2,)
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
