"""What the command line says of a particle: its proportions and its metals."""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facetem.core.errors import InputError

if TYPE_CHECKING:
    from facetem.atoms.alloys import Alloy
    from facetem.atoms.facets import Form


class AlloyOrder(StrEnum):
    """Which site holds which metal."""

    random = "random"
    ordered = "L1_0"
    core_shell = "core-shell"


SecondOption = Annotated[str | None, typer.Option(help="A second metal, for an alloy.")]
OrderOption = Annotated[
    AlloyOrder, typer.Option(help="Where the second metal goes; the shell, in core-shell.")
]
FractionOption = Annotated[float, typer.Option(help="Of the second metal, in a random alloy.")]
ShellOption = Annotated[int, typer.Option(help="Layers of the shell.")]
RatioOption = Annotated[float | None, typer.Option(help="Main proportion; docs/shapes.md says of what.")]
CutOption = Annotated[float | None, typer.Option(help="Second proportion: notch, truncation, contact.")]
RoundingOption = Annotated[float | None, typer.Option(help="12 rounds edges strongly, 80 hardly.")]
RoughnessOption = Annotated[float | None, typer.Option(help="Of the surface, per radius: 0 to 0.2.")]
GrainOption = Annotated[
    float | None,
    typer.Option(help="A fifth of this part of the surface is missing, as much lies on it."),
]
EnergiesOption = Annotated[
    str | None, typer.Option(help="Surface energies as in 111:1.0,100:1.15 (wulff, winterbottom).")
]
SubstrateOption = Annotated[
    str | None, typer.Option(help="Face on the substrate as in 1,1,1 (winterbottom).")
]
TwinLayersOption = Annotated[
    str | None, typer.Option(help="Layers of twin planes as in -3,3 (parallel_twins).")
]
RelaxOption = Annotated[
    bool, typer.Option("--relax", help="Relax the particle, so that twins carry their strain.")
]
ViewOption = Annotated[
    Path | None, typer.Option(help="Page to turn the atoms on, .html; a picture beside it.")
]


@dataclass(frozen=True)
class Proportions:
    """Fields of a `Form` as options say them; None: left as drawn, or as the ideal member has them."""

    ratio: float | None = None
    cut: float | None = None
    rounding: float | None = None
    roughness: float | None = None
    grain: float | None = None
    energies: str | None = None
    substrate: str | None = None
    flips: str | None = None

    def form(self, shape: str, *, ideal: bool, seed: int) -> "Form | None":
        """The member of the shape's family with these changes, or None if there are none.

        Raises
        ------
        InputError
            If the shape is unknown or an option cannot be read or is out of its range.
        """
        import numpy as np

        from facetem.atoms.library import draw_form, family

        changes: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("ratio", "cut", "rounding", "roughness", "grain")
            if getattr(self, name) is not None
        }
        if self.energies is not None:
            changes["energies"] = parse_energies(self.energies)
        if self.substrate is not None:
            changes["substrate"] = _numbers(self.substrate, "--substrate", "three indices as in 1,1,1")
        if self.flips is not None:
            layers = _numbers(self.flips, "--twin-layers", "whole numbers as in -3,3")
            changes["flips"] = tuple(int(layer) for layer in layers)
        if not changes:
            return None
        base = family(shape).ideal if ideal else draw_form(shape, np.random.default_rng(seed))
        # Facets of random distances belong to the planes that they were drawn for.
        return replace(base, **changes, jitter=() if self.energies else base.jitter)


def parse_energies(text: str) -> tuple[tuple[float, ...], ...]:
    """(h, k, l, energy) of a text such as "111:1.0,100:1.15" or "111=1, 311=1.2"."""
    rows = []
    for part in text.replace("=", ":").split(","):
        name, _, energy = part.strip().partition(":")
        try:
            if len(name) != 3:
                raise ValueError
            rows.append((*(float(digit) for digit in name), float(energy)))
        except ValueError:
            raise InputError(
                f"--energies: expected faces and surface energies as in 111:1.0,100:1.15, got {text!r}"
            ) from None
    return tuple(rows)


def _numbers(text: str, option: str, expected: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise InputError(f"{option}: expected {expected}, got {text!r}") from None


def read_alloy(second: str | None, order: AlloyOrder, fraction: float, shell: int) -> "Alloy | None":
    """The alloy that the options describe; None without a second metal."""
    from facetem.atoms.alloys import Alloy

    return None if second is None else Alloy(second, order=order.value, fraction=fraction, shell=shell)
