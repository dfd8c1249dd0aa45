"""`facetem dataset`: make a data set, verify it, tell about it, and write its images for other programs."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facetem.app.command import DaskOption, Device, given, progress_bar, say_error
from facetem.core.words import number, spoken

if TYPE_CHECKING:
    from facetem.data.recipe import Recipe
    from facetem.data.workers import Makers

dataset = typer.Typer(
    name="dataset",
    help="Simulated data sets of any size: make, verify, describe, export.",
    no_args_is_help=True,
)


class SplitName(StrEnum):
    """Splits never share a specimen."""

    train = "train"
    validation = "validation"
    test = "test"


class ExportForm(StrEnum):
    """Files that images are written into."""

    hspy = "hspy"
    tiff = "tiff"
    folders = "folders"


DataSet = Annotated[Path, typer.Argument(metavar="PATH", help="Folder of the data set.")]


@dataset.command()
def make(
    ctx: typer.Context,
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="YAML file, or the name of a shipped one.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the data set.")],
    n: Annotated[
        int | None,
        typer.Option("--n", help="Specimens, rounded up to whole shards. Default: as the data set has."),
    ] = None,
    split: Annotated[SplitName, typer.Option(help="Splits share no specimen.")] = SplitName.train,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Processes. Default: one per core; on a GPU, 10 at most.")
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    dask: DaskOption = None,
    dask_cluster: Annotated[
        Path | None, typer.Option("--dask-cluster", metavar="FILE", help="YAML of a Dask cluster to start.")
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Verify first, and remake what is bad.")] = False,
) -> None:
    """Make a data set, or go on with it, or extend it: the same command after a stop, a larger --n for more."""
    from facetem.app.pace import pace
    from facetem.core.errors import InputError
    from facetem.data.layout import MANIFEST
    from facetem.data.make import make_store, withdraw_bad_shards
    from facetem.data.manifest import read_manifest
    from facetem.data.store import check_place

    chosen = given(ctx, "workers", "dask", "dask_cluster")
    if len(chosen) > 1:
        raise InputError(f"expected one of {' and '.join(chosen)}, got {len(chosen)}")
    wanted = _recipe(recipe)
    older = read_manifest(output) if (output / MANIFEST).exists() else None
    if n is None:
        if older is None:
            raise InputError(f"n: expected --n, how many specimens; there is no data set in {output} yet")
        n = int(older["samples"])
    check_place(wanted, output, split=split.value, n=n)
    makers = _makers(workers, device, dask, dask_cluster)
    if repair and older:
        with progress_bar("verifying") as show:
            bad = withdraw_bad_shards(output, show)
        typer.echo(f"{output}: {number(len(bad), 'bad shard')} to be made again")
    with _warnings_told(), pace("specimens") as progress:
        make_store(
            wanted,
            output,
            n=n,
            split=split.value,
            makers=makers,
            progress=progress,
        )
    _tell_made(output, n)


def _recipe(told: str) -> "Recipe":
    from facetem.data.recipe_file import find_recipe, load_recipe

    return load_recipe(find_recipe(told))


def _makers(workers: int | None, device: Device, dask: str | None, dask_cluster: Path | None) -> "Makers":
    from facetem.core.errors import InputError
    from facetem.data.workers import PER_GPU, cores, local_makers

    if workers is not None and workers < 1:
        raise InputError(f"workers: expected at least 1, got {workers}")
    if dask is not None or dask_cluster is not None:
        from facetem.data.cluster import dask_cluster_makers, dask_makers

        if dask_cluster is not None:
            return dask_cluster_makers(dask_cluster, device.value)
        return dask_makers(dask or "", device.value)
    from facetem.hrtem.simulate import resolve_device

    there = resolve_device(device)
    return local_makers(workers or (cores() if there == "cpu" else min(cores(), PER_GPU)), there)


@contextmanager
def _warnings_told() -> Iterator[None]:
    """What the library logs while shards are made, as lines of this program."""
    import logging

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say_error(record.getMessage())

    log, handler = logging.getLogger("facetem"), Told(logging.WARNING)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def _tell_made(output: Path, n: int) -> None:
    from facetem.data.manifest import read_manifest

    manifest = read_manifest(output)
    shards = manifest["samples"] // manifest["shard"]
    told = f"{output}: {manifest['samples']} specimens in {number(shards, 'shard')}"
    if n % manifest["shard"]:
        told += f" ({n} rounded up to whole ones)"
    typer.echo(
        f"{told}, checksum {manifest['checksum']}" if manifest["complete"] else f"{told}, not all made"
    )


@dataset.command()
def verify(path: DataSet) -> None:
    """Recompute all checksums and name the files that are not what was made; exit status 1 if there are any."""
    from facetem.data.verify import verify as verify_store

    with progress_bar("verifying") as show:
        verdict = verify_store(path, show)
    for name, fault in verdict.faults.items():
        typer.echo(f"{path / name}: {fault}")
    if verdict.faults:
        n = len(verdict.faults)
        say_error(
            f"{path}: {number(n, 'bad file')} in {len(verdict.shards)} of {verdict.wanted} shards; "
            "facetem dataset make --repair makes them again"
        )
        raise typer.Exit(1)
    rest = verdict.wanted - verdict.whole
    unmade = f"; {rest} of {verdict.wanted} are not made yet" if rest > 0 else ""
    typer.echo(f"{path}: {number(verdict.whole, 'shard')} as made{unmade}")


@dataset.command()
def info(path: DataSet, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Tell what a data set holds."""
    import json

    from facetem.data.summary import summary

    told = summary(path)
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    from rich.console import Console
    from rich.table import Column, Table

    table = Table("", Column(overflow="fold"), show_header=False)  # a checksum is to be copied whole
    for name, value in told.items():
        if isinstance(value, dict):
            value = "\n".join(f"{key} {number}" for key, number in value.items())
        table.add_row(spoken(name), str(value))
    Console().print(table)


@dataset.command()
def export(
    path: DataSet,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the images.")],
    to: Annotated[
        ExportForm, typer.Option(help="HyperSpy stacks, TIFF stacks, or a folder of TIFFs per shape.")
    ],
    seed: Annotated[int, typer.Option("--seed", help="Of optics, camera and noise.")] = 0,
    n: Annotated[int | None, typer.Option("--n", help="Images, one per specimen. Default: all.")] = None,
    size: Annotated[
        int | None, typer.Option(help="Side of the images (px of 0.04 nm). Default: 256.")
    ] = None,
) -> None:
    """Image every specimen under optics and a camera drawn from the recipe, for other programs."""
    from facetem.app.pace import pace
    from facetem.data.export import export_store

    with pace("images") as progress:
        count = export_store(path, output, to=to.value, seed=seed, n=n, size=size, progress=progress)
    typer.echo(f"{output}: {count} images and labels.csv")
