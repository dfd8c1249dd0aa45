"""What a network has learnt particles of, in the words of its answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ase.data import atomic_names, atomic_numbers

from facetem.atoms.shapes import lattice_constant

if TYPE_CHECKING:
    from facetem.data.recipe import Recipe

# A projected diameter is not the volume-equivalent one: a tetrahedron's is up to a quarter larger.
_SMALLER, _LARGER = 0.9, 1.25


def metal_name(element: str) -> str:
    """Of a symbol, such as "gold"."""
    return atomic_names[atomic_numbers[element]].lower()


@dataclass(frozen=True)
class Matter:
    """Metals, by their symbols, and volume-equivalent diameters [Å] of the particles that a network has learnt."""

    elements: tuple[str, ...] = ("Au",)
    diameter: tuple[float, float] = (40.0, 80.0)

    @classmethod
    def of(cls, recipe: Recipe) -> Matter:
        """Of the particles of a recipe."""
        shares = recipe.particles.elements
        return cls(tuple(name for name in shares if shares[name] > 0), recipe.particles.diameter)

    @classmethod
    def read(cls, told: dict[str, Any] | None) -> Matter:
        """As `as_dict` wrote it; of weights that do not say, gold of 4 to 8 nm."""
        if told is None:
            return cls()
        low, high = told["diameter_nm"]
        return cls(tuple(told["elements"]), (10.0 * low, 10.0 * high))

    def as_dict(self) -> dict[str, Any]:
        """For the header of weights."""
        return {"elements": list(self.elements), "diameter_nm": [length / 10 for length in self.diameter]}

    @property
    def metal(self) -> str:
        """Such as "gold or platinum"."""
        return " or ".join(metal_name(element) for element in self.elements)

    @property
    def size(self) -> str:
        """Such as "4 to 8 nm"."""
        return f"{self.diameter[0] / 10:g} to {self.diameter[1] / 10:g} nm"

    @property
    def widest(self) -> float:
        """The widest spacing [Å] of lattice planes of any of the metals: {111}.

        Raises
        ------
        InputError
            If one of them is no fcc metal.
        """
        return max(map(lattice_constant, self.elements)) / math.sqrt(3)

    def holds(self, projected: float) -> bool:
        """Whether particles of a projected diameter [Å] are among those that were learnt."""
        return _SMALLER * self.diameter[0] <= projected <= _LARGER * self.diameter[1]
