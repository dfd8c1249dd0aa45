import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from facetem.core.errors import InputError
from facetem.core.physics import wavelength
from facetem.data.samples import Batch
from facetem.learn.classifier import Answer, ClassifierConfig, ShapeClassifier
from facetem.learn.losses import focus_loss, likelihood_loss, log_error, pose_losses
from facetem.learn.restorer import FOCUS, ContrastRestorer, Reading, RestorerConfig
from facetem.learn.training import (
    ContrastTask,
    ShapeTask,
    TrainingPlan,
    eased,
    learning_rate,
    train,
)

from .two_processes import Stripes

PLAN = TrainingPlan(minutes=0.05, batch=4, size=64, checkpoint=0.5, precision="32-true", average=5)
SMALL = ClassifierConfig(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1))


def test_learning_rate_rises_then_falls_to_zero() -> None:
    plan = TrainingPlan()
    rates = [learning_rate(plan, part) for part in np.linspace(0, 1, 50)]
    peak = int(np.argmax(rates))
    assert rates[peak] == pytest.approx(plan.rate, rel=0.05)
    assert all(np.diff(rates[: peak + 1]) > 0)
    assert all(np.diff(rates[peak:]) < 0)
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_easing_goes_from_targets_to_the_full_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    n = 400
    clean, noisy, target = torch.ones(n, 2, 2), torch.full((n, 2, 2), 3.0), torch.zeros(n, 2, 2)
    other = torch.zeros(n)
    batch = Batch(noisy, clean, target, clean, clean, *6 * [other], other)
    torch.testing.assert_close(eased(batch, 0.0, generator).noisy, target)
    some = eased(batch, 0.5, generator)
    half = some.noisy[:, 0, 0]
    assert set(half.tolist()) == {0.0, 2.0}  # the target, or half the noise
    torch.testing.assert_close(some.clean[:, 0, 0], (half > 0).float())  # what a denoiser is asked for
    assert (half == 0).float().mean() == pytest.approx(0.5, abs=0.1)
    assert eased(batch, 1.0, generator) is batch
    assert (batch.noisy == 3).all()


