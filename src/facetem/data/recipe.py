"""`Recipe`: what is drawn and from which ranges. One YAML file describes a data set completely."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from facetem.atoms.films import DENSITY
from facetem.atoms.library import LIBRARY
from facetem.atoms.shapes import SHAPES, lattice_constant
from facetem.data.quantities import Quantity, Range, written
from facetem.hrtem.cameras import CAMERAS
from facetem.hrtem.instruments import INSTRUMENTS
from facetem.hrtem.settings import Accuracy

# The noise-free image at the best focus, of the whole specimen or of the particle without its substrate.
Target = Literal["best_focus", "vacuum", "phase"]
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

PERFECT = "perfect"  # the camera that counts every electron where it lands
ROUND = (
    "sphere",
    "polycrystal",
    "amorphous",
    "other_crystal",
    "foreign_crystal",
)  # shapes without a facet to lie on
MOST = 255  # particles a field, whose masks number them in a byte
CROWDED = 0.3  # of the field that particles may cover and still find places at random
SMALLEST_FIELD = 40.0  # Å: the films' own structure has to fit in


def _shares(value: Any) -> Any:
    """`cube`, `[cube, twin]` and `{cube: 1, twin: 2}` are weights alike."""
    if isinstance(value, str):
        return {value: 1.0}
    return {str(name): 1.0 for name in value} if isinstance(value, (list, tuple)) else value


def _some(weights: dict[str, float]) -> dict[str, float]:
    if not any(weight > 0 for weight in weights.values()):
        raise ValueError("expected at least one weight above 0")
    return weights


def _one_of(names: Mapping[str, object]) -> Any:
    def check(weights: dict[str, float]) -> dict[str, float]:
        for name in weights:
            if name not in names:
                raise ValueError(f"unknown name {name!r}; known: {', '.join(names)}")
        return weights

    return AfterValidator(check)


def _fcc(weights: dict[str, float]) -> dict[str, float]:
    for element in weights:
        lattice_constant(element)
    return weights


Fraction = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Weights = Annotated[dict[str, Weight], BeforeValidator(_shares), AfterValidator(_some)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Particles(_Part):
    """What lies on the film. Shapes take turns by their weights, so that every part of a data set is balanced."""

    shapes: Annotated[Weights, _one_of(LIBRARY)] = Field(default_factory=lambda: dict.fromkeys(SHAPES, 1.0))
    elements: Annotated[Weights, AfterValidator(_fcc)] = Field(default_factory=lambda: {"Au": 1.0})
    diameter: Annotated[Range, AfterValidator(Quantity("nm", 1, 30))] = (38.0, 90.0)
    number: Annotated[tuple[int, int], Field(description="particles a field, at least and at most")] = (1, 1)
    # Of a lone particle from the middle of the field, at most; several lie anywhere without overlap.
    offset: Annotated[float, AfterValidator(Quantity("nm", 0))] = 10.0
    touching: Fraction = 0.0  # chance of each particle of a field to lie against the one before it
    calibration: Annotated[float, Field(ge=0, lt=0.2)] = 0.05  # relative error of the pixel size, at most
    varied: bool = True  # families of forms; False: the ideal form only

    @model_validator(mode="after")
    def _count(self) -> Particles:
        if not 1 <= self.number[0] <= self.number[1] <= MOST:
            raise ValueError(
                f"number: expected [low, high] with 1 <= low <= high <= {MOST}, got {list(self.number)}"
            )
        return self


class Orientations(_Part):
    """How particles lie: weights of any orientation, of one facet on the film, and of a zone axis along the beam.

    Zones are directions in the axes of the shape: cubic indices of a single crystal; 0 0 1 is a five-fold axis and
    the normal of a twin plane. `tilt` is the angle between zone and beam.
    """

    random: Weight = 1.0
    lying: Weight = 0.0
    zone: Weight = 0.0
    zones: tuple[tuple[int, int, int], ...] = ((1, 0, 0), (1, 1, 0), (1, 1, 1))
    tilt: Annotated[Range, AfterValidator(Quantity("deg", 0, 90))] = (0.0, 52.3598775598299)  # 3 deg

    @model_validator(mode="after")
    def _some(self) -> Orientations:
        if self.random + self.lying + self.zone == 0:
            raise ValueError("expected a weight above 0 for one of random, lying, zone")
        if self.zone > 0 and not all(any(zone) for zone in self.zones or ((0, 0, 0),)):
            raise ValueError("zones: expected directions such as [1, 1, 0]")
        return self


class Films(_Part):
    """Amorphous carbon: weights of the kinds, and the ranges that films are drawn from."""

    kinds: Annotated[Weights, _one_of({"none": 0, "random": 0, "realistic": 0})] = Field(
        default_factory=lambda: {"none": 0.06, "random": 0.47, "realistic": 0.47}
    )
    thickness: Annotated[Range, AfterValidator(Quantity("nm", 0, 50, above=True))] = (8.0, 90.0)
    density: Annotated[Range, AfterValidator(Quantity("g_cm3", 0, 4, above=True))] = (1.7, 2.7)
    hard_cores: Annotated[tuple[float, ...], AfterValidator(Quantity("A", 0, 1.6)), Field(min_length=1)] = (
        *(0.0, 0.9, 1.2, 1.35, 1.42),  # of random films
    )
    waviness: Annotated[Range, AfterValidator(Quantity("nm", 0, 1))] = (0.0, 2.5)
    entrance: Fraction = 0.5  # of the particles lie on the side where the beam comes from
    gap: Annotated[Range, AfterValidator(Quantity("nm", -5, 5))] = (-2.0, 2.5)

    @model_validator(mode="after")
    def _held(self) -> Films:
        low, high = self.density
        if self.kinds.get("realistic", 0) > 0 and not DENSITY[0] <= low <= high <= DENSITY[1]:
            raise ValueError(
                f"density: the library of realistic films holds {DENSITY[0]:g} to {DENSITY[1]:g} g/cm3, got {low:g} "
                f"to {high:g}; random films take others"
            )
        return self


class Microscope(_Part):
    """Ranges of the imaging conditions of one kind of microscope; see `Optics`. Azimuths are uniform over the circle.

    `defocus` is counted from the exit plane of the specimen; `scherzer` states it in its place, in units of
    sqrt(C30 wavelength). `preset` names an instrument that gives what is left out: energy, source and lens.
    """

    weight: Weight = 1.0
    preset: str | None = None
    energies: Annotated[tuple[float, ...], AfterValidator(Quantity("kv", 20, 1500)), Field(min_length=1)] = (
        80e3,
        200e3,
        200e3,
        300e3,
        300e3,
    )
    defocus: Annotated[Range, AfterValidator(Quantity("nm", -10_000, 10_000))] = (-200.0, 200.0)
    scherzer: Range | None = None
    C12: Annotated[Range, AfterValidator(Quantity("nm", 0))] = (0.0, 25.0)
    C21: Annotated[Range, AfterValidator(Quantity("nm", 0))] = (0.0, 350.0)
    C23: Annotated[Range, AfterValidator(Quantity("nm", 0))] = (0.0, 350.0)
    C30: Annotated[Range, AfterValidator(Quantity("um"))] = (-2.0e5, 1.0e5)
    focal_spread: Annotated[Range, AfterValidator(Quantity("nm", 0))] = (8.0, 60.0)
    angular_spread: Annotated[Range, AfterValidator(Quantity("mrad", 0))] = (0.03, 0.25)
    aperture: Annotated[Range, AfterValidator(Quantity("mrad", 0, above=True))] = (20.0, 50.0)
    open_aperture: Fraction = 0.75  # of the images, taken without an objective aperture
    image_spread: Annotated[Range, AfterValidator(Quantity("nm", 0))] = (0.1, 0.6)
    lossy: Fraction = 0.4  # of the images, in which the particle takes electrons away
    loss: Annotated[Range, AfterValidator(Quantity("per_nm", 0))] = (0.0, 0.004)
    # Part of the electrons scattered beyond the waves' band that arrive in the image, where no aperture stops them.
    stray: tuple[Fraction, Fraction] = (0.0, 1.0)

    @model_validator(mode="before")
    @classmethod
    def _of_preset(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or values.get("preset") is None:
            return values
        if values["preset"] not in INSTRUMENTS:
            raise ValueError(f"preset: unknown name {values['preset']!r}; known: {', '.join(INSTRUMENTS)}")
        instrument = INSTRUMENTS[values["preset"]]
        optics = instrument.optics
        lens = {name: getattr(optics, name) for name in ("focal_spread", "angular_spread", "image_spread")}
        given = {name: float(f"{v:.4g}") for name, v in {**lens, "C30": optics.aberrations.C30}.items()}
        return {"energies": (instrument.energy,), **given, **values}

    @model_validator(mode="after")
    def _focus(self) -> Microscope:
        if self.scherzer is not None and self.C30[0] <= 0:
            raise ValueError(
                f"scherzer: expected a C30_um above 0 with it, got {self.C30[0] / 1e4:g} to {self.C30[1] / 1e4:g}"
            )
        return self


class Detector(_Part):
    """One kind of camera: one of the measured ones by its name, `perfect`, or ranges; see `Camera`."""

    weight: Weight = 1.0
    camera: str | None = None
    readout: Annotated[Range, AfterValidator(Quantity("", 0))] = (0.0, 3.0)
    mtf_width: Annotated[Range, AfterValidator(Quantity("", 0, above=True))] = (0.15, 1.2)
    mtf_floor: Annotated[Range, AfterValidator(Quantity("", 0, 1))] = (0.0, 0.4)

    @model_validator(mode="after")
    def _known(self) -> Detector:
        names = (PERFECT, *CAMERAS)
        if self.camera is not None and self.camera not in names:
            raise ValueError(f"camera: unknown name {self.camera!r}; known: {', '.join(names)}")
        return self


class Images(_Part):
    """What is recorded. The dose is log-uniform [electrons per Å^2]."""

    dose: Annotated[Range, AfterValidator(Quantity("per_A2", 0, above=True))] = (200.0, 20000.0)
    coarse: Fraction = 0.3  # of the images, taken with larger pixels or low-pass filtered: they end at `band`
    band: Annotated[Range, AfterValidator(Quantity("per_nm", 0, above=True))] = (0.45, 1.2)
    neighbour: Fraction = 0.6  # of the images, which show part of a second particle, if it has the same beam
    drift: Annotated[Range, AfterValidator(Quantity("nm", 0))] = (
        0.0,
        0.0,
    )  # of the stage while the image is taken


class Stored(_Part):
    """What a store keeps: exit waves in half precision (`compact`) or as they are, in shards of so many samples."""

    waves: Literal["compact", "complex64"] = "compact"
    shard: Annotated[int, Field(ge=1, le=4096)] = 64


class Recipe(_Part):
    """What a data set is drawn from. Sample i depends on the recipe, its seed, the split and i alone."""

    name: str = "au-4-8nm"
    seed: Annotated[int, Field(ge=0)] = 1
    field: Annotated[float, AfterValidator(Quantity("nm", SMALLEST_FIELD / 10, 200))] = (
        112.0  # side simulated
    )
    accuracy: Accuracy = "standard"  # of the multislice
    target: Target = "best_focus"  # what a restorer learns to answer with
    particles: Particles = Particles()
    orientations: Orientations = Orientations()
    films: Films = Films()
    microscopes: Annotated[tuple[Microscope, ...], Field(min_length=1)] = (
        Microscope(weight=0.85),
        Microscope(weight=0.15, C30=(4.0e6, 1.3e7), scherzer=(0.3, 2.2)),  # without corrector
    )
    cameras: Annotated[tuple[Detector, ...], Field(min_length=1)] = (
        Detector(weight=0.45),
        Detector(weight=0.35, camera=PERFECT),
        *(Detector(weight=0.05, camera=name) for name in CAMERAS),
    )
    images: Images = Images()
    stored: Stored = Stored()

    @model_validator(mode="after")
    def _agrees(self) -> Recipe:
        """What contradicts itself is refused before hours are spent on it."""
        p = self.particles
        if p.diameter[1] > self.field:
            raise ValueError(
                f"particles of up to {p.diameter[1] / 10:g} nm do not fit a field_nm of {self.field / 10:g}"
            )
        covered = p.number[1] * pi / 4 * (sum(p.diameter) / 2) ** 2 / self.field**2
        if p.number[1] > 1 and covered > CROWDED:
            raise ValueError(
                f"particles.number: up to {p.number[1]} of {sum(p.diameter) / 20:g} nm would cover {100 * covered:.0f} "
                f"% of a field_nm of {self.field / 10:g}; at most {100 * CROWDED:.0f} % leaves places without overlap"
            )
        if self.orientations.lying > 0:
            for shape in p.shapes:
                if shape in ROUND:
                    raise ValueError(f"orientations.lying: {shape} has no facet to lie on")
        for name, parts in (("microscopes", self.microscopes), ("cameras", self.cameras)):
            if not any(part.weight > 0 for part in parts):
                raise ValueError(f"{name}: expected at least one weight above 0")
        return self

    def to_yaml(self) -> str:
        """The whole recipe as YAML that `load_recipe` reads back, the same for equal recipes."""
        values = written(self.model_dump(mode="json", exclude_none=True), Recipe)
        return yaml.dump(values, Dumper=_Dumper, sort_keys=False, width=110)


class _Dumper(yaml.SafeDumper):
    """YAML with lists of numbers on one line."""


def _numbers(dumper: yaml.SafeDumper, values: list) -> yaml.Node:
    flat = not any(isinstance(value, dict) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flat)


_Dumper.add_representer(list, _numbers)
