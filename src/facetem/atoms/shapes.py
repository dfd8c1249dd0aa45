"""The labelled nanoparticles: a shape, a size and a form become atoms."""

from __future__ import annotations

import math

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols, reference_states
from numpy.typing import NDArray

from facetem.atoms.alloys import Alloy, second_sites
from facetem.atoms.crystals import SETS
from facetem.atoms.cut import SurfaceNoise, cut
from facetem.atoms.disordered import disordered_sites
from facetem.atoms.facets import FCC, Facets, Form
from facetem.atoms.lattices import Array
from facetem.atoms.library import LIBRARY, OPEN_SET, SHAPES, Family, class_of, draw_form, facets, family
from facetem.core.errors import InputError

__all__ = [
    "LIBRARY",
    "OPEN_SET",
    "SHAPES",
    "Alloy",
    "Form",
    "build_particle",
    "draw_form",
    "lattice_constant",
]

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
    alloy: Alloy | None = None,
    rng: np.random.Generator | None = None,
) -> Atoms:
    """A nanoparticle of a named shape, centred on its centroid.

    Every site of the shape's lattice has a critical scale, the size at which the planes of its domain reach
    it; the particle is the N sites of the smallest critical scale, N = (pi / 6) diameter^3 / (a^3 / 4). Sites
    that symmetry makes equivalent come and go together, so an ideal particle has the nearest size it can.

    Parameters
    ----------
    shape : str
        One of `LIBRARY`. Cubic axes along x, y, z; a five-fold or hexagonal axis along z; twin planes normal to z.
    diameter : float
        Volume-equivalent diameter [Å], 10 to 300.
    element : str
        An fcc metal.
    form : Form or None
        Member of the family, e.g. from `draw_form`; None is the ideal, symmetric member.
    alloy : Alloy or None
        A second metal. The lattice constant is the mean of the two, weighted with their atoms (Vegard), and the same
        everywhere; that of a core and its shell is the mean of both.
    rng : numpy.random.Generator or None
        Needed by a form with roughness or grain, which it also puts anywhere within the unit cell, by a random alloy
        and by what is no crystal.

    Returns
    -------
    ase.Atoms without a cell; `info` holds "shape", "class" (that of the classifier, or "none"), "diameter" (the
    actual one, from the number of atoms), "lattice_constant" and "form" (numbers and lists; rounding 0 means sharp).

    Raises
    ------
    InputError
        If the shape or element is unknown, the diameter is out of range, an ordered alloy is asked for on a lattice
        that is no single crystal, or what is random comes without rng.
    """
    kind = family(shape)
    if not (isinstance(diameter, (int, float, np.number)) and SMALLEST <= diameter <= LARGEST):
        raise InputError(
            f"diameter: expected {SMALLEST:g} to {LARGEST:g} Å for a particle ({', '.join(SHAPES)}), got {diameter!r}"
        )
    a = _mean_lattice_constant(element, alloy)
    member = kind.ideal if form is None else form
    planes = facets(shape, member)
    if alloy is not None and alloy.order == "L1_0" and (planes.lattice is not FCC or kind.disorder):
        raise InputError(f"alloy: expected a single crystal for the order L1_0, got {shape}")
    n_wanted = round(math.pi / 6 * diameter**3 / (a**3 / 4))
    sites = _sites(kind, planes, member, n_wanted, rng)
    numbers = np.full(len(sites), atomic_numbers[element])
    shape_change = np.eye(3) + _symmetric(member.strain)
    if alloy is not None:
        numbers[second_sites(alloy, sites, rng)] = atomic_numbers[alloy.second]
        shape_change = alloy.distortion() @ shape_change
    positions = sites @ shape_change * (a / math.sqrt(2))
    positions -= positions.mean(axis=0)
    # A crystal of another material has a density of its own, and the volume that was wanted.
    other = kind.disorder in SETS
    actual = diameter if other else (6 / math.pi * len(positions) * a**3 / 4) ** (1 / 3)
    atoms = Atoms(numbers=numbers, positions=positions)
    atoms.info = {
        "shape": shape,
        "class": class_of(shape, member),
        "diameter": float(actual),
        "lattice_constant": float(a),
        "form": member.as_dict(),
    }
    if alloy is not None:
        atoms.info["alloy"] = alloy.order
    return atoms


def _mean_lattice_constant(element: str, alloy: Alloy | None) -> float:
    first = lattice_constant(element)
    if alloy is None:
        return first
    share = alloy.fraction if alloy.order == "random" else 0.5
    return (1 - share) * first + share * lattice_constant(alloy.second)


def _sites(
    kind: Family, planes: Facets, member: Form, n_wanted: int, rng: np.random.Generator | None
) -> Array:
    """The sites (n, 3) of a particle [nearest-neighbour distances]; a smooth one is where its symmetry wants it."""
    lattice = planes.lattice
    if not (member.roughness > 0 or member.grain > 0 or kind.disorder):
        choices = [
            cut(planes, n_wanted, origin=o, rounding=member.rounding)
            for o in lattice.origins[: kind.n_origins]
        ]
        return min(choices, key=lambda choice: abs(math.log(len(choice) / n_wanted)))
    if rng is None:
        raise InputError(
            "rng: expected a numpy random generator for a form with roughness or grain or without a crystal, got None"
        )
    if kind.disorder:
        return disordered_sites(kind.disorder, planes, member, n_wanted, rng)
    origin = rng.random(len(lattice.free)) @ lattice.free
    noise = SurfaceNoise.draw(member, rng)
    return cut(planes, n_wanted, origin=origin, rounding=member.rounding, noise=noise)


def _symmetric(strain: tuple[float, ...]) -> Array:
    xx, yy, zz, yz, xz, xy = strain
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
