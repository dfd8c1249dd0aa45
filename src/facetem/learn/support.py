"""A guard against invented lattice: is what the restored image shows as lattice in the input at all?

Both images are compared by their local power spectra, in square windows with Hann tapers that overlap by half:

1. Lattice of the restored image: local maxima of its power, at spacings of `SPACINGS`, that stand `PROMINENCE` times
   above the median of their ring (all frequencies of about the same length) and have an amplitude that can be seen.
2. Support: the power of the input at the same frequency, in units of the mean that noise and amorphous matter have
   there. Those make a spectrum of which every value is exponentially distributed, with a mean that changes slowly
   with the length of the frequency, so the mean is the median of the ring over ln 2, and a value of s times the mean
   or more comes by chance with probability exp(-s). A peak is supported if that is less than `SIGNIFICANCE`.
3. Verdict: a window is suspect if more than `MOST_UNSUPPORTED` of the power of its lattice peaks has no support. Power
   is what weighs, so that a faint higher order of a lattice that is there does not count as invented.

The windows of a particle are judged together, by the power of all their peaks. docs/restoration.md has the rates of
false alarms and of detection.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from facetem.core.errors import InputError
from facetem.learn.normalise import normalise

WINDOW = 96  # px: 38 Å of a particle, at the restorer's 0.4 Å
SPACINGS = (1.1, 3.2)  # Å
PROMINENCE = 30.0  # times the median of the ring, in the restored image
LEAST_AMPLITUDE = (
    0.02  # of vacuum, of the restored fringes: what is fainter may be lost in the noise of the input
)
SIGNIFICANCE = 1e-4
MOST_UNSUPPORTED = 0.3  # of the lattice's power
RING = 1.5  # bins on either side
SMALLEST = 32  # px of a window that has rings
BATCH = 256  # windows at once


@dataclass(frozen=True)
class LatticeSupport:
    """Power of the lattice peaks of a restored image, window by window.

    Parameters
    ----------
    centres : (n, 2)
        Of the windows (y, x) [px].
    lattice, unsupported : (n,)
        Power of all lattice peaks in the restored image, and of those without support in the input.
    window
        Their side [px].
    """

    centres: NDArray[np.float64]
    lattice: NDArray[np.float64]
    unsupported: NDArray[np.float64]
    window: int

    @property
    def suspect(self) -> NDArray[np.bool_]:
        """(n,) Windows with lattice that has no support in the input."""
        return self.unsupported > MOST_UNSUPPORTED * self.lattice

    def within(self, inside: ArrayLike, corner: tuple[int, int] = (0, 0)) -> LatticeSupport:
        """The windows whose centres lie where `inside` (y, x) is true, the nearest one to its centroid if there is
        none. Its pixels are those of the image from `corner` (y, x) on."""
        region = np.asarray(inside, dtype=bool)
        place = self.centres.astype(int) - corner
        here = ((place >= 0) & (place < region.shape)).all(1)
        chosen = np.zeros(len(place), dtype=bool)
        chosen[here] = region[tuple(place[here].T)]
        if region.any() and not chosen.any():
            middle = np.argwhere(region).mean(0) + corner
            chosen[np.linalg.norm(self.centres - middle, axis=1).argmin()] = True
        return LatticeSupport(
            self.centres[chosen], self.lattice[chosen], self.unsupported[chosen], self.window
        )

    @property
    def share(self) -> float:
        """Part of the lattice's power, in all windows together, that has no support; 0 where there is no lattice."""
        total = float(self.lattice.sum())
        return float(self.unsupported.sum()) / total if total > 0 else 0.0

    @property
    def invented(self) -> bool:
        """Whether the lattice of all windows together is without support in the input."""
        return self.share > MOST_UNSUPPORTED


