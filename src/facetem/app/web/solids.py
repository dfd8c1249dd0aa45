"""The polyhedron of a shape, for the page to draw."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facetem.atoms.library import family
from facetem.atoms.shapes import GOLD_LATTICE_CONSTANT
from facetem.atoms.truth import polygons

FACES = {"111": "#F0C040", "100": "#56B4E9", "110": "#009E73"}  # as views of atoms have them
OTHER = "#CC79A7"
SMOOTH = "#B9BFC7"


def solid(shape: str, diameter: float, rotation: NDArray[np.float64]) -> dict[str, Any]:
    """Faces of a shape's ideal member: kind, colour and corners [nm] in the image's x, y and along the beam; and the
    colours of the kinds.

    `diameter` [Å] is volume-equivalent; `rotation` (3, 3) goes from the shape's axes to the image's.
    """
    found = polygons(shape, family(shape).ideal, diameter=diameter, lattice_constant=GOLD_LATTICE_CONSTANT)
    faces = [
        {"kind": kind, "colour": colour_of(kind), "corners": (corners @ rotation.T / 10).round(4).tolist()}
        for kind, corners in found
    ]
    kinds = sorted({kind for kind, _ in found if kind})
    return {"faces": faces, "legend": {kind: colour_of(kind) for kind in kinds}}


def colour_of(kind: str) -> str:
    """Of a family of faces."""
    return FACES.get(kind, OTHER) if kind else SMOOTH
