"""Whole micrographs of known particles: are all found, outlined, named, and are the fractions right?

    python benchmarks/fields.py make --n 20 -o FOLDER       # fields, and each of their particles alone; resumable
    python benchmarks/fields.py score FOLDER                # analyse them and print the figures
    python benchmarks/fields.py score FOLDER --spoil        # the same through a bad camera
    python benchmarks/fields.py cost FOLDER                 # time and memory of large micrographs made of them

The fields are those of benchmarks/fields.yaml: particles of all shapes, some against each other, on carbon that no
training has seen. Every particle is also imaged alone in the middle of a field of its own, on the same piece of film,
through the same lens and camera: the difference in accuracy is what the surroundings cost. All are calculated with the
whole wave, which no stored specimen of a training keeps.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr

from facetem.analysis.analyze import Analysis, analyze
from facetem.analysis.population import shape_fractions
from facetem.atoms.shapes import SHAPES
from facetem.core.pixels import FIELD, PIXEL
from facetem.data.conditions import draw_camera, draw_microscope, draw_optics
from facetem.data.crop import crop
from facetem.data.draw import draw_specimen, sample_rng
from facetem.data.micrograph import Micrograph, micrograph_from_array, resample, save_image
from facetem.data.recipe import Recipe
from facetem.data.recipe_file import load_recipe
from facetem.hrtem.simulate import simulate
from facetem.learn.predictor import load_classifier
from facetem.learn.restoration import load_restorer

RECIPE = Path(__file__).with_name("fields.yaml")
ALONE = 112.0  # Å: the field of a particle alone
FOUND = 0.5  # intersection over union with the true outline, from which on a particle counts as found
OPTICS = 7  # number of the generator that draws lens and camera
REPEATS, SAMPLE = 400, 60  # samples drawn of the particles found, of so many each
RESULT = "score.json"


# ------------------------------------------------------------------------------------------------------- making


def make(arguments: argparse.Namespace) -> None:
    """Image every field and its particles, and keep what is true of them."""
    recipe = load_recipe(RECIPE)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for index in range(arguments.first, arguments.first + arguments.n):
        path = arguments.output / f"{index:03d}.npz"
        if path.exists():
            continue
        kept = field(recipe, index)
        partial = path.with_suffix(".partial.npz")
        np.savez_compressed(partial, **kept)
        partial.replace(path)
        print(f"field {index}: {len(kept['alone'])} particles", flush=True)


def field(recipe: Recipe, index: int) -> dict[str, Any]:
    """Image, outlines and particles of a field, and the images (n, y, x) of each of them alone."""
    specimen = draw_specimen(recipe, "test", index)
    rng = sample_rng(recipe, "test", index, OPTICS)
    optics = draw_optics(draw_microscope(recipe, specimen.energy, rng), specimen.energy, rng)
    camera = draw_camera(recipe, rng)
    seeds = rng.integers(2**31, size=len(specimen.particles) + 1)
    shown = {"energy": specimen.energy, "sampling": PIXEL, "optics": optics, "camera": camera}
    images = [
        simulate(alone(specimen.atoms, i, ALONE), seed=int(seed), **shown)
        for i, seed in enumerate(seeds[1:], start=1)
    ]
    middle = (len(images[0]) / 2, len(images[0]) / 2)
    about = {
        "particles": specimen.particles,
        "specimen": specimen.parameters,
        "defocus": optics.aberrations.defocus,
        "dose": camera.dose,
    }
    return {
        "image": simulate(specimen.atoms, seed=int(seeds[0]), **shown),
        "masks": specimen.masks,
        "alone": np.stack([crop(image, middle, FIELD) for image in images]).astype(np.float32),
        "about": np.array(json.dumps(about)),
    }


def alone(atoms: Atoms, particle: int, width: float) -> Atoms:
    """One particle of a field in the middle of a field of its own, on the film that lies around it."""
    tags, cell = atoms.get_tags(), atoms.cell.lengths()
    centre = atoms.positions[tags == particle, :2].mean(axis=0)
    kept = atoms[(tags == particle) | (tags == 0)]
    away = kept.positions[:, :2] - centre
    away -= cell[:2] * np.rint(away / cell[:2])
    kept.positions[:, :2] = away + width / 2
    inside = (np.abs(away) < width / 2).all(axis=1)
    kept = kept[inside]
    kept.set_cell((width, width, cell[2]))
    return kept


# ------------------------------------------------------------------------------------------------------ scoring


@dataclass(frozen=True)
class Row:
    """A true particle: what it is, what it was found as, and what it is named alone; IoU 0 if it was not found. Foci in
    nm: the lens's from the exit plane, its distance from the particle's middle, and the distance that is reported."""

    field: int
    truth: str
    touches: bool
    iou: float
    named: str
    judged: bool
    known: bool
    alone: str
    alone_known: bool
    defocus: float
    off_focus: float
    told_focus: float


def score(arguments: argparse.Namespace) -> None:
    """Analyse every field, print the figures and keep them."""
    classifier, restorer = load_classifier(device="cpu"), load_restorer(device="cpu")
    rows: list[Row] = []
    extra = 0
    for path in sorted(arguments.folder.glob("[0-9]*.npz")):
        if path.name.endswith(".partial.npz"):
            continue
        with np.load(path) as kept:
            about = json.loads(str(kept["about"]))
            told = {"beam_energy_kev": about["specimen"]["energy"] / 1e3}
            image = kept["image"].astype(np.float32)
            if arguments.spoil:
                image = micrograph_from_array(spoilt(image), PIXEL).image
            micrograph = Micrograph(image, PIXEL, path.stem, told)
            found = analyze(micrograph, classifier=classifier, restorer=restorer)
            by_itself = classifier.classify(kept["alone"])
            pairs, touching = matched(kept["masks"], found), touched(kept["masks"])
            if arguments.save:
                from facetem.analysis.report import save_analysis

                save_analysis(found, arguments.folder / "reports" / path.stem)
        extra += len(found.particles) - sum(j is not None for j, _ in pairs)
        for i, (particle, (j, iou), own) in enumerate(
            zip(about["particles"], pairs, by_itself, strict=True), start=1
        ):
            result = None if j is None else found.particles[j]
            rows.append(
                Row(
                    field=int(path.stem),
                    truth=particle["label"],
                    touches=i in touching,
                    iou=iou,
                    named="" if result is None else result.shape,
                    judged=result is not None and result.judged,
                    known=result is not None and result.known,
                    alone=own.shape,
                    alone_known=own.known,
                    defocus=about["defocus"] / 10,
                    off_focus=abs(about["defocus"] + particle["z"] - about["specimen"]["height"]) / 10,
                    told_focus=float("nan")
                    if result is None or result.out_of_focus_nm is None
                    else result.out_of_focus_nm,
                )
            )
        print(f"field {path.stem}: {len(pairs)} particles, {len(found.particles)} found", flush=True)
    figures = summed(rows, extra, classifier.stated.confusion)
    text = json.dumps({"figures": figures, "rows": [vars(row) for row in rows]}, indent=1)
    (arguments.folder / ("spoilt-" * arguments.spoil + RESULT)).write_text(text + "\n")
    for name, value in figures.items():
        print(f"{name}: {value:.3f}" if isinstance(value, float) else f"{name}: {value}")


def spoilt(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """An image as a bad camera under a misaligned illumination records it: a third darker in the corners, ten columns
    of another gain, three stuck ones, a stuck row, and hot pixels."""
    rng = np.random.default_rng(int(1e6 * float(image.mean())))
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in image.shape), indexing="ij")
    bad = image * (1 - (x**2 + y**2) / 6)
    columns = rng.permutation(image.shape[1])[:13]
    bad[:, columns[:10]] *= 1 + 0.15 * rng.choice([-1, 1], 10)
    bad[:, columns[10:]] = image.max()
    bad[rng.integers(len(image))] = 0
    bad[tuple(rng.integers(len(image), size=(2, 50)))] = 20 * image.max()
    return bad.astype(np.float32)


def matched(masks: NDArray[np.uint8], found: Analysis) -> list[tuple[int | None, float]]:
    """For each true particle, the one found that overlaps it best, if it does to `FOUND`, and how far (IoU)."""
    number = int(masks.max())
    overlap = np.zeros((number, max(1, len(found.outlines))))
    areas = np.bincount(masks.ravel(), minlength=number + 1)
    for j, outline in enumerate(found.outlines):
        inside = np.zeros(masks.shape, dtype=bool)
        inside[outline.box] = outline.inside
        common = np.bincount(masks[inside], minlength=number + 1)[1:]
        overlap[:, j] = common / (areas[1:] + inside.sum() - common)
    pairs: list[tuple[int | None, float]] = [(None, 0.0)] * number
    for i, j in zip(*linear_sum_assignment(-overlap), strict=True):
        if overlap[i, j] >= FOUND:
            pairs[i] = int(j), float(overlap[i, j])
    return pairs


def touched(masks: NDArray[np.uint8], near: int = 5) -> set[int]:
    """Particles whose outline is within `near` pixels of another's."""
    from scipy.ndimage import maximum_filter

    some: set[int] = set()
    for label in range(1, int(masks.max()) + 1):
        reach = maximum_filter((masks == label).astype(np.uint8), size=2 * near + 1) > 0
        if ((masks > 0) & (masks != label) & reach).any():
            some.add(label)
    return some


