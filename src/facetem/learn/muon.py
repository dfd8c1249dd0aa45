"""How weights move: matrices by Muon, all others by AdamW.

Of a matrix's gradient, summed with momentum, Muon takes the nearest orthogonal matrix: all directions in which the
gradient says anything are followed as far, the seldom ones too (Jordan et al., Muon: an optimizer for hidden layers in
neural networks, 2024). Filters are matrices of as many rows as they have outputs. A step is as long as one of AdamW, in
the root mean square, so that both have one rate (Liu et al., Muon is scalable for LLM training, arXiv:2502.16982, 2025,
equation 4).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from facetem.learn.processes import Precision

MOMENTUM = 0.95
LENGTH = 0.2  # root mean square of a step of AdamW, in units of the rate
NARROW = 16  # rows or columns: what has fewer, such as the last layers of answers, is some vectors, no matrix
STEPS = 5  # of Newton and Schulz's iteration
QUINTIC = 3.4445, -4.7750, 2.0315  # after them, singular values of 0.005 to 1 are near 1 (Jordan et al.)


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov's momentum and decoupled weight decay, for weights (rows, ...) with a `lr` as of AdamW.
    Matrices are made orthogonal in numbers of `dtype`: bfloat16 does, where the processor multiplies it."""

    def __init__(
        self,
        weights: Iterable[nn.Parameter],
        *,
        lr: float,
        weight_decay: float,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move the weights that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(
                list
            )  # at once: a GPU is faster so
            for weight in group["params"]:
                if weight.grad is not None:
                    alike[len(weight), weight[0].numel()].append(weight)
            for (rows, columns), weights in alike.items():
                ahead = torch.stack([self._ahead(weight).reshape(rows, columns) for weight in weights])
                ways = orthogonal(ahead.to(self._dtype)).to(ahead)
                length = group["lr"] * LENGTH * max(rows, columns) ** 0.5
                for weight, way in zip(weights, ways, strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    weight.sub_(length * way.reshape(weight.shape))
        return loss

    def _ahead(self, weight: nn.Parameter) -> Tensor:
        """The sum of a weight's gradients, each worth `MOMENTUM` of the next, as it will be one step later."""
        assert weight.grad is not None
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].mul_(MOMENTUM).add_(weight.grad)
        return weight.grad + MOMENTUM * state["momentum"]


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices (n, rows, columns) with the same singular vectors, and singular values of 0.7 to 1.2 where they were
    more than half a per cent of their root sum of squares."""
    wide = matrices if matrices.shape[1] <= matrices.shape[2] else matrices.mT
    x = wide / wide.norm(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(wide.dtype).tiny)
    a, b, c = QUINTIC
    for _ in range(STEPS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide is matrices else x.mT


def optimizers(
    model: nn.Module,
    *,
    rate: float,
    decay: float,
    precision: Precision = "32-true",
    fused: bool = False,
) -> list[torch.optim.Optimizer]:
    """What moves the weights of a network: `Muon` its matrices, AdamW the rest. `precision` of what the network
    multiplies, `fused` as PyTorch has it."""
    matrices, rest = [], []
    for weight in model.parameters():
        is_matrix = weight.ndim > 1 and min(len(weight), weight[0].numel()) >= NARROW
        (matrices if is_matrix else rest).append(weight)
    made: list[torch.optim.Optimizer] = []
    if matrices:
        dtype = torch.bfloat16 if precision == "bf16-mixed" else torch.float32
        made.append(Muon(matrices, lr=rate, weight_decay=decay, dtype=dtype))
    if rest:
        made.append(torch.optim.AdamW(rest, lr=rate, weight_decay=decay, fused=fused))
    return made
