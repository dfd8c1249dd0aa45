"""The command `facetem serve`."""

from pathlib import Path
from typing import Annotated

import typer

from facetem.app.command import Device


def serve(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]", help="Micrographs that the page offers; their reports are kept there."
        ),
    ] = None,
    reports: Annotated[
        Path | None, typer.Option(help="Folder for those reports. Default: facetem-reports in FOLDER.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; beyond this machine, visitors need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: a free one.")] = 8137,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A further name of this machine in browsers, as a proxy has; as often as needed."),
    ] = None,
    upload_mb: Annotated[int, typer.Option(help="Largest upload (MB).")] = 512,
    idle_hours: Annotated[float, typer.Option(help="After which a visitor's files are deleted.")] = 12.0,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
) -> None:
    """Show the page: drop micrographs, look at their particles, simulate images. Ctrl-C ends it."""
    from facetem.app.web.server import run_server
    from facetem.app.web.settings import Settings

    settings = Settings(
        folder=folder,
        reports=reports,
        host=host,
        port=port,
        names=tuple(allow_host or ()),
        upload_mb=upload_mb,
        idle_hours=idle_hours,
        device=device.value,
    )
    run_server(settings, lambda address: typer.echo(f"facetem: {address}"))