def summed(rows: list[Row], extra: int, confusion: NDArray[np.int64] | None) -> dict[str, Any]:
    """The figures that are claimed."""
    found = [row for row in rows if row.iou > 0]
    precision, recall = len(found) / (len(found) + extra), len(found) / len(rows)
    apart = [row for row in rows if not row.touches]
    close = [row for row in rows if row.touches]
    judged = [row for row in found if row.judged]
    here = np.array([row.named == row.truth for row in judged], dtype=float)
    there = np.array([row.alone == row.truth for row in judged], dtype=float)
    rng = np.random.default_rng(0)
    draws = rng.integers(len(judged), size=(2000, len(judged)))
    low, high = np.quantile((here - there)[draws].mean(axis=1), (0.025, 0.975))
    focus = np.array(
        [(row.off_focus, abs(row.defocus), row.told_focus) for row in found if np.isfinite(row.told_focus)]
    )
    return {
        "fields": len({row.field for row in rows}),
        "particles": len(rows),
        "touching": len(close),
        "found where there is none": extra,
        "precision": precision,
        "recall": recall,
        "F1": 2 * precision * recall / (precision + recall),
        "recall of those apart": float(np.mean([row.iou > 0 for row in apart])),
        "recall of touching ones": float(np.mean([row.iou > 0 for row in close])) if close else None,
        "mean IoU": float(np.mean([row.iou for row in found])),
        "judged": len(judged),
        "known, of the judged": float(np.mean([row.known for row in judged])),
        "known, alone": float(np.mean([row.alone_known for row in judged])),
        "accuracy in the field": float(here.mean()),
        "accuracy alone": float(there.mean()),
        "difference, interval": [float(low), float(high)],
        "fractions within their interval": None if confusion is None else covered(judged, confusion),
        "distance from focus": {
            plane: {
                "rank correlation": float(spearmanr(true, focus[:, 2]).statistic),
                "median error [nm]": float(np.median(np.abs(focus[:, 2] - true))),
            }
            for plane, true in (("of the particle", focus[:, 0]), ("of the exit plane", focus[:, 1]))
        },
    }


