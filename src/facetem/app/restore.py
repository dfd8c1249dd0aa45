"""`facetem restore`: an image restored, its uncertainty, and whether its lattice is in the image."""

from contextlib import ExitStack
from pathlib import Path

import typer

from facetem.app.command import check_not_input, check_suffix, progress_bar
from facetem.core.errors import InputError
from facetem.core.files import whole_file
from facetem.data.micrograph import load_micrograph, save_image
from facetem.learn.restoration import load_restorer, restored_micrograph
from facetem.learn.support import LatticeSupport

TIF = (".tif", ".tiff")


def run_restore(
    image: Path,
    output: Path,
    *,
    spread: Path | None,
    denoised: Path | None,
    sampling: float | None,
    weights: Path | None,
    views: int,
    seed: int,
    device: str,
) -> None:
    """Restore the file `image` into `output`, with the spread and the denoised image in files of their own if asked
    for; `sampling` [Å/px]."""
    wanted = {"image": output, "spread": spread, "denoised": denoised}
    files = {name: path for name, path in wanted.items() if path is not None}
    for i, (name, path) in enumerate(files.items()):
        check_suffix(path, TIF)
        check_not_input([path], [image])
        if path.resolve() in [other.resolve() for other in list(files.values())[:i]]:
            raise InputError(f"--{name} {path}: expected another file than those of the other images")
    micrograph = load_micrograph(image, sampling=sampling)
    with ExitStack() as stack:
        partial = {name: stack.enter_context(whole_file(path)) for name, path in files.items()}
        restorer = load_restorer(weights, device=device)
        with progress_bar("restoring") as progress:
            answer = restored_micrograph(micrograph, restorer, views=views, seed=seed, progress=progress)
        for name, path in partial.items():
            save_image(path, getattr(answer, name), micrograph.sampling)
    height, width = answer.image.shape
    typer.echo(f"{output}: {height} x {width} px of {micrograph.sampling / 10:g} nm")
    if spread is not None:
        typer.echo(f"{spread}: uncertainty of each pixel, in units of the vacuum level")
    if denoised is not None:
        typer.echo(f"{denoised}: without noise, at the focus of the image")
    typer.echo(support_words(answer.support))


def support_words(support: LatticeSupport) -> str:
    """In one line, whether the restored image shows lattice that the image itself does not have."""
    shown, suspect = int((support.lattice > 0).sum()), int(support.suspect.sum())
    if shown == 0:
        return "lattice: none in the restored image"
    if suspect == 0:
        return f"lattice: in {shown} windows, in all of them with support in the image"
    return f"lattice without support in the image: in {suspect} of {shown} windows that show lattice"
