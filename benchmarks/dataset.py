"""Data sets: how fast they are made and read, how large they are, and whether that stays so with their size.

    python benchmarks/dataset.py rate    -o FOLDER   # specimens a second with 1 and 2 processes, alternately; bytes
    python benchmarks/dataset.py flat    -o FOLDER   # time and memory per specimen from 100 to 10,000; a figure
    python benchmarks/dataset.py loader  -o FOLDER   # samples a second of the loader and of the training step

Each writes a JSON file of its figures into the folder, which docs/scaling.md is made from. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch

from facetem.data.feed import feed
from facetem.data.make import make_store
from facetem.data.recipe import Films, Particles, Recipe, Stored
from facetem.data.recipe_file import shipped_recipe
from facetem.data.samples import Batch, SampleStream
from facetem.data.sources import StoreSource
from facetem.data.store import Store
from facetem.data.workers import local_makers
from facetem.learn.processes import make_fabric
from facetem.learn.training import CLASSIFIER_PLAN, ShapeTask


def made(recipe: Recipe, n: int, workers: int, folder: Path) -> tuple[Store, list[tuple[int, float, float]]]:
    """A data set, and (specimens done, seconds, resident MiB of this process) after each shard."""
    begun = time.perf_counter()
    steps: list[tuple[int, float, float]] = []

    def note(done: int, _: int) -> None:
        steps.append((done, time.perf_counter() - begun, resident()))

    makers = local_makers(workers, "cpu")
    return make_store(recipe, folder, n=n, makers=makers, progress=note), steps


def resident() -> float:
    """Memory that this process holds [MiB]."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def size_of(store: Store) -> dict[str, int]:
    """Bytes of a whole data set, by its arrays and tables."""
    sums: dict[str, int] = {}
    for shard in store.shards():
        for name, file in store.record(shard)["files"].items():
            kind = name.split("/")[-2]
            sums[kind] = sums.get(kind, 0) + file["size"]
    return sums


def rate(arguments: argparse.Namespace) -> dict[str, object]:
    """Specimens a second of 1 and 2 processes, while all are at work: each builds its own blocks of random carbon with
    its first specimens, and at the end one is left alone."""
    recipe = shipped_recipe(arguments.recipe)
    recipe = recipe.model_copy(update={"stored": Stored(shard=arguments.shard)})
    rates: dict[int, list[float]] = {1: [], 2: []}
    bytes_each: dict[str, float] = {}
    for repeat in range(arguments.repeats):
        for workers in (1, 2) if repeat % 2 == 0 else (2, 1):
            with tempfile.TemporaryDirectory() as folder:
                store, steps = made(recipe, arguments.n, workers, Path(folder) / "store")
                first, last = steps[8 * workers], steps[-workers]
                rates[workers].append((last[0] - first[0]) / (last[1] - first[1]))
                bytes_each = {kind: size / store.samples for kind, size in size_of(store).items()}
            print(f"{workers} process(es): {rates[workers][-1]:.3f} specimens/s", flush=True)
    one, two = median(rates[1]), median(rates[2])
    return {
        "recipe": recipe.name,
        "rates": rates,
        "median": {"1": one, "2": two},
        "scaling": median(b / a for a, b in zip(rates[1], rates[2], strict=True)),
        "bytes_per_specimen": bytes_each,
        "total_bytes_per_specimen": sum(bytes_each.values()),
    }