def covered(rows: list[Row], confusion: NDArray[np.int64]) -> dict[str, float]:
    """How often the interval of a corrected fraction holds the true one, and how often that of the names does: samples
    of particles of random compositions, drawn from those that were found."""
    rng = np.random.default_rng(1)
    of_shape = [[row for row in rows if row.truth == shape] for shape in SHAPES]
    inside, plain = [], []
    for repeat in range(REPEATS):
        numbers = rng.multinomial(SAMPLE, rng.dirichlet(np.ones(len(SHAPES))))
        numbers = np.array([n if some else 0 for n, some in zip(numbers, of_shape, strict=True)])
        some = [mine[k] for n, mine in zip(numbers, of_shape, strict=True) if n
                for k in rng.integers(len(mine), size=n)]  # fmt: skip
        counts = np.array([sum(row.named == shape for row in some) for shape in SHAPES])
        true = numbers / numbers.sum()
        told = shape_fractions(SHAPES, counts, confusion, seed=repeat)
        inside.append((told.low <= true) & (true <= told.high))
        half = 1.96 * np.sqrt(told.named * (1 - told.named) / told.n)
        plain.append(np.abs(told.named - true) <= half)
    return {"corrected": float(np.mean(inside)), "names as they are": float(np.mean(plain))}


# --------------------------------------------------------------------------------------------------------- cost


