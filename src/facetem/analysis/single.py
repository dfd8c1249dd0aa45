"""One particle of one image: the whole particle that fills the most of it, as the classifier sees it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facetem.analysis.analyze import RESTORER_VIEWS, ContrastRestorer, outlines_in
from facetem.analysis.large import agreed, views_along
from facetem.analysis.particles import Outline
from facetem.analysis.result import what_hides
from facetem.analysis.view import View
from facetem.core.pixels import FIELD, PIXEL
from facetem.data.crop import crop
from facetem.data.micrograph import Micrograph, micrograph_of, resample
from facetem.data.signals import Signal
from facetem.learn.conformal import COVERAGE, check_coverage
from facetem.learn.predictor import Classifier, Prediction, load_classifier
from facetem.learn.restoration import load_restorer

_NEARLY = 1.15  # times the classifier's field: an image that was cut out around its particle


@dataclass(frozen=True)
class Sight:
    """What the classifier sees of a particle, as `views_along`, and what hides the rest of it, in words; empty if
    nothing does."""

    views: NDArray[np.float32]
    hidden: str

    @property
    def view(self) -> NDArray[np.float32]:
        """Of its middle (256, 256)."""
        return self.views[0]

    def classified(self, classifier: Classifier, *, coverage: float = COVERAGE) -> Prediction:
        """The prediction, with what hides the particle."""
        told = classifier.classify(self.view[None], coverage=coverage)[0]
        told = agreed(told, self.views, widest=classifier.matter.widest)
        return replace(told, hidden=self.hidden or told.hidden)


def sight_of(
    micrograph: Micrograph, *, restorer: ContrastRestorer | None = None, device: str = "auto"
) -> Sight:
    """The particle to be classified: the largest of those that are seen whole, or else of all; that in the middle of
    an image that shows little more than the classifier's field, and the middle of one in which none is found."""
    pixels = resample(micrograph.image, micrograph.sampling, PIXEL)
    middle = (pixels.shape[0] / 2, pixels.shape[1] / 2)
    in_the_middle = Sight(crop(pixels, middle, FIELD)[None], "")
    restorer = restorer or load_restorer(device=device)
    outlines = outlines_in(restorer.restore(pixels, views=RESTORER_VIEWS).mask)
    if not outlines:
        return in_the_middle
    if max(pixels.shape) <= _NEARLY * FIELD:
        nearest = min(outlines, key=lambda outline: math.dist(outline.centroid, middle))
        seen = View.of(nearest, pixels.shape).share_within(FIELD / 2, middle)
        return replace(in_the_middle, hidden=what_hides(nearest, seen))
    hidden = {outline.label: _hidden(outline, pixels.shape) for outline in outlines}
    chosen = max(outlines, key=lambda outline: (not hidden[outline.label], outline.area))
    return Sight(views_along(pixels, chosen), hidden[chosen.label])


def _hidden(outline: Outline, shape: tuple[int, ...]) -> str:
    return what_hides(outline, View.of(outline, shape).share_within(FIELD / 2, outline.centroid))


def classify(
    image: str | os.PathLike[str] | ArrayLike | Signal,
    *,
    sampling: float | None = None,
    weights: str | Path | None = None,
    coverage: float = COVERAGE,
    device: str = "auto",
) -> Prediction:
    """The 3D shape of the particle in an image.

    Parameters
    ----------
    image : path, (y, x) array, or HyperSpy Signal2D
        Any intensity scale. If it shows more than the 102 Å that the network sees, the particles are looked for, and
        the largest one that is seen whole is put in the middle; a smaller field is continued by its mirror image. A
        particle that the edge cuts is not judged.
    sampling
        Pixel size [Å/px]; that of a file or a signal that knows its own need not be given.
    coverage
        Part of all images whose set of possible shapes is to hold the true one.

    Raises
    ------
    InputError
        If the image or its pixel size cannot be used, or `coverage` does not lie between 0 and 1.
    """
    check_coverage(coverage)
    sight = sight_of(micrograph_of(image, sampling), device=device)
    return sight.classified(load_classifier(weights, device=device), coverage=coverage)
