"""What the processes do that `test_processes.py` starts, and a source that a network learns from in seconds."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn

from facetem.data.draw import image_shape
from facetem.data.items import Item
from facetem.data.recipe import Particles, Recipe
from facetem.data.samples import Batch
from facetem.data.sources import Share, Showing, Visit
from facetem.data.specimens import wave_grid
from facetem.learn import run
from facetem.learn.processes import make_fabric
from facetem.learn.training import TrainingPlan, train

RECIPE = Recipe(field=48.0, particles=Particles(diameter=(14.0, 18.0)))
PLAN = TrainingPlan(minutes=1e9, batch=4, size=64, rate=0.1, warmup=0, ease=0, average=5, precision="32-true")
STEPS = 5  # an epoch has two


class Stripes:
    """A source of phase gratings whose direction is the label: something a network can learn in seconds."""

    recipe = RECIPE

    def __len__(self) -> int:
        return 8

    def order(self, epoch: int, share: Share) -> Iterator[list[Visit]]:
        rng = np.random.default_rng([share.seed, epoch])
        own = rng.permutation(8).tolist()[share.rank :: share.of]
        yield [Visit(index, epoch, None) for index in own]

    def load(self, groups: Iterable[list[Visit]]) -> Iterator[list[Showing] | None]:
        for group in groups:
            yield [Showing(visit, self.item(visit.index)) for visit in group]

    def item(self, index: int) -> Item:
        grid = wave_grid(RECIPE)
        y, x = torch.meshgrid(*(torch.arange(n) / n for n in grid.shape), indexing="ij")
        phase = 0.5 * torch.sin(2 * torch.pi * (4 + index) * (x if index % 2 else y))
        shape = image_shape(RECIPE)
        return Item(
            torch.stack([torch.cos(phase), torch.sin(phase)]),
            torch.ones(shape),
            torch.zeros(shape),
            torch.zeros(shape),
            index,
            200e3,
            60.0,
            (1.0, 0.0, 0.0, 0.0),
            1.0,
        )


class Stop(Exception):  # noqa: N818
    """Raised by both processes at the same step."""


class Blur:
    """A network without normalisation, which would see only one process's part of a batch."""

    name = "blur"
    anywhere = False

    def __init__(self, steps: int | None) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = nn.Conv2d(1, 1, 5, padding=2)
        self._left = steps

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        if self._left == 0:
            raise Stop
        if self._left:
            self._left -= 1
        loss = (self.model(batch.noisy[:, None])[:, 0] - 2 * batch.clean).square().mean()
        return loss, {"loss": loss.detach()}


def weights_after(steps: int, folder: Path, **machines: int) -> dict[str, Tensor]:
    """The weights after so many steps."""
    task = Blur(steps)
    bare = task.model
    fabric = make_fabric(**machines)
    fabric.launch()
    try:
        train(task, Stripes(), PLAN, folder, fabric=fabric)
    except Stop:
        return bare.state_dict()
    raise AssertionError


def main(what: str, folder: Path) -> None:
    rank = make_fabric().global_rank
    if what == "steps":
        torch.save(weights_after(STEPS, folder), folder / f"{rank}.pt")
        return
    (folder / f"{rank}.pid").write_text(str(os.getpid()))
    if rank == 1:  # whose clock runs three times as fast: it must not matter
        run.time = SimpleNamespace(monotonic=lambda: 3 * time.monotonic())  # type: ignore[attr-defined]
    minutes = 1e9 if what == "endless" else float(what)
    plan = TrainingPlan(**{**vars(PLAN), "minutes": minutes, "checkpoint": 0.1})
    fabric = make_fabric()
    fabric.launch()
    train(Blur(None), Stripes(), plan, folder, fabric=fabric)
    (folder / f"{rank}.done").touch()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
