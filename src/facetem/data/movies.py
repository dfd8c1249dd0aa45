"""A movie of one place becomes one image: frames are laid over each other where the specimen has drifted to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 1024  # px of the middle of a frame that its shift is read from
FINEST = 10  # parts of a pixel that shifts are told in
WIDTH = 1.5  # px: standard deviation of the Gaussian before two frames are compared; finer than this they are noise
STANDS_OUT = 6.0  # standard deviations of a correlation: the largest of 10^6 of noise alone has 5
FARTHEST = 0.25  # of a frame's side: what has drifted further is not the same place


def summed(frames: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean (y, x) of frames (n, y, x), each moved back by its drift, where all of them show the specimen; and the
    drift (n, 2) of each [px] along y and x, from the first.

    A frame is compared by cross-correlation (Guizar-Sicairos, Thurman & Fienup, Opt. Lett. 33 (2008) 156) with the mean
    of those before it: noise averages out of that, and only one of the two is as noisy as a frame. A drift of more than
    `FARTHEST`, or one that chance alone would show in as noisy frames, is taken for none.
    """
    from scipy.ndimage import shift as moved
    from skimage.registration import phase_cross_correlation

    frames = np.asarray(frames)
    drift = np.zeros((len(frames), 2))
    total = frames[0].astype(np.float64)
    seen = _seen(total)
    for k in range(1, len(frames)):
        latest = _seen(frames[k])
        offset, _, _ = phase_cross_correlation(
            seen / k,
            latest,
            upsample_factor=FINEST,
            normalization=None,  # type: ignore[arg-type]  # of scikit-image's own documentation
        )
        if (np.abs(offset) < FARTHEST * np.array(seen.shape)).all() and _alike(seen, latest):
            drift[k] = -offset
        back = moved(frames[k].astype(np.float64), -drift[k], order=3, mode="mirror")
        total += back
        seen += _seen(back)
    # What has moved in from beyond the field of one of the frames is not known from all of them.
    rows, columns = (
        slice(first, n - round(max(0.0, high)))
        for first, high, n in zip(first_seen(drift), drift.max(0), total.shape, strict=True)
    )
    return total[rows, columns] / len(frames), drift


def first_seen(drift: NDArray[np.float64]) -> tuple[int, int]:
    """The pixel (y, x) of the first frame that is the first of the sum of frames of this drift (n, 2)."""
    y, x = (round(max(0.0, -low)) for low in drift.min(0))
    return y, x


def _alike(one: NDArray, other: NDArray) -> bool:
    """Whether the highest peak of the correlation stands out of the rest of it."""
    correlation = np.fft.irfft2(np.fft.rfft2(one) * np.conj(np.fft.rfft2(other)), s=one.shape)
    return bool(correlation.max() > STANDS_OUT * correlation.std())


def _seen(frame: NDArray) -> NDArray[np.float64]:
    """The middle of a frame as shifts are read from it: smooth, of mean 0, fading out towards its edges."""
    from scipy.ndimage import gaussian_filter

    size = [min(SIDE, n) for n in frame.shape]
    y, x = ((n - s) // 2 for n, s in zip(frame.shape, size, strict=True))
    part = gaussian_filter(frame[y : y + size[0], x : x + size[1]].astype(np.float64), WIDTH)
    return (part - part.mean()) * np.hanning(size[0])[:, None] * np.hanning(size[1])
