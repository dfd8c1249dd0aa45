"""What the networks cost: time and memory of a large micrograph."""

from __future__ import annotations

import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Cost:
    """Seconds to restore a field of `side` x `side` px at 0.4 Å/px and to classify `crops` particles, and the peak
    memory [bytes] of the process that did both."""

    side: int
    crops: int
    threads: int
    restoring: float
    classifying: float
    memory: int


def cost(
    classifier: Path | None,
    restorer: Path | None,
    *,
    side: int = 4096,
    crops: int = 50,
    device: str = "cpu",
) -> Cost:
    """Measure it in a process of its own, whose memory nothing else is counted in. Noise does as well as a picture."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, classifier, restorer, side, crops, device).result()


def _measured(classifier: Path | None, restorer: Path | None, side: int, crops: int, device: str) -> Cost:
    import torch

    from facetem.core.pixels import FIELD
    from facetem.learn.predictor import load_classifier
    from facetem.learn.restoration import load_restorer

    rng = np.random.default_rng(0)
    field = rng.normal(1, 0.1, (side, side)).astype(np.float32)
    views = rng.normal(1, 0.1, (crops, FIELD, FIELD)).astype(np.float32)
    contrast, shapes = load_restorer(restorer, device=device), load_classifier(classifier, device=device)
    begun = time.perf_counter()
    contrast.restore(field)
    between = time.perf_counter()
    shapes.classify(views)
    return Cost(
        side,
        crops,
        torch.get_num_threads(),
        restoring=between - begun,
        classifying=time.perf_counter() - between,
        memory=1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,  # kilobytes on Linux
    )
