"""`facetem evaluate`: the standard test of both networks, and the whole suite."""

from pathlib import Path

import typer

from facetem.app.command import step_progress
from facetem.app.results import print_evaluation
from facetem.atoms.library import NONE, family
from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError
from facetem.data.recipe import Recipe
from facetem.data.recipe_file import find_recipe, load_recipe, shipped_recipe
from facetem.data.samples import Batch
from facetem.hrtem.simulate import resolve_device
from facetem.learn.predictor import load_classifier
from facetem.learn.restoration import load_restorer
from facetem.study.evaluation import Evaluation, evaluate, save_evaluation


def test_recipe(path: Path | None) -> Recipe:
    """The recipe that networks are tested on: one of the user's, or the standard test's; without shapes that are no
    class, of which no answer would be right.

    Raises
    ------
    InputError
        If there is no such recipe, or nothing is left of its shapes.
    """
    recipe = shipped_recipe("au-4-8nm-test") if path is None else load_recipe(find_recipe(path))
    named = {shape: part for shape, part in recipe.particles.shapes.items() if family(shape).label != NONE}
    if not any(named.values()):
        raise InputError(
            f"{path}: expected shapes that are classes to test with, got none of {', '.join(SHAPES)}"
        )
    particles = recipe.particles.model_copy(update={"shapes": named})
    return recipe.model_copy(update={"particles": particles})


def run_evaluation(
    output: Path,
    *,
    recipe: Recipe,
    per_shape: int,
    classifier: Path | None,
    restorer: Path | None,
    device: str,
    samples: Batch | None = None,
) -> Evaluation:
    """Score both networks, on `samples` or on freshly simulated ones, print the result and write it into `output`."""
    if per_shape < 1:
        raise InputError(f"per-shape: expected at least 1 specimen, got {per_shape}")
    device = resolve_device(device)
    shapes = load_classifier(classifier, device=device)
    contrast = load_restorer(restorer, device=device)
    with step_progress("facetem") as progress:
        result = evaluate(
            shapes,
            contrast,
            recipe=recipe,
            per_shape=per_shape,
            samples=samples,
            device=device,
            progress=progress,
        )
    save_evaluation(result, output)
    print_evaluation(result)
    typer.echo(f"Written to {output}")
    return result


def run_standard_suite(
    output: Path,
    *,
    recipe: Path | None,
    per_shape: int,
    classifier: Path | None,
    restorer: Path | None,
    parts: str | None,
    library: Path | None,
    others: Path | None,
    workers: int,
    device: str,
) -> None:
    """Measure the suite in the folder `output`, print its page and write it to `output`/models.md."""
    from facetem.learn.classifier import ShapeClassifier
    from facetem.learn.restorer import ContrastRestorer
    from facetem.learn.weights_file import load_network
    from facetem.study.bench import Bench
    from facetem.study.models_page import write_models_page
    from facetem.study.suite import run_suite

    with step_progress("facetem") as progress:
        bench = Bench(
            output,
            recipe=test_recipe(recipe),
            classifier=classifier,
            restorer=restorer,
            per_shape=per_shape,
            library=library,
            others=others,
            workers=workers,
            device=resolve_device(device),
            progress=progress,
        )
        training = {
            "classifier": load_network(classifier, ShapeClassifier)[1].get("training", {}),
            "restorer": load_network(restorer, ContrastRestorer)[1].get("training", {}),
        }
        results = run_suite(bench, None if parts is None else [part.strip() for part in parts.split(",")])
    page = output / "models.md"
    write_models_page(results, training, page, output / "images")
    typer.echo(page.read_text(encoding="utf-8"))
    typer.echo(f"Written to {output}")
