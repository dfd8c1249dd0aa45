"""From a map of particle probability to outlines, measures and crops."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Two maxima of the distance to the outline belong to two particles if the neck between them is narrower than
# this fraction of the smaller one. Two equal discs that overlap by a quarter of their diameter have 0.66, a rod or
# a rough outline has more. Overlap that is deeper is left alone: half a particle has no shape of its own.
_NECK = 0.7
BLUR = 2.5  # Å: about a lattice spacing; finer than this the outlines are noise
SMALLEST = 20.0  # Å: half of the smallest particle that the networks know
# An outline that fills its convex hull to this degree is one particle.
_CONVEX = 0.95


@dataclass(frozen=True)
class Outline:
    """One particle in projection. Pixels are those of the map that it was found in.

    Parameters
    ----------
    label : int
        1, 2, ... in reading order (top to bottom).
    centroid : (y, x)
        [px]
    bbox : (y0, x0, y1, x1)
        Half-open [px].
    area : float
        Projected [Å^2].
    equivalent_diameter : float
        Diameter of the disc of the same projected area [Å].
    feret : float
        Largest distance between two points of the outline [Å].
    circularity : float
        4 pi area / perimeter^2 with Crofton's perimeter: 1 for a disc, at most 1.
    contour : (n, 2) float
        Closed outline (y, x) [px].
    inside : (y1 - y0, x1 - x0) bool
        Which pixels of `bbox` are the particle's.
    solidity : float
        Part of its convex hull that it fills.
    edge_length : float
        Length along which the edge of the map cuts it [Å]; 0 for a whole particle.
    """

    label: int
    centroid: tuple[float, float]
    bbox: tuple[int, int, int, int]
    area: float
    equivalent_diameter: float
    feret: float
    circularity: float
    contour: NDArray[np.float64]
    inside: NDArray[np.bool_]
    solidity: float
    edge_length: float

    @property
    def box(self) -> tuple[slice, slice]:
        """The part (y, x) of the map that `inside` is about."""
        y0, x0, y1, x1 = self.bbox
        return slice(y0, y1), slice(x0, x1)

    @property
    def cut_by_edge(self) -> bool:
        """Whether its size and shape are those of a part only."""
        return self.edge_length > 0


def find_particles(
    mask: ArrayLike,
    *,
    sampling: float,
    min_diameter: float = 15.0,
    threshold: float = 0.5,
    blur: float = 0.0,
) -> list[Outline]:
    """Outlines of the particles in a map (y, x) of particle probability.

    The map is smoothed by a Gaussian of standard deviation `blur` [Å]: neighbouring pixels speak of the same
    matter, and noise that they do not share averages out. Holes are filled, specks below `min_diameter` [Å, of
    the disc of the same area] dropped, and particles that touch are separated at their neck.

    Raises
    ------
    ValueError
        If `mask` is not (y, x) and finite, or `sampling` [Å/px], `min_diameter`, `threshold` are not positive.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.measure import regionprops

    probability = np.asarray(mask, dtype=np.float32)
    if probability.ndim != 2 or not np.isfinite(probability).all():
        raise ValueError(f"mask must be finite and (y, x), got shape {probability.shape}")
    for name, value in (("sampling", sampling), ("min_diameter", min_diameter), ("threshold", threshold)):
        if not value > 0:
            raise ValueError(f"{name} must be > 0, got {value!r}")
    if not blur >= 0:
        raise ValueError(f"blur must be >= 0, got {blur!r}")
    if blur > 0:
        probability = gaussian_filter(probability, blur / sampling)
    least = math.pi / 4 * (min_diameter / sampling) ** 2
    above = _connected(probability >= threshold)
    sizes = np.bincount(above.ravel())
    sizes[0] = 0
    # Filling after dropping the specks: a speck's surroundings are no hole, a particle's are.
    binary = _fill_holes((sizes >= least)[above])
    labels = np.zeros(binary.shape, dtype=np.int32)
    total = 0
    for region in regionprops(_connected(binary)):
        parts = (
            split_touching(region.image, least)
            if region.solidity < _CONVEX
            else region.image.astype(np.int32)
        )
        box = tuple(slice(region.bbox[i], region.bbox[i + 2]) for i in (0, 1))
        labels[box] += np.where(parts > 0, parts + total, 0)
        total += int(parts.max())
    found = [
        _measure(region, sampling, binary.shape) for region in regionprops(labels) if region.area >= least
    ]
    found.sort(key=lambda outline: outline.centroid)
    return [replace(outline, label=i) for i, outline in enumerate(found, start=1)]