def lattice_support(
    image: ArrayLike, restored: ArrayLike, *, sampling: float, window: int = WINDOW
) -> LatticeSupport:
    """Compare the spectra of an image and its restoration, both (y, x) with pixels of `sampling` [Å], in windows of
    `window` px or what the images hold.

    Raises
    ------
    InputError
        If they differ in shape or are smaller than 32 px.
    """
    fields = [torch.as_tensor(np.asarray(a, dtype=np.float32)) for a in (image, restored)]
    shape = tuple(fields[1].shape)
    if fields[0].shape != fields[1].shape or len(shape) != 2 or min(shape) < SMALLEST:
        raise InputError(
            f"image and restored: expected two images (y, x) of one shape, of at least {SMALLEST} px, got "
            f"{tuple(fields[0].shape)} and {shape}"
        )
    window = min(window, *(n // 2 * 2 for n in shape))
    starts = [(y, x) for y in _evenly(shape[0], window) for x in _evenly(shape[1], window)]
    rings = _Rings(window, sampling)
    powers: list[Tensor] = []
    for i in range(0, len(starts), BATCH):
        some = starts[i : i + BATCH]
        seen, answer = (
            torch.stack([field[y : y + window, x : x + window] for y, x in some]) for field in fields
        )
        powers.append(rings.compare(seen, answer))
    lattice, unsupported = torch.cat(powers).double().numpy().T
    return LatticeSupport(np.array(starts) + window / 2, lattice, unsupported, window)


def _evenly(length: int, window: int) -> list[int]:
    """First pixels of windows that overlap by at least half and end with the image."""
    n = -(-(length - window) // (window // 2)) + 1
    return np.linspace(0, length - window, n).round().astype(int).tolist()


class _Rings:
    """The half plane of frequencies of a window, and which of them belong to the ring of each."""

    def __init__(self, window: int, sampling: float) -> None:
        ky, kx = torch.fft.fftfreq(window) * window, torch.fft.rfftfreq(window) * window
        radius = torch.hypot(ky[:, None], kx[None, :])
        bins = radius * (1 / (window * sampling))
        taper = torch.hann_window(window, periodic=False)
        self._taper = taper[:, None] * taper
        # A plane wave of amplitude a has power (a / 2 * sum of the taper)^2.
        self._least = (LEAST_AMPLITUDE / 2 * float(self._taper.sum())) ** 2
        # The axis kx = 0 holds every frequency twice.
        once = torch.ones_like(bins, dtype=torch.bool)
        once[window // 2 :, 0] = False
        self._wanted = once & (bins > 1 / SPACINGS[1]) & (bins < 1 / SPACINGS[0]) & (radius < window / 2 - 1)
        whole = radius.round().long()
        lengths = torch.unique(whole[self._wanted]).tolist()
        self._members = [torch.nonzero(((radius - r).abs() <= RING + 0.5) & once) for r in lengths]
        self._ring = (whole - lengths[0]).clamp(0, len(lengths) - 1)

    def power(self, windows: Tensor) -> Tensor:
        """Power spectra (n, ky, kx) of windows (n, y, x)."""
        level = windows.mean((-2, -1), keepdim=True)
        return torch.fft.rfft2((windows - level) * self._taper).abs().square()

    def compare(self, image: Tensor, restored: Tensor) -> Tensor:
        """Power (n, 2) of the lattice peaks of restored windows (n, y, x): all, and those without support in the
        same windows of the image."""
        powers = torch.zeros(len(restored), 2)
        answer = self.power(restored)
        strong = (
            (self._wanted & (answer > self._least)).flatten(1).any(1)
        )  # most show nothing that could be a peak
        if strong.any():
            powers[strong] = self._peaks(self.power(normalise(image[strong])[:, 0]), answer[strong])
        return powers

    def _peaks(self, seen: Tensor, answer: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(torch.cat([answer[:, -1:], answer, answer[:, :1]], 1), (1, 1))
        highest = torch.nn.functional.max_pool2d(padded[:, None], 3, stride=1)[:, 0]
        found = self._wanted & (answer == highest) & (answer > self._least)
        found &= answer > PROMINENCE * self._ring_medians(answer)
        mean = self._ring_medians(seen) / np.log(2)
        supported = torch.exp(-seen / mean.clamp_min(1e-30)) < SIGNIFICANCE
        peaks = answer * found
        return torch.stack([peaks.sum((1, 2)), (peaks * ~supported).sum((1, 2))], 1)

    def _ring_medians(self, power: Tensor) -> Tensor:
        """The median of the ring that each wanted frequency lies in; what it is elsewhere does not matter."""
        medians = [power[:, members[:, 0], members[:, 1]].median(1).values for members in self._members]
        return torch.stack(medians, 1)[:, self._ring]
