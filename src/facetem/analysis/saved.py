"""A report read back from the folder that `save_analysis` wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from facetem.analysis.report import RESULT
from facetem.analysis.result import ParticleResult
from facetem.core.errors import InputError
from facetem.learn.matter import Matter


@dataclass(frozen=True)
class SavedReport:
    """The micrograph's `name`, its `pixel_size_nm` and its `frame`, if it is one of a stack; the `sha256` of its file,
    None if it came from none; the `warning`, empty without one; the `particles`; and what their classifier has
    `learnt` of."""

    name: str
    pixel_size_nm: float
    frame: int | None
    sha256: str | None
    warning: str
    particles: tuple[ParticleResult, ...]
    learnt: Matter


def read_report(folder: Path) -> SavedReport:
    """The report in a folder, of an earlier version too if that measured all that is needed.

    Raises
    ------
    InputError
        If there is none, or it lacks something.
    """
    file = folder / RESULT
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder}: expected the report of an analysis, found no {RESULT}") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise InputError(f"{file}: expected the result of an analysis, found one that is not whole") from None
    try:
        micrograph, provenance = told["micrograph"], told["provenance"]
        return SavedReport(
            name=str(micrograph["name"]),
            pixel_size_nm=float(micrograph["pixel_size_nm"]),
            frame=micrograph["metadata"].get("frame"),
            sha256=provenance.get("sha256"),
            warning=str(told["warning"]),
            particles=tuple(map(_particle, told["particles"])),
            learnt=Matter.read(provenance.get("learnt")),
        )
    except KeyError as error:
        lacks = f"one without {error.args[0]}"
    except (TypeError, ValueError, AttributeError):
        lacks = "something else"
    raise InputError(
        f"{file}: expected the result of an analysis by this version, found {lacks}; analyse the micrograph again"
    )


def _particle(told: Mapping[str, Any]) -> ParticleResult:
    """What has a default was not measured by all versions."""
    needed = {field.name: field.default is MISSING for field in fields(ParticleResult)}
    values: dict[str, Any] = {name: told[name] for name, must in needed.items() if must or name in told}
    values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return ParticleResult(**values)
