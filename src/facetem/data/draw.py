"""Random specimens of a recipe. Specimen i depends on the recipe, its seed, the split and i alone."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from facetem.atoms.carbon import FilmSource, RandomFilms
from facetem.atoms.facets import Form
from facetem.atoms.films import FilmLibrary
from facetem.atoms.library import family
from facetem.atoms.placement import Template, draw_centres, quaternions, zone_axes
from facetem.atoms.scene import Side, assemble, draw_rotation, particle_masks, rotated, thickness_map
from facetem.atoms.shapes import build_particle, draw_form
from facetem.atoms.touching import draw_groups
from facetem.atoms.truth import truth
from facetem.core.errors import InputError
from facetem.core.pixels import PIXEL
from facetem.data.conditions import draw_energy
from facetem.data.recipe import SPLITS, Recipe, Split

ATTEMPTS = 20  # to place the particles of a field before it is given up
PURPOSES = PARTICLES, FILM, PLACE, BEAM = range(4)  # what a generator of a specimen is for

Row = dict[str, str | int | float]


@dataclass(frozen=True)
class Specimen:
    """Particles on a film, the beam energy [eV] they are seen with, and the truth at `PIXEL`, (y, x).

    Parameters
    ----------
    label
        Class of the first particle, the one that the specimen is about: one of `SHAPES`, or "none".
    masks : (y, x) uint8
        0 substrate, i the outline of particle i.
    thickness : (y, x) float32
        Projected, of all particles [Å].
    parameters
        What was drawn for the whole specimen: one row of a table. Lengths in Å, energy in eV.
    particles
        What was drawn for each particle: rows of another. x, y, z is the centroid; q the unit quaternion from the
        shape's axes to the specimen's; zone the [uvw] of a single crystal nearest the beam, zone_angle [rad] between.
    """

    atoms: Atoms
    label: str
    energy: float
    masks: NDArray[np.uint8]
    thickness: NDArray[np.float32]
    parameters: Row
    particles: list[Row]


@dataclass(frozen=True)
class _Particle:
    """A particle as it was built, how it was turned, and how it came to lie so."""

    atoms: Atoms
    form: Form
    element: str
    rotation: NDArray[np.float64]
    lies: str


def image_shape(recipe: Recipe) -> tuple[int, int]:
    """Pixels of the whole simulated field at `PIXEL`."""
    n = round(recipe.field / PIXEL)
    return n, n


def sample_rng(recipe: Recipe, split: Split, index: int, purpose: int) -> np.random.Generator:
    """The generator of sample `index` for one purpose: it depends on the recipe's seed, the split and these alone.

    Were there one for all, how much chance a film takes would decide what comes after it: a recipe with another film
    would have other places and energies, and no study could tell what the film itself does.
    """
    return np.random.default_rng([recipe.seed, SPLITS.index(split), index, purpose])


def imaging_seed(split: Split, seed: int = 0) -> int:
    """The seed of a split's optics, cameras and noise. Each split has its own: were a test imaged as the specimens of
    the same numbers that calibrated, its conditions would be those that the confidence was fitted to."""
    return seed + (("validation", "test", "train").index(split) << 32)


def film_source(recipe: Recipe, split: Split, kind: str) -> FilmSource:
    """Films of a split, "random" or "realistic". No split shares its blocks of random carbon with another; of the
    realistic films, some are kept for "test"."""
    f = recipe.films
    extent = (recipe.field, recipe.field)
    if kind == "realistic":
        return FilmLibrary(extent, "test" if split == "test" else "training", f.density, f.waviness)
    return RandomFilms(
        extent,
        seed=recipe.seed * len(SPLITS) + SPLITS.index(split),
        depth=f.thickness[1] + 10.0,
        density=f.density,
        hard_cores=f.hard_cores,
        waviness=f.waviness,
    )


def draw_specimen(recipe: Recipe, split: Split, index: int) -> Specimen:
    """Specimen `index` of a split."""
    rng, of_film, place, beam = (sample_rng(recipe, split, index, purpose) for purpose in PURPOSES)
    side: Side = "entrance" if place.random() < recipe.films.entrance else "exit"
    gap = float(place.uniform(*recipe.films.gap))
    number = int(rng.integers(recipe.particles.number[0], recipe.particles.number[1] + 1))
    # An error of the pixel size moves the lattice's fringes as a strain of the particle would.
    calibration = float(rng.uniform(-1, 1)) * recipe.particles.calibration
    particles = [_draw_particle(recipe, index + i, side, 1 + calibration, rng) for i in range(number)]
    kind = _draw_name(recipe.films.kinds, of_film.random())
    film = None
    if kind != "none":
        film = film_source(recipe, split, kind).draw(float(of_film.uniform(*recipe.films.thickness)), of_film)
    centres = _draw_centres(recipe, particles, place)
    atoms = assemble(
        [particle.atoms for particle in particles],
        film,
        extent=(recipe.field, recipe.field),
        centres=centres,
        side=side,
        gap=gap,
        clip=True,
    )
    energy = draw_energy(recipe, beam)
    pixels = image_shape(recipe)
    return Specimen(
        atoms,
        str(particles[0].atoms.info["class"]),
        energy,
        masks=particle_masks(atoms, pixels, recipe.field / pixels[0]).astype(np.uint8),
        thickness=thickness_map(atoms, pixels, recipe.field / pixels[0]),
        parameters={"energy": energy, "calibration": calibration, **_film_row(atoms, film, kind)},
        particles=[
            _particle_row(particle, (*centre, float(z)))
            for particle, centre, z in zip(particles, centres, atoms.info["particle_z"], strict=True)
        ],
    )


def _draw_particle(
    recipe: Recipe, turn: int, side: Side, scale: float, rng: np.random.Generator
) -> _Particle:
    """A particle, rotated; shapes take turns with `turn`, by their weights."""
    p = recipe.particles
    # One stratum of the unit interval a turn: equal weights give every shape in its turn, others its due.
    shape = _draw_name(p.shapes, (turn % len(p.shapes) + rng.random()) / len(p.shapes))
    element = _draw_name(p.elements, rng.random())
    form = draw_form(shape, rng) if p.varied else family(shape).ideal
    atoms = build_particle(
        shape, diameter=float(rng.uniform(*p.diameter)), element=element, form=form, rng=rng
    )
    rotation, lies = _draw_rotation(recipe, atoms, form, side, rng)
    atoms = rotated(atoms, rotation)
    atoms.positions *= scale
    return _Particle(atoms, form, element, rotation, lies)


def _draw_name(weights: dict[str, float], part: float) -> str:
    """The name within whose share of the unit interval `part` lies."""
    names = [name for name, weight in weights.items() if weight > 0]
    ends = np.cumsum([weights[name] for name in names])
    return names[min(int(np.searchsorted(ends / ends[-1], part, side="right")), len(names) - 1)]


def _draw_rotation(
    recipe: Recipe, atoms: Atoms, form: Form, side: Side, rng: np.random.Generator
) -> tuple[NDArray[np.float64], str]:
    o = recipe.orientations
    lies = _draw_name({"random": o.random, "lying": o.lying, "zone": o.zone}, rng.random())
    if lies == "random":
        return draw_rotation(rng), lies
    if lies == "lying":
        shape = str(atoms.info["shape"])
        size = {"diameter": atoms.info["diameter"], "lattice_constant": atoms.info["lattice_constant"]}
        facets = truth(shape, form, **size).facets
        areas = np.array([facet.area for facet in facets])
        normal = facets[rng.choice(len(facets), p=areas / areas.sum())].normal
        return _facing(normal if side == "entrance" else -normal, rng), lies
    azimuth, tilt = rng.uniform(0, 2 * np.pi), 1e-3 * rng.uniform(*o.tilt)
    tilted = Rotation.from_rotvec(tilt * np.array([np.cos(azimuth), np.sin(azimuth), 0.0]))
    zone = np.array(o.zones[rng.integers(len(o.zones))], dtype=float)
    return tilted.as_matrix() @ _facing(zone, rng), lies


def _facing(direction: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A rotation (3, 3) that takes `direction` to +z, turned about the beam by any angle."""
    aligned = Rotation.align_vectors([[0.0, 0.0, 1.0]], direction[None] / np.linalg.norm(direction))[0]
    return (Rotation.from_euler("z", rng.uniform(0, 2 * np.pi)) * aligned).as_matrix()


