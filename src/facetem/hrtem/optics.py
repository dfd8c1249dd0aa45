"""The objective lens: exit waves -> clean images.

The wave aberration is written in Krivanek's notation (Krivanek, Dellby & Lupini, Ultramicroscopy 78 (1999) 1),

    chi = (2 pi / lambda) Re sum_nm C_nm exp(i m phi_nm) conj(w)^m |w|^(n + 1 - m) / (n + 1),  w = lambda (kx + i ky),

and the wave is multiplied by exp(-i chi). `defocus` = -C10 > 0 is underfocus: the image is that of a plane
`defocus` [Å] before (upstream of) the reference plane, which is the exit plane of the wave given.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from math import inf, isfinite

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.fft import next_fast_len
from torch import Tensor

from facetem.core.errors import InputError
from facetem.core.grid import Grid, fourier_crop
from facetem.core.physics import wavelength

# name -> (order n, multiplicity m); a new aberration is a line here and a field of `Aberrations`
ORDERS = {"C10": (1, 0), "C12": (1, 2), "C21": (2, 1), "C23": (2, 3), "C30": (3, 0)}

FOCAL_REACH, FOCAL_GAP = 3.0, 2.5  # standard deviations, rad: see `even_nodes`


@dataclass(frozen=True)
class Aberrations:
    """Coefficients [Å] and azimuths [rad] of the objective lens; `defocus` = -C10 (positive: underfocus)."""

    defocus: float = 0.0
    C12: float = 0.0
    phi12: float = 0.0
    C21: float = 0.0
    phi21: float = 0.0
    C23: float = 0.0
    phi23: float = 0.0
    C30: float = 0.0

    def __post_init__(self) -> None:
        for item in fields(self):
            if not isfinite(getattr(self, item.name)):
                raise InputError(f"{item.name}: expected a finite number, got {getattr(self, item.name)!r}")

    def polar(self) -> dict[str, complex]:
        """C_nm exp(i m phi_nm) [Å] by name."""
        coefficients = {
            "C10": -self.defocus,
            **{name: getattr(self, name) for name in ORDERS if name != "C10"},
        }
        return {
            name: value * np.exp(1j * ORDERS[name][1] * getattr(self, name.replace("C", "phi"), 0.0))
            for name, value in coefficients.items()
        }


@dataclass(frozen=True)
class Optics:
    """What stands between the exit plane and the camera.

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
    """

    aberrations: Aberrations = field(default_factory=Aberrations)
    focal_spread: float = 30.0
    angular_spread: float = 0.1
    aperture: float = inf
    image_spread: float = 0.3

    def __post_init__(self) -> None:
        for name in ("focal_spread", "angular_spread", "image_spread"):
            if not (isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise InputError(f"{name}: expected a finite number >= 0, got {getattr(self, name)!r}")
        if not self.aperture > 0:
            raise InputError(f"aperture: expected a semi-angle > 0 mrad, got {self.aperture!r}")


def aberration_phase(
    kx: Tensor, ky: Tensor, lam: Tensor, coefficients: dict[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Wave aberration chi [rad] and the square of its gradient in k [rad^2 Å^2].

    Parameters
    ----------
    kx, ky : broadcastable to (n, y, x)
        Frequencies [1/Å].
    lam : (n, 1, 1)
        Wavelengths [Å].
    coefficients
        name -> (n, 1, 1) complex C_nm exp(i m phi_nm) [Å]. Names that are absent cost nothing.
    """
    w = lam * torch.complex(*torch.broadcast_tensors(kx, ky))
    up, down = _powers(w), _powers(w.conj())
    chi = torch.zeros_like(w.real)
    slope = torch.zeros_like(w)
    for name, value in coefficients.items():
        n, m = ORDERS[name]
        a, b = (n + 1 + m) // 2, (n + 1 - m) // 2
        scale = 2 * torch.pi / lam / (n + 1)
        # f = c conj(w)^a w^b, chi = scale Re f; d/dx + i d/dy = 2 d/d conj(w), so the slope of Re f is
        # df/d conj(w) + conj(df/dw).
        lower = value * down[a - 1] * up[b]
        chi = chi + scale * (lower * down[1]).real
        slope = slope + scale * lam * (a * lower)
        if b:
            slope = slope + scale * lam * (b * value.conj() * up[a] * down[b - 1])
    return chi, slope.real**2 + slope.imag**2


