"""`facetem train`: a recipe becomes specimens, a trained network, and weights to use with the other commands."""

from pathlib import Path

import typer

from facetem.app.command import percent_bar, progress_bar
from facetem.core.errors import InputError
from facetem.data.generate import make_store, open_store
from facetem.data.recipe import Recipe, load_recipe, shipped_recipe
from facetem.data.samples import LiveSource, Source, StoreSource, draw_set
from facetem.hrtem.simulate import resolve_device
from facetem.learn.classifier import ShapeClassifier
from facetem.learn.release import release_classifier, release_restorer
from facetem.learn.restorer import PATCH, ContrastRestorer
from facetem.learn.training import ContrastTask, ShapeTask, TrainingPlan, train

LIVE_BLOCK, LIVE_REPEATS = 64, 4  # specimens held at once, and how often each is shown before the next come


def run_training(
    network: str,
    output: Path,
    *,
    recipe: Path | None,
    store: Path | None,
    specimens: int,
    validation: int,
    minutes: float,
    workers: int,
    seed: int,
    device: str,
) -> None:
    """Train `network` (classifier or restorer) and write its weights into the folder `output`.

    With `store`, the specimens are simulated once and kept there; without, they are simulated as they are needed.
    A run that was stopped goes on from its last checkpoint when it is called again in the same way.
    """
    device = resolve_device(device)
    wanted = _recipe(recipe, store)
    if validation < 200:
        raise InputError(f"validation: expected at least 200 specimens to calibrate on, got {validation}")
    precision = "bf16-mixed" if device.startswith("cuda") else "32-true"
    source = _source(wanted, store, specimens, workers, device)
    path = output / f"{network}.safetensors"
    told = {
        "recipe": wanted.name,
        "seed": wanted.seed,
        "specimens": len(source),
        "minutes": minutes,
        "device": device,
    }
    if network == "classifier":
        plan = TrainingPlan(minutes=minutes, seed=seed, precision=precision)
        with percent_bar("training") as show:
            model = train(ShapeTask(), source, plan, output, device=device, progress=show)
        assert isinstance(model, ShapeClassifier)
        # Confidence is stated for the conditions of the standard test, familiarity for all that was trained on.
        stated = shipped_recipe("au-4-8nm-test") if recipe is None and store is None else wanted
        with progress_bar("calibrating") as tell:
            held_out = [
                draw_set(r, split="validation", n=validation, device=device, progress=tell)
                for r in (stated, wanted)
            ]
        release_classifier(model, path, calibration=held_out[0], familiar=held_out[1], training=told)
    else:
        plan = TrainingPlan(minutes=minutes, seed=seed, precision=precision, size=PATCH, batch=24)
        with percent_bar("training") as show:
            model = train(ContrastTask(), source, plan, output, device=device, progress=show)
        assert isinstance(model, ContrastRestorer)
        release_restorer(model, path, training=told)
    (output / "recipe.yaml").write_text(wanted.to_yaml(), encoding="utf-8")
    typer.echo(f"{path}: use it with --weights, or with --{network} of facetem analyze")


def _recipe(recipe: Path | None, store: Path | None) -> Recipe:
    if recipe is not None:
        return load_recipe(recipe)
    if store is not None and (store / "manifest.json").exists():
        return open_store(store).recipe
    return shipped_recipe("au-4-8nm")


def _source(recipe: Recipe, store: Path | None, specimens: int, workers: int, device: str) -> Source:
    if specimens < 1:
        raise InputError(f"specimens: expected at least 1, got {specimens}")
    if store is None:
        return LiveSource(
            recipe,
            split="train",
            n=specimens,
            device=device,
            batch=LIVE_BLOCK,
            repeats=LIVE_REPEATS,
            workers=workers,
        )
    with progress_bar("simulating") as show:
        # Workers are processes on the CPU; a GPU is fed from one.
        there = device if workers <= 1 else "cpu"
        make_store(recipe, store, n=specimens, split="train", workers=workers, device=there, progress=show)
    return StoreSource(store, device=device)