def cost(arguments: argparse.Namespace) -> None:
    """Whole reports, from the command line, of micrographs that are put together from the fields."""
    files = sorted(arguments.folder.glob("[0-9][0-9][0-9].npz"))
    images = [np.load(file)["image"].astype(np.float32) for file in files[:16]]
    for side, sampling, across in ((4096, 0.2, 2), (4096, 0.4, 4), (8192, 0.2, 4)):
        with TemporaryDirectory() as folder:
            tiles = [np.hstack(images[k * across : (k + 1) * across]) for k in range(across)]
            whole = resample(np.vstack(tiles), PIXEL, sampling)
            pad = [(0, side - n) for n in whole.shape]
            save_image(Path(folder) / "large.tif", np.pad(whole, pad, mode="symmetric"), sampling)
            del tiles, whole
            seconds, memory = timed("analyze", f"{folder}/large.tif", "-o", f"{folder}/report")
            found = len(json.loads(Path(folder, "report", "result.json").read_text())["particles"])
        print(
            f"{side} px of {sampling / 10:g} nm, {found} particles: {seconds:.1f} s, {memory:.2f} GiB",
            flush=True,
        )
    with TemporaryDirectory() as folder:
        (Path(folder) / "in").mkdir()
        for k, image in enumerate(images[:8]):
            save_image(Path(folder) / "in" / f"{k}.tif", image, PIXEL)
        for workers in (1, 2, 2, 1):
            target = f"{folder}/out-{workers}-{time.time():.0f}"
            seconds, _ = timed(
                "analyze", f"{folder}/in", "-o", target, "--workers", str(workers), cores=workers
            )
            print(f"8 fields, {workers} core(s), a process each: {seconds:.1f} s", flush=True)


def timed(*words: str, cores: int = 0) -> tuple[float, float]:
    """Seconds by the clock, and the most memory [GiB] that the command held, on some of the cores (0: all)."""
    mine = sorted(os.sched_getaffinity(0))[: cores or None]
    begun = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "facetem.app.cli", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.sched_setaffinity(child.pid, mine)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"facetem {' '.join(words)}: ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - begun, used.ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("make")
    making.add_argument("--n", type=int, default=20)
    making.add_argument("--first", type=int, default=0)
    making.add_argument("-o", "--output", type=Path, required=True)
    making.set_defaults(run=make)
    scoring = commands.add_parser("score")
    scoring.add_argument("folder", type=Path)
    scoring.add_argument("--save", action="store_true", help="write each report as well")
    scoring.add_argument("--spoil", action="store_true", help="as a bad camera would record them")
    scoring.set_defaults(run=score)
    costing = commands.add_parser("cost")
    costing.add_argument("folder", type=Path)
    costing.set_defaults(run=cost)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
