"""Recipes in YAML files: read, checked, and found by name. Mistakes are named by the keys and units of the file."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from facetem.core.errors import InputError
from facetem.data.quantities import FileKeys, internal, parts_of, written_name
from facetem.data.recipe import Recipe


def recipe_from(values: object, origin: str = "recipe") -> Recipe:
    """A validated `Recipe` of a nested mapping as in a file: with the units in its keys.

    Raises
    ------
    InputError
        One line naming the first key that is wrong, what was expected and what came, and how many more are wrong.
    """
    found = problems(values)
    if isinstance(found, Recipe):
        return found
    more = f" (and {len(found) - 1} more; see `facetem recipe check`)" if len(found) > 1 else ""
    raise InputError(f"{origin}: {found[0]}{more}")


def problems(values: object) -> Recipe | list[str]:
    """The recipe of a nested mapping, or a line for each thing that is wrong with it."""
    if not isinstance(values, Mapping):
        return [f"expected keys and values, got {_short(values)}"]
    found = FileKeys({}, [])
    inside = internal(values, Recipe, found)
    try:
        recipe = Recipe.model_validate(inside)
        return found.faults or recipe
    except ValidationError as error:
        errors = error.errors()
        deepest = [one for one in errors if not any(_within(other["loc"], one["loc"]) for other in errors)]
        lines = [_line(one["loc"], one["msg"], one["input"], values, found.keys) for one in deepest]
        return found.faults + lines


def _within(inner: tuple, outer: tuple) -> bool:
    """Whether a place lies inside another: a list with a bad item is not told to be too short as well."""
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _line(
    place: tuple[int | str, ...], message: str, got: object, values: Any, keys: dict[tuple, str]
) -> str:
    """What is wrong, with the key and the value as they were written."""
    words: list[str] = []
    model: type[BaseModel] = Recipe
    written_at: Any = values
    for i, part in enumerate(place):
        key = keys.get(place[: i + 1], part)
        words.append(str(key))
        try:
            written_at = written_at[key]
            got = written_at
        except (KeyError, IndexError, TypeError):
            written_at = None
        if isinstance(part, str) and part in model.model_fields:
            words[-1] = keys.get(place[: i + 1], written_name(model, part))
            model = parts_of(model, part) or model
    message = message.removeprefix("Value error, ")
    inner = message.split(":")[0]
    if inner in model.model_fields:  # said by a check of the whole part
        return ".".join([*words, message])
    if not words or isinstance(got, Mapping):
        return ": ".join([".".join(words), message]) if words else message
    return f"{'.'.join(words)}: {message}, got {_short(got)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe from a YAML file; keys that it leaves out keep their defaults.

    Raises
    ------
    InputError
        If the file cannot be read as YAML or a key or value is wrong.
    """
    return recipe_from(read_yaml(path), origin=str(path))


def read_yaml(path: str | Path) -> object:
    """What a YAML file holds; nothing is an empty mapping.

    Raises
    ------
    InputError
        If the file cannot be read as YAML.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).replace("\n", " ")
        raise InputError(f"{path}: expected a readable YAML recipe: {reason}") from None
    return {} if values is None else values


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with the package: name -> file."""
    folder = Path(str(resources.files("facetem.data").joinpath("recipes")))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_recipe(recipe: str | Path) -> Path:
    """The file of a recipe: one that comes with the package by its name, or a file.

    Raises
    ------
    InputError
        If there is none; the message lists those that come with the package.
    """
    shipped = shipped_recipes()
    if str(recipe) in shipped:
        return shipped[str(recipe)]
    if not Path(recipe).is_file():
        raise InputError(f"recipe: expected a file or one of {', '.join(shipped)}, got {str(recipe)!r}")
    return Path(recipe)


def shipped_recipe(name: str) -> Recipe:
    """A recipe that comes with the package, by name. Raises as `find_recipe`."""
    return load_recipe(find_recipe(name))
