"""The pixel size of many micrographs, which the spots of all their particles question together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facetem.analysis.lattice import lattice_scale
from facetem.learn.matter import Matter


def sample_doubts(reports: Sequence[Path]) -> list[str]:
    """What to say of the pixel sizes that several of the analyses in these folders share, where the lattice of their
    particles, taken together, contradicts one."""
    shared: dict[tuple[float, tuple[str, ...]], list[dict[str, Any]]] = {}
    for folder in reports:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        learnt = Matter.read(result["provenance"].get("learnt"))
        size = round(10 * result["micrograph"]["pixel_size_nm"], 6)
        shared.setdefault((size, learnt.elements), []).append(result)
    doubts = []
    for (sampling, elements), results in shared.items():
        spots = [_spots(particle) for result in results for particle in result["particles"]]
        scale = lattice_scale(spots, elements)
        if len(results) > 1 and scale is not None and scale.disagrees:
            doubts.append(f"{len(results)} micrographs together: {scale.doubt(sampling)}")
    return doubts


def _spots(particle: dict[str, Any]) -> np.ndarray:
    """As `lattice_spots` told them; none of a report of before, which has no signals."""
    signals = particle.get("spot_signals", [])
    spacings = particle["spacings_nm"][: len(signals)]
    return np.column_stack([10 * np.array(spacings), signals])
