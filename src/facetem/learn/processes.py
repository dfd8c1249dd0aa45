"""One or many processes that train one network, each on a device of its own (Lightning Fabric)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from facetem.core.errors import InputError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Precision = Literal["bf16-mixed", "32-true"]


def make_fabric(
    device: str = "cpu",
    *,
    devices: int | Literal["auto"] = 1,
    nodes: int = 1,
    precision: Precision = "32-true",
) -> Fabric:
    """The processes that train together, to be started by its `launch`: once in a program, and early in it.

    Under `torchrun` or `fabric run` they are there already, and `devices` and `nodes` are theirs. Otherwise, with
    more than one device, `launch` runs this program again for each of the others.

    Raises
    ------
    InputError
        If there are not as many devices.
    """
    from lightning_fabric import Fabric

    cuda = device.startswith("cuda")
    there = torch.cuda.device_count() if cuda else os.cpu_count() or 1
    if torch.distributed.is_torchelastic_launched():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    elif devices == "auto":
        devices = there if cuda else 1
    if devices < 1 or nodes < 1:
        raise InputError(f"devices: expected at least 1 on at least 1 node, got {devices} on {nodes}")
    if devices > there:
        raise InputError(
            f"devices: expected at most {there}, the number of {'GPUs' if cuda else 'cores'} here, got {devices}"
        )
    return Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=devices,
        num_nodes=nodes,
        strategy="ddp" if devices * nodes > 1 else "auto",
        precision=precision,
    )


def is_first() -> bool:
    """Whether this is the first of the processes, or the only one; known before they have been started."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))


def own_part(batch: int, fabric: Fabric) -> int:
    """Samples of a batch that this process draws.

    Raises
    ------
    InputError
        If a batch cannot be shared out evenly.
    """
    if batch % fabric.world_size:
        raise InputError(
            f"batch: expected a multiple of {fabric.world_size}, the number of devices, got {batch}"
        )
    return batch // fabric.world_size


def of_the_first(value: float, fabric: Fabric) -> float:
    """The value that the first process has, in all of them."""
    if fabric.world_size == 1:
        return value
    told = torch.tensor([value], dtype=torch.float64, device=fabric.device)
    torch.distributed.broadcast(told, 0)
    return float(told)


def mean_of_all(values: Tensor, fabric: Fabric) -> Tensor:
    """The mean over the processes."""
    if fabric.world_size == 1:
        return values
    total = values.clone()
    torch.distributed.all_reduce(total)
    return total / fabric.world_size


@contextmanager
def first_weights(seed: int) -> Iterator[None]:
    """The networks that are made within begin with the random weights of a seed, in every process and every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def seed_of_step(seed: int, step: int, fabric: Fabric) -> torch.Generator:
    """Generator of a step, in this process; dropout is seeded alike. A run that goes on is as one that never
    stopped."""
    own = int(np.random.SeedSequence([seed, step, fabric.global_rank]).generate_state(1)[0])
    torch.manual_seed(own)
    return torch.Generator().manual_seed(own)
