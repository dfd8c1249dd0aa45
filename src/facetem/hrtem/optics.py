"""The objective lens: exit waves -> clean images.

The wave aberration is `aberrations.py`, the nodes of the averages over focus and illumination are
`coherence.py`. `defocus` > 0 is underfocus: the image is that of a plane `defocus` [Å] before (upstream of) the
reference plane, which is the exit plane of the wave given.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from facetem.core.errors import InputError
from facetem.core.grid import Grid, fast_length, fourier_crop
from facetem.core.physics import wavelength
from facetem.hrtem.aberrations import (
    ORDERS,
    Aberrations,
    Number,
    aberration_phase,
    check_finite,
    wave_aberration,
)
from facetem.hrtem.coherence import even_nodes, gauss_nodes, tilt_nodes

Average = Literal["average", "envelope"]


@dataclass(frozen=True)
class Optics:
    """What stands between the exit plane and the camera.

    Spreads may be 0-dimensional tensors, as may the aberrations, and gradients then flow to them.

    Parameters
    ----------
    aberrations
        Of the objective lens.
    focal_spread
        Standard deviation of the focus [Å] (temporal coherence).
    angular_spread
        Standard deviation of the illumination angle along an axis [mrad] (spatial coherence).
    aperture
        Semi-angle of the objective aperture [mrad].
    image_spread
        Standard deviation of the image's vibration along an axis [Å].

    Raises
    ------
    InputError
        If a spread is negative or not finite, or the aperture closed.
    """

    aberrations: Aberrations = field(default_factory=Aberrations)
    focal_spread: Number = 30.0
    angular_spread: Number = 0.1
    aperture: float = inf
    image_spread: Number = 0.3

    def __post_init__(self) -> None:
        for name in ("focal_spread", "angular_spread", "image_spread"):
            value = getattr(self, name)
            if isinstance(value, Tensor):
                check_finite(name, value)
            elif not 0 <= value < inf:
                raise InputError(f"{name}: expected a finite number >= 0, got {value!r}")
        if not self.aperture > 0:
            raise InputError(f"aperture: expected a semi-angle > 0 mrad, got {self.aperture!r}")

    def at(self, defocus: Number) -> "Optics":
        """The same lens at another defocus [Å]: a focal series is one exit wave seen through several of these."""
        return replace(self, aberrations=replace(self.aberrations, defocus=defocus))


@dataclass(frozen=True)
class _Stack:
    """The numbers of many `Optics` as (n, 1, 1) tensors."""

    lam: Tensor
    coefficients: dict[str, Tensor]
    focal_spread: Tensor
    angular_spread: Tensor  # in k [1/Å]
    cutoff: Tensor  # aperture in k [1/Å]
    image_spread: Tensor

    @classmethod
    def of(cls, optics: Sequence[Optics], energies: Sequence[float], like: Tensor) -> "_Stack":
        real = like.real.dtype

        def column(values: Sequence[complex | Tensor], dtype: torch.dtype = real) -> Tensor:
            if not any(isinstance(v, Tensor) for v in values):
                return torch.as_tensor(np.asarray(values), device=like.device).to(dtype)[:, None, None]
            return torch.stack(
                [torch.as_tensor(v, device=like.device).to(dtype).reshape(1, 1) for v in values]
            )

        lam = column([wavelength(e) for e in energies])
        polars = [o.aberrations.polar() for o in optics]
        return cls(
            lam=lam,
            coefficients={
                name: column([p.get(name, 0.0) for p in polars], like.dtype)
                for name in ORDERS
                if any(name in p for p in polars)
            },
            focal_spread=column([o.focal_spread for o in optics]),
            angular_spread=column([o.angular_spread for o in optics]) * 1e-3 / lam,
            cutoff=column([o.aperture for o in optics]) * 1e-3 / lam,
            image_spread=column([o.image_spread for o in optics]),
        )

    def envelope(self, kx: Tensor, ky: Tensor) -> Tensor:
        """Transfer function (n, y, x) with the illumination's spread as an envelope; see `transfer`."""
        chi, slope2 = aberration_phase(kx, ky, self.lam, self.coefficients)
        return _rotated(self._open(kx, ky) * torch.exp(-0.5 * self.angular_spread**2 * slope2), chi)

    def coherent(self, kx: Tensor, ky: Tensor) -> Tensor:
        """Transfer function (n, y, x) of light from one direction."""
        return _rotated(self._open(kx, ky), wave_aberration(kx, ky, self.lam, self.coefficients))

    def _open(self, kx: Tensor, ky: Tensor) -> Tensor:
        return (kx**2 + ky**2 <= self.cutoff**2).to(self.lam.dtype)

    def defocused(self, kx: Tensor, ky: Tensor, by: Tensor) -> tuple[Tensor, Tensor]:
        """exp(i pi lambda `by` k^2), the phase of `by` [Å] more underfocus, as factors along y and x."""
        step = torch.pi * self.lam * by
        return _rotated(torch.ones_like(ky), -step * ky**2), _rotated(torch.ones_like(kx), -step * kx**2)

    def focal_envelope(self, kx: Tensor, ky: Tensor) -> Tensor:
        """exp(-(pi lambda Delta k^2)^2 / 2): what the focal spread leaves of the linear image."""
        return torch.exp(-0.5 * (torch.pi * self.lam * self.focal_spread * (kx**2 + ky**2)) ** 2)

    def tilt_phase(self, kx: Tensor, ky: Tensor, band: float) -> Tensor:
        """Largest phase (n, 1, 1) that a tilt of one standard deviation puts between the direct and another beam.

        The steepest slope of chi up to the aperture or `band`, with the focus one spread further off.
        """
        _, slope2 = aberration_phase(kx, ky, self.lam, self.coefficients)
        edge = self.cutoff.clamp_max(band)
        slope = (slope2 * (kx**2 + ky**2 <= edge**2)).amax((-2, -1), keepdim=True).sqrt()
        return self.angular_spread * (slope + 2 * torch.pi * self.lam * self.focal_spread * edge)


