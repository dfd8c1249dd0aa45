"""One training loop for both networks: mixed precision, averaged weights, checkpoints, resume."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from facetem.core.errors import InputError
from facetem.data.samples import Batch, SampleStream
from facetem.data.sources import Source
from facetem.learn.classifier import ShapeClassifier
from facetem.learn.normalise import normalise, uneven
from facetem.learn.restorer import PATCH, ContrastRestorer


@dataclass(frozen=True)
class TrainingPlan:
    """How long and how fast.

    Parameters
    ----------
    minutes
        Time that training takes altogether, all resumed runs added; the learning rate follows the part of it
        that has passed: a linear rise over `warmup` of it, then half a cosine to zero.
    batch, size
        Samples a step; their side [px].
    rate, decay
        Peak learning rate and weight decay of AdamW.
    average
        Time constant, in steps, of the moving average of the weights that is kept.
    ease
        Part of the time during which the images go over from the noise-free best focus to what a camera sees:
        fringes and outlines are learnt sooner where they can be seen.
    renewal
        See `SampleStream`.
    precision
        Of Lightning Fabric: `bf16-mixed` or `32-true`.
    checkpoint
        Seconds between checkpoints.
    """

    minutes: float = 60.0
    batch: int = 16
    size: int = 256
    rate: float = 1.2e-3
    decay: float = 0.02
    warmup: float = 0.03
    average: float = 500.0
    ease: float = 0.25
    renewal: float = 0.35
    precision: Literal["bf16-mixed", "32-true"] = "bf16-mixed"
    checkpoint: float = 60.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("minutes", "batch", "size", "rate", "average", "checkpoint"):
            if not getattr(self, name) > 0:
                raise InputError(f"training plan: {name}: expected a number > 0, got {getattr(self, name)!r}")


CLASSIFIER_PLAN = TrainingPlan()
RESTORER_PLAN = TrainingPlan(size=PATCH, batch=4, rate=1.0e-3, ease=0.1)


class Task(Protocol):
    """A network and what it is asked for."""

    name: str
    model: nn.Module
    anywhere: bool  # its samples may lie beside the particle, see `SampleStream`

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, and figures to show."""
        ...


class ShapeTask:
    """Cross-entropy of the shape, labels smoothed by 5 %, and of what the network pictures on the way."""

    name = "classifier"
    anywhere = False

    def __init__(self, model: ShapeClassifier | None = None) -> None:
        self.model: nn.Module = model or ShapeClassifier()

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        logits, picture = self.model(channels_last(normalise(uneven(batch.noisy, generator))))
        logits = logits.float()
        shape = functional.cross_entropy(logits, batch.labels, label_smoothing=0.05)
        thickness = functional.avg_pool2d(batch.thickness / 10, 4)  # Å -> nm
        thick = functional.smooth_l1_loss(picture.thickness, thickness, beta=0.5)
        mask = functional.binary_cross_entropy_with_logits(picture.mask, functional.avg_pool2d(batch.mask, 4))
        image = functional.smooth_l1_loss(picture.target, batch.target - 1, beta=0.1)
        accuracy = (logits.argmax(1) == batch.labels).float().mean()
        figures = {"loss": shape, "accuracy": accuracy, "thickness": thick, "mask": mask, "image": image}
        return shape + thick + 0.5 * mask + 3 * image, {k: float(v.detach()) for k, v in figures.items()}


class ContrastTask:
    """Huber loss of the restored image (bend at a third of the vacuum level) and cross-entropy of the mask."""

    name = "restorer"
    anywhere = True

    def __init__(self, model: ContrastRestorer | None = None) -> None:
        self.model: nn.Module = model or ContrastRestorer()

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        answer = self.model(channels_last(normalise(uneven(batch.noisy, generator)))).float()
        wanted = batch.target - 1
        image = functional.smooth_l1_loss(answer[:, 0], wanted, beta=0.33)
        mask = functional.binary_cross_entropy_with_logits(answer[:, 1], batch.mask)
        error = functional.mse_loss(answer[:, 0].detach(), wanted) / wanted.var().clamp_min(1e-12)
        figures = {"loss": float(image.detach()), "mask": float(mask.detach()), "unexplained": float(error)}
        return 30 * image + mask, figures


def channels_last(images: Tensor) -> Tensor:
    """The memory layout that convolutions are fastest in."""
    return images.to(memory_format=torch.channels_last)


def eased(batch: Batch, strength: float, generator: torch.Generator) -> Batch:
    """The batch made easier: noise (and the camera's blur) at `strength` (0 to 1) of the true one, and a part
    1 - `strength` of the images replaced by their targets, which show the particle at its best focus."""
    if strength >= 1:
        return batch
    noisy = batch.clean + strength * (batch.noisy - batch.clean)
    bare = torch.rand(len(noisy), generator=generator).to(noisy.device) >= strength
    return replace(batch, noisy=torch.where(bare[:, None, None], batch.target, noisy))


def learning_rate(plan: TrainingPlan, part: float) -> float:
    """Learning rate when `part` (0 to 1) of the time has passed."""
    if part < plan.warmup:
        return plan.rate * (0.05 + 0.95 * part / plan.warmup)
    return plan.rate * 0.5 * (1 + math.cos(math.pi * min(1.0, (part - plan.warmup) / (1 - plan.warmup))))


