"""A report on disk as the page shows it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from facetem.analysis.report import RESULT, colours_of
from facetem.learn.matter import Matter

FIELD, RESTORED = "field.tif", "restored.tif"  # at the pixel size of the analysis
FIELD_PICTURE, RESTORED_PICTURE, DENOISED_PICTURE = "field.png", "restored.png", "denoised.png"
PICTURES = (FIELD_PICTURE, RESTORED_PICTURE, DENOISED_PICTURE)


@dataclass(frozen=True)
class Result:
    """What `result.json` says.

    Parameters
    ----------
    folder : Path
    told : dict
        The file, as plain values.
    """

    folder: Path
    told: dict[str, Any]

    @property
    def particles(self) -> list[dict[str, Any]]:
        """One dict for each particle, in their order."""
        return self.told["particles"]

    @property
    def colours(self) -> dict[str, str]:
        """Colour of each verdict."""
        return colours_of(list(self.particles[0]["probabilities"]) if self.particles else [])

    @property
    def pixel_nm(self) -> float:
        """Pixel of the analysis, which the pictures have."""
        return float(self.told["analysed_pixel_size_nm"])

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels (y, x) of the analysed field."""
        y, x = (float(length) / self.pixel_nm for length in self.told["micrograph"]["field_nm_yx"])
        return int(y + 1e-3), int(x + 1e-3)

    @property
    def name(self) -> str:
        """Of the micrograph."""
        return str(self.told["micrograph"]["name"])

    @property
    def energy(self) -> float | None:
        """Of the beam [eV], if the file tells one that microscopes have."""
        told = self.told["micrograph"]["metadata"].get("beam_energy_kev")
        return 1e3 * told if isinstance(told, (int, float)) and 10 <= told <= 2000 else None

    @property
    def learnt(self) -> Matter:
        """What its classifier knows particles of."""
        return Matter.read(self.told.get("provenance", {}).get("learnt"))

    def particle(self, index: int) -> dict[str, Any] | None:
        """The particle of that number."""
        return next((p for p in self.particles if p["index"] == index), None)

    def centroid(self, particle: dict[str, Any]) -> tuple[float, float]:
        """(y, x) [px] of a particle."""
        return particle["y_nm"] / self.pixel_nm - 0.5, particle["x_nm"] / self.pixel_nm - 0.5


def load_result(folder: Path) -> Result | None:
    """The result in a report's folder; None if there is no whole one."""
    file = folder / RESULT
    try:
        return _read(file, file.stat().st_mtime_ns)
    except (OSError, ValueError, KeyError, TypeError):
        return None


@lru_cache(maxsize=64)
def _read(file: Path, _changed: int) -> Result:
    told = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(told["particles"], list):
        raise ValueError("no particles")
    return Result(file.parent, told)
