"""Studies: how accuracy and contrast move with one condition, on the same specimens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from facetem.atoms.shapes import SHAPES
from facetem.core.contrast import contrast
from facetem.core.errors import InputError
from facetem.data.samples import Batch
from facetem.learn.orientation import family_of
from facetem.study.axes import STUDIES, Axis, Setting
from facetem.study.bench import Bench
from facetem.study.metrics import psnr

RESAMPLES = 2000
MEANS = ("right", "family_right", "accepted", "confidence", "psnr_raw", "psnr_restored", "contrast_ratio")


@dataclass(frozen=True)
class Sweep:
    """A study's axis along its values: one row of `table` for each specimen at each value."""

    study: str
    name: str
    axis: Axis
    table: pd.DataFrame


def run_sweep(bench: Bench, study: str, name: str, *, quick: bool = False) -> Sweep:
    """Move one axis of a study. What is in the folder of the bench for the same weights is not measured again.

    Raises
    ------
    InputError
        If there is no such study or axis.
    """
    if study not in STUDIES or name not in STUDIES[study]:
        known = ", ".join(f"{one} ({', '.join(axes)})" for one, axes in STUDIES.items())
        raise InputError(f"study: expected one of {known}; got {study!r}, {name!r}")
    axis = STUDIES[study][name]
    values = axis.quick if quick else axis.values
    parts = []
    for i, value in enumerate(values):
        told = replace(
            bench,
            progress=lambda step, done, total, i=i: bench.progress(
                f"{study}, {name}: {step}", i * total + done, len(values) * total
            ),
        )
        parts.append(_at(told, study, name, axis, value))
    return Sweep(study, name, axis, pd.concat(parts, ignore_index=True))


def _at(bench: Bench, study: str, name: str, axis: Axis, value: Setting) -> pd.DataFrame:
    recipe = axis.move(bench.recipe, value)
    slug = f"{study}-{name}-{value}".replace(" ", "-")
    path = bench.folder / f"{slug}.parquet"
    mark = f"{bench.weights} {bench.n} {recipe.to_yaml()}"
    if path.exists():
        before = pd.read_parquet(path)
        if before.attrs.get("of") == mark:
            return before
    store = bench.specimens if axis.same_specimens else bench.store(f"specimens-{slug}", recipe, n=bench.n)
    table = measured(bench, bench.imaged(store, recipe))
    table.insert(0, "value", str(value) if isinstance(value, str) else float(value))
    table.attrs["of"] = mark
    temporary = path.with_suffix(".tmp")
    table.to_parquet(temporary)
    temporary.replace(path)
    return table


def measured(bench: Bench, samples: Batch) -> pd.DataFrame:
    """One row for each sample: what it was named, how surely, and how well it was restored."""
    rows = []
    for i, (noisy, target, mask, label) in enumerate(
        zip(samples.noisy, samples.target, samples.mask, samples.labels.tolist(), strict=True)
    ):
        answer = bench.shapes.classify(noisy[None].numpy())[0]
        restored = torch.from_numpy(bench.contrast.restore(noisy.numpy(), seed=i).image)
        inside, wanted = mask > 0.5, target.double()
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
                "diameter": float(samples.diameter[i]),
                "psnr_raw": float(psnr(noisy[None].double(), wanted[None])[0]),
                "psnr_restored": float(psnr(restored[None].double(), wanted[None])[0]),
                "contrast_ratio": float(contrast(restored.double(), inside) / contrast(wanted, inside)),
            }
        )
        bench.progress("measuring", i + 1, len(samples.labels))
    return pd.DataFrame(rows)


def summary(sweep: Sweep, *, seed: int = 0) -> pd.DataFrame:
    """Means of `MEANS` at each value, with their 95 % intervals (`NAME_low`, `NAME_high`), by bootstrap over the
    specimens: the same draws at every value, so that differences between values vary less than the values do."""
    values = list(dict.fromkeys(sweep.table["value"]))
    n = len(set(sweep.table["specimen"]))
    draws = np.random.default_rng(seed).integers(n, size=(RESAMPLES, n))
    rows = []
    for value in values:
        at = _by_specimen(sweep, value)
        row: dict[str, object] = {"study": sweep.study, "axis": sweep.name, "value": value, "specimens": n}
        for name in MEANS:
            mean, low, high = _bootstrap(at[name].to_numpy(dtype=float), draws)
            row |= {name: mean, f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def _by_specimen(sweep: Sweep, value: Setting) -> pd.DataFrame:
    return sweep.table[sweep.table["value"] == value].set_index("specimen").sort_index()


def _bootstrap(values: NDArray[np.float64], draws: NDArray[np.int64]) -> tuple[float, float, float]:
    means = values[draws].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def paired_difference(
    sweep: Sweep, name: str, first: Setting, second: Setting, *, seed: int = 0
) -> tuple[float, float, float]:
    """How much the mean of a column is more at `second` than at `first`, with its 95 % interval: each specimen against
    itself."""
    columns = [_by_specimen(sweep, value)[name].to_numpy(dtype=float) for value in (first, second)]
    n = len(columns[0])
    draws = np.random.default_rng(seed).integers(n, size=(RESAMPLES, n))
    return _bootstrap(columns[1] - columns[0], draws)


def save_sweep(
    sweep: Sweep, folder: str | Path, draw: Callable[[Sweep, pd.DataFrame], dict[str, bytes]]
) -> list[Path]:
    """Write the table (Parquet), the summary (CSV) and what `draw` makes of them, by suffix."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{sweep.study}-{sweep.name.replace(' ', '-')}"
    short = summary(sweep)
    sweep.table.to_parquet(stem.with_suffix(".parquet"))
    short.to_csv(stem.with_suffix(".csv"), index=False)
    written = [stem.with_suffix(".parquet"), stem.with_suffix(".csv")]
    for suffix, data in draw(sweep, short).items():
        path = stem.with_suffix(suffix)
        path.write_bytes(data)
        written.append(path)
    return written
