"""Atoms as balls in perspective: a picture in plain pixels, and the colours that tell faces from edges."""

import numpy as np
from ase import Atoms
from ase.data.colors import jmol_colors
from numpy.typing import NDArray
from scipy.spatial import KDTree

from facetem.atoms.cut import BOND

# Neighbours of an atom -> colour: 8 on {100}, 9 on {111}, fewer on edges and corners, more in grooves. The rows of
# {110} have 7 and 11.
BY_NEIGHBOURS = {"edge": "#D55E00", "8": "#56B4E9", "9": "#F0C040", "groove": "#009E73", "inside": "#B9BFC7"}
LIGHT = np.array([-0.45, 0.6, 0.75]) / np.linalg.norm([-0.45, 0.6, 0.75])
DISTANCE = 5.0  # of the eye from the centre, in radii of the particle


def bond_length(atoms: Atoms) -> float:
    """The usual distance of neighbours [Å]: the median of all atoms' nearest ones."""
    if len(atoms) < 2:
        return 1.0
    return float(np.median(KDTree(atoms.positions).query(atoms.positions, k=2)[0][:, 1]))


def neighbours(atoms: Atoms) -> NDArray[np.int64]:
    """How many neighbours (n,) each atom has within 1.2 bonds."""
    reach = BOND * bond_length(atoms)
    return (
        np.asarray(KDTree(atoms.positions).query_ball_point(atoms.positions, reach, return_length=True)) - 1
    )


def neighbour_colours(counts: NDArray[np.int64]) -> list[str]:
    """A colour for each number of neighbours."""
    names = np.select(
        [counts <= 7, counts == 8, counts == 9, counts <= 11], ["edge", "8", "9", "groove"], "inside"
    )
    return [BY_NEIGHBOURS[str(name)] for name in names]


def element_colours(numbers: NDArray[np.int64]) -> list[str]:
    """Jmol's colours of the elements."""
    return ["#{:02x}{:02x}{:02x}".format(*(int(255 * c) for c in jmol_colors[z])) for z in numbers]


def render(
    positions: NDArray[np.float64], colours: list[str], *, radius: float, pixels: int = 360
) -> NDArray[np.uint8]:
    """Balls seen from +z, the nearer the larger and brighter.

    Parameters
    ----------
    positions : (n, 3), radius : float
        [Å]
    colours : n strings like "#D55E00"
    pixels : int
        Side of the picture.

    Returns
    -------
    (pixels, pixels, 3) on white; y points up.
    """
    centred = positions - (positions.max(axis=0) + positions.min(axis=0)) / 2
    size = float(np.linalg.norm(centred, axis=1).max()) + radius
    nearness = DISTANCE / (DISTANCE - centred[:, 2] / size)
    unit = pixels / 2 / (1.08 * size)
    picture = np.full((pixels, pixels, 3), 255.0)
    rgb = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours], dtype=float)
    for k in np.argsort(centred[:, 2]):
        r = radius * unit * nearness[k]
        x, y = pixels / 2 + centred[k, :2] * [1, -1] * unit * nearness[k]
        low = np.maximum(np.floor([y - r, x - r]).astype(int), 0)
        high = np.minimum(np.ceil([y + r, x + r]).astype(int) + 1, pixels)
        dy, dx = np.ogrid[low[0] : high[0], low[1] : high[1]]
        u, v = (dx - x) / r, (y - dy) / r
        inside = 1 - u * u - v * v
        ball = np.sqrt(np.maximum(inside, 0))
        bright = 0.38 + 0.62 * np.clip(u * LIGHT[0] + v * LIGHT[1] + ball * LIGHT[2], 0, 1)
        bright = bright * (0.72 + 0.28 * (centred[k, 2] / size + 1) / 2)
        cover = np.clip(0.5 + 0.5 * inside * r, 0, 1)[..., None]
        patch = picture[low[0] : high[0], low[1] : high[1]]
        patch += cover * (bright[..., None] * rgb[k] - patch)
    return np.clip(picture, 0, 255).astype(np.uint8)
