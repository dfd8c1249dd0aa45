"""The pixel size of many micrographs, which the spots of all their particles question together."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from facetem.analysis.lattice import lattice_scale
from facetem.analysis.result import ParticleResult
from facetem.analysis.saved import SavedReport


def sample_doubts(reports: Iterable[SavedReport]) -> list[str]:
    """What to say of the pixel sizes that several analyses share, where the lattice of their particles, taken together,
    contradicts one."""
    shared: dict[tuple[float, tuple[str, ...]], list[SavedReport]] = {}
    for report in reports:
        size = round(10 * report.pixel_size_nm, 6)
        shared.setdefault((size, report.learnt.elements), []).append(report)
    doubts = []
    for (sampling, elements), some in shared.items():
        spots = [_spots(particle) for report in some for particle in report.particles]
        scale = lattice_scale(spots, elements)
        if len(some) > 1 and scale is not None and scale.disagrees:
            doubts.append(f"{len(some)} micrographs together: {scale.doubt(sampling)}")
    return doubts


def _spots(particle: ParticleResult) -> np.ndarray:
    """As `lattice_spots` told them; none of a report of before, which has no signals."""
    signals = particle.spot_signals
    return np.column_stack([10 * np.array(particle.spacings_nm[: len(signals)]), signals])
