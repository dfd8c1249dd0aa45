"""`facetem train`: a recipe becomes specimens, a trained network, and weights to use with the other commands."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch
import typer
from torch import nn

from facetem.app.command import Network, percent_bar
from facetem.app.evaluate import run_evaluation
from facetem.app.held_out import HeldOut, draw_all
from facetem.app.material import Material
from facetem.app.pace import pace
from facetem.app.side_by_side import Specimens, learn_side_by_side
from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError
from facetem.core.files import write_whole
from facetem.data.recipe import Recipe
from facetem.data.recipe_file import load_recipe, shipped_recipe
from facetem.data.samples import Batch
from facetem.data.sources import StoreSource
from facetem.data.workers import PER_GPU, cores
from facetem.hrtem.simulate import resolve_device
from facetem.learn.classifier import ClassifierConfig, ShapeClassifier
from facetem.learn.growth import Size, grown
from facetem.learn.matter import Matter
from facetem.learn.processes import first_weights, make_fabric, own_part
from facetem.learn.release import release_classifier, release_restorer
from facetem.learn.restorer import ContrastRestorer
from facetem.learn.training import (
    CLASSIFIER_PLAN,
    RESTORER_PLAN,
    ContrastTask,
    ShapeTask,
    TrainingPlan,
    train,
)
from facetem.learn.weights_file import load_network
from facetem.study.card import model_card

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Begun = TypeVar("Begun", ShapeClassifier, ContrastRestorer)
CLASSIFIER_SHARE = 0.6  # of the time for both: the restorer is pleased sooner, its every pixel is a lesson
SPREAD_IMAGES = 32  # held out, to tell how large the error of a restored image is beside its spread
RESTORER_BESIDE = (
    0.75  # of the time for the classifier, where both learn side by side: it then has the GPU alone
)
GPU_RENEWAL = (
    0.5  # chance that a specimen is imaged afresh when a GPU shows it: imaging takes as long as learning
)
GPU_BATCH = {Network.classifier: 256, Network.restorer: 64}  # samples a step that keep a GPU from waiting
MEMORY_SHARE = 0.35  # of what is free, for the specimens that a training keeps: two share a GPU
TEST_IMAGES = 400  # of a release's own test


@dataclass(frozen=True)
class Machines:
    """What trains: `devices` of a kind on each of so many `nodes`."""

    device: str
    devices: int | Literal["auto"] = 1
    nodes: int = 1


@dataclass(frozen=True)
class Course:
    """How long is learnt, and in what steps. None: what suits the network and the device."""

    minutes: float
    seed: int = 0
    batch: int | None = None
    rate: float | None = None


def run_training(
    network: Network,
    output: Path,
    *,
    material: Material,
    course: Course,
    start: Path | None,
    size: Size,
    machines: Machines,
) -> None:
    """Train a network and write its weights into the folder `output`; `release` trains both, tests them on freshly
    simulated specimens and writes their model card. On one GPU the two learn side by side for all of the time, while
    their specimens are made; otherwise one after the other.

    With `start`, a file of weights or a folder that holds those of both, the networks learn on from there; the
    classifier, in the `size` that is asked for.
    A run that was stopped goes on from its last checkpoint when it is called again in the same way.
    """
    device = resolve_device(machines.device)
    store, beside, validation = material.store, material.beside, material.validation
    wanted = material.wanted()
    trained_on = output / "recipe.yaml"
    if trained_on.exists() and load_recipe(trained_on) != wanted:
        raise InputError(
            f"{trained_on}: expected the recipe of this training, or none; choose another folder"
        )
    precision = _precision(device)
    fabric = make_fabric(device, devices=machines.devices, nodes=machines.nodes, precision=precision)
    together = network is Network.release and device.startswith("cuda") and fabric.world_size == 1
    common = {"seed": course.seed, "precision": precision} | ({} if start is None else {"ease": 0.0})
    if device.startswith("cuda"):
        common["renewal"] = GPU_RENEWAL
    plans = {
        which: replace(
            plan,
            minutes=course.minutes * (1.0 if network is which else part if together else share),
            batch=course.batch or (GPU_BATCH[which] if device.startswith("cuda") else plan.batch),
            rate=plan.rate if course.rate is None else course.rate,
            **common,
        )
        for which, plan, share, part in (
            (Network.classifier, CLASSIFIER_PLAN, CLASSIFIER_SHARE, 1.0),
            (Network.restorer, RESTORER_PLAN, 1 - CLASSIFIER_SHARE, RESTORER_BESIDE),
        )
        if network in (which, Network.release)
    }
    for plan in plans.values():
        own_part(plan.batch, fabric)  # said before others are started
    fabric.launch()
    device = str(fabric.device)
    begin = partial(_task, start, size, course.seed)
    # Confidence is stated, and tested, for the conditions of the standard test or of one's own recipe; familiarity for
    # all that was trained on, by other images: where the recipe is the same, by the later half of twice as many.
    stated = shipped_recipe("au-4-8nm-test") if wanted == shipped_recipe("au-4-8nm") else wanted
    if Network.classifier in plans:
        drawn = validation if stated != wanted else 2 * validation
        sets = [HeldOut(stated, "validation", drawn), HeldOut(wanted, "validation", drawn)]
    else:
        sets = [HeldOut(stated, "validation", SPREAD_IMAGES)]
    if network is Network.release:
        sets.append(HeldOut(stated, "test", TEST_IMAGES))
    kept = output / "held-out"
    if together:
        workers = material.workers or min(cores(), PER_GPU)
        some = Specimens(wanted, store or output / "specimens", material.specimens, workers)
        learn = partial(_learn, begin, output, beside)
        draw = partial(draw_all, sets, kept, device)
        with _parts_told() as tell:
            learn_side_by_side(plans, some, device=device, learn=learn, meanwhile=draw, progress=tell)
        source = StoreSource(some.path, beside=beside)
    else:
        source = material.source(wanted, fabric)
    trained: dict[Network, nn.Module] = {}
    for which, plan in plans.items():
        task = begin(which, trained.get(Network.classifier))
        with _told(f"training the {which.value}", fabric) as show:
            trained[which] = train(task, source, plan, output, fabric=fabric, progress=show)
    if fabric.global_rank > 0:
        return  # what is left is the first one's; the others would wait for longer than they are let to
    devices = f"{fabric.world_size} x " if fabric.world_size > 1 else ""
    kind = (
        torch.cuda.get_device_name()
        if device.startswith("cuda")
        else f"CPU, {torch.get_num_threads()} threads"
    )
    told: dict[str, Any] = {
        "recipe": wanted.name,
        "seed": wanted.seed,
        "device": devices + kind,
        "specimens": len(source),
    }
    calibration, *others = (images.images(kept, device) for images in sets)
    for which, model in trained.items():
        said = {**told, "minutes": plans[which].minutes}
        path = output / f"{which.value}.safetensors"
        if isinstance(model, ShapeClassifier):
            release_classifier(
                model,
                path,
                calibration=calibration.first(validation),
                familiar=others[0].last(validation),
                training=said,
                matter=Matter.of(stated),
                device=device,
            )
        elif isinstance(model, ContrastRestorer):
            some = calibration.first(SPREAD_IMAGES)
            release_restorer(model, path, calibration=some, training=said, device=device)
        typer.echo(f"{path}: use it with --weights, or with --{which.value} of facetem analyze")
        _draw_curves(output / f"{which.value}-history.jsonl")
    if not trained_on.exists():  # it may be that of the user, in words of their own
        write_whole(trained_on, wanted.to_yaml())
    if network is Network.release:
        _write_card(output, device, stated, others[-1].known())
    shutil.rmtree(kept)


def _task(
    start: Path | None,
    size: Size,
    seed: int,
    which: Network,
    classifier: nn.Module | None = None,
) -> ShapeTask | ContrastTask:
    """What a network is to learn, from where it begins."""
    with first_weights(seed):
        if which is Network.restorer:
            return ContrastTask(_restorer(start, classifier))
        model = _begun(ShapeClassifier, start, "classifier")
        return ShapeTask(grown(model, size) if model else ShapeClassifier(size.of(ClassifierConfig())))


def _learn(
    begin: Callable[[Network], ShapeTask | ContrastTask],
    output: Path,
    beside: tuple[Path, ...],
    which: Network,
    plan: TrainingPlan,
    store: Path,
    device: str,
    tell: Callable[[float], None],
) -> None:
    """Train one of the networks to the end of its plan, in a process of its own; its checkpoint is what remains."""
    fabric = make_fabric(device, precision=plan.precision)
    source = StoreSource(store, beside=beside, memory=MEMORY_SHARE * _free_memory(device), device=device)
    train(begin(which), source, plan, output, fabric=fabric, progress=lambda part, figures: tell(part))


def _free_memory(device: str) -> float:
    """Bytes of the device's memory that nothing needs."""
    if device.startswith("cuda"):
        return float(torch.cuda.mem_get_info(device)[0])
    return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


