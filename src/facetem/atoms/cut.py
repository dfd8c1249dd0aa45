"""Cutting a particle out of its lattice: the sites that the planes reach last are the surface.

Each site has a critical scale, the size at which a plane of its domain reaches it: max over planes of
normal . x / distance (less a plane's lag). A particle of N atoms is the N sites of the smallest critical scale: no
search for a size.
Rounded edges replace the maximum by a p-norm, rough surfaces add noise; nothing else changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from facetem.atoms.facets import Facets, Form
from facetem.atoms.lattices import Array, Lattice, lattice_sites

LAYER = 0.75  # just less than the {111} spacing, 0.816 nearest-neighbour distances
STEEPEST = 2.2  # rms heights that the smooth noise is cut at: one site in forty
BOND = 1.2  # longest bond, between first (1.05 with misfit) and second (1.41) neighbours


@dataclass(frozen=True)
class SurfaceNoise:
    """A smooth random function of direction plus independent noise for a part of the sites.

    Both change critical scales: the first makes terraces and irregular outlines (and lets an incomplete layer
    fill from one side), the second single vacancies and adatoms, never a whole layer off.
    """

    roughness: float
    wavevectors: Array
    phases: Array
    grain: float
    seed: int

    @staticmethod
    def draw(form: Form, rng: np.random.Generator, n_waves: int = 5) -> SurfaceNoise:
        return SurfaceNoise(
            form.roughness,
            rng.normal(size=(3, n_waves)) * rng.uniform(1.5, 5.0, n_waves),
            rng.uniform(0, 2 * math.pi, n_waves),
            form.grain,
            int(rng.integers(2**63)),
        )

    def bound(self, inradius: float) -> float:
        """The largest relative change of a critical scale at `inradius` [nearest-neighbour distances]."""
        layer = LAYER / inradius if self.grain > 0 else 0.0
        return self.roughness * STEEPEST + layer

    def __call__(self, sites: Array) -> Array:
        """Relative change (n,) of the critical scale of `sites` (n, 3)."""
        lengths = np.maximum(np.linalg.norm(sites, axis=1), 1e-9)
        # Single precision is several times faster and far finer than a layer.
        waves = np.cos(((sites @ self.wavevectors) / lengths[:, None] + self.phases).astype(np.float32))
        height = math.sqrt(2 / len(self.phases)) * waves.sum(axis=1, dtype=np.float64)
        change = self.roughness * np.clip(height, -STEEPEST, STEEPEST)
        if self.grain > 0:
            rng = np.random.default_rng(self.seed)
            chosen = rng.random(len(sites)) < self.grain
            change += chosen * rng.uniform(-LAYER, LAYER, len(sites)) / np.maximum(lengths, LAYER)
        return change


def cut(
    planes: Facets,
    n_wanted: int,
    *,
    origin: Array,
    rounding: float = math.inf,
    noise: SurfaceNoise | None = None,
) -> Array:
    """The `n_wanted` sites of smallest critical scale (n, 3) [nearest-neighbour distances].

    Sites of the same critical scale are kept together, so n is the nearest count that respects the symmetry;
    with noise there are no such sites, and n differs by the few loose atoms that are taken away.

    Parameters
    ----------
    origin : (3,)
        Where the lattice's origin lies against the centre of the planes.
    rounding : float
        Exponent of the norm that joins the planes.
    """
    covectors = [planes.covectors(k) for k in range(len(planes.members))]
    scale, reach, spread = _estimate(planes.lattice, covectors, n_wanted, rounding)
    change = 0.0 if noise is None else min(noise.bound(scale * float(planes.distances.min())), 0.5)
    # How far the estimate may be off; without noise whole layers decide.
    slack = 0.05 if noise is not None else 0.05 + 1 / scale
    while True:
        high = scale * (1 + slack) / (1 - change)
        low = max(scale * (1 - slack), 0.0) / (spread * (1 + change))
        radius = reach * high + 2
        core, surface = _candidates(planes.lattice, covectors, radius, origin, (low, high), rounding)
        sites, regular = surface
        scales = regular if noise is None else regular * (1 + noise(sites))
        order = np.argsort(scales)
        last = _last(scales[order], n_wanted - len(core))
        # Right if no site left aside could have come before the last one, and the ball held the whole cut.
        if 0 < last < len(order):
            limit, chosen = scales[order[last - 1]], order[:last]
            outermost = np.linalg.norm(sites[chosen] - origin, axis=1).max()
            if low * spread * (1 + change) <= limit <= high * (1 - change) and outermost < radius - 1.2:
                break
        slack = 1.5 * slack + 0.05
    outer = sites[chosen]
    if noise is not None and noise.grain > 0:
        # The outermost layer and what lies on it: corner atoms may have lost what held them.
        outer = supported(outer, regular[chosen] > 0.985 * limit)
    return np.concatenate([core, outer])


def _estimate(
    lattice: Lattice, covectors: list[tuple[Array, Array | None]], n_wanted: int, rounding: float
) -> tuple[float, float, float]:
    """Scale of the cut, its outermost radius at scale 1 and the most that rounding adds to a critical scale.

    From the directions of the sites in a thin spherical shell: of any radius where the domains look the same at every
    size, else of the particle's own.
    """
    outer = 7.0 if lattice.scales else max(7.0, (0.75 / math.pi * n_wanted * math.sqrt(0.5)) ** (1 / 3))
    sharp, joined = [], []
    for sites, (g, lag) in zip(lattice_sites(lattice, outer), covectors, strict=True):
        lengths = np.linalg.norm(sites, axis=1)
        shell = sites[lengths > outer - 1] / lengths[lengths > outer - 1, None]
        lag = None if lag is None else lag / (outer - 0.5)
        sharp.append(np.maximum(_largest(g, lag, shell), 1e-3))
        joined.append(_joined(g, lag, shell, sharp[-1], rounding))
    per_length = np.concatenate(joined)
    volume = 4 / 3 * math.pi * float(np.mean(per_length**-3.0))
    scale = (n_wanted * math.sqrt(0.5) / volume) ** (1 / 3)
    # 2 % for the directions between those of the shell.
    return scale, 1.02 / float(per_length.min()), 1.02 * float((per_length / np.concatenate(sharp)).max())


def _largest(covectors: Array, lag: Array | None, sites: Array) -> Array:
    """Critical scales (n,) of sites (n, 3) with sharp edges."""
    each = covectors @ sites.T
    if lag is not None:
        each -= lag[:, None]
    return each.max(axis=0)


def _joined(covectors: Array, lag: Array | None, sites: Array, sharp: Array, rounding: float) -> Array:
    """Critical scales (n,) with rounded edges, from those (`sharp`) with sharp ones."""
    if not math.isfinite(rounding):
        return sharp
    sharp = np.maximum(sharp, 1e-9)
    relative = covectors @ sites.T
    if lag is not None:
        relative -= lag[:, None]
    relative /= sharp
    # A plane at less than half of the largest adds less than 2^-p: most need no power.
    terms = np.power(relative, rounding, out=np.zeros_like(relative), where=relative > 0.5)
    return sharp * terms.sum(axis=0) ** (1 / rounding)


def _candidates(
    lattice: Lattice,
    covectors: list[tuple[Array, Array | None]],
    radius: float,
    origin: Array,
    band: tuple[float, float],
    rounding: float,
) -> tuple[Array, tuple[Array, Array]]:
    """Sites (n, 3) that are inside for sure, and those of the surface (m, 3) with critical scales (m,)."""
    low, high = band
    core, surface, scales = [], [], []
    for sites, (g, lag) in zip(lattice_sites(lattice, radius), covectors, strict=True):
        x = sites + origin
        # Steepest planes first: half of them leave few sites for the rest.
        order = np.argsort(-np.linalg.norm(g, axis=1), kind="stable")
        g, lag, half = g[order], None if lag is None else lag[order], len(g) // 2
        first, rest = (None, None) if lag is None else (lag[:half], lag[half:])
        sharp = _largest(g[:half], first, x)
        near = sharp < high
        x, sharp = x[near], sharp[near]
        sharp = np.maximum(sharp, _largest(g[half:], rest, x))
        core.append(x[sharp < low])
        shell = (sharp >= low) & (sharp < high)
        surface.append(x[shell])
        scales.append(_joined(g, lag, surface[-1], sharp[shell], rounding))
    return np.concatenate(core), (np.concatenate(surface), np.concatenate(scales))


def _last(scales: Array, n_wanted: int) -> int:
    """How many of the ascending `scales` to take to be nearest to `n_wanted` without parting equal ones."""
    ends = np.append(np.flatnonzero(np.diff(scales) > 1e-7) + 1, len(scales))
    return int(ends[np.argmin(np.abs(ends - n_wanted))]) if len(scales) else 0


def supported(sites: Array, doubtful: NDArray[np.bool_]) -> Array:
    """`sites` (n, 3) without those of the doubtful ones that would stick to fewer than three others."""
    while doubtful.any():
        # A tree that is used once need not be a balanced one; the fourth nearest is the third other.
        tree = KDTree(sites, balanced_tree=False, compact_nodes=False)
        fourth = np.asarray(tree.query(sites[doubtful], k=4, distance_upper_bound=BOND)[0])
        loose = np.flatnonzero(doubtful)[np.isinf(fourth[:, 3])]
        if len(loose) == 0:
            break
        sites, doubtful = np.delete(sites, loose, axis=0), np.delete(doubtful, loose)
    return sites
