"""The commands `facetem export onnx`, `hub` and `card`: the networks for other programs, and for other people."""

from pathlib import Path
from typing import Annotated

import typer

from facetem.app.command import Commands

export_app = typer.Typer(
    cls=Commands,
    help="The networks for other programs: ONNX graphs, a folder for the Hugging Face Hub, a model card.",
    no_args_is_help=True,
)
FolderOption = Annotated[Path, typer.Option("--output", "-o", help="A new or empty folder.")]
WeightsOption = Annotated[
    Path | None,
    typer.Option("--weights", help="Folder that facetem train release wrote. Default: the released weights."),
]


@export_app.command()
def onnx(output: FolderOption, weights: WeightsOption = None) -> None:
    """Both networks as ONNX graphs of raw images, which run without PyTorch and without facetem."""
    from facetem.app.outputs import whole_folder
    from facetem.learn.onnx import check_exporter, export_onnx
    from facetem.learn.release import weights_in

    check_exporter()
    files = weights_in(weights)
    with whole_folder(output) as partial:
        made = export_onnx(partial, classifier=files["classifier"], restorer=files["restorer"])
    for path in made:
        typer.echo(f"{output / path.name}: images (n, 256, 256) at 0.04 nm/px")


@export_app.command()
def hub(
    output: FolderOption,
    weights: WeightsOption = None,
    with_onnx: Annotated[bool, typer.Option("--onnx/--no-onnx", help="With the ONNX graphs.")] = True,
) -> None:
    """A folder as the Hugging Face Hub wants it: card, weights, configuration, graphs. Uploads nothing."""
    from facetem.app.hub import write_hub_folder

    made = write_hub_folder(output, weights, with_onnx=with_onnx)
    for path in made:
        typer.echo(str(path))


@export_app.command()
def card(
    weights: WeightsOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File, .md. Default: print it.")
    ] = None,
) -> None:
    """The model card, under a head that says what its text says: written anew after the text was changed."""
    from facetem.app.command import check_suffix
    from facetem.app.hub import read_card
    from facetem.core.files import whole_file

    text = read_card(weights)
    if output is None:
        typer.echo(text, nl=False)
        return
    check_suffix(output, (".md",))
    with whole_file(output) as partial:
        partial.write_text(text, encoding="utf-8")
