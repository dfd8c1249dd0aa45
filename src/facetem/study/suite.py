"""The standard suite: everything that is claimed of the release models, measured from a seed.

Each part writes `PART.json` into the folder of the bench and is not measured again for the same recipe, number of
specimens, weights of the networks that it uses, and what else it reads; a suite that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError
from facetem.core.files import whole_file, write_whole
from facetem.data.digest import digest_of
from facetem.data.layout import FORMAT, MANIFEST
from facetem.study.baselines import baseline_scores
from facetem.study.bench import Bench
from facetem.study.ceiling import border_distance, ceiling_groups, single_crystal, zone_angles
from facetem.study.cost import cost
from facetem.study.evaluation import Evaluation, save_evaluation, score
from facetem.study.filters import installed_filters
from facetem.study.metrics import shape_scores
from facetem.study.restoring import FOCI, at_focus, focus_scores
from facetem.study.unknowns import KINDS, draw_unknowns, unknown_scores

RESTORED = 24  # images at each focus: block matching takes seconds for one
UNKNOWN = 96  # images of each kind
ANSWERS = "answers.npz"  # of the classifier, image by image


def standard(bench: Bench) -> dict[str, Any]:
    """Both networks on the standard test, as `facetem evaluate` does it."""
    thickness = bench.table("labels")["film_thickness"].to_numpy(dtype=float)
    evaluation: Evaluation = score(
        bench.shapes,
        bench.contrast,
        bench.images,
        recipe=bench.recipe,
        progress=bench.progress,
        beside={"film thickness": thickness},
    )
    save_evaluation(evaluation, bench.folder)
    np.savez(
        bench.folder / ANSWERS,
        probabilities=evaluation.probabilities.numpy(),
        labels=evaluation.labels.numpy(),
    )
    return evaluation.as_dict()


def unknowns(bench: Bench) -> dict[str, Any]:
    """How what is none of the classes is told from what is one."""
    familiar = bench.shapes.unfamiliarity(bench.images.noisy.numpy())
    _, known = _classified(bench, bench.images.noisy, "unknowns, known images")
    kinds: dict[str, Any] = {}
    for kind in KINDS:
        images = _unknown(bench, kind)
        _, taken = _classified(bench, images, f"unknowns, {kind}")
        kinds[kind] = asdict(unknown_scores(familiar, bench.shapes.unfamiliarity(images.numpy()), taken))
    return {
        "images_of_each": UNKNOWN,
        "false_alarms": float((~known).double().mean()),
        "mean_auroc": float(np.mean([kind["auroc"] for kind in kinds.values()])),
        "kinds": kinds,
    }


def _unknown(bench: Bench, kind: str) -> Tensor:
    """Images (n, y, x) of one kind, drawn once for a recipe."""
    mark = bench.mark(bench.recipe.to_yaml(), UNKNOWN, FORMAT)
    path = bench.folder / "unknowns" / f"{kind.replace(' ', '-')}-{mark}.npy"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        bench.progress("drawing unknowns", list(KINDS).index(kind), len(KINDS))
        images = draw_unknowns(kind, bench.recipe, split="test", n=UNKNOWN)
        with whole_file(path) as partial:
            np.save(partial, images.numpy())
    return torch.from_numpy(np.load(path))


def ceiling(bench: Bench) -> dict[str, Any]:
    """The same network and specimens without noise, and without carbon; and where the errors are."""
    images = bench.images
    bare = bench.imaged(bench.bare)
    right, scores = {}, {}
    seen = {
        "as recorded": images.noisy,
        "without noise": images.clean,
        "without carbon": bare.noisy,
        "without noise and carbon": bare.clean,
    }
    for name, stack in seen.items():
        chances, _ = _classified(bench, stack, f"ceiling, {name}")
        result = shape_scores(chances, images.labels)
        right[name] = (chances.argmax(1) == images.labels).numpy()
        scores[name] = {"accuracy": result.accuracy, "interval": list(result.interval)}
    angles = zone_angles(images.orientation.double().numpy())
    angles[~single_crystal(images.labels.tolist())] = math.nan
    groups = ceiling_groups(
        right["as recorded"],
        right["without noise and carbon"],
        border_distance(bench.table("particles")),
        angles,
    )
    return {"accuracy": scores, "groups": {name: asdict(group) for name, group in groups.items()}}


def baselines(bench: Bench) -> dict[str, Any]:
    """What spectra alone tell, learnt from a library of training specimens."""
    library = bench.training_images()
    return {
        "library": len(library.labels),
        "methods": {name: asdict(result) for name, result in baseline_scores(library, bench.images).items()},
    }


def restoration(bench: Bench) -> dict[str, Any]:
    """The restorer beside filters, at five foci."""
    filters = installed_filters()
    rows = []
    for i, defocus in enumerate(FOCI):
        samples = bench.imaged(bench.specimens, at_focus(bench.recipe, defocus), n=min(RESTORED, bench.n))
        rows.append(
            focus_scores(
                samples,
                bench.contrast,
                defocus=defocus,
                filters=filters,
                progress=lambda done, total, i=i: bench.progress(
                    "restoring", i * total + done, len(FOCI) * total
                ),
            )
        )
    return {"images_at_each": min(RESTORED, bench.n), "foci": [asdict(row) for row in rows]}


def costs(bench: Bench) -> dict[str, Any]:
    """Time and memory of a large micrograph."""
    bench.progress("cost", 0, 1)
    return asdict(cost(bench.classifier, bench.restorer, device=bench.device))


def others(bench: Bench) -> dict[str, Any]:
    """Images that another simulator made, of particles and carbon made by other hands."""
    assert bench.others is not None
    files = sorted((bench.others / "parts").glob("*.npz"))
    if not files:
        raise InputError(f"{bench.others}: expected images of benchmarks/other_hands.py, found none")
    labels, images = [], []
    for file in files:
        with np.load(file) as one:
            labels.append(SHAPES.index(str(one["shape"])))
            images.append(torch.from_numpy(one["image"].astype(np.float32)))
    chances, known = _classified(bench, torch.stack(images), "another simulator")
    result = shape_scores(chances, torch.tensor(labels))
    return {
        "images": len(files),
        "accuracy": result.accuracy,
        "interval": list(result.interval),
        "calibration_error": result.calibration_error,
        "known": float(known.double().mean()),
        "confusion": result.confusion.tolist(),
    }


def _classified(bench: Bench, images: Tensor, step: str) -> tuple[Tensor, Tensor]:
    """Probabilities (n, classes) of images (n, y, x), and whether each is known (n,)."""
    predictions = []
    for i, image in enumerate(images):
        predictions += bench.shapes.classify(image[None].numpy())
        bench.progress(step, i + 1, len(images))
    chances = torch.tensor([[p.probabilities[shape] for shape in SHAPES] for p in predictions])
    return chances, torch.tensor([p.known for p in predictions])


@dataclass(frozen=True)
class Part:
    """What is measured: how, of which networks, and what the result depends on beside them, the recipe, the number of
    specimens and how these are drawn."""

    measure: Callable[[Bench], dict[str, Any]]
    networks: tuple[str, ...] = ()
    beside: Callable[[Bench], object] = lambda bench: None


BOTH = ("classifier", "restorer")
PARTS: dict[str, Part] = {
    "standard": Part(standard, BOTH),
    "unknowns": Part(unknowns, ("classifier",), lambda bench: [UNKNOWN, *KINDS]),
    "ceiling": Part(ceiling, ("classifier",)),
    "baselines": Part(baselines, (), lambda bench: bench.library and digest_of(bench.library / MANIFEST)),
    "restoration": Part(restoration, ("restorer",), lambda bench: [RESTORED, *FOCI, *installed_filters()]),
    "cost": Part(costs, BOTH),
    "others": Part(others, ("classifier",), lambda bench: bench.others and digest_of(bench.others / "parts")),
}


def run_suite(bench: Bench, parts: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
    """The results of the parts (default: all that the bench has images for), measured or as they were before.

    Raises
    ------
    InputError
        If there is no part of such a name, or what it needs is missing.
    """
    wanted = list(parts) if parts is not None else [p for p in PARTS if p != "others" or bench.others]
    for part in wanted:
        if part not in PARTS:
            raise InputError(f"parts: expected some of {', '.join(PARTS)}, got {part!r}")
        if part == "others" and bench.others is None:
            raise InputError("parts: others: expected a folder of their images, got none")
    bench.folder.mkdir(parents=True, exist_ok=True)
    return {part: _measured(bench, part) for part in wanted}


def _measured(bench: Bench, part: str) -> dict[str, Any]:
    path = bench.folder / f"{part}.json"
    weights = {name: bench.weights[name] for name in PARTS[part].networks}
    drawn = {"n": bench.n, "recipe": bench.recipe.to_yaml(), "format": FORMAT}
    measured_of = {"weights": weights, **drawn, "beside": _plain(PARTS[part].beside(bench))}
    before = _read(path)
    if before is not None and before.get("of") == measured_of:
        return before["result"]
    result = _plain(PARTS[part].measure(bench))
    write_whole(path, json.dumps({"of": measured_of, "result": result}, indent=2) + "\n")
    return result


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _plain(value: Any) -> Any:
    """For JSON: no dataclasses, no NaN."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
