"""How far the answers agree with labels given by hand: the accuracy on micrographs of one's own.

What the networks are claimed to reach was measured on simulated images. Labels on real ones, given on the page, say
what they reach there: how often the named shape is the labelled one, how often the set of possible shapes holds it,
and whether the stated confidence is what comes true.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from facetem.analysis.comparing import FEW
from facetem.analysis.labels import FILE, NO_PARTICLE, load_labels
from facetem.analysis.result import ParticleResult
from facetem.analysis.saved import read_report
from facetem.analysis.table import csv_text, table_columns, table_row
from facetem.atoms.library import NONE, SHAPES
from facetem.core.errors import InputError
from facetem.core.shares import wilson_interval
from facetem.core.words import number
from facetem.learn.conformal import COVERAGE


@dataclass(frozen=True)
class Labelled:
    """A particle of a report, and what it was labelled: a shape, `NONE` or `NO_PARTICLE`."""

    micrograph: str
    particle: ParticleResult
    label: str
    note: str = ""

    @property
    def is_shape(self) -> bool:
        """Whether it was labelled with one of the classifier's shapes."""
        return self.label in SHAPES


@dataclass(frozen=True)
class Share:
    """In `hits` of `n` cases it was so. `expected` is how often it should have been, where that is stated."""

    what: str
    hits: int
    n: int
    expected: float | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the share; everything, if there is no case."""
        return wilson_interval(self.hits, self.n)


@dataclass(frozen=True)
class Agreement:
    """Labelled particles of any number of micrographs."""

    labelled: tuple[Labelled, ...]

    def shares(self) -> list[Share]:
        """What comes true how often, of particles that were labelled so that it can be said."""
        judged = [one for one in self.labelled if one.particle.judged]
        shapes = [one for one in judged if one.is_shape]
        known = [one for one in shapes if one.particle.known]
        named = [one for one in known if one.particle.named]
        others = [one for one in judged if one.label == NONE]
        real = [one for one in self.labelled if one.label != NO_PARTICLE]
        return [
            Share(
                "named with one shape: the labelled one", _right(named), len(named), _mean_confidence(named)
            ),
            Share(
                "most probable shape: the labelled one", _right(known), len(known), _mean_confidence(known)
            ),
            Share(
                "set of possible shapes: holds the labelled one",
                sum(one.label in one.particle.possible for one in known),
                len(known),
                COVERAGE,
            ),
            Share("labelled with a shape: taken for a learnt one", len(known), len(shapes)),
            Share(
                'labelled "none of these shapes": answered so',
                sum(not one.particle.known for one in others),
                len(others),
            ),
            Share("found: a particle", len(real), len(self.labelled)),
        ]

    def confusion(self) -> dict[tuple[str, str], int]:
        """How many particles of each label were given each verdict."""
        return dict(Counter((one.label, one.particle.verdict) for one in self.labelled))

    @property
    def notes(self) -> list[str]:
        """What to have in mind."""
        n = len(self.labelled)
        return [f"{number(n, 'labelled particle')}: so few say hardly anything"] if n < FEW else []

    def csv(self) -> str:
        """A row for each labelled particle: micrograph, label, note, then the columns of every table of particles."""
        shapes = list(self.labelled[0].particle.probabilities) if self.labelled else []
        columns = ["micrograph", "label", "note", *table_columns(shapes)]
        rows = (
            {"micrograph": one.micrograph, "label": one.label, "note": one.note, **table_row(one.particle)}
            for one in self.labelled
        )
        return csv_text(columns, rows)


def _right(some: Sequence[Labelled]) -> int:
    return sum(one.label == one.particle.shape for one in some)


def _mean_confidence(some: Sequence[Labelled]) -> float | None:
    return sum(one.particle.confidence for one in some) / len(some) if some else None


def read_agreement(folders: Iterable[Path]) -> Agreement:
    """The labelled particles of all reports in the folders, however deep.

    Raises
    ------
    InputError
        If a folder is none, no report in them has labels, or one that has cannot be read.
    """
    places = list(folders)
    reports: dict[Path, None] = {}  # in their order, and each once
    for folder in places:
        if not folder.is_dir():
            raise InputError(
                f"{folder}: expected a folder with reports, got {'a file' if folder.exists() else 'nothing'}"
            )
        reports |= dict.fromkeys(file.resolve().parent for file in sorted(folder.rglob(FILE)))
    labelled = [one for report in reports for one in labelled_particles(report)]
    if not labelled:
        raise InputError(
            f"{', '.join(map(str, places))}: expected reports with labels given on the page "
            f"(facetem serve FOLDER keeps them as {FILE}), found none"
        )
    return Agreement(tuple(labelled))


def labelled_particles(folder: Path) -> list[Labelled]:
    """The labelled particles of one report.

    Raises
    ------
    InputError
        If there are labels, and no report that can be read.
    """
    labels = load_labels(folder)
    if not labels:
        return []
    report = read_report(folder)
    particles = {particle.index: particle for particle in report.particles}
    return [
        Labelled(report.name, particles[index], str(row["label"]), str(row.get("note", "")))
        for index, row in sorted(labels.items())
        if index in particles
    ]
