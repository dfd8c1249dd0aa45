"""A trained network becomes weights that others can use: calibrated on held-out specimens, written to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from facetem.atoms.shapes import SHAPES
from facetem.data.samples import Batch
from facetem.learn.calibration import FeatureSpace, fit_spread_scale, fit_temperature
from facetem.learn.classifier import ShapeClassifier
from facetem.learn.predictor import Classifier, save_weights
from facetem.learn.restoration import Restorer
from facetem.learn.restorer import ContrastRestorer


def release_classifier(
    model: ShapeClassifier,
    path: str | Path,
    *,
    calibration: Batch,
    familiar: Batch,
    training: dict[str, Any],
) -> None:
    """Calibrate a trained classifier and write it to `path`.

    Parameters
    ----------
    calibration
        Held-out samples of the conditions that the confidence is stated for: they fix the temperature.
    familiar
        Held-out samples of all that the network was trained on: they fix what it calls known.
    training
        How the weights came about; kept in the file's header.
    """
    model = model.cpu().eval()
    classifier = Classifier(model)
    logits, _ = classifier.logits_and_features(calibration.noisy.numpy())
    _, features = classifier.logits_and_features(familiar.noisy.numpy())
    space = FeatureSpace.fit(features, familiar.labels, classes=len(SHAPES))
    config = {
        "name": Path(path).stem,
        "network": model.config.as_dict(),
        "classes": list(SHAPES),
        "temperature": fit_temperature(logits, calibration.labels),
        "threshold": space.threshold,
        "calibrated_on": len(calibration.labels),
        "training": training,
    }
    save_weights(path, "classifier", model, config, {"means": space.means, "precision": space.precision})


def release_restorer(
    model: ContrastRestorer,
    path: str | Path,
    *,
    training: dict[str, Any],
    calibration: Batch | None = None,
) -> None:
    """Write a trained restorer to `path`.

    Parameters
    ----------
    training
        How the weights came about; kept in the file's header.
    calibration
        Held-out samples: they fix the factor that makes its spread an rms error. Without them it stays 1.
    """
    model = model.cpu().eval()
    config = {"name": Path(path).stem, "network": model.config.as_dict(), "training": training}
    if calibration is not None:
        config |= {
            "spread_scale": _spread_scale(Restorer(model), calibration),
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
