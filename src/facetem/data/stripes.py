"""Lines of a camera that are not like their neighbours: stuck ones, and those of another gain or offset.

A line of pixels along which the image is brighter or darker from one end to the other is the camera's: what the lens
images along a whole row or column, of amorphous carbon and small particles, differs from place to place. So a line is
mended only if all four quarters of it say the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.float32]

QUARTERS = 4
AROUND = 15  # lines on either side that a line is compared with
ODD = 8.0  # robust standard deviations that a whole line differs by: the carbon under it makes some by itself
EACH = 1.0  # ... and that each of its quarters differs by, to the same side
STUCK = 0.1  # of the usual difference between neighbouring pixels, below which a line holds no image
MANY = 2**18  # pixels from which the steps of an image's values are read
MOST = 0.1  # of the lines that may be odd: beyond, they are the rule, and the image is left as it is


@dataclass(frozen=True)
class Mended:
    """An image without its odd lines, and how many rows and columns were mended."""

    image: Image
    rows: int
    columns: int


def mend_lines(image: Image) -> Mended:
    """Lines (y, x) of another level brought to that of their neighbours, stuck ones replaced by what lies on either
    side of them."""
    mended, rows = _mend_rows(image)
    turned, columns = _mend_rows(np.ascontiguousarray(mended.T))
    return Mended(np.ascontiguousarray(turned.T) if columns else mended, rows, columns)


def _mend_rows(image: Image) -> tuple[Image, int]:
    if image.shape[1] < QUARTERS * AROUND or len(image) < 2 * AROUND:
        return image, 0
    parts = np.array_split(_between_steps(image), QUARTERS, axis=1)
    # A stuck line in the middle of others would be the median of its own surroundings if it were not left out.
    apart = np.stack([np.median(part, axis=1) for part in parts])
    apart = apart - ndimage.median_filter(apart, size=(1, 2 * AROUND + 1), mode="nearest")
    spread = 1.4826 * np.median(np.abs(apart), axis=1, keepdims=True) + 1e-30
    sides = apart / spread
    alike = np.abs(np.sign(apart).sum(axis=0)) == QUARTERS
    whole = np.abs(sides.mean(axis=0)) * np.sqrt(QUARTERS)
    odd = alike & (whole > ODD) & (np.abs(sides).min(axis=0) > EACH)
    steps = np.abs(np.diff(image, axis=1)).mean(axis=1)
    stuck = steps < STUCK * np.median(steps)
    if not (odd | stuck).any() or (odd | stuck).mean() > MOST:
        return image, 0
    mended = image.copy()
    level = np.median(apart, axis=0)  # a particle under one quarter has no say
    mended[odd & ~stuck] -= level[odd & ~stuck, None].astype(np.float32)
    sound = np.flatnonzero(~stuck)
    for row in np.flatnonzero(stuck):
        after = np.searchsorted(sound, row)
        near = sound[max(0, after - 1) : after + 1]
        weights = 1 / np.abs(near - row)
        mended[row] = (weights[:, None] * mended[near]).sum(axis=0) / weights.sum()
    return mended, int((odd | stuck).sum())


def _between_steps(image: Image) -> Image:
    """The image with its values spread out evenly over the steps that they come in: medians of counts would be whole
    numbers, mostly the same one, and a line whose median is the next would be odd beyond all measure."""
    values = np.unique(image[:: max(1, image.size // MANY)])
    step = np.median(np.diff(values)) if len(values) > 1 else 0.0
    places = np.random.default_rng(0).random(image.shape, dtype=np.float32) - np.float32(0.5)
    return (image + step * places).astype(np.float32)
