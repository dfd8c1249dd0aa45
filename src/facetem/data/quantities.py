"""Numbers with units at the edge of a recipe: `diameter_nm: [4, 8]` in the file is `diameter` in Å inside.

The unit is part of the key, so that no number can be taken for one of another unit. A field says by its `Quantity`
in which unit it is written and within which limits; any unit of the same kind is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, pi
from typing import Annotated, Any, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator

# The value of each unit in those used inside: Å, eV, mrad, e/Å2, 1/Å, g/cm3
KINDS: tuple[Mapping[str, float], ...] = (
    {"nm": 10.0, "A": 1.0, "pm": 0.01, "um": 1e4, "mm": 1e7},
    {"kv": 1e3, "ev": 1.0},
    {"mrad": 1.0, "deg": 1e3 * pi / 180},
    {"per_A2": 1.0, "per_nm2": 0.01},
    {"per_nm": 0.1, "per_A": 1.0},
    {"g_cm3": 1.0},
    {"": 1.0},  # what has no unit, or but one: a fraction, electrons, cycles per pixel
)
SPOKEN = {"A": "Å", "um": "µm", "kv": "kV", "per_A2": "per Å2", "per_nm": "per nm", "g_cm3": "g/cm3"}
READ_DIGITS, WRITTEN_DIGITS = 15, 12  # kept when a unit is changed: what is written once is written again


@dataclass(frozen=True)
class Quantity:
    """The unit that a field is written in, and its limits in that unit."""

    unit: str
    low: float = -inf
    high: float = inf
    above: bool = False  # `low` itself is left out

    @property
    def units(self) -> Mapping[str, float]:
        """The units of this kind."""
        return next(kind for kind in KINDS if self.unit in kind)

    def __call__(self, value: Any) -> Any:
        """The value, if all its numbers [in internal units] are within the limits."""
        for number in value if isinstance(value, tuple) else (value,):
            here = float(f"{number / self.units[self.unit]:.12g}")
            if not (self.low < here if self.above else self.low <= here) or here > self.high:
                raise ValueError(f"expected {self._expected()}")
        return value

    def _expected(self) -> str:
        start = "above" if self.above else "at least"
        unit = f" {SPOKEN.get(self.unit, self.unit)}" if self.unit else ""
        if self.high == inf:
            return f"{start} {self.low:g}{unit}"
        if self.above:
            return f"above {self.low:g}, at most {self.high:g}{unit}"
        return f"{self.low:g} to {self.high:g}{unit}"


def _pair(value: Any) -> Any:
    """One number is a range from itself to itself."""
    return (value, value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError("expected [low, high] with low <= high")
    return limits


Range = Annotated[tuple[float, float], BeforeValidator(_pair), AfterValidator(_ordered)]


def quantity_of(model: type[BaseModel], name: str) -> Quantity | None:
    """What the field `name` of a model is measured in."""
    for item in model.model_fields[name].metadata:
        if isinstance(item, AfterValidator) and isinstance(item.func, Quantity):
            return item.func
    return None


def written_name(model: type[BaseModel], name: str) -> str:
    """The key of a field in a file: with its unit."""
    quantity = quantity_of(model, name)
    return f"{name}_{quantity.unit}" if quantity is not None and quantity.unit else name


def parts_of(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The model that the field `name` holds one or several of, if any."""
    annotation = model.model_fields[name].annotation
    for inner in (annotation, *(get_args(annotation) if get_origin(annotation) is tuple else ())):
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return inner
    return None


@dataclass
class FileKeys:
    """What was found while a file was read: the key that was written for each place, and what is wrong with keys."""

    keys: dict[tuple, str]
    faults: list[str]


def internal(values: Mapping[str, Any], model: type[BaseModel], found: FileKeys, at: tuple = ()) -> dict:
    """A file's mapping with the fields' own names and in internal units.

    A key that is unknown, or whose unit is missing or of another kind, is left out and told in `found`.
    """
    result = {}
    for key, value in values.items():
        try:
            name, factor = _read_key(str(key), model)
        except ValueError as fault:
            found.faults.append(f"{'.'.join(str(part) for part in (*at, key))}: {fault}")
            continue
        here = (*at, name)
        found.keys[here] = str(key)
        inner = parts_of(model, name)
        if inner is not None and isinstance(value, Mapping):
            value = internal(value, inner, found, here)
        elif inner is not None and isinstance(value, list):
            value = [
                internal(item, inner, found, (*here, i)) if isinstance(item, Mapping) else item
                for i, item in enumerate(value)
            ]
        result[name] = _scaled(value, factor, READ_DIGITS)
    return result


def written(values: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """The inverse of `internal`: for a file, in the units that the fields are written in."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        quantity, inner = quantity_of(model, name), parts_of(model, name)
        if inner is not None:
            value = [written(v, inner) for v in value] if isinstance(value, list) else written(value, inner)
        factor = 1.0 if quantity is None else 1 / quantity.units[quantity.unit]
        result[written_name(model, name)] = _scaled(value, factor, WRITTEN_DIGITS)
    return result


def _read_key(key: str, model: type[BaseModel]) -> tuple[str, float]:
    for name in model.model_fields:
        quantity = quantity_of(model, name)
        if key == name and (quantity is None or not quantity.unit):
            return name, 1.0
        if quantity is None or not quantity.unit or not key.startswith(name):
            continue
        written_as = ", ".join(f"{name}_{unit}" for unit in quantity.units)
        if key == name:
            raise ValueError(f"expected the unit in the key, one of {written_as}")
        unit = key.removeprefix(f"{name}_")
        if unit in quantity.units:
            return name, quantity.units[unit]
        if key.startswith(f"{name}_") and key not in model.model_fields:
            raise ValueError(f"unknown unit; expected one of {written_as}")
    known = ", ".join(written_name(model, name) for name in model.model_fields)
    raise ValueError(f"unknown key; known here: {known}")


def _scaled(value: Any, factor: float, digits: int) -> Any:
    if factor == 1.0 or isinstance(value, bool):
        return value
    if isinstance(value, (list, tuple)):
        return [_scaled(item, factor, digits) for item in value]
    if isinstance(value, str):  # YAML reads 80e3 as text
        try:
            value = float(value)
        except ValueError:
            return value
    return float(f"{value * factor:.{digits}g}") if isinstance(value, (int, float)) else value