@contextmanager
def _parts_told() -> Iterator[Callable[[str, float], None]]:
    """A bar for several things that go on at the same time."""
    parts: dict[str, float] = {}
    with pace("% of each training", every=60.0) as show:

        def tell(step: str, part: float) -> None:
            parts[step] = part
            show(round(100 * min(parts.get(which, 0.0) for which in ("classifier", "restorer"))), 100)

        yield tell


@contextmanager
def _told(step: str, fabric: Fabric) -> Iterator[Callable[[float, dict[str, float]], None] | None]:
    """A bar, which the first process alone shows."""
    if fabric.global_rank > 0:
        yield None
        return
    with percent_bar(step) as show:
        yield show


def _draw_curves(history: Path) -> None:
    """How the figures of a training went, as a picture beside their file."""
    from facetem.figures import png, training_curves

    rows = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
    if not rows:
        return
    shown = [name for name in rows[-1] if name not in ("step", "minutes", "specimens", "waited")]
    curves = {name: [row.get(name, float("nan")) for row in rows] for name in shown}
    picture = training_curves([row["minutes"] for row in rows], curves)
    history.with_name(history.name.replace("-history.jsonl", "-curves.png")).write_bytes(png(picture))


def _write_card(output: Path, device: str, recipe: Recipe, test: Batch) -> None:
    evaluation = run_evaluation(
        output,
        recipe=recipe,
        per_shape=TEST_IMAGES // len(SHAPES),
        classifier=output / "classifier.safetensors",
        restorer=output / "restorer.safetensors",
        device=device,
        samples=test,
    )
    headers = {
        name: json.loads((output / f"{name}.json").read_text())["training"]
        for name in ("classifier", "restorer")
    }
    write_whole(output / "CARD.md", model_card(evaluation, **headers))


def _begun(network: type[Begun], start: Path | None, name: str) -> Begun | None:
    """The network to learn on from, if any."""
    if start is None:
        return None
    return load_network(start / f"{name}.safetensors" if start.is_dir() else start, network)[0]


def _restorer(start: Path | None, classifier: nn.Module | None) -> ContrastRestorer:
    """A restorer to learn on from, or a new one that begins with what a classifier has learnt: the one just trained, or
    the released one."""
    begun = _begun(ContrastRestorer, start, "restorer")
    if begun is not None:
        return begun
    if not isinstance(classifier, ShapeClassifier):
        classifier = load_network(None, ShapeClassifier)[0]
    return ContrastRestorer.beginning_as(classifier)


def _precision(device: str) -> Literal["bf16-mixed", "32-true"]:
    """Half the time on GPUs and on CPUs that multiply bfloat16; elsewhere bfloat16 is slower than float32."""
    quick = device.startswith("cuda") or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bf16-mixed" if quick else "32-true"
