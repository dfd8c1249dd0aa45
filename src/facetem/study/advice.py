"""Advice for a microscope: the focus at which shapes of a size are best told apart, and the dose that is enough."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd
from numpy.typing import NDArray

from facetem.core.errors import InputError
from facetem.data.recipe import Microscope, Recipe
from facetem.hrtem.instruments import INSTRUMENTS
from facetem.study.bootstrap import Mean, difference_of, mean_of
from facetem.study.findings import markdown
from facetem.study.jobs import Crew
from facetem.study.restoring import at_focus
from facetem.study.sweeps import measure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOCI = (-200.0, -150.0, -100.0, -50.0, 0.0, 50.0, 100.0, 150.0, 200.0)  # Å
QUICK_FOCI = (-150.0, -50.0, 50.0, 150.0)
PARTS = (0.125, 0.25, 0.5, 1.0)  # of the dose that the specimen stands
QUICK_PARTS = (0.25, 1.0)


@dataclass(frozen=True)
class Question:
    """What is asked: a microscope by its preset, the largest dose [e/Å2], the volume-equivalent diameter [Å], and the
    thickness of the film [Å].

    Raises
    ------
    InputError
        If there is no such preset, or a number cannot be.
    """

    preset: str
    dose: float
    diameter: float
    film: float = 30.0

    def __post_init__(self) -> None:
        if self.preset not in INSTRUMENTS:
            raise InputError(f"preset: expected one of {', '.join(INSTRUMENTS)}, got {self.preset!r}")
        limits = {
            "dose": (1.0, 1e6, 1.0, "e/Å²"),
            "diameter": (15.0, 90.0, 10.0, "nm"),
            "film": (5.0, 100.0, 10.0, "nm"),
        }
        for name, (low, high, unit, word) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(
                    f"{name}: expected {low / unit:g} to {high / unit:g} {word}, got {value / unit:g}"
                )

    def recipe(self, base: Recipe, dose: float, defocus: float) -> Recipe:
        """`base` with this microscope, size and film, at a dose and a defocus. Aberrations that a corrector leaves are
        those of the base's first microscope."""
        left = base.microscopes[0]
        residual = {name: getattr(left, name) for name in ("C12", "C21", "C23", "aperture", "open_aperture")}
        microscope = Microscope.model_validate({"preset": self.preset}).model_copy(
            update={**residual, "lossy": left.lossy, "loss": left.loss}
        )
        films = {"kinds": {"realistic": 1.0}, "thickness": (self.film, self.film)}
        changed = base.model_copy(
            update={
                "microscopes": (microscope,),
                "films": base.films.model_copy(update=films),
                "particles": base.particles.model_copy(update={"diameter": (self.diameter,) * 2}),
                "images": base.images.model_copy(update={"dose": (dose, dose)}),
            }
        )
        return at_focus(changed, defocus)


