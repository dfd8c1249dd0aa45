"""The labelled nanoparticles: a shape, a size and a form become atoms."""

from __future__ import annotations

import math

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols, reference_states
from numpy.typing import NDArray

from facetem.atoms.cut import SurfaceNoise, cut
from facetem.atoms.facets import SHAPES, Form, draw_form, facets, family
from facetem.atoms.lattices import LATTICES, Array
from facetem.core.errors import InputError

__all__ = ["SHAPES", "Form", "build_particle", "draw_form", "lattice_constant"]

GOLD_LATTICE_CONSTANT = 4.078  # Å, room temperature
SMALLEST, LARGEST = 10.0, 300.0  # Å


def lattice_constant(element: str) -> float:
    """Lattice constant [Å] of an fcc element.

    Raises
    ------
    InputError
        If the element is unknown or not fcc.
    """
    if element == "Au":
        return GOLD_LATTICE_CONSTANT
    state = reference_states[atomic_numbers[element]] if element in atomic_numbers else None
    if state is None or state.get("symmetry") != "fcc":
        raise InputError(f"element: expected an fcc metal such as Au, Ag, Pt, Pd, Cu or Ni; got {element!r}")
    return float(state["a"])


def atomic_volumes(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Volume [Å^3] that each atom takes in its bulk fcc crystal."""
    unique, which = np.unique(numbers, return_inverse=True)
    return np.array([lattice_constant(chemical_symbols[z]) ** 3 / 4 for z in unique])[which]


def build_particle(
    shape: str,
    *,
    diameter: float,
    element: str = "Au",
    form: Form | None = None,
    rng: np.random.Generator | None = None,
) -> Atoms:
    """A nanoparticle of a named shape, centred on its centroid.

    Every site of the shape's lattice has a critical scale, the size at which the planes of its domain reach
    it; the particle is the N sites of the smallest critical scale, N = (pi / 6) diameter^3 / (a^3 / 4). Sites
    that symmetry makes equivalent come and go together, so an ideal particle has the nearest size it can.

    Parameters
    ----------
    shape : str
        One of `SHAPES`. Cubic axes along x, y, z; the five-fold axis along z; the twin plane normal to z.
    diameter : float
        Volume-equivalent diameter [Å], 10 to 300.
    element : str
        An fcc metal.
    form : Form or None
        Member of the family, e.g. from `draw_form`; None is the ideal, symmetric member.
    rng : numpy.random.Generator or None
        Needed by a form with roughness or grain; also puts the cut anywhere within the unit cell.

    Returns
    -------
    ase.Atoms without a cell; `info` holds "shape", "diameter" (the actual one, from the number of atoms)
    and "form" (numbers and lists; rounding 0 means sharp).

    Raises
    ------
    InputError
        If the shape or element is unknown, the diameter is out of range, or a random form comes without rng.
    """
    kind = family(shape)
    if not (isinstance(diameter, (int, float, np.number)) and SMALLEST <= diameter <= LARGEST):
        raise InputError(
            f"diameter: expected {SMALLEST:g} to {LARGEST:g} Å for a particle ({', '.join(SHAPES)}), got {diameter!r}"
        )
    a = lattice_constant(element)
    n_wanted = round(math.pi / 6 * diameter**3 / (a**3 / 4))
    member = kind.ideal if form is None else form
    planes = facets(shape, member)
    lattice = LATTICES[planes.lattice]
    if form is None or rng is None:
        if member.roughness > 0 or member.grain > 0:
            raise InputError(
                "rng: expected a numpy random generator for a form with roughness or grain, got None"
            )
        origins = lattice.origins[: kind.n_origins]
        choices = [cut(planes, n_wanted, origin=o, rounding=member.rounding) for o in origins]
        sites = min(choices, key=lambda choice: abs(math.log(len(choice) / n_wanted)))
    else:
        origin = rng.random(len(lattice.free)) @ lattice.free
        noise = SurfaceNoise.draw(member, rng)
        sites = cut(planes, n_wanted, origin=origin, rounding=member.rounding, noise=noise)
    positions = sites @ (np.eye(3) + _symmetric(member.strain)) * (a / math.sqrt(2))
    positions -= positions.mean(axis=0)
    actual = (6 / math.pi * len(positions) * a**3 / 4) ** (1 / 3)
    atoms = Atoms(numbers=np.full(len(positions), atomic_numbers[element]), positions=positions)
    atoms.info = {"shape": shape, "diameter": float(actual), "form": member.as_dict()}
    return atoms


def _symmetric(strain: tuple[float, ...]) -> Array:
    xx, yy, zz, yz, xz, xy = strain
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
