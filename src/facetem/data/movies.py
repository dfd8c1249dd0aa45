"""A movie of one place becomes one image: frames are laid over each other where the specimen has drifted to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 1024  # px of the middle of a frame that its shift is read from
FINEST = 10  # parts of a pixel that shifts are told in
WIDTH = 1.5  # px: standard deviation of the Gaussian before two frames are compared; finer than this they are noise
STANDS_OUT = 6.0  # standard deviations of the noise of a correlation, whose highest at 10^6 px has 5
DOUBT = 5.0  # standard deviations below the highest peak, that noise may have cost the right one
FARTHEST = 0.25  # of a frame's side: what has drifted further is not the same place


def summed(frames: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean (y, x) of frames (n, y, x), each moved back by its drift, where all of them show the specimen; and the
    drift (n, 2) of each [px] along y and x, from the first.

    A frame is compared by cross-correlation (Guizar-Sicairos, Thurman & Fienup, Opt. Lett. 33 (2008) 156) with the mean
    of those before it: noise averages out of that, and only one of the two is as noisy as a frame. A frame whose
    correlation does not stand out of noise, or only further than `FARTHEST`, stays where the one before it was. On the
    broad peak of a faint outline noise moves the top by many pixels: if in no frame the peak is too high for noise to
    have moved it away from where the first frame is, none has drifted.
    """
    from scipy.ndimage import shift as moved
    from skimage.registration import phase_cross_correlation

    frames = np.asarray(frames)
    drift = np.zeros((len(frames), 2))
    total = frames[0].astype(np.float64)
    seen = _seen(total)
    chance = _chance(seen.shape)
    drifts = False
    for k in range(1, len(frames)):
        latest = _seen(frames[k])
        drift[k] = drift[k - 1]
        places = _places(seen, latest, chance)
        if len(places):
            offset, _, _ = phase_cross_correlation(
                seen / k,
                latest,
                upsample_factor=FINEST,
                normalization=None,  # type: ignore[arg-type]  # of scikit-image's own documentation
            )
            drift[k] = -offset
            drifts |= bool((places != 0).any(1).all())
        back = moved(frames[k].astype(np.float64), -drift[k], order=3, mode="mirror")
        total += back
        seen += _seen(back)
    if not drifts:
        return frames.mean(0, dtype=np.float64), np.zeros_like(drift)
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


def movie_words(metadata: Mapping[str, Any]) -> str:
    """What a micrograph's metadata say of the frames that it is the sum of, and of their drift (x × y); empty, if it
    is of one."""
    frames = metadata.get("frames_averaged", 1)
    if frames == 1:
        return ""
    y, x = metadata.get("drift_px") or (0.0, 0.0)
    return f"sum of {frames} frames, " + (f"drift {x:g} × {y:g} px" if x or y else "no drift found")


def _places(seen: NDArray, latest: NDArray, chance: NDArray) -> NDArray[np.int_]:
    """The drifts (n, 2) [px] that the latest frame may have, that of the highest peak first; none if this is no higher
    than noise makes them, or too far. Possible is what comes within `DOUBT` of it.

    Noise is what the correlation keeps, in units of `chance`, when that with what the two frames share is taken away:
    the frames before, as they lie on the latest. A lattice that fills the field correlates with itself wherever it is
    moved to, which is no noise.
    """
    shape = np.array(seen.shape)
    one, other = np.fft.rfft2(seen), np.fft.rfft2(latest)
    correlation = np.fft.irfft2(one * np.conj(other), s=seen.shape)
    shared = np.fft.irfft2(np.abs(one) ** 2, s=seen.shape)
    top = np.unravel_index(correlation.argmax(), seen.shape)
    highest, power = correlation[top], shared[0, 0]
    if not (power > 0 and np.isfinite(highest)):  # of a frame without any contrast, or with NaN
        return np.zeros((0, 2), dtype=np.int_)
    noise = ((correlation - np.roll(shared, top, axis=(0, 1)) * (highest / power)) / chance).std()
    relative = correlation / chance
    possible = np.argwhere(relative >= relative[top] - DOUBT * noise)
    places = shape // 2 - (np.vstack([top, possible]) + shape // 2) % shape  # a shift back, modulo the field
    if relative[top] <= STANDS_OUT * noise or (np.abs(places[0]) >= FARTHEST * shape).any():
        return places[:0]
    return places


def _chance(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The standard deviation of the correlation of two frames (y, x) of noise of unit variance, at every shift: fewer
    pixels of tapered frames lie over each other the further they are shifted."""
    squared = np.fft.rfft2(_taper(shape) ** 2)
    return np.sqrt(np.maximum(np.fft.irfft2(np.abs(squared) ** 2, s=shape), 1e-9))


def _taper(shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.hanning(shape[0])[:, None] * np.hanning(shape[1])


def _seen(frame: NDArray) -> NDArray[np.float64]:
    """The middle of a frame as shifts are read from it: smooth, of mean 0, fading out towards its edges."""
    from scipy.ndimage import gaussian_filter

    size = [min(SIDE, n) for n in frame.shape]
    y, x = ((n - s) // 2 for n, s in zip(frame.shape, size, strict=True))
    part = gaussian_filter(frame[y : y + size[0], x : x + size[1]].astype(np.float64), WIDTH)
    return (part - part.mean()) * _taper(part.shape)
