"""`facetem train`: a recipe becomes specimens, a trained network, and weights to use with the other commands."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
import typer

from facetem.app.command import Network, percent_bar, progress_bar
from facetem.app.evaluate import run_evaluation
from facetem.core.errors import InputError
from facetem.data.make import make_store
from facetem.data.recipe import Recipe, load_recipe, shipped_recipe
from facetem.data.samples import draw_set
from facetem.data.sources import LiveSource, Source, StoreSource
from facetem.data.store import open_store
from facetem.data.workers import local_makers
from facetem.hrtem.simulate import resolve_device
from facetem.learn.classifier import ShapeClassifier
from facetem.learn.predictor import load_network
from facetem.learn.release import release_classifier, release_restorer
from facetem.learn.restorer import ContrastRestorer
from facetem.learn.training import CLASSIFIER_PLAN, RESTORER_PLAN, ContrastTask, ShapeTask, train
from facetem.study.card import model_card

Begun = TypeVar("Begun", ShapeClassifier, ContrastRestorer)
LIVE_BLOCK, LIVE_REPEATS = 64, 4  # specimens held at once, and how often each is shown before the next come


def run_training(
    network: Network,
    output: Path,
    *,
    recipe: Path | None,
    store: Path | None,
    start: Path | None,
    specimens: int,
    validation: int,
    minutes: float,
    workers: int,
    seed: int,
    device: str,
) -> None:
    """Train a network and write its weights into the folder `output`; `all` trains both, tests them on freshly
    simulated specimens and writes their model card.

    With `store`, the specimens are simulated once and kept there; without, they are simulated as they are needed.
    With `start`, a file of weights or a folder that holds those of both, the networks learn on from there.
    A run that was stopped goes on from its last checkpoint when it is called again in the same way.
    """
    device = resolve_device(device)
    wanted = _recipe(recipe, store)
    if validation < 200:
        raise InputError(f"validation: expected at least 200 specimens to calibrate on, got {validation}")
    source = _source(wanted, store, specimens, workers, device)
    # Confidence is stated for the conditions of the standard test, familiarity for all that was trained on.
    stated = shipped_recipe("au-4-8nm-test") if recipe is None and store is None else wanted
    told: dict[str, Any] = {
        "recipe": wanted.name,
        "seed": wanted.seed,
        "device": torch.cuda.get_device_name()
        if device.startswith("cuda")
        else f"CPU, {torch.get_num_threads()} threads",
    }
    # The restorer is pleased sooner: its every pixel is a lesson.
    share = {Network.classifier: (1.0, 0.0), Network.restorer: (0.0, 1.0), Network.all: (0.6, 0.4)}[network]
    common = {"seed": seed, "precision": _precision(device)}
    if share[0]:
        plan = replace(CLASSIFIER_PLAN, minutes=share[0] * minutes, **common)
        with percent_bar("training the classifier") as show:
            task = ShapeTask(_begun(ShapeClassifier, start, "classifier"))
            model = train(task, source, plan, output, device=device, progress=show)
        assert isinstance(model, ShapeClassifier)
        with progress_bar("calibrating") as tell:
            held_out = [
                draw_set(r, split="validation", n=validation, device=device, progress=tell)
                for r in (stated, wanted)
            ]
        path = output / "classifier.safetensors"
        told_classifier = {**told, "specimens": len(source), "minutes": plan.minutes}
        release_classifier(
            model, path, calibration=held_out[0], familiar=held_out[1], training=told_classifier
        )
        typer.echo(f"{path}: use it with --weights, or with --classifier of facetem analyze")
    if share[1]:
        plan = replace(RESTORER_PLAN, minutes=share[1] * minutes, **common)
        with percent_bar("training the restorer") as show:
            task = ContrastTask(_begun(ContrastRestorer, start, "restorer"))
            model = train(task, source, plan, output, device=device, progress=show)
        assert isinstance(model, ContrastRestorer)
        path = output / "restorer.safetensors"
        release_restorer(model, path, training={**told, "specimens": len(source), "minutes": plan.minutes})
        typer.echo(f"{path}: use it with --weights, or with --restorer of facetem analyze")
    (output / "recipe.yaml").write_text(wanted.to_yaml(), encoding="utf-8")
    if network is Network.all:
        evaluation = run_evaluation(
            output,
            recipe=None,
            per_shape=50,
            classifier=output / "classifier.safetensors",
            restorer=output / "restorer.safetensors",
            device=device,
        )
        headers = {
            name: json.loads((output / f"{name}.json").read_text())["training"]
            for name in ("classifier", "restorer")
        }
        (output / "CARD.md").write_text(model_card(evaluation, **headers), encoding="utf-8")


def _begun(network: type[Begun], start: Path | None, name: str) -> Begun | None:
    """The network to learn on from, if any."""
    if start is None:
        return None
    return load_network(start / f"{name}.safetensors" if start.is_dir() else start, network)[0]


def _precision(device: str) -> Literal["bf16-mixed", "32-true"]:
    """Half the time on GPUs and on CPUs that multiply bfloat16; elsewhere bfloat16 is slower than float32."""
    quick = device.startswith("cuda") or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bf16-mixed" if quick else "32-true"


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
        make_store(recipe, store, n=specimens, makers=local_makers(workers, there), progress=show)
    return StoreSource(store, device=device)
