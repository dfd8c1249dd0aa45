"""`facetem simulate` at work: check, compute, write."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
import typer
from ase import Atoms

from facetem.app.calculation import Calculation, about, camera_images, compute_waves, plan
from facetem.app.command import check_suffix, step_progress
from facetem.app.drprobe import export
from facetem.app.imaging import CameraOptions, MicroscopeOptions, read_camera, read_microscope
from facetem.app.method import MethodOptions, read_method
from facetem.app.outputs import IMAGES, WAVES, Recording, save_recording, whole_folder, whole_output
from facetem.app.structures import check_elements, load_structure
from facetem.core.errors import InputError


@dataclass(frozen=True)
class Outputs:
    """Files, or the folder for Dr Probe, to write; None: not wanted."""

    image: Path | None
    wave: Path | None
    drprobe: Path | None

    def check(self, *, series: bool, phonons: bool) -> None:
        """Raise InputError if nothing is to be written, or a name does not fit what is."""
        wanted = [path for path in (self.image, self.wave, self.drprobe) if path is not None]
        if not wanted:
            raise InputError(
                "output: expected at least one of --output, --exit-wave and --export-drprobe, got none"
            )
        if len({path.absolute() for path in wanted}) < len(wanted):
            raise InputError(f"output: expected different names, got {wanted[0]} more than once")
        if self.image is not None:
            check_suffix(self.image, IMAGES)
            if series and self.image.suffix.lower() == ".png":
                raise InputError(
                    f"output {self.image}: a focal series does not fit into a png; write .tif, .npy, .hspy or .zarr"
                )
        if self.wave is not None:
            check_suffix(self.wave, WAVES)
            if phonons:
                raise InputError(
                    "--exit-wave contradicts --phonons: images are averaged, and there is no one wave; leave one out"
                )


def run_simulation(
    structure: Path,
    outputs: Outputs,
    microscope: MicroscopeOptions,
    camera: CameraOptions,
    method: MethodOptions,
    *,
    vacuum_nm: float | None,
    sampling_nm: float,
) -> None:
    """Simulate a file of atoms and write what `outputs` asks for; nothing is written if anything is wrong.

    Raises
    ------
    InputError
        If the file, an option or a combination of options cannot be used.
    """
    how = read_method(method)
    outputs.check(series=microscope.focal_series is not None, phonons=how.phonons > 0)
    energy, optics, foci = read_microscope(microscope)
    detector = read_camera(camera)
    atoms = load_structure(structure, vacuum=None if vacuum_nm is None else 10 * vacuum_nm)
    check_elements(structure, atoms, how.settings)
    calculation = plan(
        atoms,
        energy=energy,
        optics=optics,
        camera=detector,
        foci=foci,
        sampling=10 * sampling_nm,
        method=how,
    )
    told = about(calculation, structure=structure.name)
    with ExitStack() as files:
        image, wave, drprobe = _open(outputs, files)
        if drprobe is not None:
            export(drprobe, atoms, calculation)
        if image is not None or wave is not None:
            _compute(atoms, calculation, (image, wave), told, series=foci is not None, device=method.device)
    _report(outputs, calculation)


def _open(outputs: Outputs, files: ExitStack) -> tuple[Path | None, Path | None, Path | None]:
    """Places to write to, which become the outputs when `files` is closed without an error."""
    return (
        None if outputs.image is None else files.enter_context(whole_output(outputs.image)),
        None if outputs.wave is None else files.enter_context(whole_output(outputs.wave)),
        None if outputs.drprobe is None else files.enter_context(whole_folder(outputs.drprobe)),
    )


def _compute(
    atoms: Atoms,
    calculation: Calculation,
    places: tuple[Path | None, Path | None],
    told: dict[str, object],
    *,
    series: bool,
    device: str,
) -> None:
    image_file, wave_file = places
    grid, shape = calculation.grid, calculation.shape
    generator = torch.Generator().manual_seed(calculation.method.seed)
    with step_progress("facetem") as progress:
        waves = compute_waves(atoms, calculation, device=device, generator=generator, progress=progress)
        if wave_file is not None:
            (wave,) = waves = tuple(waves)
            save_recording(wave_file, Recording("exit wave", wave.cpu().numpy(), grid.pixel, None, told))
        if image_file is None:
            return
        images = camera_images(waves, calculation, generator=generator, progress=progress)
    y, x = (float(length) / n for length, n in zip(atoms.cell.lengths()[[1, 0]], shape, strict=True))
    recorded = (
        Recording("image", images, (y, x), calculation.defoci, told)
        if series
        else Recording("image", images[0], (y, x), None, told)
    )
    save_recording(image_file, recorded)


def _report(outputs: Outputs, calculation: Calculation) -> None:
    grid, shape, n = calculation.grid, calculation.shape, len(calculation.defoci)
    if outputs.image is not None:
        pixel = grid.extent[0] / shape[0] / 10
        many = f"{n} images of " if n > 1 else ""
        typer.echo(f"{outputs.image}: {many}{shape[0]} x {shape[1]} px of {pixel:.5g} nm")
    if outputs.wave is not None:
        typer.echo(
            f"{outputs.wave}: exit wave, {grid.shape[0]} x {grid.shape[1]} px of {grid.sampling / 10:.5g} nm"
        )
    if outputs.drprobe is not None:
        typer.echo(f"{outputs.drprobe}: input of Dr Probe; README.txt says what is what")
