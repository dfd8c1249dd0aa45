"""Two samples on disk: whether they can be compared, how they differ, and what to have in mind."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facetem.analysis.population import Difference, Fractions, compare_samples, shape_fractions
from facetem.analysis.report import RESULT
from facetem.analysis.sample import JSON, SCHEMA
from facetem.core.errors import InputError
from facetem.core.words import number

FEW = 10  # particles: of fewer the intervals hold nearly everything
_SAME = 1.01  # times as large a pixel is no other magnification


@dataclass(frozen=True)
class Counted:
    """A sample by what its particles were named: `counts` (shape,), the classifier's errors `confusion` (true, named),
    and the pixel size of each micrograph, where the sample tells it."""

    name: str
    shapes: tuple[str, ...]
    counts: NDArray[np.int64]
    confusion: NDArray[np.int64]
    pixel_sizes_nm: tuple[float, ...] = ()

    @property
    def n(self) -> int:
        """Particles that resemble a learnt shape."""
        return int(self.counts.sum())

    @cached_property
    def fractions(self) -> Fractions:
        """The corrected fractions, with their intervals."""
        return shape_fractions(self.shapes, self.counts, self.confusion)

    @property
    def pixels(self) -> str:
        """Its pixel sizes in words."""
        low, high = min(self.pixel_sizes_nm), max(self.pixel_sizes_nm)
        return f"{low:.4g} nm" if high < _SAME * low else f"{low:.4g} to {high:.4g} nm"


@dataclass(frozen=True)
class Comparison:
    """Two samples, and how the second differs from the first."""

    first: Counted
    second: Counted
    difference: Difference

    @property
    def notes(self) -> list[str]:
        """What makes the difference less certain than its intervals say, or hard to see."""
        both = (self.first, self.second)
        told = [
            f"{number(one.n, 'particle')} in {one.name}: of fewer than {FEW} hardly any difference can be seen"
            for one in both
            if one.n < FEW
        ]
        if all(one.pixel_sizes_nm for one in both) and self._magnified:
            told.append(
                f"pixels of {self.first.pixels} in {self.first.name}, of {self.second.pixels} in {self.second.name}: "
                "what differs may be what each magnification shows"
            )
        return told

    @property
    def _magnified(self) -> bool:
        sizes = (self.first.pixel_sizes_nm, self.second.pixel_sizes_nm)
        ends = [[end(some) for some in sizes] for end in (min, max)]
        return any(max(pair) > _SAME * min(pair) for pair in ends)


def compare_folders(first: Path, second: Path) -> Comparison:
    """How the sample in the second folder differs from that in the first.

    Raises
    ------
    InputError
        If a folder has no sample, none of its particles resembles a learnt shape, or they were read by different
        classifiers.
    """
    one, other = load_counts(first), load_counts(second)
    if one.shapes != other.shapes or not np.array_equal(one.confusion, other.confusion):
        raise InputError(
            f"{second}: expected a sample that the classifier of {first} has read, got another's"
        )
    for folder, sample in ((first, one), (second, other)):
        if not sample.n:
            raise InputError(
                f"{folder}: expected at least one particle that resembles a learnt shape, got none; "
                "there is nothing to compare"
            )
    if one.name == other.name:  # reports/ in two places
        one, other = replace(one, name=str(first)), replace(other, name=str(second))
    difference = compare_samples(one.shapes, one.counts, other.counts, one.confusion)
    return Comparison(one, other, difference)


def load_counts(folder: Path) -> Counted:
    """The sample in a folder, or that of a sample.json, named after the folder.

    Raises
    ------
    InputError
        If there is none that is whole, or its classifier does not state its errors.
    """
    path = folder / JSON if folder.is_dir() else folder
    if not path.exists():
        raise _no_sample(folder)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: expected the {JSON} of facetem analyze, got {error.strerror}") from None
    except ValueError:
        told = None
    if not isinstance(told, dict) or told.get("schema") != SCHEMA:
        raise InputError(f"{path}: expected the {JSON} of facetem analyze, got something else")
    try:
        shapes, confusion = tuple(told["shapes"]), told["confusion"]
        counts = np.array(told["counts"], dtype=np.int64)
        table = None if confusion is None else np.array(confusion, dtype=np.int64)
        pixels = tuple(float(one["pixel_size_nm"]) for one in told.get("sources", ()))
    except (KeyError, TypeError, ValueError):
        raise _not_whole(path) from None
    if table is None:
        raise InputError(f"{path}: its classifier does not state its errors; analyse it with one that does")
    k = len(shapes)
    if not k or counts.shape != (k,) or table.shape != (k, k) or min(counts.min(), table.min()) < 0:
        raise _not_whole(path)
    return Counted(path.resolve().parent.name, shapes, counts, table, pixels)


def _no_sample(folder: Path) -> InputError:
    if not folder.exists():
        got = "nothing: there is no such folder"
    elif (folder / RESULT).is_file():
        got = "the report of one micrograph; facetem analyze FOLDER -o REPORTS makes a sample, of one file in it too"
    else:
        got = f"a folder without {JSON}"
    return InputError(
        f"{folder}: expected a folder that facetem analyze wrote for several micrographs, got {got}"
    )


def _not_whole(path: Path) -> InputError:
    return InputError(
        f"{path}: expected the counts and the errors of every shape, found none that are whole; "
        "run facetem analyze again"
    )
