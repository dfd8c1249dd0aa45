"""The restorer at work: stochastic patch-wise prediction, its spread, and the check for invented lattice.

The procedure is that of Hammoumi et al. (2021, Adding geodesic information and stochastic patch-wise image prediction
for small dataset learning, Neurocomputing 456), as we read it: a network that learns from patches drawn at random
positions is also used on patches at random positions, which overlap, and the answer at a pixel is the average over
all patches that show it. What one
patch happens to say because of where its edge lies, or of how the lattice falls on the network's coarse levels,
averages out, and how much the patches disagree tells how far to trust them. Ours to add: every patch comes in one
of the eight turns and mirrors, under which the truth turns with the image; positions are drawn in rounds, each of
which shows every pixel at least once (`patches.draw_patches`); and patches are weighted with a window that falls to
their edges, where a network knows least.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from facetem.core.errors import InputError
from facetem.core.pixels import PIXEL
from facetem.data.digest import digest_of
from facetem.data.micrograph import Micrograph, micrograph_of, resample
from facetem.data.signals import Signal, acquisition, hyperspy, make_signal
from facetem.hrtem.simulate import resolve_device
from facetem.learn.folded import folded
from facetem.learn.normalise import levels, normalise
from facetem.learn.patches import Blend, Patch, draw_patches
from facetem.learn.restorer import FOCUS, PATCH, ContrastRestorer
from facetem.learn.support import LatticeSupport, lattice_support
from facetem.learn.weights_file import load_network, shipped

VIEWS = 3  # at least, of every pixel; docs/restoration.md compares others
MOST_VIEWS = 256
BATCH = 8  # patches at once: more does not run faster on a CPU

Progress = Callable[[int, int], None]
Focus = Literal["best", "own"]
IMAGES: dict[Focus, str] = {"best": "image", "own": "denoised"}  # of a `Restoration`, by their focus
TITLES: dict[Focus, str] = {"best": "restored", "own": "denoised"}


@dataclass(frozen=True)
class Restoration:
    """A restored field, all arrays (y, x).

    Parameters
    ----------
    image
        Restored image, vacuum about 1.
    denoised
        The image at its own focus without noise and blur of the camera, in the units of the input.
    mask
        Probability that a pixel shows a particle.
    spread
        The rms error that `image` is expected to have, in its units: what the network states of each patch and how far
        the patches disagree, together, times the factor that made it the rms error on held-out simulated images (1
        with weights that were released without one).
    support
        Whether the lattice in `image` is in the input too.
    focus : (n, 3)
        What each patch was read to be out of focus: its middle (y, x) [px of `support`], and wavelength times distance
        from focus, on either side [Å^2].
    """

    image: NDArray[np.float32]
    denoised: NDArray[np.float32]
    mask: NDArray[np.float32]
    spread: NDArray[np.float32]
    support: LatticeSupport
    focus: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))

    def out_of_focus(self, y: float, x: float) -> float | None:
        """Wavelength times distance from focus [Å^2] at a pixel of `support`: the mean over the patches that show it;
        None if there is none."""
        shown = (np.abs(self.focus[:, :2] - (y, x)) <= PATCH / 2).all(1)
        return float(np.maximum(self.focus[shown, 2], 0).mean()) if shown.any() else None


class Restorer:
    """The contrast network, applied to random overlapping patches whose answers are averaged."""

    def __init__(
        self,
        model: ContrastRestorer,
        *,
        spread_scale: float = 1.0,
        name: str = "restorer",
        digest: str | None = None,
        device: str = "cpu",
    ) -> None:
        self._model = folded(model).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device, self._spread_scale = device, spread_scale
        self.provenance = {"name": name, "device": device, "sha256": digest}

    @torch.inference_mode()
    def restore(
        self, field: ArrayLike, progress: Progress | None = None, *, views: int = VIEWS, seed: int = 0
    ) -> Restoration:
        """Restore an image (y, x) at 0.4 Å/px of any size from 64 px.

        Each patch is scaled by its own mean and spread as in training. Fields smaller than a patch are continued
        by their mirror image. Beside input and result, only a row of patches is held in memory.

        Parameters
        ----------
        views
            Patches that show a pixel, at least; from 2, or there would be no spread.
        seed
            Of the positions and turns of the patches.

        Raises
        ------
        InputError
            If the field is not a finite image of at least 64 px, or `views` or `seed` cannot be used.
        """
        image = np.asarray(field, dtype=np.float32)
        if image.ndim != 2 or min(image.shape) < 64 or not np.isfinite(image).all():
            raise InputError(f"field: expected a finite image (y, x) of at least 64 px, got {image.shape}")
        _check_whole("views", views, 2, MOST_VIEWS)
        _check_whole("seed", seed, 0, 2**63 - 1)
        height, width = image.shape
        below, right = (max(0, PATCH - n) for n in image.shape)
        data = torch.as_tensor(
            np.pad(image, ((0, below), (0, right)), mode="symmetric") if below or right else image
        )
        shape = (height + below, width + right)
        patches = draw_patches(shape, PATCH, views, np.random.default_rng(seed))
        blend = Blend(shape, PATCH)
        focus: list[tuple[float, float, float]] = []
        done = 0
        for some in _chunks(patches, BATCH if self._device == "cpu" else 8 * BATCH):
            stack = torch.stack([p.seen(data[p.y : p.y + PATCH, p.x : p.x + PATCH]) for p in some])
            stack = stack.to(self._device)
            level, scale = levels(stack)
            reading = self._model(normalise(stack).contiguous(memory_format=torch.channels_last))
            answers = torch.stack(
                [
                    reading.restored,
                    (2 * reading.error).exp(),
                    torch.sigmoid(reading.mask),
                    level + scale * reading.denoised,
                ],
                dim=1,
            ).float()
            focus += [
                (patch.y + PATCH / 2, patch.x + PATCH / 2, FOCUS * value)
                for patch, value in zip(some, reading.focus.float().tolist(), strict=True)
            ]
            for patch, answer in zip(some, answers.cpu(), strict=True):
                blend.add(patch, patch.laid_back(answer).numpy())
            done += len(some)
            if progress:
                progress(done, len(patches))
        blend.finish()
        restored, denoised, mask, spread = (
            a[:height, :width] for a in (blend.image, blend.denoised, blend.mask, blend.spread)
        )
        restored += 1
        spread *= self._spread_scale
        support = lattice_support(image, restored, sampling=PIXEL)
        return Restoration(restored, denoised, mask, spread, support, np.array(focus))


def _check_whole(name: str, value: int, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value <= most:
        raise InputError(f"{name}: expected a whole number from {least} to {most}, got {value!r}")


def _chunks(items: list[Patch], size: int) -> Iterator[list[Patch]]:
    for i in range(0, len(items), size):
        yield items[i : i + size]


def load_restorer(path: str | Path | None = None, *, device: str = "auto") -> Restorer:
    """The restorer in `path`, or the one that comes with the package.

    Raises
    ------
    InputError
        If the file is missing, damaged or of another kind, or the device is not there.
    """
    device = resolve_device(device)
    model, header, _ = load_network(path, ContrastRestorer)
    return Restorer(
        model,
        spread_scale=header.get("spread_scale", 1.0),
        name=header.get("name", "restorer"),
        digest=digest_of(path or shipped("restorer")),
        device=device,
    )


@overload
def restore(
    image: Signal,
    *,
    sampling: float | None = None,
    weights: str | Path | None = None,
    device: str = "auto",
    focus: Focus = "best",
    views: int = VIEWS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Any: ...
@overload
def restore(
    image: str | os.PathLike[str] | ArrayLike,
    *,
    sampling: float | None = None,
    weights: str | Path | None = None,
    device: str = "auto",
    focus: Focus = "best",
    views: int = VIEWS,
    seed: int = 0,
    progress: Progress | None = None,
) -> NDArray[np.float32]: ...
def restore(
    image: str | os.PathLike[str] | ArrayLike | Signal,
    *,
    sampling: float | None = None,
    weights: str | Path | None = None,
    device: str = "auto",
    focus: Focus = "best",
    views: int = VIEWS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Any:
    """The image without noise at the focus of best contrast, on the pixels of the input, without the margins
    that were cut off; vacuum about 1.

    `Restorer.restore` also tells the spread, the particles and whether the lattice is in the input.

    Parameters
    ----------
    image : path, (y, x) array, or HyperSpy Signal2D
        Any intensity scale.
    sampling
        Pixel size [Å/px]; that of a file or a signal that knows its own need not be given.
    focus
        "best"; or "own" for the image at the focus that it was taken at, in the units of the input: a denoiser.
    views, seed
        As those of `Restorer.restore`.

    Returns
    -------
    (y, x) float32; of a signal a Signal2D with its axes and its title.

    Raises
    ------
    InputError
        If the image or its pixel size cannot be used, or `focus`, `views` or `seed`.
    """
    if isinstance(image, Signal):
        hyperspy()  # what is missing is told before the work
    if focus not in tuple(IMAGES):
        raise InputError(f"focus: expected one of {', '.join(IMAGES)}, got {focus!r}")
    micrograph = micrograph_of(image, sampling)
    restorer = load_restorer(weights, device=device)
    whole = restored_micrograph(micrograph, restorer, views=views, seed=seed, progress=progress)
    answer = getattr(whole, IMAGES[focus])
    if not isinstance(image, Signal):
        return answer
    axes = micrograph.axes.described(answer.shape, micrograph.sampling)
    about = {"restorer": restorer.provenance, "focus": focus, "views": views, "seed": seed}
    more = acquisition(micrograph.metadata)
    return make_signal(answer, axes, title=f"{micrograph.name}, {TITLES[focus]}", about=about, more=more)


def restored_micrograph(
    micrograph: Micrograph,
    restorer: Restorer,
    *,
    views: int = VIEWS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Restoration:
    """Restore a micrograph of any pixel size; the arrays are on its own pixels."""
    pixels = resample(micrograph.image, micrograph.sampling, PIXEL)
    answer = restorer.restore(pixels, progress, views=views, seed=seed)
    image, denoised, mask, spread = (
        resample(a, PIXEL, micrograph.sampling, shape=micrograph.image.shape)
        for a in (answer.image, answer.denoised, answer.mask, answer.spread)
    )
    # Resampling overshoots at edges: a probability stays one, and a spread is not below 0.
    return Restoration(
        image, denoised, np.clip(mask, 0, 1), np.maximum(spread, 0), answer.support, answer.focus
    )