def _powers(w: Tensor) -> list[Tensor]:
    """w^0, w^1, ... by multiplication; a complex `pow` costs a logarithm and an exponential per pixel."""
    powers = [torch.ones_like(w), w]
    while len(powers) <= max(n + 1 for n, _ in ORDERS.values()):
        powers.append(powers[-1] * w)
    return powers


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
        def column(values: ArrayLike) -> Tensor:
            dtype = like.dtype if np.iscomplexobj(values) else like.real.dtype
            return torch.as_tensor(np.asarray(values), device=like.device).to(dtype)[:, None, None]

        wavelengths = np.array([wavelength(e) for e in energies])
        polars = [o.aberrations.polar() for o in optics]
        met = [name for name in ORDERS if any(p[name] != 0 for p in polars)]
        return cls(
            lam=column(wavelengths),
            coefficients={name: column(np.array([complex(p[name]) for p in polars])) for name in met},
            focal_spread=column([o.focal_spread for o in optics]),
            angular_spread=column(np.array([o.angular_spread for o in optics]) / wavelengths * 1e-3),
            cutoff=column(np.array([o.aperture for o in optics]) / wavelengths * 1e-3),
            image_spread=column([o.image_spread for o in optics]),
        )


def transfer(grid: Grid, optics: Sequence[Optics], energies: Sequence[float], like: Tensor) -> Tensor:
    """Coherent transfer function (n, y, x): exp(-i chi), the aperture, and the spatial-coherence envelope.

    The envelope is exp(-s^2 |grad chi|^2 / 2) with s the spread of the illumination in k (Frank, Optik 38
    (1973) 519): exact to first order in s, for each wave component on its own. Focal spread is not in it.
    """
    stack = _Stack.of(optics, energies, like)
    ky, kx = grid.frequencies(like.device, like.real.dtype)
    chi, slope2 = aberration_phase(kx, ky, stack.lam, stack.coefficients)
    size = torch.exp(-0.5 * stack.angular_spread**2 * slope2) * (kx**2 + ky**2 <= stack.cutoff**2)
    return torch.complex(size * torch.cos(chi), -size * torch.sin(chi))


def _fast_length(n: int) -> int:
    return int(next_fast_len(n) or n)  # None only beyond the largest integer


def intensity_shape(grid: Grid, band: float, out: Grid) -> tuple[int, int]:
    """Pixels on which |psi|^2 of waves up to `band` [1/Å] folds nothing into the frequencies of `out`.

    |psi|^2 reaches 2 `band`; sampled with Nyquist frequency f it folds back to 2 f - 2 `band`, which must not
    be below the Nyquist frequency of `out`.
    """
    need = band + 0.5 * out.nyquist
    sizes = [
        max(o, _fast_length(int(np.ceil(2 * need * e - 1e-6))))
        for o, e in zip(out.shape, grid.extent, strict=True)
    ]
    return sizes[0], sizes[1]


def even_nodes(phase: Tensor) -> tuple[Tensor, Tensor]:
    """Foci [standard deviations] and weights (node, n, 1, 1) of n averages over a Gaussian focal spread.

    Steps h apart, an average that should have damped two beams of relative phase a [rad per standard
    deviation] to exp(-a^2 / 2) brings them back at a = 2 pi / h, as too few Gauss-Hermite nodes do. So h follows
    `phase` (n, 1, 1), the largest a of each image, with `FOCAL_GAP` to spare, and the foci end at `FOCAL_REACH`:
    images are right to about 1e-3 of vacuum. An image has its own nodes, whatever it is averaged beside.
    """
    half = torch.ceil(FOCAL_REACH * (phase + FOCAL_GAP) / (2 * torch.pi))
    half = torch.where(phase > 0, half, torch.zeros_like(half))
    most = int(half.max())
    index = torch.arange(-most, most + 1, device=phase.device, dtype=phase.dtype)[:, None, None, None]
    offsets = index * FOCAL_REACH / half.clamp_min(1)
    weights = torch.exp(-0.5 * offsets**2) * (index.abs() <= half)
    return offsets, weights / weights.sum(0)


