"""Particles that are larger than what the classifier sees at once: whether their lattice is a learnt one's is asked all
along them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facetem.analysis.particles import Outline
from facetem.core.pixels import FIELD
from facetem.data.crop import crop
from facetem.learn.foreign import foreign_spacings

if TYPE_CHECKING:
    from facetem.learn.predictor import Prediction

MOST = 32  # views, about: of what fills a whole micrograph not each is asked


def views_along(image: NDArray[np.float32], outline: Outline) -> NDArray[np.float32]:
    """Views (n, 256, 256) of a particle: the first of its middle, the others of places on it that are half a view apart
    from there, along y and x. Of a particle that fits into one it is one."""
    half, (height, width) = FIELD // 2, outline.inside.shape
    reach = max(height, width) // half
    steps = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T
    places = outline.centroid + half * steps[steps.any(axis=1)]
    y, x = np.rint(places - outline.bbox[:2]).astype(int).T
    near = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    near[near] = outline.inside[y[near], x[near]]
    on_it = [(float(v), float(u)) for v, u in places[near]]
    some = on_it[:: 1 + len(on_it) // MOST]
    return np.stack([crop(image, middle, FIELD) for middle in (outline.centroid, *some)])


def agreed(prediction: Prediction, views: NDArray[np.float32], *, widest: float) -> Prediction:
    """The prediction of a particle's middle view, with the foreign reflection that most of its views show, if they do,
    and without one that few of them show: its median spacing. `widest` [Å] as `Matter` tells it."""
    if len(views) == 1:
        return prediction
    spacings = foreign_spacings(views, widest=widest)
    seen = spacings[np.isfinite(spacings)]
    foreign = float(np.median(seen)) if 2 * len(seen) > len(spacings) else None
    return replace(prediction, foreign=foreign, hidden="")  # the lattice all around is its own
