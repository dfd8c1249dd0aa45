"""The command `facetem study`: its options."""

from pathlib import Path
from typing import Annotated

import typer

from facetem.app.command import DaskOption, Device, DeviceOption, WorkersOption, given, processes

ASKED = ("preset", "dose", "diameter_nm", "film_nm")  # of a plan


def study(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help="carbon, resolution, focus, size, orientation, dose, aberrations, figure1, plan, or all."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for tables, figures and the page.")],
    recipe: Annotated[Path | None, typer.Option(help="YAML. Default: that of the standard test.")] = None,
    classifier: Annotated[Path | None, typer.Option(help="A classifier of your own.")] = None,
    restorer: Annotated[Path | None, typer.Option(help="A restorer of your own.")] = None,
    per_shape: Annotated[
        int | None, typer.Option(help="Specimens of each shape. Default: 8, of a quick study 2.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few values, few specimens: minutes.")] = False,
    preset: Annotated[str | None, typer.Option(help="plan: the microscope, as in 300kV-schottky.")] = None,
    dose: Annotated[float | None, typer.Option(help="plan: what the specimen stands (e/Å2).")] = None,
    diameter_nm: Annotated[
        float | None, typer.Option(help="plan: of the particles, volume-equivalent.")
    ] = None,
    film_nm: Annotated[float, typer.Option(help="plan: thickness of the carbon.")] = 3.0,
    workers: WorkersOption = None,
    dask: DaskOption = None,
    device: DeviceOption = Device.auto,
) -> None:
    """Move one condition of the microscope or the specimen, and see how well shapes are told; or plan a session:
    the focus and the dose for a microscope and a size. Goes on after a stop."""
    from facetem.app.batch import check_folder
    from facetem.app.study import PLAN, Choice, run_study
    from facetem.core.errors import InputError
    from facetem.study.advice import Question

    asked = given(ctx, *ASKED)
    if name != PLAN and asked:
        raise InputError(f"{asked[0]}: expected with `facetem study plan` alone, got {name}")
    question = None
    if preset is not None and dose is not None and diameter_nm is not None:
        question = Question(preset, dose, 10 * diameter_nm, 10 * film_nm)
    hands = processes(workers, dask, device)
    check_folder(output)
    choice = Choice(
        recipe=recipe,
        classifier=classifier,
        restorer=restorer,
        per_shape=per_shape,
        quick=quick,
        workers=hands,
        dask=dask,
        device=device,
    )
    run_study(name, output, choice, question)