def clean_images(
    waves: Tensor,
    grid: Grid,
    *,
    energies: Sequence[float],
    optics: Sequence[Optics],
    shape: tuple[int, int] | None = None,
    band: float | None = None,
    nodes: int | None = None,
) -> Tensor:
    """Noise-free images (n, y, x) of exit waves through the lens; vacuum has intensity 1.

    The temporal coherence is an explicit average over foci, so that the non-linear terms are right; the image
    spread is a Gaussian on the image, exp(-2 pi^2 s^2 k^2).

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

    Raises
    ------
    InputError
        If the numbers of waves, energies and optics differ, `waves` does not match `grid`, or the pixels of
        `shape` are not square.
    """
    if tuple(waves.shape[-2:]) != grid.shape or waves.ndim != 3:
        raise InputError(f"waves: expected (n, {grid.shape[0]}, {grid.shape[1]}), got {tuple(waves.shape)}")
    if not len(waves) == len(energies) == len(optics):
        raise InputError(
            f"optics: expected one energy and one Optics per wave, got {len(waves)} waves, {len(energies)} "
            f"energies, {len(optics)} Optics"
        )
    shape = shape or grid.shape
    out = Grid(shape, grid.extent[0] / shape[0])
    if abs(grid.extent[1] / shape[1] / out.sampling - 1) > 0.05:
        raise InputError(f"shape: expected square pixels over {grid.extent} Å (y, x), got {shape} pixels")
    band = min(band or grid.nyquist, grid.nyquist)
    fine = intensity_shape(grid, band, out)
    spectrum = torch.fft.fft2(waves) * transfer(grid, optics, energies, waves)
    stack = _Stack.of(optics, energies, waves)
    ky, kx = grid.frequencies(waves.device, waves.real.dtype)
    if nodes is None:
        offsets, weights = even_nodes(
            torch.pi * stack.lam * stack.focal_spread * stack.cutoff.clamp_max(band) ** 2
        )
    else:
        positions, masses = np.polynomial.hermite_e.hermegauss(nodes)
        offsets, weights = (
            stack.lam.new_tensor(v)[:, None, None, None] for v in (positions, masses / masses.sum())
        )
    scale = fine[0] * fine[1] / (grid.shape[0] * grid.shape[1])
    intensity = torch.zeros((len(waves), *fine), device=waves.device, dtype=waves.real.dtype)
    for offset, weight in zip(offsets, weights, strict=True):
        step = torch.pi * stack.lam * stack.focal_spread * offset
        focus_y = torch.polar(torch.ones_like(step * ky), step * ky**2)
        focus_x = torch.polar(torch.ones_like(step * kx), step * kx**2)
        wave = torch.fft.ifft2(fourier_crop(spectrum * focus_y * focus_x, fine)) * scale
        intensity = intensity + weight * (wave.real**2 + wave.imag**2)
    return filter_image(
        intensity,
        out,
        torch.exp(
            -2 * (torch.pi * stack.image_spread) ** 2 * out.squared_frequency(waves.device, waves.real.dtype)
        ),
    )


def filter_image(image: Tensor, out: Grid, spectrum: Tensor) -> Tensor:
    """Images (n, y, x) resampled to `out` (same field of view) and multiplied in Fourier space by `spectrum`."""
    scale = out.shape[0] * out.shape[1] / (image.shape[-2] * image.shape[-1])
    return torch.fft.ifft2(fourier_crop(torch.fft.fft2(image), out.shape) * spectrum).real * scale
