"""What stands between a file's pixels and a micrograph: screenshots' channels, data bands, dead and hot pixels.

Everything here is a pure function of an array; what was done is returned in words or numbers, so that the
report can say it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facetem.core.errors import InputError

Image = NDArray[np.float32]

# A pixel is coloured if a channel departs from their mean by more than this fraction of full scale; a grey
# screenshot that was rescaled or compressed has a few such pixels.
_COLOUR_DEPARTURE = 0.03
_COLOURED_PIXELS = 0.01
_OUTLIER_SIGMAS, _IMAGED_SIGMAS = 10.0, 30.0
_SIDE = np.mgrid[:3, :3].reshape(2, 9)  # rows and columns of a pixel and its neighbours, of a padded image
CLIPPED = 0.005  # of the pixels: more have a say
_FEW_COUNTS = 5.0  # in the mean of an image whose zeros are no loss
# A row that differs from the next by less than this fraction of what rows usually do repeats it.
_COPY = 0.25
_PARTS, _PRINTED = (
    8,
    0.3,
)  # of a line of a printed band, and how much of each is paper, or ink, in spite of lettering


def grey(pixels: NDArray, name: str) -> tuple[NDArray, NDArray | None]:
    """One grey image from (y, x) or from (y, x, channel) pixels whose colour channels agree.

    Returns
    -------
    (y, x) grey values, and (y, x) bool of the opaque pixels (None without an alpha channel).

    Raises
    ------
    InputError
        If more than 1 % of the pixels are truly coloured, or there is no such thing as a grey image in it.
    """
    if pixels.ndim == 2:
        return pixels, None
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        raise InputError(f"{name}: expected one image (y, x), got an array of shape {pixels.shape}")
    n = pixels.shape[2]
    opaque = pixels[..., -1] > 0 if n in (2, 4) else None
    if n < 3:
        return pixels[..., 0], opaque
    colours = pixels[..., :3].astype(np.float32)
    mean = colours.mean(-1)
    scale = float(np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else max(np.ptp(colours), 1e-30))
    coloured = np.abs(colours - mean[..., None]).max(-1) > _COLOUR_DEPARTURE * scale
    if coloured.mean() > _COLOURED_PIXELS:
        raise InputError(
            f"{name}: expected a grey micrograph, got an RGB image with {100 * coloured.mean():.0f} % coloured "
            "pixels; give the camera's own image"
        )
    return mean, opaque


def trim_margins(image: NDArray, opaque: NDArray | None) -> tuple[NDArray, dict[str, int]]:
    """Cut away what is printed or empty along the edges: transparent rows, black frames, a band with a scale bar.

    A row (or column) belongs to a margin if it is transparent, or constant, or a copy of its neighbour (a camera's
    repeated border), or if most of its pixels hold one and the same value although those of the image inside do not
    (a band with lettering). At most 35 % of the image is cut from each side.

    Returns
    -------
    The view of what remains, and the rows and columns cut: keys top, bottom, left, right, only where > 0.
    """
    ny, nx = image.shape
    top = bottom = left = right = 0
    for _ in range(3):  # a camera's border may lie inside a soft edge inside a band
        inner = image[top : ny - bottom, left : nx - right]
        seen = None if opaque is None else opaque[top : ny - bottom, left : nx - right]
        above, below = _soft_edge(inner, *_margins(_blank_lines(inner, seen)))
        inner = inner[above : len(inner) - below]
        seen = None if seen is None else seen[above : len(seen) - below]
        columns = np.ascontiguousarray(inner.T)  # a median of lines that lie apart takes twice as long
        before, after = _soft_edge(
            columns, *_margins(_blank_lines(columns, None if seen is None else seen.T))
        )
        top, bottom, left, right = top + above, bottom + below, left + before, right + after
        if not (above or below or before or after):
            break
    cut = {"top": top, "bottom": bottom, "left": left, "right": right}
    return image[top : ny - bottom, left : nx - right], {side: n for side, n in cut.items() if n}


def _blank_lines(lines: NDArray, opaque: NDArray | None) -> NDArray[np.bool_]:
    """Which rows of an image (y, x) are blank in the sense of `trim_margins`."""
    same = _same(lines).mean(1)
    # A counting camera at low dose has mostly zeros everywhere: there, only fully constant lines are blank.
    blank = same >= (0.5 if np.median(same) < 0.25 else 1.0)
    step = np.abs(np.diff(lines.astype(np.float32), axis=0)).mean(1)
    # A repeated line has the image's texture along it; where that has none, as in a simulated vacuum, nothing repeats.
    along = np.abs(np.diff(lines.astype(np.float32), axis=1)).mean(1)
    textured = along > np.median(along) / 2
    copies = step < _COPY * np.median(step)
    blank[1:] |= copies & textured[1:]
    blank[:-1] |= copies & textured[:-1]
    if opaque is not None:
        blank |= opaque.mean(1) < 0.5
    return blank


def _same(lines: NDArray) -> NDArray[np.bool_]:
    """The pixels that hold the value that most pixels of their line hold; none of a line of which a part hardly holds
    it, nor one of its own: a printed band goes all along, an overexposed hole beside the film does not."""
    same = lines == np.median(lines, axis=1, keepdims=True)
    rows = same.mean(1) >= 0.5
    there = same[rows]
    parts = zip(
        np.array_split(lines[rows], _PARTS, axis=1), np.array_split(there, _PARTS, axis=1), strict=True
    )
    for part, held in parts:
        own = (part == np.median(part, axis=1, keepdims=True)).mean(1)
        there = there & (np.maximum(held.mean(1), own) >= _PRINTED)[:, None]
    same[rows] = there
    return same


def _margins(blank: NDArray[np.bool_]) -> tuple[int, int]:
    """Length of the blank run at the beginning and at the end, at most 35 % of the lines each."""
    limit = int(0.35 * len(blank))
    inside = np.flatnonzero(~blank)
    if len(inside) == 0:
        return 0, 0
    first, last = int(inside[0]), len(blank) - 1 - int(inside[-1])
    return (first if first <= limit else 0), (last if last <= limit else 0)


def _soft_edge(image: NDArray, first: int, last: int) -> tuple[int, int]:
    """A rescaled screenshot blends a margin into the image over a few rows: cut those too, six at the most."""
    if not first and not last:
        return 0, 0
    inner = np.median(image[first : len(image) - last], axis=1)
    apart = np.abs(inner - np.median(inner))
    odd = apart > 6 * 1.4826 * float(np.median(apart))
    odd[6:-6] = False
    begin, end = _margins(odd)
    return first + (begin if first else 0), last + (end if last else 0)


def clipped_part(image: NDArray) -> float:
    """Part of the pixels at the largest or at the smallest value that had no room for theirs: contrast that is lost.

    Of two levels at the end of a histogram the outer one has fewer pixels, unless values were cut there, or few
    electrons were counted one by one.
    """
    lost = 0.0
    for end, next_to in ((image.max(), np.max), (image.min(), np.min)):
        here = image == end
        if here.all() or (end == 0 and image.mean() < _FEW_COUNTS):
            continue
        beside = next_to(image, where=~here, initial=image.min() if next_to is np.max else image.max())
        part = float(here.mean())
        lost += part if part > 2 * float((image == beside).mean()) else 0.0
    return lost


def replace_outliers(image: Image) -> tuple[Image, int]:
    """Replace hot and dead pixels by the median of their 5 x 5 neighbourhood.

    An outlier lies more than 10 robust standard deviations from the median. The deviation is the larger of the
    one from the median absolute deviation and that of the values clipped at their 0.05th and 99.95th percentile,
    so that neither the rare counts of a counting camera nor a dark particle in vacuum are taken for outliers. What the
    lens has imaged, such as a bright column of atoms, is wider than a pixel: where at least two neighbours deviate half
    as much to the same side, 30 standard deviations are needed, as an X-ray in a scintillator has them.

    Returns
    -------
    A new image, and the number of pixels replaced.
    """
    centre = float(np.median(image))
    low, high = np.percentile(image, (0.05, 99.95))
    spread = float(np.clip(image, low, high).std(dtype=np.float64))
    sigma = max(1.4826 * float(np.median(np.abs(image - centre))), spread)
    y, x = np.nonzero(np.abs(image - centre) > _OUTLIER_SIGMAS * sigma)
    deviation = image[y, x] - centre
    around = np.pad(image - centre, 1, mode="reflect")[y[:, None] + _SIDE[0], x[:, None] + _SIDE[1]]
    alike = (around / deviation[:, None] >= 0.5).sum(axis=1)  # the pixel itself among them
    hot = (alike < 3) | (np.abs(deviation) > _IMAGED_SIGMAS * sigma)
    y, x = y[hot], x[hot]
    cleaned = image.astype(np.float32)  # a copy
    if len(y):
        from scipy import ndimage

        cleaned[y, x] = ndimage.median_filter(image, size=5, mode="mirror")[y, x]
    return cleaned, len(y)
