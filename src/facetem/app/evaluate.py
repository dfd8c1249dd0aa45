"""`facetem evaluate`: the standard test of both networks."""

from pathlib import Path

import typer

from facetem.app.command import step_progress
from facetem.app.results import print_evaluation
from facetem.core.errors import InputError
from facetem.data.recipe_file import find_recipe, load_recipe
from facetem.hrtem.simulate import resolve_device
from facetem.learn.predictor import load_classifier
from facetem.learn.restoration import load_restorer
from facetem.study.evaluation import Evaluation, evaluate, save_evaluation


def run_evaluation(
    output: Path,
    *,
    recipe: Path | None,
    per_shape: int,
    classifier: Path | None,
    restorer: Path | None,
    device: str,
) -> Evaluation:
    """Score both networks, print the result and write it into the folder `output`."""
    if per_shape < 1:
        raise InputError(f"per-shape: expected at least 1 specimen, got {per_shape}")
    device = resolve_device(device)
    wanted = None if recipe is None else load_recipe(find_recipe(recipe))
    shapes = load_classifier(classifier, device=device)
    contrast = load_restorer(restorer, device=device)
    with step_progress("facetem") as progress:
        result = evaluate(
            shapes, contrast, recipe=wanted, per_shape=per_shape, device=device, progress=progress
        )
    save_evaluation(result, output)
    print_evaluation(result)
    typer.echo(f"Written to {output}")
    return result
