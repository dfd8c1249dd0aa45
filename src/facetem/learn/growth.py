"""A classifier with more to learn with, which answers as the one it grew from (Chen et al., Net2Net, ICLR 2016); or
with less to calculate.

New residual blocks come last in their stage and begin as the identity; new channels begin without being listened to;
reflections begin without a say. Their gradients are not zero, so that all of them learn from the first step. Blocks
that have stayed near the identity all the same can be left out again (Veit, Wilber and Belongie, Residual networks
behave like ensembles of relatively shallow networks, NeurIPS 2016); `benchmarks/pruning.py` shows which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from facetem.core.errors import InputError
from facetem.learn.classifier import ClassifierConfig, Residual, ShapeClassifier

Counts = tuple[int, ...]


@dataclass(frozen=True)
class Size:
    """What a classifier is to be made of, as in `ClassifierConfig`; None: as it is."""

    depths: Counts | None = None
    widths: Counts | None = None
    reflections: int | None = None

    def of(self, config: ClassifierConfig) -> ClassifierConfig:
        """`config` in this size."""
        return replace(config, **{name: value for name, value in vars(self).items() if value is not None})


def grown(model: ShapeClassifier, size: Size) -> ShapeClassifier:
    """`model` in a larger size.

    Raises
    ------
    InputError
        If there is not one number for each stage, or the network would lose something.
    """
    mine, wanted = model.config, size.of(model.config)
    for name in ("depths", "widths"):
        before, after = getattr(mine, name), getattr(wanted, name)
        if len(after) != len(before) or any(new < old for new, old in zip(after, before, strict=True)):
            raise InputError(f"{name}: expected {len(before)} numbers, at least {before}, got {after}")
    if mine.reflections not in (0, wanted.reflections):
        raise InputError(f"reflections: expected {mine.reflections}, got {wanted.reflections}")
    widths = wanted.widths
    larger = ShapeClassifier(wanted)
    wide = larger.state_dict()
    stages, last = _pooled(mine.widths, widths), _pooled(mine.widths[-1:], widths[-1:])
    pools = {"head.weight": last, "pose.0.weight": last, "refuse.0.weight": stages}
    if mine.reflections:
        pools["correct.0.weight"] = [*last, *(2 * widths[-1] + i for i in range(mine.reflections))]
    for name, value in model.state_dict().items():
        place = _place(name, model, larger)
        wide[place] = _within(wide[place], value, pools.get(name))
    larger.load_state_dict(wide)
    return larger


def without(model: ShapeClassifier, blocks: Sequence[int]) -> ShapeClassifier:
    """`model` without some of its residual blocks, by their places among the layers of `model.features`.

    Raises
    ------
    InputError
        If there is no residual block at one of these places.
    """
    there = [place for place, layer in enumerate(model.features) if isinstance(layer, Residual)]
    if not set(blocks) <= set(there):
        raise InputError(f"blocks: expected some of {there}, got {sorted(blocks)}")
    firsts = [0, *(end + 1 for end in model.features.ends)]
    depths = tuple(
        sum(first <= place < after and place not in blocks for place in there)
        for first, after in pairwise(firsts)
    )
    smaller = ShapeClassifier(replace(model.config, depths=depths))
    kept = [layer for place, layer in enumerate(model.features) if place not in blocks]
    state = {name: v for name, v in model.state_dict().items() if not name.startswith("features.")}
    for place, layer in enumerate(kept):
        state |= {f"features.{place}.{name}": value for name, value in layer.state_dict().items()}
    smaller.load_state_dict(state)
    return smaller.train(model.training)


def _pooled(before: Counts, after: Counts) -> list[int]:
    """Where the features that `ShapeClassifier.pool` makes of narrower stages are among those of wider ones."""
    firsts = accumulate((2 * width for width in after), initial=0)
    return [
        first + part * new + i
        for first, old, new in zip(firsts, before, after, strict=False)
        for part in range(2)
        for i in range(old)
    ]


def _place(name: str, model: ShapeClassifier, larger: ShapeClassifier) -> str:
    """What the layer of that parameter is called in the larger network: its place in its stage is the same."""
    if not name.startswith("features."):
        return name
    _, number, rest = name.split(".", 2)
    stage = sum(end < int(number) for end in model.features.ends)
    firsts = ([0, *(end + 1 for end in trunk.ends)] for trunk in (model.features, larger.features))
    before, after = (first[stage] for first in firsts)
    return f"features.{int(number) - before + after}.{rest}"


def _within(fresh: Tensor, value: Tensor, inputs: Sequence[int] | None) -> Tensor:
    """A fresh tensor of a larger network with `value` in it. Its first channels are those of before, or, of its inputs,
    the ones that are listed; they do not listen to the others."""
    if not value.ndim:
        return value
    result = fresh.clone()
    rows = slice(len(value))
    result[rows] = 0
    if value.ndim == 1:
        result[rows] = value
        return result
    columns = torch.arange(value.shape[1]) if inputs is None else torch.tensor(inputs)
    result[rows, columns] = value
    return result
