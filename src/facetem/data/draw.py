"""Random draws from a recipe: specimens, imaging conditions, cameras."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, pi, sqrt

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from facetem.atoms.carbon import FilmSource, RandomFilms
from facetem.atoms.films import FilmLibrary, MixedFilms
from facetem.atoms.scene import assemble, draw_rotation, particle_masks, rotated, thickness_map
from facetem.atoms.shapes import build_particle, draw_form
from facetem.core.physics import wavelength
from facetem.data.recipe import SPLITS, Detection, Microscope, Recipe, Split
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.camera import Camera
from facetem.hrtem.optics import Optics

PIXEL = 0.4  # Å/px of everything the networks see


@dataclass(frozen=True)
class Specimen:
    """Particles on a film, the beam energy [eV] they are seen with, and the truth at `PIXEL`, (y, x).

    Parameters
    ----------
    shape
        Of the first particle, the one that the specimen is about.
    masks : (y, x) uint8
        0 substrate, i the outline of particle i.
    thickness : (y, x) float32
        Projected, of all particles [Å].
    parameters
        What was drawn for the whole specimen: one row of a table. Lengths in Å, energy in eV.
    particles
        What was drawn for each particle: rows of another.
    """

    atoms: Atoms
    shape: str
    energy: float
    masks: NDArray[np.uint8]
    thickness: NDArray[np.float32]
    parameters: dict[str, str | int | float]
    particles: list[dict[str, str | int | float]]


def image_shape(recipe: Recipe) -> tuple[int, int]:
    """Pixels of the whole simulated field at `PIXEL`."""
    n = round(recipe.field / PIXEL)
    return n, n


def sample_rng(recipe: Recipe, split: Split, index: int) -> np.random.Generator:
    """The generator of sample `index`: it depends on the recipe's seed, the split and the index alone."""
    return np.random.default_rng([recipe.seed, SPLITS.index(split), index])


def film_source(recipe: Recipe, split: Split) -> FilmSource:
    """Films of a split. No split shares its blocks of random carbon with another; of the quenched films, those of
    "test" are kept for it."""
    s = recipe.specimens
    extent = (recipe.field, recipe.field)
    random = RandomFilms(
        extent,
        seed=recipe.seed * len(SPLITS) + SPLITS.index(split),
        depth=s.film_thickness[1] + 10.0,
        density=s.density,
        hard_cores=s.hard_cores,
        waviness=s.waviness,
    )
    if s.quenched == 0:
        return random
    part = "test" if split == "test" else "training"
    return MixedFilms(FilmLibrary(extent, part, s.density, s.waviness), random, share=s.quenched)


def draw_specimen(recipe: Recipe, split: Split, index: int) -> Specimen:
    """Specimen `index` of a split. Shapes take turns, so that every split is balanced."""
    rng = sample_rng(recipe, split, index)
    s = recipe.specimens
    shape = s.shapes[index % len(s.shapes)]
    diameter = float(rng.uniform(*s.diameter))
    form = draw_form(shape, rng) if s.varied else None
    particle = build_particle(shape, diameter=diameter, element=s.element, form=form, rng=rng)
    particle = rotated(particle, draw_rotation(rng))
    # An error of the pixel size moves the lattice's fringes as a strain of the particle would.
    particle.positions *= 1 + rng.uniform(-s.calibration, s.calibration)
    film = None
    if rng.random() >= s.bare:
        film = film_source(recipe, split).draw(float(rng.uniform(*s.film_thickness)), rng)
    middle = recipe.field / 2
    centre = middle + rng.uniform(-s.offset, s.offset, size=2)
    atoms = assemble(
        [particle],
        film,
        extent=(recipe.field, recipe.field),
        centres=[(float(centre[0]), float(centre[1]))],
        side="entrance" if rng.random() < 0.5 else "exit",
        gap=float(rng.uniform(*s.gap)),
        clip=True,
    )
    energy = float(recipe.microscope.energies[rng.integers(len(recipe.microscope.energies))])
    pixels = image_shape(recipe)
    return Specimen(
        atoms,
        shape,
        energy,
        masks=particle_masks(atoms, pixels, recipe.field / pixels[0]).astype(np.uint8),
        thickness=thickness_map(atoms, pixels, recipe.field / pixels[0]),
        parameters={
            "energy": energy,
            "height": float(atoms.cell.lengths()[2]),
            "film_thickness": float(atoms.info["film_thickness"]),
            "side": str(atoms.info["side"]),
        },
        particles=[
            {
                "shape": shape,
                "diameter": float(particle.info["diameter"]),
                "z": float(atoms.info["particle_z"][0]),
            }
        ],
    )


def draw_optics(ranges: Microscope, energy: float, rng: np.random.Generator) -> Optics:
    """Imaging conditions at `energy` [eV], every number uniform in its range and every azimuth on the circle."""
    if ranges.uncorrected > 0 and rng.random() < ranges.uncorrected:
        C30 = rng.uniform(*ranges.uncorrected_cs)
        # Underfocus in units of the Scherzer focus (Scherzer, J. Appl. Phys. 20 (1949) 20), sqrt(Cs lambda).
        defocus = rng.uniform(*ranges.uncorrected_defocus) * sqrt(C30 * wavelength(energy))
    else:
        defocus, C30 = rng.uniform(*ranges.defocus), None
    turn = 2 * pi
    aberrations = Aberrations(
        defocus=defocus,
        C12=rng.uniform(*ranges.C12),
        phi12=rng.uniform(0, turn),
        C21=rng.uniform(*ranges.C21),
        phi21=rng.uniform(0, turn),
        C23=rng.uniform(*ranges.C23),
        phi23=rng.uniform(0, turn),
        C30=rng.uniform(*ranges.C30) if C30 is None else C30,
    )
    return Optics(
        aberrations,
        focal_spread=rng.uniform(*ranges.focal_spread),
        angular_spread=rng.uniform(*ranges.angular_spread),
        aperture=inf if rng.random() < ranges.open_aperture else rng.uniform(*ranges.aperture),
        image_spread=rng.uniform(*ranges.image_spread),
    )


def draw_loss(ranges: Microscope, rng: np.random.Generator) -> float:
    """Part of the electrons [1/Å] that the particle scatters out of the image, beyond what multislice knows of:
    the intensity falls as exp(-loss * thickness)."""
    if ranges.lossy > 0 and rng.random() < ranges.lossy:
        return float(rng.uniform(*ranges.loss))
    return 0.0


def draw_camera(ranges: Detection, rng: np.random.Generator) -> Camera:
    """A camera and a dose, log-uniform."""
    counting = rng.random() < ranges.counting
    return Camera(
        dose=float(np.exp(rng.uniform(*np.log(ranges.dose)))),
        readout=0.0 if counting else rng.uniform(*ranges.readout),
        mtf_width=inf if counting else rng.uniform(*ranges.mtf_width),
        mtf_floor=0.0 if counting else rng.uniform(*ranges.mtf_floor),
    )
