"""A trained network becomes weights that others can use: calibrated on held-out specimens, written to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError
from facetem.data.samples import Batch
from facetem.learn.calibration import cross_fitted, fit_spread_scale, fit_temperature
from facetem.learn.classifier import ShapeClassifier
from facetem.learn.conformal import ConformalSets
from facetem.learn.familiarity import Familiarity
from facetem.learn.lying import OrientationErrors
from facetem.learn.matter import Matter
from facetem.learn.predictor import Classifier
from facetem.learn.restoration import Restorer
from facetem.learn.restorer import ContrastRestorer
from facetem.learn.stated import Stated
from facetem.learn.weights_file import as_saved, save_weights, shipped

CARD = "CARD.md"


def weights_in(folder: Path | None) -> dict[str, Path]:
    """The files of the classifier and the restorer in a folder; None: those that come with the package.

    Raises
    ------
    InputError
        If one is missing.
    """
    names = ("classifier", "restorer")
    files = {name: shipped(name) if folder is None else folder / f"{name}.safetensors" for name in names}
    for path in files.values():
        if not path.is_file():
            raise InputError(
                f"{path}: expected weights, as facetem train release writes them, got no such file"
            )
    return files


def release_classifier(
    model: ShapeClassifier,
    path: str | Path,
    *,
    calibration: Batch,
    familiar: Batch,
    training: dict[str, Any],
    matter: Matter | None = None,
    device: str = "cpu",
) -> None:
    """Calibrate a trained classifier and write it to `path`.

    Parameters
    ----------
    calibration
        Held-out samples of the conditions that the confidence is stated for: they fix the temperature, the sets of
        possible shapes, how unfamiliar an image must be to be called so, and how far orientations are typically off.
    familiar
        Other held-out samples, of all that the network was trained on: those of the classes are what is familiar.
    training
        How the weights came about; kept in the file's header.
    matter
        What particles the confidence is stated for; gold of 4 to 8 nm if nothing is said.
    """
    calibration, familiar = calibration.known(), familiar.known()
    model = as_saved(model)
    classifier = Classifier(model, device=device)
    answers = classifier.answers(calibration.noisy)
    logits, labels = answers.logits, calibration.labels
    known = classifier.answers(familiar.noisy)
    stated = Stated(
        temperature=fit_temperature(logits, labels),
        sets=ConformalSets.fit(cross_fitted(logits, labels), labels),
        space=Familiarity.fit((known, familiar.noisy), (answers, calibration.noisy)),
        lying=OrientationErrors.measured(answers.moments, logits.argmax(1), labels, calibration.orientation),
        confusion=_confusion(logits, labels).numpy(),
        matter=matter or Matter(),
    )
    header, extra = stated.written()
    config = {
        "name": Path(path).stem,
        "network": model.config.as_dict(),
        "classes": list(SHAPES),
        "calibrated_on": len(labels),
        "training": training,
    }
    save_weights(path, "classifier", model, config | header, extra)


def _confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """How many images of each shape (rows) were named as which (columns)."""
    classes = logits.shape[1]
    return torch.bincount(classes * labels + logits.argmax(1), minlength=classes**2).view(classes, classes)


def release_restorer(
    model: ContrastRestorer,
    path: str | Path,
    *,
    training: dict[str, Any],
    calibration: Batch | None = None,
    device: str = "cpu",
) -> None:
    """Write a trained restorer to `path`.

    Parameters
    ----------
    training
        How the weights came about; kept in the file's header.
    calibration
        Held-out samples: they fix the factor that makes its spread an rms error. Without them it stays 1.
    """
    model = as_saved(model).eval()
    config = {"name": Path(path).stem, "network": model.config.as_dict(), "training": training}
    if calibration is not None:
        config |= {
            "spread_scale": _spread_scale(Restorer(model, device=device), calibration),
            "calibrated_on": len(calibration.labels),
        }
    save_weights(path, "restorer", model, config, {})


def _spread_scale(restorer: Restorer, samples: Batch) -> float:
    spreads, errors = [], []
    for seed, (noisy, target) in enumerate(zip(samples.noisy, samples.target, strict=True)):
        answer = restorer.restore(noisy.float().numpy(), seed=seed)
        spreads.append(answer.spread)
        errors.append(answer.image - target.float().numpy())
    return fit_spread_scale(np.stack(spreads), np.stack(errors))
