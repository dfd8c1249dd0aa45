"""`Recipe`: what is drawn and from which ranges. One YAML file describes a data set completely."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from facetem.atoms.films import DENSITY
from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError
from facetem.hrtem.settings import Accuracy

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"expected [low, high] with low <= high, got {list(limits)}")
    return limits


def _not_negative(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] < 0:
        raise ValueError(f"expected numbers >= 0, got {list(limits)}")
    return limits


def _above_zero(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] <= 0:
        raise ValueError(f"expected numbers > 0, got {list(limits)}")
    return limits


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
PositiveRange = Annotated[Range, AfterValidator(_not_negative)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Specimens(_Part):
    """Particles and films. Lengths in Å, densities in g/cm3."""

    element: str = "Au"
    shapes: tuple[str, ...] = SHAPES
    diameter: PositiveRange = (40.0, 80.0)
    offset: Annotated[float, Field(ge=0)] = 10.0  # of the particle from the middle of the field, at most
    calibration: Annotated[float, Field(ge=0, lt=0.2)] = 0.02  # relative error of the pixel size, at most
    varied: bool = True  # families of forms; False: the ideal form only
    bare: Fraction = 0.04  # of the particles, without a film
    film_thickness: PositiveRange = (8.0, 70.0)
    density: PositiveRange = (1.7, 2.7)
    quenched: Fraction = 0.0  # of the films, from the library of melt-quenched ones; the others are random
    hard_cores: tuple[Annotated[float, Field(ge=0, le=1.6)], ...] = (0.0, 0.9, 1.2, 1.35, 1.42)
    waviness: PositiveRange = (0.0, 2.5)
    gap: Range = (-2.0, 2.5)
    neighbour: Fraction = 0.25  # of the images, which show part of a second particle

    @field_validator("quenched")
    @classmethod
    def _held(cls, quenched: float, info: ValidationInfo) -> float:
        low, high = info.data.get("density", DENSITY)
        if quenched > 0 and not DENSITY[0] <= low <= high <= DENSITY[1]:
            raise ValueError(
                f"the library of quenched films holds densities from {DENSITY[0]:g} to {DENSITY[1]:g} g/cm3, not "
                f"{low:g} to {high:g}"
            )
        return quenched

    @field_validator("shapes")
    @classmethod
    def _known(cls, shapes: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [shape for shape in shapes if shape not in SHAPES]
        if unknown or not shapes:
            raise ValueError(
                f"unknown shape {unknown[0] if unknown else '(none given)'!r}; known: {', '.join(SHAPES)}"
            )
        return shapes


class Microscope(_Part):
    """Ranges of the imaging conditions. Å and mrad; see `Optics`. Azimuths are uniform over the circle.

    `defocus` is counted from the exit plane of the specimen.
    """

    energies: tuple[float, ...] = (80e3, 200e3, 200e3, 300e3, 300e3)
    defocus: Range = (-140.0, 160.0)
    C12: PositiveRange = (0.0, 25.0)
    C21: PositiveRange = (0.0, 350.0)
    C23: PositiveRange = (0.0, 350.0)
    C30: Range = (-1.0e5, 0.6e5)
    focal_spread: PositiveRange = (15.0, 45.0)
    angular_spread: PositiveRange = (0.03, 0.25)
    aperture: PositiveRange = (20.0, 50.0)
    open_aperture: Fraction = 0.75  # of the images, taken without an objective aperture
    image_spread: PositiveRange = (0.1, 0.6)
    uncorrected: Fraction = 0.15  # of the images, from an instrument without corrector
    uncorrected_cs: Annotated[Range, AfterValidator(_above_zero)] = (
        4.0e6,
        1.3e7,
    )  # its spherical aberration [Å]
    uncorrected_defocus: Range = (0.3, 2.2)  # underfocus in units of sqrt(C30 wavelength)
    lossy: Fraction = 0.4  # of the images, in which the particle takes electrons away
    loss: PositiveRange = (0.0, 0.004)  # 1/Å

    @field_validator("energies")
    @classmethod
    def _in_range(cls, energies: tuple[float, ...]) -> tuple[float, ...]:
        for energy in energies:
            if not 20e3 <= energy <= 1.5e6:
                raise ValueError(
                    f"expected beam energies from 20e3 to 1.5e6 eV, got {energy:g} (is it in kV?)"
                )
        if not energies:
            raise ValueError("expected at least one beam energy")
        return energies


class Detection(_Part):
    """Ranges of dose and camera; see `Camera`. The dose is log-uniform [electrons per Å^2]."""

    dose: Annotated[Range, AfterValidator(_above_zero)] = (400.0, 12000.0)
    readout: PositiveRange = (0.0, 3.0)
    mtf_width: PositiveRange = (0.15, 1.2)
    mtf_floor: PositiveRange = (0.0, 0.4)
    counting: Fraction = 0.35  # of the images, from a perfect camera
    coarse: Fraction = 0.3  # of the images, taken with larger pixels or low-pass filtered: they end at `band`
    band: Annotated[Range, AfterValidator(_above_zero)] = (0.45, 1.2)  # 1/Å


class Recipe(_Part):
    """What a data set is drawn from. Sample i depends on the recipe, its seed, the split and i alone."""

    name: str = "au-4-8nm"
    seed: int = 1
    field: Annotated[float, Field(gt=40, le=2000)] = 112.0  # side simulated [Å]
    accuracy: Accuracy = "standard"  # of the multislice
    specimens: Specimens = Specimens()
    microscope: Microscope = Microscope()
    detection: Detection = Detection()

    def to_yaml(self) -> str:
        """The whole recipe as YAML that `load_recipe` reads back to an equal recipe."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def recipe_from(values: object, origin: str = "recipe") -> Recipe:
    """A validated `Recipe` of a nested mapping.

    Raises
    ------
    InputError
        One line naming the first key that is wrong, what was expected and what came.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the document"
        if first["type"] == "extra_forbidden":
            known = _keys_at(first["loc"][:-1])
            raise InputError(f"{origin}: unknown key {key!r}; known here: {', '.join(known)}") from None
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{origin}: {key}: {message}, got {_short(first['input'])}") from None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in location:
        inner = model.model_fields[str(part)].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return list(model.model_fields)


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe from a YAML file; keys that it leaves out keep their defaults.

    Raises
    ------
    InputError
        If the file cannot be read as YAML or a key or value is wrong.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).replace("\n", " ")
        raise InputError(f"{path}: expected a readable YAML recipe: {reason}") from None
    return recipe_from({} if values is None else values, origin=str(path))


def shipped_recipe(name: str) -> Recipe:
    """A recipe that comes with the package, by name.

    Raises
    ------
    InputError
        If there is none of that name; the message lists them.
    """
    folder = Path(str(resources.files("facetem.data").joinpath("recipes")))
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise InputError(f"recipe: expected a file or one of {known}, got {name!r}")
    return load_recipe(path)
