"""The command line: parse, call, write. Units are in the option names; inside there are Å, eV and e/Å2."""

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from facetem.app.build import build
from facetem.app.command import (
    Commands,
    DaskOption,
    Device,
    DeviceOption,
    SeedOption,
    Suite,
    WorkersOption,
    processes,
    say_error,
)
from facetem.app.dataset import dataset
from facetem.app.export import export_app
from facetem.app.recipe import recipe_app
from facetem.app.serve import serve
from facetem.app.simulate import simulate
from facetem.app.study_command import study
from facetem.app.train_command import train

app = typer.Typer(
    cls=Commands,
    name="facetem",
    help="The 3D shape of nanoparticles, with a confidence, from one high-resolution TEM image.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ImageFile = Annotated[
    Path,
    typer.Argument(metavar="IMAGE", help="dm3, dm4, emd, ser, emi, mrc, hspy, zspy, tif, npy, png or jpg."),
]
SamplingOption = Annotated[
    float | None, typer.Option("--sampling-nm", help="Pixel size (nm/px); overrides the file's own.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """The `facetem` program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a log of another encoding is no reason to stop
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"facetem {version('facetem')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error comes from.")] = False,
) -> None:
    pass


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report.")] = Path(
        "facetem-demo"
    ),
    device: DeviceOption = Device.auto,
) -> None:
    """Simulate a field of known particles, analyse it, and show truth beside prediction."""
    from facetem.app.batch import check_folder
    from facetem.app.demo import run_demo

    check_folder(output)
    run_demo(output, device=device)


@app.command()
def shapes(
    gallery: Annotated[
        Path | None, typer.Option(help="Folder for pictures and simulated images of all of them.")
    ] = None,
    device: DeviceOption = Device.auto,
    as_json: JsonOption = False,
) -> None:
    """List the shapes that can be built, and what the classifier is to call each."""
    from facetem.app.results import print_shapes

    if gallery is not None:
        from facetem.app.batch import check_folder
        from facetem.app.gallery import make_gallery

        check_folder(gallery)
        for path in make_gallery(gallery, device=device):
            typer.echo(f"{path}: sheet of pictures")
        return
    print_shapes(as_json=as_json)


app.command()(build)
app.command()(simulate)
app.add_typer(recipe_app, name="recipe")
app.add_typer(dataset)
app.add_typer(export_app, name="export")


app.command()(train)


@app.command()
def evaluate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the figures and numbers.")],
    suite: Annotated[
        Suite | None,
        typer.Option(help="Measure all that is claimed of the models; goes on where it was stopped."),
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="YAML. Default: that of the standard test.")] = None,
    per_shape: Annotated[
        int | None, typer.Option(help="Specimens of each shape. Default: 50, of a suite 100.")
    ] = None,
    classifier: Annotated[Path | None, typer.Option(help="A classifier of your own.")] = None,
    restorer: Annotated[Path | None, typer.Option(help="A restorer of your own.")] = None,
    parts: Annotated[
        str | None, typer.Option(help="Of the suite, with commas between them. Default: all.")
    ] = None,
    library: Annotated[
        Path | None,
        typer.Option(help="Store of training specimens for the suite's baselines. Default: made anew."),
    ] = None,
    others: Annotated[
        Path | None, typer.Option(help="Folder of images from another simulator (benchmarks/other_hands.py).")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that make the suite's specimens.")] = 1,
    device: DeviceOption = Device.auto,
) -> None:
    """Score both networks on freshly simulated specimens that no training has seen."""
    from facetem.app.batch import check_folder
    from facetem.app.evaluate import run_evaluation, run_standard_suite, test_recipe

    check_folder(output)
    if suite is not None:
        run_standard_suite(
            output,
            recipe=recipe,
            per_shape=100 if per_shape is None else per_shape,
            classifier=classifier,
            restorer=restorer,
            parts=parts,
            library=library,
            others=others,
            workers=workers,
            device=device,
        )
        return
    per_shape = 50 if per_shape is None else per_shape
    run_evaluation(
        output,
        recipe=test_recipe(recipe),
        per_shape=per_shape,
        classifier=classifier,
        restorer=restorer,
        device=device,
    )


app.command()(study)