def _draw_centres(
    recipe: Recipe, particles: list[_Particle], rng: np.random.Generator
) -> list[tuple[float, float]]:
    if len(particles) == 1:
        x, y = recipe.field / 2 + rng.uniform(-1, 1, size=2) * recipe.particles.offset
        return [(float(x), float(y))]
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    groups = draw_groups([p.atoms.positions[:, :2] for p in particles], recipe.particles.touching, rng)
    radius = torch.tensor([group.radius for group in groups])
    largest_first = radius.argsort(descending=True)
    scene = torch.zeros(len(groups), dtype=torch.int64)
    extent = (recipe.field, recipe.field)
    for _ in range(ATTEMPTS):
        with suppress(InputError):
            places = draw_centres(scene, radius[largest_first], extent, generator)[largest_first.argsort()]
            of_groups = zip(groups, places.numpy(), strict=True)
            return [(float(x), float(y)) for group, place in of_groups for x, y in group.centres + place]
    raise InputError(
        f"particles.number: found no room for {len(particles)} particles without overlap in a field_nm of "
        f"{recipe.field / 10:g}; expected fewer or smaller ones, or a wider field"
    )


def _film_row(atoms: Atoms, film: Atoms | None, kind: str) -> Row:
    info = {} if film is None else film.info
    return {
        "height": float(atoms.cell.lengths()[2]),
        "film": kind,
        "film_thickness": float(atoms.info["film_thickness"]),
        "film_density": float(info.get("density", 0.0)),
        "film_hard_core": float(info.get("hard_core", 0.0)),
        "film_sources": str(info.get("films", "")),
        "side": str(atoms.info["side"]),
        "gap": float(atoms.info["gap"]),
        "n_particles": len(atoms.info["particle_z"]),
    }


def _particle_row(particle: _Particle, centre: tuple[float, float, float]) -> Row:
    atoms, rotation = particle.atoms, torch.as_tensor(particle.rotation)[None]
    w, x, y, z = quaternions(rotation)[0].tolist()
    zone, angle = ("", float("nan"))
    if Template.of(atoms).cubic:
        axis, angles = zone_axes(rotation)
        zone, angle = "".join(str(i) for i in axis[0].tolist()), float(angles[0])
    return {
        "shape": str(atoms.info["shape"]),
        "label": str(atoms.info["class"]),
        "element": particle.element,
        "diameter": float(atoms.info["diameter"]),
        "n_atoms": len(atoms),
        "x": centre[0],
        "y": centre[1],
        "z": centre[2],
        "lies": particle.lies,
        "qw": w,
        "qx": x,
        "qy": y,
        "qz": z,
        "zone": zone,
        "zone_angle": angle,
        "form": json.dumps(particle.form.as_dict()),
    }
