"""Which directions of the beam tell a shape, and from which they are taken for another: a map for each shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facetem.atoms.shapes import SHAPES
from facetem.core.words import spoken
from facetem.study.bootstrap import Mean, mean_of
from facetem.study.directions import (
    angles,
    corners,
    lattice_of_directions,
    named_corners,
    outline,
    reduced,
    stereographic,
)
from facetem.study.findings import markdown
from facetem.study.jobs import Crew
from facetem.study.sweeps import measure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from facetem.figures.stereographic import Triangle

NEAR = 15.0  # deg from a corner of the sector
SMOOTH = 10.0  # deg: width of the Gaussian that the maps are means over
PER_SWEEP = 4  # specimens for each one of a sweep: a map has many places
ELSEWHERE = "elsewhere"
FEW = 3  # specimens: a place with fewer is not worth a sentence


@dataclass(frozen=True)
class OrientationMap:
    """Specimens of any orientation: one row of `table` for each, with `place`, the corner of the sector that the beam
    is near, or `ELSEWHERE`."""

    table: pd.DataFrame
    title: str = "orientation: map"

    @cached_property
    def shapes(self) -> list[str]:
        """Those that there are, in the order of the classes."""
        return [shape for shape in SHAPES if shape in set(self.table["shape"])]

    def summary(self) -> pd.DataFrame:
        """Of each shape and place: how many specimens, the part told, the mean confidence, and what the others were
        taken for."""
        rows = []
        for shape in self.shapes:
            for place in (*named_corners(shape), ELSEWHERE):
                here = self.table.query("shape == @shape and place == @place")
                told = mean_of(here["right"].to_numpy(dtype=bool))
                wrong = here.query("not right")["named"].value_counts()
                rows.append(
                    {
                        "shape": shape,
                        "place": place,
                        "specimens": len(here),
                        "right": told.mean,
                        "right_low": told.low,
                        "right_high": told.high,
                        "confidence": mean_of(here["confidence"].to_numpy(dtype=float)).mean,
                        "taken_for": ", ".join(f"{name} {count}" for name, count in wrong.items()),
                    }
                )
        return pd.DataFrame(rows)

    def near(self) -> tuple[Mean, Mean]:
        """The part told within `NEAR` of a corner, and elsewhere."""
        elsewhere = self.table["place"] == ELSEWHERE
        right = self.table["right"].to_numpy(dtype=bool)
        return mean_of(right[~elsewhere]), mean_of(right[elsewhere])

    def said(self) -> list[str]:
        """Where each shape is told least, and what it is taken for there."""
        near, elsewhere = self.near()
        lines = [
            f"Within {NEAR:g} degrees of an axis of high symmetry shapes are told in {near} of the images, "
            f"elsewhere in {elsewhere}."
        ]
        short = self.summary()
        for shape in self.shapes:
            rows = short.query("shape == @shape and specimens >= @FEW and right < 1").to_dict("records")
            if not rows:
                continue
            row = min(rows, key=lambda row: row["right"])
            where = ELSEWHERE if row["place"] == ELSEWHERE else f"near {row['place']}"
            lines.append(
                f"{spoken(shape).capitalize()}: least {where}, {round(row['right'] * row['specimens'])} of "
                f"{row['specimens']}, the others taken for {spoken(row['taken_for'])}."
            )
        return lines

    def rows(self) -> list[str]:
        """The table of the page."""
        body = [
            [
                spoken(row["shape"]),
                row["place"],
                str(row["specimens"]),
                f"{row['right']:.2f} ({row['right_low']:.2f} to {row['right_high']:.2f})",
                f"{row['confidence']:.2f}",
                spoken(row["taken_for"]),
            ]
            for row in self.summary().to_dict("records")
            if row["specimens"]
        ]
        return markdown(("shape", "beam near", "specimens", "told", "confidence", "taken for"), body)

    def _triangles(self) -> list[Triangle]:
        from facetem.figures.stereographic import Triangle

        found = []
        for shape in self.shapes:
            rows = self.table.query("shape == @shape")
            beams = rows[["beam_x", "beam_y", "beam_z"]].to_numpy(dtype=float)
            places = lattice_of_directions(shape)
            weights = np.exp(-((np.degrees(angles(shape, places, beams)) / SMOOTH) ** 2) / 2)
            found.append(
                Triangle(
                    title=spoken(shape),
                    outline=stereographic(shape, outline(shape)),
                    corners=stereographic(shape, corners(shape)),
                    corner_names=named_corners(shape),
                    places=stereographic(shape, places),
                    accuracy=_smooth(weights, rows["right"].to_numpy(dtype=float)),
                    confidence=_smooth(weights, rows["confidence"].to_numpy(dtype=float)),
                    points=stereographic(shape, reduced(shape, beams)),
                    named=[spoken(name) for name in rows["named"]],
                    right=rows["right"].to_numpy(dtype=bool),
                    sure=rows["confidence"].to_numpy(dtype=float),
                )
            )
        return found

    def figure(self) -> Figure:
        """The sector of each shape with the part told and the confidence in colours, and every error."""
        from facetem.figures.stereographic import triangles

        return triangles(self._triangles(), [spoken(shape) for shape in SHAPES])

    def interactive(self) -> str:
        """The same as a page."""
        from facetem.figures.interactive import triangles_page

        return triangles_page(self._triangles(), title=self.title)


def _smooth(weights: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of values (m,) weighted (n, m); NaN where there is nothing within three widths."""
    total = weights.sum(axis=1)
    return np.where(total > np.exp(-4.5), (weights @ values) / np.maximum(total, 1e-12), np.nan)


def place_of(shape: str, beams: NDArray[np.float64]) -> list[str]:
    """The corner of the sector within `NEAR` of each direction (n, 3), or `ELSEWHERE`."""
    apart = np.degrees(angles(shape, beams, corners(shape)))
    names = named_corners(shape)
    return [names[row.argmin()] if row.min() <= NEAR else ELSEWHERE for row in apart]


def run_orientation_map(crew: Crew) -> OrientationMap:
    """The specimens of the bench, and more like them, told from any direction."""
    bench = crew.bench
    table = measure(crew, "orientation, map", [(bench.recipe, bench.recipe)], n=PER_SWEEP * bench.n)[0]
    return with_places(table)


def with_places(table: pd.DataFrame) -> OrientationMap:
    """The map of specimens that were measured."""
    places = pd.Series("", index=table.index)
    for shape, rows in table.groupby("shape"):
        beams = rows[["beam_x", "beam_y", "beam_z"]].to_numpy(dtype=float)
        places[rows.index] = place_of(str(shape), beams)
    return OrientationMap(table.assign(place=places))
