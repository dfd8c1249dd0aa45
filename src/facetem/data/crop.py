"""The square window of an image that the classifier sees."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facetem.core.errors import InputError


def crop(image: ArrayLike, centre: tuple[float, float], size: int = 256) -> NDArray[np.float32]:
    """A square of `size` px of the image (y, x) around `centre` (y, x) [px], which may reach over the edge.

    Outside the image its mirror image continues, texture and noise included. A constant would be a flat area with
    an edge of its own, which no camera image has. Other particles in the square stay: the networks were trained
    with neighbours, and whatever replaced them would be invented.
    """
    values = np.asarray(image, dtype=np.float32)
    if values.ndim != 2:
        raise InputError(f"image: expected (y, x), got shape {values.shape}")
    indices = []
    for middle, have in zip(centre, values.shape, strict=True):
        wanted = np.arange(size) + round(middle) - size // 2
        # ... 2 1 0 | 0 1 2 ... n-1 | n-1 n-2 ...
        period = np.mod(wanted, 2 * have)
        indices.append(np.minimum(period, 2 * have - 1 - period))
    return values[np.ix_(indices[0], indices[1])]
