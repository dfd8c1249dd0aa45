"""Train x test: does it matter what a network was trained on?

Small networks, all alike, are trained from the same start for the same number of steps. What each sees differs in one
condition; all are then tested under each of them, on the same specimens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from facetem.atoms.shapes import SHAPES
from facetem.data.recipe import Recipe
from facetem.data.samples import Batch
from facetem.data.sources import StoreSource
from facetem.learn.classifier import ClassifierConfig, ShapeClassifier
from facetem.learn.predictor import Classifier, load_classifier
from facetem.learn.processes import first_weights, make_fabric
from facetem.learn.training import CLASSIFIER_PLAN, ShapeTask, TrainingPlan, train
from facetem.learn.weights_file import save_weights
from facetem.study.axes import STUDIES, Axis, Setting
from facetem.study.bench import Bench
from facetem.study.bootstrap import Mean, difference_of, mean_of
from facetem.study.findings import markdown, written
from facetem.study.jobs import Crew, kept_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALL = ClassifierConfig(widths=(16, 32, 64, 128), depths=(1, 1, 1, 1), lateral=16)
PLAN = replace(CLASSIFIER_PLAN, steps=2000, renewal=0.1, average=100.0, precision="32-true", rate=2e-3)
SPECIMENS = 768  # that a network is trained on
AS_DRAWN = "as drawn"  # a network trained on the recipe as it is


@dataclass(frozen=True)
class Matrix:
    """An axis of the studies, at the values that networks are trained and tested at."""

    study: str
    axis: str
    trained: tuple[Setting, ...]
    tested: tuple[Setting, ...]

    @property
    def moved(self) -> Axis:
        """The axis itself."""
        return STUDIES[self.study][self.axis]

    def shown(self, base: Recipe, value: Setting) -> Recipe:
        """`base` at a value of the axis: what images are taken under."""
        return base if value == AS_DRAWN else self.moved.move(base, value)

    def specimens(self, base: Recipe, value: Setting) -> Recipe:
        """The recipe of the specimens in them."""
        return base if self.moved.same_specimens else self.shown(base, value)


MATRICES: dict[str, Matrix] = {
    "carbon": Matrix("carbon", "model", ("none", "random", "realistic"), ("none", "random", "realistic")),
    "focus": Matrix("focus", "defocus", (5.0, AS_DRAWN), (-15.0, -5.0, 5.0, 15.0)),
}


@dataclass(frozen=True)
class Budget:
    """What each network of a matrix is trained with, and how many specimens it is tested on for each one of a sweep:
    they cost little."""

    plan: TrainingPlan
    specimens: int
    tested: int


FULL = Budget(PLAN, SPECIMENS, tested=4)
QUICK = Budget(replace(PLAN, steps=25, average=10.0), 32, tested=2)  # shows that it runs, no more


@dataclass(frozen=True)
class Outcome:
    """A matrix that was measured: a row of `table` for each specimen, network and test."""

    matrix: Matrix
    table: pd.DataFrame

    @property
    def title(self) -> str:
        """The study and what the networks were trained on."""
        return f"{self.matrix.study}: trained and tested"

    def right(self, trained: str, tested: str) -> list[bool]:
        """Whether each specimen of a test was told by a network."""
        rows = self.table.query("trained == @trained and tested == @tested").sort_values("specimen")
        return rows["right"].astype(bool).tolist()

    def names(self, column: str) -> list[str]:
        """The networks (`trained`) or the tests (`tested`), in their order."""
        return list(dict.fromkeys(self.table[column]))

    def means(self) -> list[list[Mean]]:
        """Accuracy of each network (rows) at each test (columns)."""
        return [
            [mean_of(self.right(one, other)) for other in self.names("tested")]
            for one in self.names("trained")
        ]

    def summary(self) -> pd.DataFrame:
        """The same as a table."""
        rows = [
            {"trained": one, "tested": other, "specimens": len(self.right(one, other)), "right": mean.mean}
            | {"right_low": mean.low, "right_high": mean.high}
            for one, means in zip(self.names("trained"), self.means(), strict=True)
            for other, mean in zip(self.names("tested"), means, strict=True)
        ]
        return pd.DataFrame(rows)

    def said(self) -> list[str]:
        """At every test, which network tells most, and by how much."""
        networks = self.names("trained")
        lines = [
            "Small networks, trained alike from nothing: their accuracies compare, and are no more than that."
        ]
        for tested in self.names("tested"):
            right = {one: self.right(one, tested) for one in networks}
            best, *others = sorted(networks, key=lambda one: -sum(right[one]))
            ahead = {one: difference_of(right[one], right[best]) for one in others}
            sure = [f"{one} by {apart}" for one, apart in ahead.items() if apart.low > 0]
            lines.append(
                f"Tested on {tested}, the network trained on {best} is surely ahead of {' and of '.join(sure)}."
                if sure
                else f"Tested on {tested}, none is surely ahead of another."
            )
        return lines

    def rows(self) -> list[str]:
        """The table of the page."""
        body = [
            [f"**{one}**", *map(str, means)]
            for one, means in zip(self.names("trained"), self.means(), strict=True)
        ]
        return markdown((f"trained on ({self.matrix.moved.label})", *self.names("tested")), body)

    def _grid(self) -> dict[str, Any]:
        return {
            "values": [[cell.mean for cell in row] for row in self.means()],
            "rows": self.names("trained"),
            "columns": self.names("tested"),
            "rows_label": f"trained on ({self.matrix.moved.label})",
            "columns_label": f"tested on ({self.matrix.moved.label})",
        }

    def figure(self) -> Figure:
        """Accuracy of each network at each test."""
        from facetem.figures.studies import grid

        return grid(**self._grid())

    def interactive(self) -> str:
        """The same as a page."""
        from facetem.figures.interactive import grid_page

        return grid_page(**self._grid(), title=self.title)


def run_matrix(crew: Crew, name: str, *, quick: bool = False) -> Outcome:
    """Train and test the networks of a matrix. What is in the folder of the bench is not trained or tested again."""
    matrix, budget, bench = MATRICES[name], QUICK if quick else FULL, crew.bench
    n = budget.tested * bench.n
    for value in matrix.trained:
        bench.store(matrix.specimens(bench.recipe, value), n=budget.specimens, split="train")
    for value in matrix.tested:
        bench.store(matrix.specimens(bench.recipe, value), n=n)
    parts = crew.do(f"{name}, training", cells, [(name, value, budget, n) for value in matrix.trained])
    return Outcome(matrix, pd.concat(parts, ignore_index=True))


def trained_network(bench: Bench, specimens: Recipe, shown: Recipe, budget: Budget) -> Path:
    """Weights of a small network trained on the specimens of a recipe under the conditions of another; trained if they
    are not there yet, and a training that was stopped goes on."""
    mark = bench.mark(specimens.to_yaml(), shown.to_yaml(), budget.plan, budget.specimens)
    folder = bench.folder / "networks" / mark
    path = folder / "classifier.safetensors"
    if not path.exists():
        store = bench.store(specimens, n=budget.specimens, split="train")
        with first_weights(budget.plan.seed):
            begun = ShapeClassifier(SMALL)
        model = train(
            ShapeTask(begun),
            StoreSource(store.path, recipe=shown, limit=budget.specimens),
            budget.plan,
            folder,
            fabric=make_fabric(bench.device, precision=budget.plan.precision),
            progress=lambda part, _: bench.progress("training", round(1000 * part), 1000),
        )
        assert isinstance(model, ShapeClassifier)
        config = {"name": "small", "network": SMALL.as_dict(), "classes": list(SHAPES)}
        save_weights(path, "classifier", model.cpu(), config, {})
    return path


def cells(bench: Bench, name: str, trained: Setting, budget: Budget, n: int) -> pd.DataFrame:
    """A job: one network of the matrix `name` at all its tests, a row for each specimen under each."""
    matrix, base = MATRICES[name], bench.recipe
    weights = trained_network(bench, matrix.specimens(base, trained), matrix.shown(base, trained), budget)
    network = load_classifier(weights, device=bench.device)
    parts = []
    for tested in matrix.tested:
        specimens, shown = matrix.specimens(base, tested), matrix.shown(base, tested)
        table = kept_table(
            weights.parent / f"{bench.mark(specimens.to_yaml(), shown.to_yaml(), n)}.parquet",
            lambda specimens=specimens, shown=shown: _named(
                network, bench.imaged(bench.store(specimens, n=n), shown, n=n)
            ),
        )
        table.insert(0, "tested", written(tested))
        parts.append(table)
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "trained", written(trained))
    return table


def _named(network: Classifier, images: Batch) -> pd.DataFrame:
    named = network.answers(images.noisy.numpy()).logits.argmax(1)
    return pd.DataFrame(
        {
            "specimen": range(len(named)),
            "shape": [SHAPES[label] for label in images.labels.tolist()],
            "named": [SHAPES[label] for label in named.tolist()],
            "right": (named == images.labels).tolist(),
        }
    )
