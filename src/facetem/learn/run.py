"""A training run: the network, its averaged weights and its optimizers, how far it has come, and its checkpoint."""

from __future__ import annotations

import copy
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from facetem.core.errors import InputError
from facetem.learn.muon import optimizers
from facetem.learn.processes import of_the_first
from facetem.learn.replay import replayed

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from facetem.learn.training import TrainingPlan

FREE = ("minutes", "precision", "checkpoint")  # what may change when a run goes on


class Run:
    """A run of `plan` that goes on from the checkpoint at `path`, if there is one.

    Every process has its own; their weights, steps and time are the same. The first one writes the checkpoint.

    Raises
    ------
    InputError
        If the checkpoint belongs to another plan or network, or the processes do not find the same one.
    """

    def __init__(self, model: nn.Module, plan: TrainingPlan, path: Path, fabric: Fabric) -> None:
        if fabric.strategy.precision.precision != plan.precision:
            raise InputError(
                f"precision: expected that of the plan, {plan.precision}, got {fabric.strategy.precision.precision}"
            )
        self.plan, self.step, self.elapsed = plan, 0, 0.0
        self._path, self._fabric = path, fabric
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(model).to(fabric.device)
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            # Statistics of the whole batch, as on one device. There is no such thing for the CPU.
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        self._bare = model
        fused = fabric.device.type == "cuda"
        if fused and fabric.world_size == 1:
            images = torch.randn(plan.batch, 1, plan.size, plan.size, device=fabric.device)
            images = images.to(memory_format=torch.channels_last)
            model = replayed(model.to(fabric.device), images, plan.precision)
        self.network, *self._optimizers = fabric.setup(
            model,
            *optimizers(model, rate=plan.rate, decay=plan.decay, precision=plan.precision, fused=fused),
        )
        self.average.load_state_dict(model.state_dict())  # the first process's, now that they are set up
        if path.exists():
            self._load()
        if of_the_first(self.step, fabric) != self.step:
            raise InputError(
                f"{path}: expected the same checkpoint in every process; is the folder shared by all?"
            )
        self._before = self.elapsed
        self._begun: float | None = None
        self._saved = time.monotonic()

    def done(self) -> float:
        """Part of the steps or of the time that has passed, by the first process's clock: the others would stop a step
        sooner or later, and wait for ever."""
        now = time.monotonic()
        if self._begun is None:
            self._begun = now
        self.elapsed = of_the_first(self._before + now - self._begun, self._fabric)
        return self.part

    @property
    def part(self) -> float:
        """The same, when it was last asked for."""
        return self.step / self.plan.steps if self.plan.steps else self.elapsed / (60 * self.plan.minutes)

    def learn(self, loss: Tensor, rate: float) -> None:
        """One step down the loss."""
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
        self._fabric.backward(loss)
        for optimizer in self._optimizers:
            self._fabric.clip_gradients(self.network, optimizer, max_norm=1.0)
            optimizer.step()
        self.step += 1
        late = self.step > self.plan.average
        self._follow(min(1 / self.plan.average, 1.0) if late else 1 / (1 + self.step))

    @torch.no_grad()
    def _follow(self, part: float) -> None:
        """Move the averaged weights (and normalisation statistics) by `part` of the way to the model's."""
        lerp = torch._foreach_lerp_  # type: ignore[attr-defined]  # as PyTorch's own optimizers have it
        lerp(_numbers(self.average), _numbers(self._bare), part)

    def save_now_and_then(self) -> None:
        """Save if the last time is long ago."""
        if time.monotonic() - self._saved > self.plan.checkpoint:
            self.save()

    def save(self) -> None:
        """Write the checkpoint."""
        self._saved = time.monotonic()
        if self._fabric.global_rank > 0:
            return
        temporary = self._path.with_suffix(".tmp")
        torch.save(
            {
                "plan": asdict(self.plan),
                "step": self.step,
                "elapsed": self.elapsed,
                "model": self._bare.state_dict(),
                "average": self.average.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            },
            temporary,
        )
        os.replace(temporary, self._path)

    def _load(self) -> None:
        saved = torch.load(self._path, map_location="cpu", weights_only=True)
        if "optimizers" not in saved:  # of a version that moved all weights by AdamW
            raise InputError(
                f"{self._path}: holds a run of another version; choose another folder or remove it"
            )
        if any(saved["plan"].get(k) != v for k, v in asdict(self.plan).items() if k not in FREE):
            raise InputError(f"{self._path}: holds a run of another plan; choose another folder or remove it")
        try:
            self._bare.load_state_dict(saved["model"])
            self.average.load_state_dict(saved["average"])
        except RuntimeError:
            raise InputError(
                f"{self._path}: holds a run of another network; choose another folder or remove it"
            ) from None
        for optimizer, state in zip(self._optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.step, self.elapsed = saved["step"], saved["elapsed"]


def _numbers(model: nn.Module) -> list[Tensor]:
    """Weights and normalisation statistics, without what counts steps."""
    return [values for values in model.state_dict().values() if values.is_floating_point()]