def _rotated(size: Tensor, phase: Tensor) -> Tensor:
    """size exp(-i phase)."""
    return torch.complex(size * torch.cos(phase), -size * torch.sin(phase))


def transfer(grid: Grid, optics: Sequence[Optics], energies: Sequence[float], like: Tensor) -> Tensor:
    """Coherent transfer function (n, y, x): exp(-i chi), the aperture, and the spatial-coherence envelope.

    The envelope is `exp(-s^2 |grad chi|^2 / 2)` with s the spread of the illumination in k (Frank, Optik 38
    (1973) 519): exact to first order in s, for each wave component on its own. Focal spread is not in it.
    """
    ky, kx = grid.frequencies(like.device, like.real.dtype)
    return _Stack.of(optics, energies, like).envelope(kx, ky)


def intensity_shape(grid: Grid, band: float, out: Grid) -> tuple[int, int]:
    """Pixels on which |psi|^2 of waves up to `band` [1/Å] folds nothing into the frequencies of `out`.

    |psi|^2 reaches 2 `band`; sampled with Nyquist frequency f it folds back to 2 f - 2 `band`, which must not
    be below the Nyquist frequency of `out`.
    """
    need = band + 0.5 * out.nyquist
    sizes = [
        max(o, fast_length(int(np.ceil(2 * need * e - 1e-6))))
        for o, e in zip(out.shape, grid.extent, strict=True)
    ]
    return sizes[0], sizes[1]


