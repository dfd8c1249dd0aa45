"""A trained network becomes weights that others can use: calibrated on held-out specimens, written to a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from facetem.data.samples import SampleStream, Source
from facetem.learn.calibration import FeatureSpace, fit_temperature
from facetem.learn.classifier import ShapeClassifier
from facetem.learn.predictor import FIELD, Classifier, save_weights
from facetem.learn.restorer import ContrastRestorer

_BATCH = 16


def release_classifier(
    model: ShapeClassifier,
    source: Source,
    path: str | Path,
    *,
    device: str = "cpu",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Calibrate a classifier on every specimen of a held-out `source`, once, and write it to `path`.

    Parameters
    ----------
    source
        Specimens that training has not seen (the validation split); a few hundred at least, so that every shape
        has its mean and the threshold of "none of these" its tail.
    seed
        Of the imaging conditions.
    """
    model = model.to(device).eval()
    classifier = Classifier(model, device=device)
    stream = SampleStream(source, size=FIELD)
    rng = np.random.default_rng(seed)
    logits, features, labels = [], [], []
    for first in range(0, len(source), _BATCH):
        batch = stream.draw(list(range(first, min(first + _BATCH, len(source)))), rng)
        answer, pooled = classifier.logits_and_features(batch.noisy.cpu())
        logits.append(answer)
        features.append(pooled)
        labels.append(batch.labels.cpu())
        if progress:
            progress(min(first + _BATCH, len(source)), len(source))
    # Shapes take turns in a source; the halves that `FeatureSpace.fit` takes must each hold all of them.
    order = torch.as_tensor(rng.permutation(len(source)))
    known = torch.cat(labels)[order]
    temperature = fit_temperature(torch.cat(logits)[order], known)
    space = FeatureSpace.fit(torch.cat(features)[order], known, classes=model.config.classes)
    config = {
        "name": Path(path).stem,
        "network": model.config.as_dict(),
        "temperature": temperature,
        "threshold": space.threshold,
        "calibrated_on": len(source),
    }
    save_weights(path, "classifier", model, config, {"means": space.means, "precision": space.precision})


def release_restorer(model: ContrastRestorer, path: str | Path) -> None:
    """Write a restorer to `path`."""
    save_weights(path, "restorer", model, {"name": Path(path).stem, "network": model.config.as_dict()}, {})