def test_a_stopped_run_goes_on_and_its_time_adds_up(tmp_path: Path) -> None:
    train(ShapeTask(ShapeClassifier(SMALL)), Stripes(), PLAN, tmp_path)
    first = torch.load(tmp_path / "classifier.ckpt", weights_only=True)
    assert first["elapsed"] >= 60 * PLAN.minutes
    longer = replace(PLAN, minutes=2 * PLAN.minutes)
    train(ShapeTask(ShapeClassifier(SMALL)), Stripes(), longer, tmp_path)
    second = torch.load(tmp_path / "classifier.ckpt", weights_only=True)
    assert second["step"] > first["step"]
    assert second["elapsed"] >= 60 * longer.minutes
    rows = [json.loads(line) for line in (tmp_path / "classifier-history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == sorted(row["step"] for row in rows)


def test_a_run_that_goes_on_forgets_what_was_written_after_its_checkpoint(tmp_path: Path) -> None:
    history = tmp_path / "classifier-history.jsonl"
    plan = TrainingPlan(steps=2, batch=2, size=64, precision="32-true")
    train(ShapeTask(ShapeClassifier(SMALL)), Stripes(), plan, tmp_path)
    whole = history.read_text()
    lost, half = json.dumps({"step": 3, "minutes": 1.0}), whole[: len(whole) // 2]
    for after in (half, f"{lost}\n", f"{lost}\n{half}", f"{half}{lost}\n"):
        history.write_text(whole + after)
        train(ShapeTask(ShapeClassifier(SMALL)), Stripes(), plan, tmp_path)
        assert history.read_text() == whole


def test_another_plan_or_network_does_not_continue_a_run(tmp_path: Path) -> None:
    train(ShapeTask(ShapeClassifier(SMALL)), Stripes(), PLAN, tmp_path)
    with pytest.raises(InputError, match="another plan"):
        train(ShapeTask(ShapeClassifier(SMALL)), Stripes(), replace(PLAN, batch=2), tmp_path)
    wider = replace(SMALL, widths=(8, 8, 8, 16))
    with pytest.raises(InputError, match="another network"):
        train(ShapeTask(ShapeClassifier(wider)), Stripes(), replace(PLAN, minutes=1), tmp_path)
    path = tmp_path / "classifier.ckpt"
    saved = torch.load(path, weights_only=True)
    del saved["optimizers"]  # as before there were two
    torch.save(saved, path)
    with pytest.raises(InputError, match="another version"):
        train(ShapeTask(ShapeClassifier(SMALL)), Stripes(), replace(PLAN, minutes=1), tmp_path)


def test_both_losses_fall_on_a_batch_that_is_shown_again() -> None:
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    noisy = 1 + 0.2 * torch.randn(8, 64, 64, generator=generator)
    target = 1 + 0.5 * (noisy - 1)
    mask = (noisy > 1.1).float()
    batch = Batch(
        noisy,
        target,
        target,
        mask,
        10 * mask,
        torch.arange(8),
        torch.ones(8),
        torch.zeros(8),
        torch.full((8,), 2e5),
        torch.full((8,), 60.0),
        torch.eye(3).repeat(8, 1, 1),
        torch.ones(8),
    )
    shapes = ShapeClassifier(replace(SMALL, dropout=0))
    contrast = ContrastRestorer(RestorerConfig(widths=(8, 16), depths=(1, 1), up=(8, 8)))
    for task in (ShapeTask(shapes), ContrastTask(contrast)):
        optimizer = torch.optim.AdamW(task.model.parameters(), lr=5e-3)
        losses = []
        for _ in range(40):
            loss, _ = task.loss(batch, generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < 0.7 * losses[0], task.name


def test_restorer_answers_every_pixel_and_sees_its_surroundings() -> None:
    torch.manual_seed(0)
    model = ContrastRestorer(RestorerConfig(widths=(4, 8, 8), depths=(1, 1, 1), up=(4, 4, 8))).eval()
    image = torch.zeros(1, 1, 64, 64)
    changed = image.clone()
    changed[0, 0, 32, 32] = 5
    before, after = model(image), model(changed)
    for name in ("restored", "denoised", "mask", "error"):
        difference = (getattr(after, name) - getattr(before, name)).abs()
        assert difference.shape == (1, 64, 64)
        assert difference[0, 32, 32] > 0, name
        assert (difference > 0).sum() > 100, name


class Copier(torch.nn.Module):
    """A restorer that gives the image back for everything."""

    def forward(self, images: torch.Tensor) -> Reading:
        image = images[:, 0]
        return Reading(image, image, image, 0 * image, images.expand(-1, 2, -1, -1), image[:, 0, 0])


def test_the_denoiser_is_asked_for_the_clean_image_under_the_same_light() -> None:
    """Of an image without noise it has nothing to take away, however it is lit."""
    clean = 1 + 0.1 * torch.randn(4, 64, 64, generator=torch.Generator().manual_seed(0))
    none = torch.zeros(4)
    batch = Batch(
        clean, clean, clean, 0 * clean, clean, none.long(), none, none, none + 2e5, none, none, none
    )
    task = ContrastTask()
    task.model = Copier()
    loss = task.loss(batch, torch.Generator().manual_seed(1))[1]["noise"]
    assert float(loss) < np.log(0.011)
    noisy = replace(
        batch, noisy=clean + 0.05 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))
    )
    loss = task.loss(noisy, torch.Generator().manual_seed(1))[1]["noise"]
    assert float(loss.exp()) == pytest.approx(0.5, rel=0.1)  # of the clean image's standard deviation


def test_the_ratio_of_facets_is_asked_of_the_shapes_that_have_one() -> None:
    n = 4
    labels = torch.tensor([0, 3, 5, 7])
    told = torch.tensor([0.1, -0.3, 9.0, 9.0])
    answer = Answer(
        torch.zeros(n, 8), torch.zeros(n), told, torch.zeros(n, 25), torch.zeros(n), torch.zeros(n, 2)
    )
    image, none = torch.zeros(n, 4, 4), torch.zeros(n)
    batch = Batch(
        *5 * [image],
        labels,
        none,
        none,
        none,
        none + 60,
        torch.eye(3).repeat(n, 1, 1),
        torch.tensor([1.0, 1.0, float("nan"), float("nan")]),
    )
    *_, ratio = pose_losses(answer, batch)
    assert float(ratio) == pytest.approx(((0.1 - 0.025) + (0.3 - 0.025)) / 2, rel=1e-5)
    *_, without = pose_losses(answer, replace(batch, facet_ratio=torch.full((n,), float("nan"))))
    assert float(without) == 0


def out_of_focus(defocus: list[float], energy: list[float]) -> tuple[torch.Tensor, Batch]:
    """What `Reading.focus` is asked for, and images (n, 1, 1) that were taken so."""
    none = torch.zeros(len(defocus))
    image = none[:, None, None]
    batch = Batch(
        *5 * [image], none.long(), none, torch.tensor(defocus), torch.tensor(energy), none, none, none
    )
    return torch.tensor([wavelength(e) * abs(d) for d, e in zip(defocus, energy, strict=True)]) / FOCUS, batch


def test_the_focus_is_asked_for_in_units_of_wavelength_times_distance() -> None:
    """On either side: an image does not tell which, nor the energy it was taken at."""
    true, batch = out_of_focus([100.0, -200.0], [80e3, 300e3])
    assert float(focus_loss(true, batch)) == pytest.approx(0, abs=1e-9)
    assert float(focus_loss(true + 1, batch)) == pytest.approx(1 - 0.125)


def test_how_far_an_image_is_from_focus_is_asked_of_those_near_it() -> None:
    true, batch = out_of_focus([100.0, 400.0], [300e3, 300e3])
    wrong = true + torch.tensor([0.0, 5.0])
    assert float(focus_loss(wrong, batch)) == pytest.approx(0, abs=1e-9)
    far = replace(batch, defocus=torch.tensor([-300.0, 400.0]))
    assert float(focus_loss(wrong, far)) == 0


def test_the_likeliest_error_is_the_rms_error() -> None:
    error = 0.3 * torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(0))
    rms = float(error.square().mean().sqrt())
    scales = [0.5 * rms, 0.9 * rms, rms, 1.1 * rms, 2 * rms]
    losses = [float(likelihood_loss(torch.full_like(error, scale).log(), error)) for scale in scales]
    assert min(losses) == losses[2]


def test_as_much_is_asked_of_faint_images_as_of_clear_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    wanted, noise = (torch.randn(1, 64, 64, generator=generator) for _ in range(2))
    one, other = (log_error(scale * (wanted + 0.3 * noise), scale * wanted) for scale in (0.02, 5.0))
    assert float(one.exp()) == pytest.approx(0.3, rel=0.05)
    torch.testing.assert_close(one, other, rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", ["minutes", "batch", "size", "rate"])
def test_plan_refuses_what_is_not_positive(name: str) -> None:
    with pytest.raises(InputError, match=name):
        replace(TrainingPlan(), **{name: 0})