@app.command()
def classify(
    image: ImageFile,
    sampling_nm: SamplingOption = None,
    weights: Annotated[
        Path | None, typer.Option(help="A classifier of your own. Default: the released one.")
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(
            help="Part of all answers that are to hold the true shape among the possible. Default: 0.95."
        ),
    ] = None,
    saliency: Annotated[Path | None, typer.Option(help="Also draw what decided, .png.")] = None,
    device: DeviceOption = Device.auto,
    as_json: JsonOption = False,
) -> None:
    """Name the 3D shape of the particle in an image (of the largest, if there are several)."""
    from facetem.app.classify import run_classify

    sampling = None if sampling_nm is None else 10 * sampling_nm
    run_classify(
        image, sampling=sampling, weights=weights, coverage=coverage, saliency=saliency, device=device, as_json=as_json
    )  # fmt: skip


@app.command()
def restore(
    image: ImageFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="The restored image, .tif.")],
    spread: Annotated[Path | None, typer.Option(help="The uncertainty of each pixel, .tif.")] = None,
    denoised: Annotated[
        Path | None, typer.Option(help="The image without noise at its own focus, .tif.")
    ] = None,
    sampling_nm: SamplingOption = None,
    weights: Annotated[
        Path | None, typer.Option(help="A restorer of your own. Default: the released one.")
    ] = None,
    views: Annotated[int, typer.Option(help="Random patches that show a pixel, at least; from 2.")] = 3,
    seed: SeedOption = 0,
    device: DeviceOption = Device.auto,
) -> None:
    """Restore an image: no noise, and the focus of best particle contrast."""
    from facetem.app.restore import run_restore

    sampling = None if sampling_nm is None else 10 * sampling_nm
    run_restore(
        image,
        output,
        spread=spread,
        denoised=denoised,
        sampling=sampling,
        weights=weights,
        views=views,
        seed=seed,
        device=device,
    )


@app.command()
def analyze(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Micrographs, or folders of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the reports.")],
    sampling_nm: SamplingOption = None,
    classifier: Annotated[Path | None, typer.Option(help="A classifier of your own.")] = None,
    restorer: Annotated[Path | None, typer.Option(help="A restorer of your own.")] = None,
    workers: WorkersOption = None,
    dask: DaskOption = None,
    device: DeviceOption = Device.auto,
    frames: Annotated[
        bool, typer.Option("--frames", help="Every frame of a movie by itself; otherwise they are summed.")
    ] = False,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Also what lies in the folders of a folder, however deep.")
    ] = False,
) -> None:
    """Find, classify and measure every particle of one or many micrographs, and restore them. Several are summed up,
    and those analysed before are not analysed again."""
    from facetem.app.batch import Settings, analyze_batch, check_folder
    from facetem.app.micrographs import find_micrographs

    hands = processes(workers, dask, device)
    check_folder(output)
    batch = find_micrographs(paths, output, frames=frames, recursive=recursive)
    failed = analyze_batch(
        batch,
        output,
        Settings(
            sampling=None if sampling_nm is None else 10 * sampling_nm,
            classifier=classifier,
            restorer=restorer,
            device=device,
        ),
        workers=hands,
        dask=dask,
    )
    if failed:
        if len(batch.tasks) > 1:
            say_error(f"{failed} of {len(batch.tasks)} micrographs could not be analysed")
        raise typer.Exit(1 if failed < len(batch.tasks) else 2)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Folder that facetem analyze wrote for several micrographs.")],
    second: Annotated[Path, typer.Argument(help="Another one.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Picture of both: .svg, .png.")
    ] = None,
) -> None:
    """How the shapes in the second sample differ from those in the first, accounting for the classifier's errors."""
    from facetem.app.compare import run_compare

    run_compare(first, second, output)


@app.command()
def agreement(
    reports: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Folders with reports, however deep.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Every labelled particle as a table, .csv.")
    ] = None,
) -> None:
    """How often the answers are those of labels given by hand on the page: the accuracy on your own micrographs."""
    from facetem.app.agreement import run_agreement

    run_agreement(reports, output)


app.command()(serve)


if __name__ == "__main__":  # python -m facetem.app.cli, which torchrun can start
    main()
