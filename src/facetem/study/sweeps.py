"""Studies: how accuracy and contrast move with one condition, on the same specimens."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from facetem.atoms.shapes import SHAPES
from facetem.core.contrast import contrast
from facetem.core.errors import InputError
from facetem.data.recipe import Recipe
from facetem.data.samples import Batch
from facetem.learn.orientation import family_of
from facetem.study.axes import STUDIES, Axis, Setting
from facetem.study.bench import Bench
from facetem.study.bootstrap import Mean, difference_of, mean_of
from facetem.study.findings import markdown, written
from facetem.study.jobs import Crew, kept_table
from facetem.study.metrics import psnr

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from facetem.figures.studies import Band

MEANS = (
    *("right", "family_right", "accepted", "known", "confidence", "chance"),
    *("psnr_raw", "psnr_restored", "contrast_raw", "contrast_restored"),
)


@dataclass(frozen=True)
class Sweep:
    """A study's axis along its values: one row of `table` for each specimen at each value."""

    study: str
    name: str
    axis: Axis
    table: pd.DataFrame

    @property
    def title(self) -> str:
        """The study and its axis."""
        return f"{self.study}: {self.name}"

    @property
    def values(self) -> list[Setting]:
        """Where the axis was looked at."""
        return list(dict.fromkeys(self.table["value"]))

    def at(self, value: Setting) -> pd.DataFrame:
        """The rows of a value, in the order of the specimens."""
        return self.table[self.table["value"] == value].set_index("specimen").sort_index()

    def means(self, name: str) -> list[Mean]:
        """The means of a column at every value."""
        return [mean_of(self.at(value)[name].to_numpy()) for value in self.values]

    def difference(self, name: str, first: Setting, second: Setting) -> Mean:
        """How much more the mean of a column is at `second` than at `first`, each specimen against itself."""
        return difference_of(self.at(first)[name].to_numpy(), self.at(second)[name].to_numpy())

    def summary(self) -> pd.DataFrame:
        """Means of `MEANS` at each value, with their 95 % intervals (`NAME_low`, `NAME_high`)."""
        columns: dict[str, object] = {"study": self.study, "axis": self.name, "value": self.values}
        columns["specimens"] = [len(self.at(value)) for value in self.values]
        for name in MEANS:
            means = self.means(name)
            columns[name] = [one.mean for one in means]
            columns[f"{name}_low"] = [one.low for one in means]
            columns[f"{name}_high"] = [one.high for one in means]
        return pd.DataFrame(columns)

    def said(self) -> list[str]:
        """What moves accuracy and restoration, and where."""
        right = dict(zip(self.values, self.means("right"), strict=True))
        best = max(right, key=lambda value: right[value].mean)
        worst = min(right, key=lambda value: right[value].mean)
        label = self.axis.label
        lines = [
            f"Shapes are told best at {written(best)} ({label}): {right[best]}; worst at {written(worst)}: "
            f"{right[worst]}."
            if right[best].mean > right[worst].mean
            else f"Shapes are told alike at every value ({label}): {right[best]}."
        ]
        less = {value: self.difference("right", best, value) for value in self.values if value != best}
        sure = [value for value, difference in less.items() if difference.high < 0]
        if sure:
            lines.append(
                f"Specimen by specimen it is surely worse than at the best value at "
                f"{', '.join(written(v) for v in sure)}; elsewhere the difference is within its interval."
            )
        else:
            lines.append("No value differs from the best one by more than the interval of the difference.")
        raw, restored = ([one.mean for one in self.means(name)] for name in ("psnr_raw", "psnr_restored"))
        gains = [b - a for a, b in zip(raw, restored, strict=True)]
        lines.append(
            f"Restoring changes the PSNR by {min(gains):+.1f} to {max(gains):+.1f} dB; along the axis that of the "
            f"recorded images varies by {max(raw) - min(raw):.1f} dB, that of the restored ones by "
            f"{max(restored) - min(restored):.1f} dB."
        )
        parts = [
            f"of the {word} images {exp(min(means)):.2f} to {exp(max(means)):.2f}"
            for word, column in (("recorded", "contrast_raw"), ("restored", "contrast_restored"))
            for means in [[one.mean for one in self.means(column)]]
        ]
        lines.append(f"The particle/substrate contrast {' and '.join(parts)} times the target's.")
        return lines

    def rows(self) -> list[str]:
        """The table of the page."""
        rows = [
            [
                written(row["value"]),
                f"{row['right']:.3f} ({row['right_low']:.3f} to {row['right_high']:.3f})",
                *(f"{row[name]:.3f}" for name in ("family_right", "accepted", "confidence")),
                *(f"{row[name]:.2f}" for name in ("psnr_restored", "psnr_raw")),
                *(f"{exp(row[name]):.2f}" for name in ("contrast_restored", "contrast_raw")),
            ]
            for row in self.summary().to_dict("records")
        ]
        heads = (
            "shape right",
            "family right",
            "one shape",
            "confidence",
            "PSNR restored [dB]",
            "recorded [dB]",
            "contrast restored / true",
            "recorded / true",
        )
        return markdown((self.axis.label, *heads), rows)

    def _panels(self) -> dict[str, dict[str, Band]]:
        from facetem.figures.studies import Band

        def band(name: str) -> Band:
            means = self.means(name)
            return Band([m.mean for m in means], [m.low for m in means], [m.high for m in means])

        return {
            "part of the images": {
                "shape right": band("right"),
                "family right": band("family_right"),
                "answered with one shape": band("accepted"),
            },
            "PSNR to best focus [dB]": {
                "restored": band("psnr_restored"),
                "as recorded": band("psnr_raw"),
            },
            "ln(contrast / true contrast)": {
                "restored": band("contrast_restored"),
                "as recorded": band("contrast_raw"),
            },
        }

    def figure(self) -> Figure:
        """Accuracy and PSNR along the axis."""
        from facetem.figures.studies import against

        return against(self.values, self._panels(), label=self.axis.label)

    def interactive(self) -> str:
        """The same as a page."""
        from facetem.figures.interactive import against_page

        return against_page(self.values, self._panels(), label=self.axis.label, title=self.title)


