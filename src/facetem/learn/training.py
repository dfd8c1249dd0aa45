"""One training loop for both networks: mixed precision, averaged weights, checkpoints, resume, many devices."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from facetem.core.errors import InputError
from facetem.data.feed import feed
from facetem.data.samples import Batch, SampleStream
from facetem.data.sources import Share, Source
from facetem.learn.classifier import ShapeClassifier
from facetem.learn.losses import focus_loss, likelihood_loss, log_error, pose_losses
from facetem.learn.normalise import illumination, levels, normalise
from facetem.learn.processes import Precision, make_fabric, mean_of_all, own_part, seed_of_step
from facetem.learn.restorer import PATCH, ContrastRestorer, Reading
from facetem.learn.run import Run

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class TrainingPlan:
    """How long and how fast.

    Parameters
    ----------
    minutes
        Time that training takes altogether, all resumed runs added; the learning rate follows the part of it
        that has passed: a linear rise over `warmup` of it, then half a cosine to zero.
    steps
        Steps that training takes in place of a time, so that it ends alike on every machine; 0: `minutes` count.
    batch, size
        Samples a step, on all devices together; their side [px].
    rate, decay
        Peak learning rate and weight decay, see `facetem.learn.muon`.
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
    steps: int = 0
    batch: int = 16
    size: int = 256
    rate: float = 1.2e-3
    decay: float = 0.02
    warmup: float = 0.03
    average: float = 500.0
    ease: float = 0.25
    renewal: float = 0.35
    precision: Precision = "bf16-mixed"
    checkpoint: float = 60.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("minutes", "batch", "size", "rate", "average", "checkpoint"):
            if not getattr(self, name) > 0:
                raise InputError(f"training plan: {name}: expected a number > 0, got {getattr(self, name)!r}")
        if self.steps < 0:
            raise InputError(f"training plan: steps: expected 0 or more, got {self.steps}")


CLASSIFIER_PLAN = TrainingPlan()
RESTORER_PLAN = TrainingPlan(size=PATCH, batch=4, rate=1.0e-3, ease=0.1)


