"""The command `facetem train`: its options."""

from pathlib import Path
from typing import Annotated

import typer

from facetem.app.command import Device, DeviceOption, Network, SeedOption, minutes_of, whole_numbers


def train(
    network: Annotated[Network, typer.Argument(help="Which of the two, or both, their test and their card.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for weights and checkpoints.")],
    recipe: Annotated[
        Path | None, typer.Option(help="YAML. Default: that of the store, or the released one.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Folder for the specimens. Default: simulate them as they are needed.")
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(help="Another store, whose specimens are mixed in as they are; may be repeated."),
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="Weights to learn on from: a file, or a folder with those of both.")
    ] = None,
    specimens: Annotated[int, typer.Option(help="How many different ones.")] = 16000,
    validation: Annotated[int, typer.Option(help="Specimens, never trained on, to calibrate with.")] = 800,
    budget: Annotated[
        str, typer.Option(help="Time to train for, all resumed runs together: 90s, 9m, 3h.")
    ] = "60m",
    workers: Annotated[
        int | None, typer.Option(help="Processes that make specimens. Default: 1; of a release on a GPU, 10.")
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            help="Samples a step, on all devices together. Default: 16 or 4 (restorer); on a GPU 256 or 64."
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Peak learning rate, of both in a release. Default: 0.0012, 0.001 (restorer); a start wants less."
        ),
    ] = None,
    depths: Annotated[
        str | None,
        typer.Option(
            help="Residual blocks of the classifier's stages, such as 1,2,4,4; a start is deepened."
        ),
    ] = None,
    widths: Annotated[
        str | None,
        typer.Option(help="Channels of the classifier's stages, such as 64,128,160,192; a start is widened."),
    ] = None,
    reflections: Annotated[
        int | None,
        typer.Option(
            help="Width of what the classifier learns from the power spectrum; 0: it does not look."
        ),
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = Device.auto,
    devices: Annotated[int, typer.Option(help="GPUs of each node (processes, on the CPU); 0: all GPUs.")] = 1,
    nodes: Annotated[int, typer.Option(help="Computers that train together.")] = 1,
) -> None:
    """Train a network on simulated images. Call it again to go on after a stop."""
    from facetem.app.batch import check_folder
    from facetem.app.material import Material
    from facetem.app.train import Course, Machines, run_training
    from facetem.learn.growth import Size
    from facetem.learn.processes import is_first

    if is_first():  # the check leaves no trace, which the others would trip over
        check_folder(output)
    run_training(
        network,
        output,
        material=Material(recipe, store, tuple(beside or ()), specimens, validation, workers),
        course=Course(minutes_of(budget), seed, batch, rate),
        start=start,
        size=Size(
            depths=None if depths is None else whole_numbers("depths", depths),
            widths=None if widths is None else whole_numbers("widths", widths),
            reflections=reflections,
        ),
        machines=Machines(device, "auto" if devices == 0 else devices, nodes),
    )