def run_sweep(crew: Crew, study: str, name: str, *, quick: bool = False) -> Sweep:
    """Move one axis of a study. What is in the folder of the bench for the same weights is not measured again.

    Raises
    ------
    InputError
        If there is no such study or axis.
    """
    if name not in STUDIES.get(study, {}):
        known = ", ".join(f"{one} ({', '.join(axes)})" for one, axes in STUDIES.items())
        raise InputError(f"study: expected one of {known}; got {study!r}, {name!r}")
    axis = STUDIES[study][name]
    values = axis.quick if quick else axis.values
    moved = [axis.move(crew.bench.recipe, value) for value in values]
    title = f"{study}, {name}"
    tables = measure(
        crew, title, [(crew.bench.recipe if axis.same_specimens else recipe, recipe) for recipe in moved]
    )
    for value, table in zip(values, tables, strict=True):
        table.insert(0, "value", str(value) if isinstance(value, str) else float(value))
    return Sweep(study, name, axis, pd.concat(tables, ignore_index=True))


def measure(
    crew: Crew, title: str, shown: list[tuple[Recipe, Recipe]], *, n: int | None = None
) -> list[pd.DataFrame]:
    """`measured` of every pair of recipes, of the specimens and of what they are shown under, unless it was before."""
    bench = crew.bench
    n = n or bench.n
    missing = [one for one, recipe in shown if not result_path(bench, one, recipe, n).exists()]
    for specimens in (one for i, one in enumerate(missing) if one in missing[:i]):
        bench.store(specimens, n=n)  # by all hands: what several jobs need; each makes the others itself
    return crew.do(title, measured_at, [(specimens, recipe, n) for specimens, recipe in shown])


def result_path(bench: Bench, specimens: Recipe, shown: Recipe, n: int) -> Path:
    """Where the result of these weights on `n` of these specimens is kept."""
    name = bench.mark("sweep", bench.weights, n, specimens.to_yaml(), shown.to_yaml())
    return bench.folder / "results" / f"{name}.parquet"


def measured_at(bench: Bench, specimens: Recipe, shown: Recipe, n: int) -> pd.DataFrame:
    """A job: what the networks make of `n` specimens of a recipe under the conditions of another, as it was measured
    before or now."""
    return kept_table(
        result_path(bench, specimens, shown, n),
        lambda: measured(bench, bench.imaged(bench.store(specimens, n=n), shown, n=n)),
    )


def measured(bench: Bench, samples: Batch) -> pd.DataFrame:
    """One row for each sample: what it was named, how surely, and how well it was restored (its contrasts as logarithms
    of their ratio to the target's); and how it lay (the beam in the axes of its shape)."""
    rows = []
    for i, label in enumerate(samples.labels.tolist()):
        noisy, target = samples.noisy[i], samples.target[i].double()
        answer = bench.shapes.classify(noisy[None].numpy())[0]
        restored = torch.from_numpy(bench.contrast.restore(noisy.numpy(), seed=i).image).double()
        inside = samples.mask[i] > 0.5

        def log_ratio(image: Tensor, target: Tensor = target, inside: Tensor = inside) -> float:
            return float(torch.log(contrast(image, inside) / contrast(target, inside)))

        beam: NDArray = samples.orientation[i, 2].double().numpy()
        rows.append(
            {
                "specimen": i,
                "shape": SHAPES[label],
                "named": answer.shape,
                "right": answer.shape == SHAPES[label],
                "family_right": answer.family == family_of(SHAPES[label]),
                "accepted": answer.verdict == "accepted",
                "known": answer.known,
                "confidence": answer.confidence,
                "chance": answer.probabilities[SHAPES[label]],  # of the true shape
                "diameter": float(samples.diameter[i]),
                "beam_x": float(beam[0]),
                "beam_y": float(beam[1]),
                "beam_z": float(beam[2]),
                "psnr_raw": float(psnr(noisy[None].double(), target[None])[0]),
                "psnr_restored": float(psnr(restored[None], target[None])[0]),
                "contrast_raw": log_ratio(noisy.double()),
                "contrast_restored": log_ratio(restored),
            }
        )
        bench.progress("measuring", i + 1, len(samples.labels))
    return pd.DataFrame(rows)
