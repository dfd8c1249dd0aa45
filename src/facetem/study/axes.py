"""The conditions that studies move: one at a time, all else as it was drawn.

Recipes that differ in one range draw all else alike (`image_set`), so the same specimens are seen with the same
azimuths, cameras and noise all along an axis: differences are the axis's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import pi

from facetem.data.recipe import Microscope, Orientations, Recipe
from facetem.hrtem.instruments import spread_of_limit

Setting = float | str
Move = Callable[[Recipe, Setting], Recipe]


@dataclass(frozen=True)
class Axis:
    """A condition that is moved.

    Parameters
    ----------
    label
        With its unit, for tables and figures.
    values, quick
        Where it is looked at, in that unit; in a quick study.
    move : (recipe, value) -> recipe
    same_specimens
        Whether the specimens stay, and only their images change: they are then simulated once.
    """

    label: str
    values: tuple[Setting, ...]
    quick: tuple[Setting, ...]
    move: Move
    same_specimens: bool = True


def _optics(**changed: Callable[[float], object]) -> Move:
    """Of every microscope of the recipe."""

    def move(recipe: Recipe, value: Setting) -> Recipe:
        update = {name: make(float(value)) for name, make in changed.items()}
        return recipe.model_copy(
            update={"microscopes": tuple(m.model_copy(update=update) for m in recipe.microscopes)}
        )

    return move


def _part(part: str, **changed: Callable[[Setting], object]) -> Move:
    """Of one part of the recipe."""

    def move(recipe: Recipe, value: Setting) -> Recipe:
        update = {name: make(value) for name, make in changed.items()}
        return recipe.model_copy(update={part: getattr(recipe, part).model_copy(update=update)})

    return move


def _fixed(scale: float) -> Callable[[Setting], tuple[float, float]]:
    """A range that is one value, given in a unit of so many internal ones."""
    return lambda value: (scale * float(value), scale * float(value))


def _information_limit(recipe: Recipe, value: Setting) -> Recipe:
    """By the focal spread that has this limit at each energy; the other envelopes stay."""

    def of_each(microscope: Microscope) -> list[Microscope]:
        parts = []
        for energy in dict.fromkeys(microscope.energies):
            weight = microscope.weight * microscope.energies.count(energy) / len(microscope.energies)
            spread = spread_of_limit(energy, 1 / float(value))
            parts.append(
                microscope.model_copy(
                    update={"energies": (energy,), "weight": weight, "focal_spread": (spread, spread)}
                )
            )
        return parts

    parts = tuple(part for microscope in recipe.microscopes for part in of_each(microscope))
    return recipe.model_copy(update={"microscopes": parts})


def _film_thickness(recipe: Recipe, value: Setting) -> Recipe:
    """None at all at 0."""
    films = recipe.films
    update: dict[str, object] = (
        {"kinds": {"none": 1.0}} if float(value) == 0 else {"thickness": _fixed(10)(value)}
    )
    return recipe.model_copy(update={"films": films.model_copy(update=update)})


STUDIES: dict[str, dict[str, Axis]] = {
    "focus": {
        "defocus": Axis(
            "defocus [nm]",
            (-40, -30, -20, -15, -10, -5, 0, 5, 10, 15, 20, 30, 40),
            (-40, -15, 0, 15, 40),
            _optics(defocus=_fixed(10), scherzer=lambda _: None),
        ),
    },
    "dose": {
        "dose": Axis(
            "dose [e/Å²]",
            (20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000),
            (20, 200, 2000, 20000),
            _part("images", dose=_fixed(1)),
        ),
    },
    "resolution": {
        "pixel size": Axis(
            "pixel size [Å]",
            (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
            (0.4, 0.7, 1.0),
            _part("images", coarse=lambda value: 1.0, band=lambda value: (0.5 / float(value),) * 2),
        ),
        "information limit": Axis(
            "information limit [Å]", (0.6, 0.8, 1.0, 1.3, 1.7), (0.8, 1.7), _information_limit
        ),
        "focal spread": Axis(
            "focal spread [nm]", (1, 2, 3, 4, 6, 8, 12), (1, 12), _optics(focal_spread=_fixed(10))
        ),
        "image spread": Axis(
            "image spread [Å]", (0.1, 0.3, 0.5, 0.7, 1.0), (0.1, 1.0), _optics(image_spread=_fixed(1))
        ),
        "voltage": Axis(
            "voltage [kV]",
            (80, 120, 200, 300),
            (80, 300),
            _optics(energies=lambda value: (1e3 * value,)),
            same_specimens=False,
        ),
    },
    "aberrations": {
        "A1": Axis("two-fold astigmatism [nm]", (0, 1, 2, 4, 8, 12), (0, 12), _optics(C12=_fixed(10))),
        "B2": Axis("coma C21 [nm]", (0, 20, 50, 100, 200), (0, 200), _optics(C21=_fixed(10))),
        "A2": Axis("three-fold astigmatism [nm]", (0, 20, 50, 100, 200), (0, 200), _optics(C23=_fixed(10))),
        "C3": Axis(
            "spherical aberration [um]",
            (-20, -10, -5, 0, 5, 10, 20, 50),
            (0, 50),
            _optics(C30=_fixed(1e4)),
        ),
    },
    "carbon": {
        "thickness": Axis(
            "film thickness [nm]",
            (0, 1, 2, 3, 4, 6, 8, 10),
            (0, 3, 8),
            _film_thickness,
            same_specimens=False,
        ),
        "model": Axis(
            "film",
            ("none", "random", "realistic"),
            ("none", "realistic"),
            _part("films", kinds=lambda value: {str(value): 1.0}),
            same_specimens=False,
        ),
        "density": Axis(
            "density [g/cm³]",
            (1.8, 2.0, 2.2, 2.4, 2.6),
            (1.8, 2.6),
            # Films of the library have densities of their own: those nearest.
            _part("films", density=lambda value: (float(value) - 0.1, float(value) + 0.1)),
            same_specimens=False,
        ),
        "side": Axis(
            "particle on the side of",
            ("entrance", "exit"),
            ("entrance", "exit"),
            _part("films", entrance=lambda value: float(value == "entrance")),
            same_specimens=False,
        ),
    },
    "orientation": {
        # 0 0 1 is <100> of single crystals, the five-fold axis of decahedra, the normal of a twin plane, a two-fold
        # axis of icosahedra.
        "tilt": Axis(
            "tilt from the principal axis [deg]",
            (0, 2, 5, 10, 20, 30),
            (0, 20),
            lambda recipe, value: recipe.model_copy(
                update={
                    "orientations": Orientations(
                        random=0, zone=1, zones=((0, 0, 1),), tilt=_fixed(1e3 * pi / 180)(value)
                    )
                }
            ),
            same_specimens=False,
        ),
    },
    "size": {
        "diameter": Axis(
            "diameter [nm]",
            (2, 3, 4, 5, 6, 7, 8, 9, 10),
            (2, 4, 8),
            _part("particles", diameter=_fixed(10)),
            same_specimens=False,
        ),
    },
}
