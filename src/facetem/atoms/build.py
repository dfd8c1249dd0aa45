"""`build`: one particle on its amorphous carbon film, from a seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from facetem.atoms.alloys import Alloy
from facetem.atoms.carbon import draw_random_film
from facetem.atoms.facets import Form
from facetem.atoms.films import FilmLibrary
from facetem.atoms.library import draw_form, family
from facetem.atoms.relax import relaxed
from facetem.atoms.scene import Side, assemble, draw_rotation, rotated
from facetem.atoms.shapes import build_particle
from facetem.atoms.truth import labels
from facetem.core.errors import InputError
from facetem.core.pixels import FIELD, PIXEL

WIDTH = FIELD * PIXEL  # Å: what the classifier looks at
Film = Literal["realistic", "random", "none"]

CLEARANCE = 10.0  # Å of bare film at least, all around a particle that is too large for it


def build(
    shape: str,
    *,
    diameter: float = 50.0,
    orientation: Literal["random"] | ArrayLike = "random",
    film: Film = "realistic",
    film_thickness: float = 30.0,
    film_density: float = 2.2,
    side: Side = "entrance",
    extent: float | None = None,
    ideal: bool = False,
    element: str = "Au",
    form: Form | None = None,
    alloy: Alloy | None = None,
    relax: bool = False,
    cache: Path | None = None,
    seed: int = 0,
) -> Atoms:
    """Build a nanoparticle on an amorphous carbon film.

    Parameters
    ----------
    shape
        One of `facetem.SHAPES`, or of the larger `facetem.atoms.library.LIBRARY`.
    diameter
        Diameter of the sphere of the same volume [Å].
    orientation
        "random" (uniform on SO(3)), a zone axis [u, v, w] of the particle to lay along the beam, or a (3, 3)
        rotation matrix that takes the particle's axes to (x, y, z).
    film
        "realistic" from the library of melt-quenched films (of the part that no network is trained with), "random"
        for atoms at random, no two closer than 1.3 Å, or "none".
    film_thickness, film_density
        [Å] and [g/cm3]; thickness 0 leaves the particle free-standing. The library holds 1.7 to 3.0 g/cm3.
    side
        The side of the film that the particle lies on, as the beam meets it.
    extent
        Width of the square field of view [Å]; by default 102.4, or what a larger particle needs.
    ideal
        The ideal polyhedron instead of a random member of the shape's family.
    element
        Chemical symbol of the fcc metal.
    form
        This member of the shape's family, whatever `ideal`.
    alloy
        A second metal; see `Alloy`.
    relax, cache
        Let the free particle relax first, and keep it in this folder; see `relaxed`.
    seed
        The same seed gives the same atoms.

    Returns
    -------
    Atoms in an orthogonal cell from the origin, periodic in x and y, beam along +z; tag 0 is the film, 1 the
    particle. `info` names the shape, its class and its actual diameter [Å], and holds the "form", the "orientation"
    (the rotation matrix) and what `facetem.atoms.truth.labels` knows of the particle.

    Raises
    ------
    InputError
        If an argument is out of its range, or the particle does not fit into `extent`.
    """
    rng = np.random.default_rng(seed)
    if form is None:
        form = family(shape).ideal if ideal else draw_form(shape, rng)
    particle = build_particle(shape, diameter=diameter, element=element, form=form, alloy=alloy, rng=rng)
    rotation = _rotation(orientation, rng)
    if relax:
        particle = relaxed(particle, cache=cache)
    truths = {**particle.info, **labels(particle, form), "orientation": rotation.ravel().tolist()}
    particle = rotated(particle, rotation)
    reach = float(np.abs(particle.positions[:, :2] - particle.positions[:, :2].mean(axis=0)).max())
    if extent is None:
        extent = max(WIDTH, 2 * (reach + CLEARANCE))
    support = _support(film, (extent, extent), film_thickness, film_density, rng)
    scene = assemble(
        [particle], support, extent=(extent, extent), centres=[(extent / 2, extent / 2)], side=side
    )
    scene.info = {**truths, **scene.info}
    return scene


def _support(
    film: Film, extent: tuple[float, float], thickness: float, density: float, rng: np.random.Generator
) -> Atoms | None:
    if film not in get_args(Film):
        raise InputError(f"film: expected one of {', '.join(get_args(Film))}, got {film!r}")
    if film == "none" or thickness == 0:
        return None
    if film == "random":
        return draw_random_film(extent, thickness=thickness, density=density, rng=rng)
    return FilmLibrary(extent, part="test", density=(density, density)).draw(thickness, rng)


def _rotation(orientation: str | ArrayLike, rng: np.random.Generator) -> NDArray[np.float64]:
    """The (3, 3) matrix that `orientation` of `build` stands for."""
    if isinstance(orientation, str):
        if orientation != "random":
            raise InputError(
                f"orientation: expected 'random', a zone axis or a (3, 3) matrix, got {orientation!r}"
            )
        return draw_rotation(rng)
    array = np.asarray(orientation, dtype=float)
    if array.shape == (3,) and np.isfinite(array).all() and array.any():
        return zone_axis_rotation(array)
    if (
        array.shape == (3, 3)
        and np.allclose(array @ array.T, np.eye(3), atol=1e-6)
        and np.linalg.det(array) > 0
    ):
        return array
    raise InputError(
        f"orientation: expected 'random', a zone axis of three numbers or a (3, 3) rotation matrix, got {orientation!r}"
    )


def zone_axis_rotation(axis: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """The smallest rotation (3, 3) that takes the direction `axis` (3,) to +z.

    R = 1 + [v]x + [v]x^2 / (1 + c), v = axis x z, c = axis . z   (Rodrigues)
    """
    unit = np.asarray(axis, dtype=float) / np.linalg.norm(axis)
    cosine = unit[2]
    if cosine < -1 + 1e-12:
        return np.diag([1.0, -1.0, -1.0])  # antiparallel: half a turn about x
    vx, vy, vz = np.cross(unit, (0.0, 0.0, 1.0))
    cross = np.array([[0, -vz, vy], [vz, 0, -vx], [-vy, vx, 0]])
    return np.eye(3) + cross + cross @ cross / (1 + cosine)
