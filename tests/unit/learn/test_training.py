import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from facetem.core.errors import InputError
from facetem.data.samples import Batch
from facetem.learn.classifier import ClassifierConfig, ShapeClassifier
from facetem.learn.restorer import ContrastRestorer, RestorerConfig
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
    batch = Batch(noisy, clean, target, clean, clean, other, other, other, other, other, other)
    torch.testing.assert_close(eased(batch, 0.0, generator).noisy, target)
    half = eased(batch, 0.5, generator).noisy[:, 0, 0]
    assert set(half.tolist()) == {0.0, 2.0}  # the target, or half the noise
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


def test_another_plan_or_network_does_not_continue_a_run(tmp_path: Path) -> None:
    train(ShapeTask(ShapeClassifier(SMALL)), Stripes(), PLAN, tmp_path)
    with pytest.raises(InputError, match="another plan"):
        train(ShapeTask(ShapeClassifier(SMALL)), Stripes(), replace(PLAN, batch=2), tmp_path)
    wider = replace(SMALL, widths=(8, 8, 8, 16))
    with pytest.raises(InputError, match="another network"):
        train(ShapeTask(ShapeClassifier(wider)), Stripes(), replace(PLAN, minutes=1), tmp_path)


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
    assert model(image).drawn.shape == (1, 2, 64, 64)
    difference = (model(changed).drawn - model(image).drawn).abs().amax((0, 1))
    assert difference[32, 32] > 0
    assert (difference > 0).sum() > 100


@pytest.mark.parametrize("name", ["minutes", "batch", "size", "rate"])
def test_plan_refuses_what_is_not_positive(name: str) -> None:
    with pytest.raises(InputError, match=name):
        replace(TrainingPlan(), **{name: 0})