def clean_images(
    waves: Tensor,
    grid: Grid,
    *,
    energies: Sequence[float],
    optics: Sequence[Optics],
    shape: tuple[int, int] | None = None,
    band: float | None = None,
    nodes: int | None = None,
    temporal: Average = "average",
    spatial: Average = "envelope",
) -> Tensor:
    """Noise-free images (n, y, x) of exit waves through the lens; vacuum has intensity 1.

    By default the temporal coherence is an explicit average over foci, so that the non-linear terms are right,
    and the spatial coherence an envelope on the wave. The image spread is a Gaussian on the image,
    exp(-2 pi^2 s^2 k^2). Gradients flow to the waves and to aberrations and spreads that are tensors.

    Parameters
    ----------
    waves : (n, y, x) complex
        Exit waves on `grid`. To image one wave under several conditions, repeat it (`expand` costs nothing).
    energies, optics
        One for each wave.
    shape
        Pixels of the image over the same field of view; default those of `grid`. Cropping in Fourier space
        is exact band-limited resampling.
    band
        Highest frequency [1/Å] in `waves`, if less than the Nyquist frequency of `grid`.
    nodes
        Of the focal average: None takes as many as each image needs (`even_nodes`), a number that many of
        Gauss-Hermite, which is quicker and right for small focal spreads; 1 leaves the focal spread out.
    temporal
        `average` over foci, or the `envelope` exp(-(pi lambda Delta k^2)^2 / 2) on the wave: quicker, right for
        weak objects, and too dark where strong ones interfere.
    spatial
        `envelope` `exp(-s^2 |grad chi|^2 / 2)` on the wave, or `average` over directions of illumination q, each
        of which sees the lens at k + q (`tilt_nodes`); the wave is taken as that of axial illumination.

    Raises
    ------
    InputError
        If the numbers of waves, energies and optics differ, `waves` does not match `grid`, the pixels of
        `shape` are not square, or `nodes` is given where there is no focal average.
    """
    _check(waves, grid, energies, optics)
    if nodes is not None and temporal == "envelope":
        raise InputError(f'nodes: expected None with temporal="envelope", got {nodes!r}')
    out = _out_grid(grid, shape or grid.shape)
    band = min(band or grid.nyquist, grid.nyquist)
    stack = _Stack.of(optics, energies, waves)
    ky, kx = grid.frequencies(waves.device, waves.real.dtype)
    spectra = torch.fft.fft2(waves)
    if _choice("temporal", temporal) == "envelope":
        spectra = spectra * stack.focal_envelope(kx, ky)
        foci = _one_node(stack)
    elif nodes is not None:
        foci = tuple(stack.lam.new_tensor(v)[:, None, None, None] for v in gauss_nodes(nodes))
    else:
        edge = stack.cutoff.clamp_max(band)
        foci = even_nodes(torch.pi * stack.lam * stack.focal_spread * edge**2)
    fine = intensity_shape(grid, band, out)
    if _choice("spatial", spatial) == "envelope":
        intensity = _focal_average(spectra * stack.envelope(kx, ky), stack, (ky, kx), foci, fine)
    else:
        intensity = torch.zeros((len(waves), *fine), device=waves.device, dtype=waves.real.dtype)
        for offset, weight in zip(*tilt_nodes(stack.tilt_phase(kx, ky, band)), strict=True):
            tilted = ky + stack.angular_spread * offset[0], kx + stack.angular_spread * offset[1]
            spectrum = spectra * stack.coherent(tilted[1], tilted[0])
            intensity = intensity + weight * _focal_average(spectrum, stack, tilted, foci, fine)
    blur = -2 * (torch.pi * stack.image_spread) ** 2
    return filter_image(
        intensity * (fine[0] * fine[1] / (grid.shape[0] * grid.shape[1])) ** 2,
        out,
        torch.exp(blur * out.squared_frequency(waves.device, waves.real.dtype)),
    )


def _focal_average(
    spectrum: Tensor,
    stack: _Stack,
    frequencies: tuple[Tensor, Tensor],
    foci: tuple[Tensor, ...],
    fine: tuple[int, int],
) -> Tensor:
    """Mean intensity (n, *fine) of the waves of `spectrum` over `foci` (offsets, weights), not normalised."""
    ky, kx = frequencies
    intensity = torch.zeros((len(spectrum), *fine), device=spectrum.device, dtype=spectrum.real.dtype)
    for offset, weight in zip(*foci, strict=True):
        focus_y, focus_x = stack.defocused(kx, ky, stack.focal_spread * offset)
        wave = torch.fft.ifft2(fourier_crop(spectrum * focus_y * focus_x, fine))
        intensity = intensity + weight * (wave.real**2 + wave.imag**2)
    return intensity


def _one_node(stack: _Stack) -> tuple[Tensor, Tensor]:
    return torch.zeros_like(stack.lam)[None], torch.ones_like(stack.lam)[None]


def _check(waves: Tensor, grid: Grid, energies: Sequence[float], optics: Sequence[Optics]) -> None:
    if tuple(waves.shape[-2:]) != grid.shape or waves.ndim != 3:
        raise InputError(f"waves: expected (n, {grid.shape[0]}, {grid.shape[1]}), got {tuple(waves.shape)}")
    if not len(waves) == len(energies) == len(optics):
        raise InputError(
            f"optics: expected one energy and one Optics per wave, got {len(waves)} waves, {len(energies)} "
            f"energies, {len(optics)} Optics"
        )


def _choice(name: str, value: Average) -> Average:
    if value not in ("average", "envelope"):
        raise InputError(f"{name}: expected average or envelope, got {value!r}")
    return value


def _out_grid(grid: Grid, shape: tuple[int, int]) -> Grid:
    out = Grid.over(grid.extent, shape)
    if abs(out.aspect - 1) > 0.05:
        raise InputError(f"shape: expected square pixels over {grid.extent} Å (y, x), got {shape} pixels")
    return out


def filter_image(image: Tensor, out: Grid, spectrum: Tensor) -> Tensor:
    """Images (n, y, x) resampled to `out` (same field of view) and multiplied in Fourier space by `spectrum`."""
    scale = out.shape[0] * out.shape[1] / (image.shape[-2] * image.shape[-1])
    return torch.fft.ifft2(fourier_crop(torch.fft.fft2(image), out.shape) * spectrum).real * scale