def train(
    task: Task,
    source: Source,
    plan: TrainingPlan,
    folder: str | Path,
    *,
    device: str = "cpu",
    progress: Callable[[float, dict[str, float]], None] | None = None,
) -> nn.Module:
    """Train the task's network and return it with its averaged weights.

    Everything needed to go on is in `folder/TASK.ckpt`; the same call after a kill resumes there. The course
    of the figures is in `folder/TASK-history.jsonl`. `progress` is called with the part done and the figures.

    Raises
    ------
    InputError
        If `folder` cannot be written or its checkpoint belongs to another plan or network.
    """
    from lightning_fabric import Fabric

    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: expected a folder that can be written: {error.strerror}") from None
    fabric = Fabric(
        accelerator="cuda" if device.startswith("cuda") else "cpu", devices=1, precision=plan.precision
    )
    torch.manual_seed(plan.seed)
    task.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=plan.rate, weight_decay=plan.decay)
    bare = task.model
    task.model, optimizer = fabric.setup(task.model, optimizer)
    average = copy.deepcopy(bare)
    state = _State(folder / f"{task.name}.ckpt", plan)
    state.load(bare, average, optimizer)
    stream = SampleStream(source, size=plan.size, renewal=plan.renewal, anywhere=task.anywhere)
    rng = np.random.default_rng([plan.seed, state.step])
    generator = torch.Generator().manual_seed(plan.seed + state.step)
    history = folder / f"{task.name}-history.jsonl"
    task.model.train()
    last_saved, begun, before = time.monotonic(), time.monotonic(), state.elapsed
    sums: dict[str, float] = {}
    counted = 0

    def report(state: _State, specimens: int, sums: dict[str, float], counted: int) -> None:
        means = {name: value / counted for name, value in sums.items()}
        means |= {"step": state.step, "minutes": state.elapsed / 60, "specimens": specimens}
        with history.open("a") as file:
            file.write(json.dumps(means) + "\n")
        if progress:
            progress(min(1.0, state.elapsed / (60 * plan.minutes)), means)

    for indices in _batches(source, plan.batch, rng):
        part = state.elapsed / (60 * plan.minutes)
        if part >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(plan, part)
        batch = eased(stream.draw(indices, rng), part / plan.ease if plan.ease > 0 else 1.0, generator)
        loss, figures = task.loss(batch, generator)
        optimizer.zero_grad()
        fabric.backward(loss)
        fabric.clip_gradients(task.model, optimizer, max_norm=1.0)
        optimizer.step()
        state.step += 1
        _follow(
            average, bare, min(1 / plan.average, 1.0) if state.step > plan.average else 1 / (1 + state.step)
        )
        state.elapsed = before + time.monotonic() - begun
        sums = {name: sums.get(name, 0.0) + value for name, value in figures.items()}
        counted += 1
        if counted == 20:
            report(state, len(source), sums, counted)
            sums, counted = {}, 0
        if time.monotonic() - last_saved > plan.checkpoint:
            state.save(bare, average, optimizer)
            last_saved = time.monotonic()
    if counted:
        report(state, len(source), sums, counted)
    state.save(bare, average, optimizer)
    return average.eval()


def _batches(source: Source, size: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Endless batches of indices, epoch after epoch."""
    waiting: list[int] = []
    while True:
        for index in source.epoch(rng):
            waiting.append(index)
            if len(waiting) == size:
                yield waiting
                waiting = []


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, part: float) -> None:
    """Move the averaged weights (and normalisation statistics) by `part` of the way to the model's."""
    for old, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if old.dtype.is_floating_point:
            old.lerp_(new.to(old), part)
        else:
            old.copy_(new)


class _State:
    """Step and elapsed time [s] of a run, with its checkpoint on disk."""

    def __init__(self, path: Path, plan: TrainingPlan) -> None:
        self.path, self.plan = path, plan
        self.step, self.elapsed = 0, 0.0

    def save(self, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        temporary = self.path.with_suffix(".tmp")
        torch.save(
            {
                "plan": asdict(self.plan),
                "step": self.step,
                "elapsed": self.elapsed,
                "model": model.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
            },
            temporary,
        )
        os.replace(temporary, self.path)

    def load(self, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        if not self.path.exists():
            average.load_state_dict(model.state_dict())
            return
        saved = torch.load(self.path, map_location="cpu", weights_only=True)
        free = ("minutes", "precision", "checkpoint")  # what may change when a run goes on
        if any(saved["plan"].get(k) != v for k, v in asdict(self.plan).items() if k not in free):
            raise InputError(f"{self.path}: holds a run of another plan; choose another folder or remove it")
        try:
            model.load_state_dict(saved["model"])
            average.load_state_dict(saved["average"])
        except RuntimeError:
            raise InputError(
                f"{self.path}: holds a run of another network; choose another folder or remove it"
            ) from None
        optimizer.load_state_dict(saved["optimizer"])
        self.step, self.elapsed = saved["step"], saved["elapsed"]