def _connected(binary: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Label (0 = outside) of each region of pixels that share a side."""
    from skimage.measure import label

    return np.asarray(label(binary, connectivity=1))


def _fill_holes(binary: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Each particle's own holes; a gap that several particles enclose together stays open."""
    from skimage.measure import regionprops

    filled = binary.copy()
    for region in regionprops(_connected(binary)):
        # The filled area of a ring of particles would swallow the substrate inside it.
        if region.area_filled <= 1.3 * region.area:
            box = tuple(slice(region.bbox[i], region.bbox[i + 2]) for i in (0, 1))
            filled[box] |= region.image_filled
    return filled


def split_touching(region: NDArray[np.bool_], least: float) -> NDArray[np.int32]:
    """Labels (1, 2, ...) of the particles in one connected region (y, x).

    A watershed of the distance to the outline, seeded at every local maximum, gives too many pieces. Pieces are
    joined again, the relatively widest neck first, as long as a neck is not narrow against the smaller of its two
    pieces, or a piece covers fewer than `least` pixels.
    """
    from scipy import ndimage
    from skimage.measure import label
    from skimage.segmentation import watershed

    # The distance is that of a slightly smoothed outline: its ripples are noise and make no necks.
    distance = _depth(np.pad(region, 1))
    ripple = max(1.0, 0.05 * float(distance.max()))
    smooth = ndimage.gaussian_filter(np.pad(region, int(4 * ripple)).astype(np.float32), ripple) > 0.5
    inner = tuple(slice(int(4 * ripple), int(4 * ripple) + n) for n in region.shape)
    distance = np.maximum(_depth(smooth)[inner], 1e-3) * region
    peaks = (distance == ndimage.maximum_filter(distance, size=7)) & region & (distance >= 1)
    seeds = np.asarray(label(peaks, connectivity=2))
    n = int(seeds.max())
    if n < 2:
        return region.astype(np.int32)
    pieces = watershed(-distance, seeds, mask=region)
    labels = np.arange(n + 1)
    width = dict(enumerate(ndimage.maximum(distance, pieces, labels[1:]), start=1))
    area = dict(enumerate(np.bincount(pieces.ravel(), minlength=n + 1)[1:], start=1))
    necks = _necks(pieces, distance)
    while necks:
        merit = {
            (i, j): neck / min(width[i], width[j]) + (10.0 if min(area[i], area[j]) < least else 0.0)
            for (i, j), neck in necks.items()
        }
        keep, drop = max(merit, key=lambda pair: merit[pair])
        if merit[keep, drop] < _NECK:
            break
        labels[labels == drop] = keep
        width[keep], area[keep] = max(width[keep], width[drop]), area[keep] + area[drop]
        joined: dict[tuple[int, int], float] = {}
        for (i, j), neck in necks.items():
            a, b = sorted(keep if k == drop else k for k in (i, j))
            if a != b:
                joined[a, b] = max(neck, joined.get((a, b), 0.0))
        necks = joined
    present = np.unique(labels[1:])
    return np.searchsorted(np.concatenate([[0], present]), labels)[pieces].astype(np.int32)


def _depth(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance [px] of each pixel to the nearest one outside."""
    from scipy import ndimage

    return np.asarray(ndimage.distance_transform_edt(inside))


def _necks(pieces: NDArray, distance: NDArray) -> dict[tuple[int, int], float]:
    """Half-width of the neck [px] between each two pieces that touch: the largest distance on their border."""
    necks: dict[tuple[int, int], float] = {}
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        ny, nx = pieces.shape
        here = (slice(0, ny - dy), slice(max(0, -dx), nx - max(0, dx)))
        there = (slice(dy, ny), slice(max(0, dx), nx + min(0, dx)))
        a, b = pieces[here], pieces[there]
        border = (a != b) & (a > 0) & (b > 0)
        width = np.minimum(distance[here], distance[there])[border]
        for i, j, w in zip(a[border], b[border], width, strict=True):
            pair = (min(int(i), int(j)), max(int(i), int(j)))
            necks[pair] = max(necks.get(pair, 0.0), float(w))
    return necks


def _measure(region: Any, sampling: float, shape: tuple[int, ...]) -> Outline:
    from skimage.measure import find_contours, perimeter_crofton

    image: NDArray[np.bool_] = region.image
    y0, x0, y1, x1 = region.bbox
    padded = np.pad(image, 1)
    contours = find_contours(padded.astype(np.float32), 0.5)
    contour = max(contours, key=len) + np.array([y0 - 1, x0 - 1])
    pixels = float(image.sum())
    perimeter = float(perimeter_crofton(padded, directions=4))
    rows, columns = np.nonzero(image)
    on_edge = sum(
        int(line.sum())
        for line, touches in (
            (image[0], y0 == 0),
            (image[-1], y1 == shape[0]),
            (image[:, 0], x0 == 0),
            (image[:, -1], x1 == shape[1]),
        )
        if touches
    )
    return Outline(
        label=0,
        centroid=(float(rows.mean() + y0), float(columns.mean() + x0)),
        bbox=(y0, x0, y1, x1),
        area=pixels * sampling**2,
        equivalent_diameter=2 * math.sqrt(pixels / math.pi) * sampling,
        feret=_feret(contour) * sampling,
        circularity=min(1.0, 4 * math.pi * pixels / perimeter**2),
        contour=contour,
        inside=image,
        solidity=float(region.solidity),
        edge_length=float(on_edge) * sampling,
    )


def _feret(points: NDArray) -> float:
    """Largest distance between two of the points (n, 2)."""
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    return float(pdist(points[ConvexHull(points).vertices]).max())
