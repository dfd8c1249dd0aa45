"""Random imaging conditions of a recipe: optics, loss, cameras. Every draw is fresh, whatever specimen it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf, pi, sqrt
from typing import Protocol, TypeVar

import numpy as np

from facetem.core.errors import InputError
from facetem.core.physics import wavelength
from facetem.data.recipe import PERFECT, Microscope, Recipe
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.camera import Camera
from facetem.hrtem.cameras import CAMERAS
from facetem.hrtem.optics import Optics


class _Weighted(Protocol):
    @property
    def weight(self) -> float: ...


Part = TypeVar("Part", bound=_Weighted)


def draw_one(parts: Sequence[Part], rng: np.random.Generator) -> Part:
    """One of `parts`, by their weights."""
    return parts[_drawn([part.weight for part in parts], rng)]


def _drawn(weights: Sequence[float], rng: np.random.Generator) -> int:
    """An index, by its weight: what `rng.choice` would draw, in a third of its time."""
    ends = np.cumsum(np.array(weights) / np.sum(weights))
    return int(np.searchsorted(ends / ends[-1], rng.random(), side="right"))


def draw_energy(recipe: Recipe, rng: np.random.Generator) -> float:
    """Beam energy [eV] of one of the recipe's microscopes."""
    energies = draw_one(recipe.microscopes, rng).energies
    return float(energies[rng.integers(len(energies))])


def draw_microscope(recipe: Recipe, energy: float, rng: np.random.Generator) -> Microscope:
    """One of the microscopes that have the beam `energy` [eV], as often as they are drawn with it."""
    able = [m for m in recipe.microscopes if energy in m.energies]
    return able[_drawn([m.weight * m.energies.count(energy) / len(m.energies) for m in able], rng)]


def check_energies(recipe: Recipe, specimens: Recipe) -> None:
    """Raise InputError if specimens of a recipe are seen with beams that no microscope of `recipe` has."""
    able, asked = _energies(recipe), _energies(specimens)
    if not asked <= able:
        raise InputError(
            f"energies: expected specimens seen with {_written(able)}, as the microscopes of the recipe {recipe.name} "
            f"have it, got {_written(asked)} of {specimens.name}"
        )


def _energies(recipe: Recipe) -> set[float]:
    return {energy for m in recipe.microscopes if m.weight > 0 for energy in m.energies}


def _written(energies: set[float]) -> str:
    return f"{', '.join(f'{energy / 1e3:g}' for energy in sorted(energies))} kV"


def draw_optics(ranges: Microscope, energy: float, rng: np.random.Generator) -> Optics:
    """Imaging conditions at `energy` [eV], every number uniform in its range and every azimuth on the circle."""
    C30 = rng.uniform(*ranges.C30)
    if ranges.scherzer is None:
        defocus = rng.uniform(*ranges.defocus)
    else:  # in units of the Scherzer focus (Scherzer, J. Appl. Phys. 20 (1949) 20)
        defocus = rng.uniform(*ranges.scherzer) * sqrt(C30 * wavelength(energy))
    turn = 2 * pi
    aberrations = Aberrations(
        defocus=defocus,
        C12=rng.uniform(*ranges.C12),
        phi12=rng.uniform(0, turn),
        C21=rng.uniform(*ranges.C21),
        phi21=rng.uniform(0, turn),
        C23=rng.uniform(*ranges.C23),
        phi23=rng.uniform(0, turn),
        C30=C30,
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


def draw_stray(
    ranges: Microscope, optics: Optics, energy: float, band: float, rng: np.random.Generator
) -> float:
    """Part of the electrons scattered beyond `band` [1/Å], that of the waves, that arrive in the image all the same.

    Through an aperture come those scattered less far than it: beyond k they are as 1 / k^2, after Rutherford.
    """
    reach = optics.aperture * 1e-3 / wavelength(energy)
    return float(rng.uniform(*ranges.stray)) * max(0.0, 1 - (band / reach) ** 2)


def draw_camera(recipe: Recipe, rng: np.random.Generator) -> Camera:
    """One of the recipe's cameras, with a dose: log-uniform."""
    dose = float(np.exp(rng.uniform(*np.log(recipe.images.dose))))
    ranges = draw_one(recipe.cameras, rng)
    if ranges.camera == PERFECT:
        return Camera(dose=dose)
    if ranges.camera is not None:
        return replace(CAMERAS[ranges.camera], dose=dose)
    return Camera(
        dose=dose,
        readout=rng.uniform(*ranges.readout),
        mtf_width=rng.uniform(*ranges.mtf_width),
        mtf_floor=rng.uniform(*ranges.mtf_floor),
    )