class Task(Protocol):
    """A network and what it is asked for."""

    name: str
    model: nn.Module
    anywhere: bool  # its samples may lie beside the particle, see `SampleStream`

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch, and figures to show, without gradient: read now and then, so that no step has to
        wait for them."""
        ...


class ShapeTask:
    """Cross-entropy of the shape, labels smoothed by 5 %, size, orientation and ratio of the facets, and what the
    network pictures on the way.

    A shape that is no class (label -1) teaches the picture, and what to answer with "none of these".
    """

    name = "classifier"
    anywhere = False

    def __init__(self, model: ShapeClassifier | None = None) -> None:
        self.model: nn.Module = model or ShapeClassifier()

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        seen = batch.noisy * illumination(batch.noisy, generator)
        answer, picture = self.model(channels_last(normalise(seen)))
        logits = answer.logits.float()
        labels = batch.labels.to(logits.device)
        known = (labels >= 0).sum().clamp_min(1)
        shape = functional.cross_entropy(
            logits, labels, label_smoothing=0.05, ignore_index=-1, reduction="sum"
        )
        shape = shape / known
        thickness = functional.avg_pool2d(batch.thickness / 10, 4)  # Å -> nm
        thick = functional.smooth_l1_loss(picture.thickness, thickness, beta=0.5)
        mask = functional.binary_cross_entropy_with_logits(picture.mask, functional.avg_pool2d(batch.mask, 4))
        image = functional.smooth_l1_loss(picture.target, batch.target - 1, beta=0.1)
        refusal = functional.binary_cross_entropy_with_logits(answer.refusal.float(), (labels < 0).float())
        accuracy = (logits.argmax(1) == labels).sum() / known
        size, lies, ratio = pose_losses(answer, batch)
        figures = {
            "loss": shape,
            "accuracy": accuracy,
            "diameter": size,
            "orientation": lies,
            "ratio": ratio,
            "refusal": refusal,
            "thickness": thick,
            "mask": mask,
            "image": image,
        }
        total = shape + 2 * size + 0.7 * lies + 3 * ratio + 0.5 * refusal + thick + 0.5 * mask + 3 * image
        return total, {k: v.detach() for k, v in figures.items()}


class ContrastTask:
    """Huber loss of the restored image, and of what its filter alone makes of it (bend at a third of the vacuum level);
    logarithm of the rms error of the denoised image, and of its filter's; likelihood of the restored image's error;
    cross-entropy of the mask; and Huber loss of the defocus, where it is what decides the contrast: a lens with a large
    spherical aberration is left out."""

    name = "restorer"
    anywhere = True

    def __init__(self, model: ContrastRestorer | None = None) -> None:
        self.model: nn.Module = model or ContrastRestorer()

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        light = illumination(batch.noisy, generator)
        seen = batch.noisy * light
        mean, spread = levels(seen)
        reading = self.model(channels_last(normalise(seen)))
        reading = Reading(*(part.float() for part in reading))
        wanted, clean = batch.target - 1, (batch.clean * light - mean) / spread
        image = functional.smooth_l1_loss(reading.restored, wanted, beta=0.33)
        linear = functional.smooth_l1_loss(reading.filtered[:, 0], wanted, beta=0.33)
        noise = log_error(reading.denoised, clean)
        smooth = log_error(reading.filtered[:, 1], clean)
        mask = functional.binary_cross_entropy_with_logits(reading.mask, batch.mask)
        error = likelihood_loss(reading.error, reading.restored.detach() - wanted)
        lens = focus_loss(reading.focus, batch)
        figures = {
            "loss": image,
            "mask": mask,
            "filter": linear,
            "noise": noise,
            "smooth": smooth,
            "error": error,
            "focus": lens,
            "unexplained": functional.mse_loss(reading.restored, wanted) / wanted.var().clamp_min(1e-12),
        }
        total = 30 * image + 15 * linear + 2 * noise + 0.3 * smooth + 0.3 * error + mask + 0.3 * lens
        return total, {name: value.detach() for name, value in figures.items()}


def channels_last(images: Tensor) -> Tensor:
    """The memory layout that convolutions are fastest in."""
    return images.to(memory_format=torch.channels_last)


def eased(batch: Batch, strength: float, generator: torch.Generator) -> Batch:
    """The batch made easier: noise (and the camera's blur) at `strength` (0 to 1) of the true one, and a part
    1 - `strength` of the images replaced by their targets, which show the particle at its best focus; a denoiser is
    asked for the same."""
    if strength >= 1:
        return batch
    noisy = batch.clean + strength * (batch.noisy - batch.clean)
    bare = torch.rand(len(noisy), generator=generator).to(noisy.device) >= strength
    noisy, clean = (torch.where(bare[:, None, None], batch.target, part) for part in (noisy, batch.clean))
    return replace(batch, noisy=noisy, clean=clean)


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
    fabric: Fabric | None = None,
    progress: Callable[[float, dict[str, float]], None] | None = None,
) -> nn.Module:
    """Train the task's network and return it with its averaged weights.

    Everything needed to go on is in `folder/TASK.ckpt`; the same call after a kill resumes there. The course
    of the figures is in `folder/TASK-history.jsonl`. `progress` is called with the part done and the figures.

    Parameters
    ----------
    fabric
        The processes, from `processes.make_fabric`, launched. Each calls this and draws its own part of every
        batch, and the network moves by the mean of their gradients. The first one's clock tells the time, and it
        alone writes files. Default: this process, on the CPU.

    Raises
    ------
    InputError
        If `folder` cannot be written, its checkpoint belongs to another plan or network, or the processes cannot
        share a batch evenly.
    """
    fabric = fabric or make_fabric(precision=plan.precision)
    part = own_part(plan.batch, fabric)
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: expected a folder that can be written: {error.strerror}") from None
    run = Run(task.model, plan, folder / f"{task.name}.ckpt", fabric)
    task.model = run.network
    history = _History(folder / f"{task.name}-history.jsonl", fabric, progress)
    history.go_on(run)
    stream = SampleStream(
        source.recipe,
        size=plan.size,
        renewal=plan.renewal,
        anywhere=task.anywhere,
        split="train",
        seed=plan.seed,
        device=fabric.device,
    )
    share = Share(plan.seed, fabric.global_rank, fabric.world_size)
    if run.part >= 1:
        return run.average.eval()
    task.model.train()
    with feed(source, stream, batch=part, share=share, taken=run.step * part) as coming:
        # The first batch is waited for before the clock starts: the feed takes a while to fill.
        batches = chain([next(coming)], coming)
        while (done := run.done()) < 1:
            asked = time.monotonic()
            batch = next(batches)
            waited = time.monotonic() - asked
            generator = seed_of_step(plan.seed, run.step, fabric)
            batch = eased(batch, done / plan.ease if plan.ease > 0 else 1.0, generator)
            loss, figures = task.loss(batch, generator)
            run.learn(loss, learning_rate(plan, done))
            history.add(figures | {"waited": loss.new_tensor(waited)})
            if history.counted == 20:
                history.report(run, len(source))
            run.save_now_and_then()
    history.report(run, len(source))
    run.save()
    return run.average.eval()


class _History:
    """Figures of the steps, and their means in a file."""

    def __init__(
        self, path: Path, fabric: Fabric, progress: Callable[[float, dict[str, float]], None] | None
    ) -> None:
        self._path, self._fabric, self._progress = path, fabric, progress
        self._sums: dict[str, Tensor] = {}
        self.counted = 0

    def go_on(self, run: Run) -> None:
        """Keep what the file says of the steps up to the checkpoint: those after it are done again, and of a run that
        was killed the last line may be half."""
        if self._fabric.global_rank > 0 or not self._path.exists():
            return
        lines = self._path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if (step := _step_of(line)) is not None and step <= run.step]
        if kept != lines:
            partial = self._path.with_suffix(".partial")
            partial.write_text("".join(kept))
            partial.replace(self._path)

    def add(self, figures: dict[str, Tensor]) -> None:
        self._sums = {name: self._sums.get(name, 0) + value for name, value in figures.items()}
        self.counted += 1

    def report(self, run: Run, specimens: int) -> None:
        """Write the means over the steps since the last report, and over all processes."""
        if not self.counted:
            return
        sums = mean_of_all(torch.stack(list(self._sums.values())), self._fabric).tolist()
        means = {name: value / self.counted for name, value in zip(self._sums, sums, strict=True)}
        means |= {"step": run.step, "minutes": run.elapsed / 60, "specimens": specimens}
        self._sums, self.counted = {}, 0
        if self._fabric.global_rank > 0:
            return
        with self._path.open("a") as file:
            file.write(json.dumps(means) + "\n")
        if self._progress:
            self._progress(min(1.0, run.part), means)


def _step_of(line: str) -> int | None:
    """The step that a line of a history was written at, None of one that is not whole."""
    try:
        return json.loads(line)["step"] if line.endswith("\n") else None
    except ValueError:
        return None