def flat(arguments: argparse.Namespace) -> dict[str, object]:
    """Time and memory per specimen while a data set of small specimens grows."""
    recipe = Recipe(
        seed=1,
        field=44.0,
        accuracy="draft",
        particles=Particles(diameter=(10.0, 12.0), offset=1.0),
        films=Films(kinds={"realistic": 1}, thickness=(5.0, 6.0)),
        stored=Stored(shard=100),
    )
    with tempfile.TemporaryDirectory() as folder:
        _, steps = made(recipe, arguments.n, 1, Path(folder) / "store")
    done, seconds, memory = np.array(steps[1:]).T
    each = np.diff(np.concatenate([[steps[0][1]], seconds])) / 100
    draw(done, 1e3 * each, memory, arguments.output / "flat.png")
    tenth = max(1, len(each) // 10)
    return {
        "specimens": int(done[-1]),
        "ms_each_first_tenth": 1e3 * float(np.median(each[:tenth])),
        "ms_each_last_tenth": 1e3 * float(np.median(each[-tenth:])),
        "memory_MiB_after_1000": float(memory[min(9, len(memory) - 1)]),
        "memory_MiB_at_the_end": float(memory[-1]),
    }


def draw(done: np.ndarray, each: np.ndarray, memory: np.ndarray, path: Path) -> None:
    """Time per specimen [ms] and memory [MiB] against the number made."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(done, each, ".", ms=4, color="#0072B2")
    upper.set_ylabel("ms per specimen")
    lower.plot(done, memory, color="#D55E00")
    lower.set_ylabel("memory (MiB)")
    lower.set_xlabel("specimens made")
    for axes in (upper, lower):
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def loader(arguments: argparse.Namespace) -> dict[str, object]:
    """Samples a second of the loader alone, of the step alone, and of both together; how long the step waits."""
    with ExitStack() as stack:
        path = arguments.store
        if path is None:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "store"
            made(shipped_recipe("au-4-8nm"), arguments.n, 2, path)
        source = StoreSource(path, limit=arguments.n)
        told: dict[str, list[float]] = {"loader": [], "step": [], "together": [], "waiting": []}
        for _ in range(arguments.repeats):
            for name, value in one_round(source, arguments).items():
                told[name].append(value)
            print({name: round(values[-1], 3) for name, values in told.items()}, flush=True)
    return {"threads": torch.get_num_threads(), "rounds": told} | {k: median(v) for k, v in told.items()}


def one_round(source: StoreSource, arguments: argparse.Namespace) -> dict[str, float]:
    plan = replace(CLASSIFIER_PLAN, precision=arguments.precision)
    fabric = make_fabric(arguments.device, devices=1, nodes=1, precision=plan.precision)
    stream = SampleStream(
        source.recipe, split="train", size=plan.size, renewal=arguments.renewal, device=arguments.device
    )
    task = ShapeTask()
    task.model.to(memory_format=torch.channels_last)
    task.model, optimizer = fabric.setup(task.model, torch.optim.AdamW(task.model.parameters()))
    generator = torch.Generator().manual_seed(0)

    def learn(batch: Batch) -> None:
        loss, _ = task.loss(batch, generator)
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        if arguments.device == "cuda":
            torch.cuda.synchronize()

    steps, n = arguments.steps, arguments.steps * plan.batch
    with feed(source, stream, batch=plan.batch) as batches:
        warm = next(batches)
        learn(warm)
        begun = time.perf_counter()
        for _ in range(steps):
            next(batches)
        alone = time.perf_counter() - begun
        begun = time.perf_counter()
        for _ in range(steps):
            learn(warm)
        step = time.perf_counter() - begun
        waited = 0.0
        begun = time.perf_counter()
        for _ in range(steps):
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            learn(batch)
        together = time.perf_counter() - begun
    return {"loader": n / alone, "step": n / step, "together": n / together, "waiting": waited / together}


def main() -> None:
    """Run one of the three and write its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("rate", "flat", "loader"))
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--recipe", default="au-4-8nm")
    parser.add_argument("--n", type=int, help="specimens; default 160, 10000 for flat, 128 for loader")
    parser.add_argument("--shard", type=int, default=4, help="specimens a shard, for rate")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--store", type=Path, help="for loader: a data set that is there")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--renewal", type=float, default=CLASSIFIER_PLAN.renewal)
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    what = {"rate": rate, "flat": flat, "loader": loader}[arguments.what]
    arguments.n = arguments.n or {"rate": 160, "flat": 10_000, "loader": 128}[arguments.what]
    arguments.output.mkdir(parents=True, exist_ok=True)
    told = what(arguments)
    print(json.dumps(told, indent=1))
    (arguments.output / f"{arguments.what}.json").write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
