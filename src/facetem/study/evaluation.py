"""The standard test: how well both networks do on freshly simulated, disjoint specimens."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facetem.atoms.shapes import SHAPES
from facetem.core.contrast import contrast
from facetem.core.files import write_whole
from facetem.data.recipe import Recipe
from facetem.data.recipe_file import shipped_recipe
from facetem.data.samples import Batch, draw_set
from facetem.learn.predictor import Classifier, Prediction
from facetem.learn.restoration import Restorer
from facetem.study.metrics import SetScores, ShapeScores, best_gaussian, psnr, set_scores, shape_scores
from facetem.study.pose import PoseScores, pose_scores

Progress = Callable[[str, int, int], None]
UNITS: Mapping[str, str] = {"dose": "e/Å²", "defocus": "Å", "diameter": "Å", "film thickness": "Å"}
RANGES: Mapping[str, tuple[float, ...]] = {
    "dose": (500, 1000, 2500, 5000, 10000),
    "defocus": (-150, -75, 0, 75, 150),
    "diameter": (40, 50, 60, 70, 80),
    "film thickness": (20, 30, 40, 50, 60),
}


@dataclass(frozen=True)
class Evaluation:
    """Results on a test set. PSNR [dB] after an affine fit, `psnr` to the target and `own_psnr` to the noise-free image
    at the focus of each; contrast as `core.contrast`, medians.

    `stated_coverage` is what the classifier states for its sets of possible shapes; None if its weights state none.
    """

    recipe: Recipe
    n: int
    shapes: ShapeScores
    sets: SetScores
    pose: PoseScores
    stated_coverage: float | None
    accuracy_by: dict[str, list[tuple[float, float, float, int]]]
    psnr: dict[str, float]
    own_psnr: dict[str, float]
    contrast: dict[str, float]
    mask_iou: float
    probabilities: Tensor
    labels: Tensor

    @property
    def known(self) -> float:
        """Part of the images answered as known."""
        return 1 - self.sets.unknown

    def as_dict(self) -> dict[str, Any]:
        """Everything but the single predictions, for JSON."""
        return {
            "recipe": self.recipe.model_dump(mode="json"),
            "specimens": self.n,
            "macro_accuracy": self.shapes.accuracy,
            "accuracy_interval_95": list(self.shapes.interval),
            "calibration_error": self.shapes.calibration_error,
            "calibration_floor": self.shapes.calibration_floor,
            "accuracy_of_most_confident_90": self.shapes.accuracy_of_most_confident,
            "sets": {
                "stated_coverage": self.stated_coverage,
                "coverage": self.sets.coverage,
                "mean_size": self.sets.size,
                "accepted": self.sets.accepted,
                "accuracy_of_accepted": _number(self.sets.accuracy),
                "abstained": self.sets.abstained,
                "unknown": self.sets.unknown,
            },
            "answered_as_known": self.known,
            "family_accuracy": self.pose.family_accuracy,
            "diameter_error_median": self.pose.diameter_error,
            "orientation_error_deg_median": {
                "shape_right": _number(self.pose.orientation_error),
                "accepted_and_right": _number(self.pose.orientation_accepted),
                "guess": _number(self.pose.orientation_guess),
                "accepted_by_family": {
                    name: _number(error) for name, error in self.pose.orientation_by_family.items()
                },
            },
            "orientation_told": {
                "share_of_accepted": _number(self.pose.orientation_told),
                "error_deg_median": _number(self.pose.orientation_when_told),
                "within_stated": _number(self.pose.orientation_within),
            },
            "facet_ratio_error_median": _number(self.pose.ratio_error),
            "classes": list(SHAPES),
            "confusion": self.shapes.confusion.tolist(),
            "accuracy_by": {
                name: [{"from": a, "to": b, "accuracy": p, "n": n} for a, b, p, n in rows]
                for name, rows in self.accuracy_by.items()
            },
            "psnr_db": self.psnr,
            "psnr_at_own_focus_db": self.own_psnr,
            "contrast_median": self.contrast,
            "mask_iou": self.mask_iou,
        }


def evaluate(
    classifier: Classifier,
    restorer: Restorer,
    *,
    recipe: Recipe | None = None,
    per_shape: int = 50,
    samples: Batch | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Evaluation:
    """Simulate the test set of a recipe, unless it is given, and score both networks on it.

    The specimens, films and noise are those of the split `test`, which no training draws from.
    """
    recipe = recipe or shipped_recipe("au-4-8nm-test")
    tell = progress or (lambda step, done, total: None)
    if samples is None:
        n = per_shape * len(recipe.particles.shapes)
        samples = draw_set(
            recipe, split="test", n=n, device=device, progress=lambda *step: tell("simulate", *step)
        )
    return score(classifier, restorer, samples, recipe=recipe, progress=tell)


def score(
    classifier: Classifier,
    restorer: Restorer,
    samples: Batch,
    *,
    recipe: Recipe,
    progress: Progress,
    beside: Mapping[str, NDArray[np.float64]] | None = None,
) -> Evaluation:
    """Score both networks on given samples.

    `beside` are conditions of the samples (n,) that a batch does not hold: those of `RANGES`, by name.
    """
    n = len(samples.labels)
    rows, possible, known, stated = [], [], [], None
    predictions: list[Prediction] = []
    for i in range(n):
        prediction = classifier.classify(samples.noisy[i : i + 1].numpy())[0]
        predictions.append(prediction)
        rows.append([prediction.probabilities[shape] for shape in SHAPES])
        possible.append([shape in prediction.possible for shape in SHAPES])
        known.append(prediction.known)
        stated = prediction.coverage
        progress("classify", i + 1, n)
    probabilities = torch.tensor(rows)
    correct = (probabilities.argmax(1) == samples.labels).numpy()
    restored, denoised, masks = [], [], []
    for i in range(n):
        answer = restorer.restore(samples.noisy[i].numpy())
        restored.append(torch.as_tensor(answer.image))
        denoised.append(torch.as_tensor(answer.denoised))
        masks.append(torch.as_tensor(answer.mask) > 0.5)
        progress("restore", i + 1, n)
    images = {
        "raw": samples.noisy,
        "best Gaussian": best_gaussian(samples.noisy, samples.target),
        "restored": torch.stack(restored),
    }
    true, found = samples.mask > 0.5, torch.stack(masks)
    conditions = {
        "dose": samples.dose.numpy(),
        "defocus": samples.defocus.numpy(),
        "diameter": samples.diameter.numpy(),
        **(beside or {}),
    }
    overlap = (true & found).sum((1, 2)) / (true | found).sum((1, 2)).clamp_min(1)
    return Evaluation(
        recipe=recipe,
        n=n,
        shapes=shape_scores(probabilities, samples.labels),
        sets=set_scores(torch.tensor(possible), torch.tensor(known), probabilities, samples.labels),
        pose=pose_scores(
            predictions, samples.labels, samples.diameter, samples.orientation, samples.facet_ratio
        ),
        stated_coverage=stated,
        accuracy_by={
            name: _by(conditions[name], correct, edges)
            for name, edges in RANGES.items()
            if name in conditions
        },
        psnr={name: float(psnr(image, samples.target).mean()) for name, image in images.items()},
        own_psnr={
            name: float(psnr(image, samples.clean).mean())
            for name, image in {"raw": samples.noisy, "denoised": torch.stack(denoised)}.items()
        },
        contrast={
            name: float(contrast(image, true).median())
            for name, image in {**images, "target": samples.target}.items()
        },
        mask_iou=float(overlap.mean()),
        probabilities=probabilities,
        labels=samples.labels,
    )


def _number(value: float) -> float | None:
    return None if isnan(value) else value


def _by(
    values: np.ndarray, correct: np.ndarray, edges: tuple[float, ...]
) -> list[tuple[float, float, float, int]]:
    """The part of correct answers from edge to edge; a value on an edge lies above it, on the last one below."""
    rows = []
    for low, high in pairwise(edges):
        inside = (values >= low) & ((values <= high) if high == edges[-1] else (values < high))
        if inside.any():
            rows.append((low, high, float(correct[inside].mean()), int(inside.sum())))
    return rows


def save_evaluation(evaluation: Evaluation, folder: str | Path) -> None:
    """Write `evaluation.json`, `confusion.png` and `reliability.png`."""
    import facetem.figures as figures

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "evaluation.json", json.dumps(evaluation.as_dict(), indent=2) + "\n")
    confidence, named = evaluation.probabilities.max(1)
    drawn = {
        "confusion": figures.confusion_matrix(evaluation.shapes.confusion, SHAPES),
        "reliability": figures.reliability(confidence.numpy(), (named == evaluation.labels).numpy()),
    }
    for name, figure in drawn.items():
        write_whole(folder / f"{name}.png", figures.png(figure))