@dataclass(frozen=True)
class Advice:
    """The answer: one row of `table` for each specimen at each `defocus` [Å] and `dose`.

    What is compared is the probability that the classifier gives to the true shape: it tells more of few specimens than
    whether that was the largest.
    """

    question: Question
    table: pd.DataFrame

    @property
    def title(self) -> str:
        """For which microscope."""
        return f"plan: {self.question.preset}"

    @cached_property
    def foci(self) -> list[float]:
        """Defoci that were tried [Å]."""
        return sorted(set(self.table["defocus"]))

    @cached_property
    def doses(self) -> list[float]:
        """Doses that were tried."""
        return sorted(set(self.table["dose"]))

    def column(self, name: str, defocus: float, dose: float) -> NDArray:
        """A column at one focus and dose, in the order of the specimens."""
        rows = self.table.query("defocus == @defocus and dose == @dose").sort_values("specimen")
        return rows[name].to_numpy()

    def _chance(self, defocus: float, dose: float) -> Mean:
        return mean_of(self.column("chance", defocus, dose))

    @cached_property
    def focus(self) -> float:
        """The defocus [Å] at which the true shape is most probable at the largest dose."""
        return max(self.foci, key=lambda defocus: self._chance(defocus, self.doses[-1]).mean)

    @cached_property
    def as_good(self) -> list[float]:
        """Foci that are not surely worse than it."""
        return [focus for focus in self.foci if self._loss((focus, self.doses[-1])).high >= 0]

    @cached_property
    def enough(self) -> float:
        """The smallest dose that is not surely worse than the largest, at this focus."""
        return next(dose for dose in self.doses if self._loss((self.focus, dose)).high >= 0)

    def _loss(self, there: tuple[float, float]) -> Mean:
        """What is lost at another focus and dose against the best ones (below 0: worse)."""
        best = self.column("chance", self.focus, self.doses[-1])
        return difference_of(best, self.column("chance", *there))

    def summary(self) -> pd.DataFrame:
        """Means at every focus and dose."""
        rows = []
        for defocus in self.foci:
            for dose in self.doses:
                right = mean_of(self.column("right", defocus, dose))
                chance = self._chance(defocus, dose)
                rows.append(
                    {
                        "defocus_nm": defocus / 10,
                        "dose": dose,
                        "specimens": len(self.column("right", defocus, dose)),
                    }
                    | {"right": right.mean, "right_low": right.low, "right_high": right.high}
                    | {"chance": chance.mean, "chance_low": chance.low, "chance_high": chance.high}
                )
        return pd.DataFrame(rows)

    def said(self) -> list[str]:
        """The recommendation, and how sure it is."""
        asked = self.question
        right = mean_of(self.column("right", self.focus, self.doses[-1]))
        others = [focus for focus in self.as_good if focus != self.focus]
        lines = [
            f"{asked.preset}, particles of {asked.diameter / 10:g} nm on {asked.film / 10:g} nm of carbon, at most "
            f"{asked.dose:g} e/Å²: take {_focus(self.focus)}; {right} of the shapes are told there."
        ]
        if others:
            lines.append(f"Not surely worse: {', '.join(_focus(focus) for focus in others)}.")
        if self.enough < self.doses[-1]:
            lines.append(f"{self.enough:g} e/Å² are enough: more dose is no sure gain.")
        else:
            lines.append(f"The whole dose is of use: {self.doses[-2]:g} e/Å² tell surely less.")
        return lines

    def rows(self) -> list[str]:
        """The table of the page: the probability of the true shape."""
        body = [
            [f"{focus / 10:g}", *(str(self._chance(focus, dose)) for dose in self.doses)]
            for focus in self.foci
        ]
        return markdown(("defocus [nm]", *(f"{dose:g} e/Å²" for dose in self.doses)), body)

    def _grid(self) -> dict[str, Any]:
        return {
            "values": [[self._chance(focus, dose).mean for dose in self.doses] for focus in self.foci],
            "rows": [f"{focus / 10:g}" for focus in self.foci],
            "columns": [f"{dose:g}" for dose in self.doses],
            "rows_label": "defocus [nm]",
            "columns_label": "dose [e/Å²]",
        }

    def figure(self) -> Figure:
        """The probability of the true shape, by focus and dose."""
        from facetem.figures.studies import grid

        return grid(**self._grid())

    def interactive(self) -> str:
        """The same as a page."""
        from facetem.figures.interactive import grid_page

        return grid_page(**self._grid(), title=self.title)


def _focus(defocus: float) -> str:
    """In words: underfocus is positive, counted from the exit plane."""
    if defocus == 0:
        return "the exit plane in focus"
    return f"{abs(defocus) / 10:g} nm {'under' if defocus > 0 else 'over'}focus"


def advise(crew: Crew, question: Question, *, quick: bool = False) -> Advice:
    """Try the foci and doses for the specimens asked about. What was measured before is not measured again."""
    foci, parts = (QUICK_FOCI, QUICK_PARTS) if quick else (FOCI, PARTS)
    base = crew.bench.recipe
    places = [(defocus, part * question.dose) for defocus in foci for part in parts]
    specimens = question.recipe(base, question.dose, 0.0)
    shown = [question.recipe(base, dose, defocus) for defocus, dose in places]
    tables = measure(crew, f"plan, {question.preset}", [(specimens, recipe) for recipe in shown])
    for (defocus, dose), table in zip(places, tables, strict=True):
        table.insert(0, "dose", dose)
        table.insert(0, "defocus", defocus)
    return Advice(question, pd.concat(tables, ignore_index=True))
