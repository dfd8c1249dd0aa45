import numpy as np
import pytest
import torch

from facetem.core.contrast import contrast
from facetem.study.metrics import (
    accuracy_of_most_confident,
    affine_fit,
    best_gaussian,
    best_linear,
    psnr,
    set_scores,
    shape_scores,
)


def test_scores_of_a_known_confusion() -> None:
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2])
    named = torch.tensor([0, 0, 0, 1, 1, 1, 2, 0])
    probabilities = torch.full((8, 3), 0.1)
    probabilities[torch.arange(8), named] = 0.8
    scores = shape_scores(probabilities, labels)
    assert scores.accuracy == pytest.approx((3 / 4 + 1 + 1 / 2) / 3)
    assert scores.confusion.tolist() == [[3, 1, 0], [0, 2, 0], [1, 0, 1]]
    assert scores.calibration_error == pytest.approx(abs(0.8 - 6 / 8), abs=1e-6)
    assert scores.interval[0] < 6 / 8 < scores.interval[1]


def test_bins_of_confidence_are_narrow_enough_that_errors_do_not_cancel() -> None:
    """15 of them, as is usual: of 0.68 that is right and 0.78 that is wrong each is judged by itself."""
    probabilities = torch.tensor([[0.68, 0.32], [0.78, 0.22]])
    scores = shape_scores(probabilities, torch.tensor([0, 1]))
    assert scores.calibration_error == pytest.approx((0.32 + 0.78) / 2, abs=1e-6)


def test_affine_fit_undoes_scale_and_offset() -> None:
    target = torch.rand(2, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(affine_fit(-3 * target + 7, target), target, atol=1e-5, rtol=0)
    assert (psnr(-3 * target + 7, target) > 80).all()


def test_psnr_of_known_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.zeros(1, 256, 256)
    target[:, :128] = 1
    noisy = target + 0.1 * torch.randn(target.shape, generator=generator)
    # A fit shrinks the noisy image: error variance s^2 v / (v + s^2), v the target's own
    expected = -10 * np.log10(0.01 * 0.25 / 0.26)
    assert float(psnr(noisy, target)) == pytest.approx(expected, abs=0.1)


def test_best_gaussian_is_never_worse_than_no_filter_and_finds_a_blur() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(128)[:, None] / 128
    target = (torch.sin(2 * torch.pi * 3 * y) * torch.ones(1, 128))[None]
    noisy = target + torch.randn(target.shape, generator=generator)
    better = best_gaussian(noisy, target)
    assert float(psnr(better, target)) > float(psnr(noisy, target)) + 8
    assert float(psnr(best_gaussian(target, target), target)) >= float(psnr(target, target))


def test_best_linear_undoes_a_lens_and_makes_up_next_to_nothing() -> None:
    """A transfer with sign changes, as that of defocus, is undone where noise leaves anything; an unrelated target is
    not reached."""
    generator = torch.Generator().manual_seed(0)
    target, other = torch.randn(2, 1, 128, 128, generator=generator)
    k2 = torch.fft.fftfreq(128)[:, None] ** 2 + torch.fft.fftfreq(128) ** 2
    lens = torch.sin(2 * torch.pi * 8 * k2)
    seen = torch.fft.ifft2(torch.fft.fft2(target) * lens).real + 0.01 * torch.randn(
        1, 128, 128, generator=generator
    )
    nothing = torch.zeros_like(target)
    assert float(psnr(best_gaussian(seen, target), target)) < float(psnr(nothing, target)) + 1
    assert float(psnr(best_linear(seen, target), target)) > float(psnr(nothing, target)) + 6
    assert float(psnr(best_linear(other, target), target)) < float(psnr(nothing, target)) + 0.01


def test_contrast_is_one_without_a_particle_and_its_amplitude_with_one() -> None:
    generator = torch.Generator().manual_seed(0)
    substrate = 1 + 0.05 * torch.randn(256, 256, generator=generator)
    particle = torch.zeros(256, 256, dtype=torch.bool)
    particle[80:170, 80:170] = True
    assert float(contrast(substrate, particle)) == pytest.approx(1, rel=0.03)
    x = torch.arange(256)[None, :]
    fringes = substrate + particle * 0.5 * torch.sin(2 * torch.pi * x / 6)
    assert float(contrast(fringes, particle)) == pytest.approx(np.sqrt(0.125 + 0.0025) / 0.05, rel=0.03)
    darker = substrate - 0.3 * particle
    assert float(contrast(darker, particle)) == pytest.approx(np.sqrt(0.09 + 0.0025) / 0.05, rel=0.03)
    # a scale of the camera changes nothing
    assert float(contrast(100 * darker, particle)) == pytest.approx(
        float(contrast(darker, particle)), rel=1e-4
    )


def test_accuracy_of_the_most_confident_leaves_out_the_least() -> None:
    """Nine of ten are kept: the wrong answer that is left out was the least sure, the other one stays."""
    sure = torch.tensor([0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.52])
    probabilities = torch.stack([sure, 1 - sure], dim=1)
    labels = torch.tensor([0, 1, 0, 0, 0, 0, 0, 0, 0, 1])
    assert accuracy_of_most_confident(probabilities, labels) == pytest.approx(8 / 9)
    assert accuracy_of_most_confident(probabilities, labels, part=1.0) == pytest.approx(8 / 10)
    assert shape_scores(probabilities, labels).accuracy_of_most_confident == pytest.approx(8 / 9)


def test_honest_answers_show_the_calibration_error_of_counting_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    honest = torch.softmax(2 * torch.randn(400, 8, generator=generator), 1)
    labels = torch.multinomial(honest, 1, generator=generator)[:, 0]
    scores = shape_scores(honest, labels)
    assert 0.02 < scores.calibration_floor < 0.08
    assert scores.calibration_error == pytest.approx(scores.calibration_floor, abs=0.03)
    overconfident = torch.softmax(3 * honest.log(), 1)
    worse = shape_scores(overconfident, labels)
    assert worse.calibration_error > 3 * worse.calibration_floor
    # Of many images the floor goes to zero, as the inverse square root of their number.
    many = shape_scores(honest.repeat(16, 1), labels.repeat(16))
    assert many.calibration_floor == pytest.approx(scores.calibration_floor / 4, rel=0.25)


def test_scores_of_known_sets() -> None:
    possible = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1], [0, 1, 0]]).bool()
    probabilities = torch.tensor(
        [[0.8, 0.1, 0.1], [0.5, 0.4, 0.1], [0.1, 0.5, 0.4], [0.1, 0.1, 0.8], [0.1, 0.8, 0.1]]
    )
    labels = torch.tensor([0, 1, 0, 1, 1])
    known = torch.tensor([True, True, True, True, False])
    scores = set_scores(possible, known, probabilities, labels)
    assert scores.coverage == pytest.approx(3 / 5)  # unknown ones among them
    assert scores.size == pytest.approx(7 / 5)
    assert (scores.accepted, scores.abstained, scores.unknown) == pytest.approx((2 / 5, 2 / 5, 1 / 5))
    assert scores.accuracy == pytest.approx(1 / 2)
    nothing = set_scores(possible, torch.zeros(5).bool(), probabilities, labels)
    assert nothing.accepted == 0
    assert np.isnan(nothing.accuracy)
