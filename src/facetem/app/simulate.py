"""The command `facetem simulate`: its options."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from facetem.app.command import Device

LENS, CAMERA, METHOD = "Microscope", "Camera", "Calculation"  # the groups of `facetem simulate --help`


class CurveUnit(StrEnum):
    """Of the frequencies in a file of a transfer function."""

    cycles = "cycles-per-pixel"
    nyquist = "nyquist"


def simulate(
    structure: Annotated[Path, typer.Argument(help="Any file of atoms that ASE reads; beam along z.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The image: .tif, .hspy or .zarr (with scales), .npy or .png."),
    ] = None,
    exit_wave: Annotated[
        Path | None, typer.Option(help="The wave at the end of the cell: .hspy or .zarr.")
    ] = None,
    export_drprobe: Annotated[
        Path | None, typer.Option(help="A folder for Dr Probe's input of the same calculation.")
    ] = None,
    vacuum_nm: Annotated[
        float | None, typer.Option(help="Put the atoms in a box with this much vacuum around them (nm).")
    ] = None,
    instrument: Annotated[
        str | None,
        typer.Option(
            help="Energy and lens of an instrument; an unknown name lists all.", rich_help_panel=LENS
        ),
    ] = None,
    energy_kv: Annotated[float | None, typer.Option(help="(kV) Default: 300.", rich_help_panel=LENS)] = None,
    defocus_nm: Annotated[
        float | None,
        typer.Option(
            help="(nm), positive is underfocus, from the end of the cell. Default: 6; 0 for a series or an instrument.",
            rich_help_panel=LENS,
        ),
    ] = None,
    focal_series: Annotated[
        str | None,
        typer.Option(
            metavar="START:STOP:STEP",
            help="Foci about --defocus-nm (nm), as in -10:10:2; one image each, in one file.",
            rich_help_panel=LENS,
        ),
    ] = None,
    cs_um: Annotated[
        float | None, typer.Option(help="Spherical aberration C3 (µm). Default: 0.", rich_help_panel=LENS)
    ] = None,
    astigmatism_nm: Annotated[
        float | None,
        typer.Option(help="Twofold astigmatism C12 (nm). Default: 0.", rich_help_panel=LENS),
    ] = None,
    astigmatism_deg: Annotated[
        float | None, typer.Option(help="Its azimuth (degrees).", rich_help_panel=LENS)
    ] = None,
    aberration_nm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE[@DEGREES]",
            help="Any other aberration in Krivanek's notation, as in C21=30@45; as often as needed.",
            rich_help_panel=LENS,
        ),
    ] = None,
    focal_spread_nm: Annotated[
        float | None, typer.Option(help="Standard deviation (nm). Default: 3.", rich_help_panel=LENS)
    ] = None,
    angular_spread_mrad: Annotated[
        float | None, typer.Option(help="Standard deviation (mrad). Default: 0.1.", rich_help_panel=LENS)
    ] = None,
    aperture_mrad: Annotated[
        float | None, typer.Option(help="Semi-angle (mrad). Default: none.", rich_help_panel=LENS)
    ] = None,
    image_spread_nm: Annotated[
        float | None,
        typer.Option(help="Vibration, standard deviation (nm). Default: 0.03.", rich_help_panel=LENS),
    ] = None,
    sampling_nm: Annotated[
        float, typer.Option(help="Pixel size of the image (nm/px).", rich_help_panel=CAMERA)
    ] = 0.04,
    dose: Annotated[
        float | None, typer.Option(help="(e/Å2). Default: no noise.", rich_help_panel=CAMERA)
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option(help="A kind of camera; an unknown name lists all.", rich_help_panel=CAMERA),
    ] = None,
    mtf: Annotated[
        Path | None,
        typer.Option(help="Its transfer of the signal: text, frequency and value.", rich_help_panel=CAMERA),
    ] = None,
    ntf: Annotated[
        Path | None,
        typer.Option(help="Its transfer of the noise. Default: as the signal's.", rich_help_panel=CAMERA),
    ] = None,
    mtf_unit: Annotated[
        CurveUnit | None,
        typer.Option(
            help="Frequencies in both files: cycles per pixel (default) or parts of Nyquist's.",
            rich_help_panel=CAMERA,
        ),
    ] = None,
    dqe: Annotated[
        float | None,
        typer.Option(help="Quantum efficiency at zero frequency, 0 to 1.", rich_help_panel=CAMERA),
    ] = None,
    readout: Annotated[
        float | None, typer.Option(help="Readout noise (electrons per pixel).", rich_help_panel=CAMERA)
    ] = None,
    gain_error: Annotated[
        float | None,
        typer.Option(
            help="Relative error of the pixels' gain, the same in all images.", rich_help_panel=CAMERA
        ),
    ] = None,
    binning: Annotated[
        int | None,
        typer.Option(help="Pixels along a side that make one of the image.", rich_help_panel=CAMERA),
    ] = None,
    accuracy: Annotated[
        str,
        typer.Option(
            metavar="draft|standard|reference",
            help="Of the multislice, for its price.",
            rich_help_panel=METHOD,
        ),
    ] = "standard",
    slice_nm: Annotated[
        float | None,
        typer.Option(
            help="Largest distance of the planes that act on the wave (nm). Default: that of --accuracy.",
            rich_help_panel=METHOD,
        ),
    ] = None,
    scattering_factors: Annotated[
        str,
        typer.Option(
            metavar="lobato|kirkland|weickenmeier-kohl", help="Table to take.", rich_help_panel=METHOD
        ),
    ] = "lobato",
    absorption: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SYMBOL=RATIO",
            help="Imaginary part of an element's potential over its real part, as in Au=0.05; as often as needed.",
            rich_help_panel=METHOD,
        ),
    ] = None,
    phonons: Annotated[
        int,
        typer.Option(
            help="Average over so many configurations of vibrating atoms; 0: a Debye-Waller factor.",
            rich_help_panel=METHOD,
        ),
    ] = 0,
    tilt_mrad: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y", help="Direction of the beam to z (mrad). Default: along z.", rich_help_panel=METHOD
        ),
    ] = None,
    temporal: Annotated[
        str,
        typer.Option(
            metavar="average|envelope",
            help="Focal spread: images over foci, or damping of the wave.",
            rich_help_panel=METHOD,
        ),
    ] = "average",
    spatial: Annotated[
        str,
        typer.Option(
            metavar="envelope|average",
            help="Convergence: damping of the wave, or images over directions.",
            rich_help_panel=METHOD,
        ),
    ] = "envelope",
    seed: Annotated[
        int,
        typer.Option(help="The same seed gives the same noise and vibrations.", rich_help_panel=METHOD),
    ] = 0,
    device: Annotated[Device, typer.Option(help="Where to compute.", rich_help_panel=METHOD)] = Device.auto,
) -> None:
    """Simulate the HRTEM image of a file of atoms, a focal series, or its exit wave."""
    from facetem.app.imaging import CameraOptions, MicroscopeOptions
    from facetem.app.method import MethodOptions
    from facetem.app.simulation import Outputs, run_simulation

    run_simulation(
        structure,
        Outputs(image=output, wave=exit_wave, drprobe=export_drprobe),
        MicroscopeOptions(
            instrument=instrument,
            energy_kv=energy_kv,
            defocus_nm=defocus_nm,
            focal_series=focal_series,
            cs_um=cs_um,
            astigmatism_nm=astigmatism_nm,
            astigmatism_deg=astigmatism_deg,
            aberrations_nm=tuple(aberration_nm or ()),
            focal_spread_nm=focal_spread_nm,
            angular_spread_mrad=angular_spread_mrad,
            aperture_mrad=aperture_mrad,
            image_spread_nm=image_spread_nm,
        ),
        CameraOptions(
            camera=camera,
            dose=dose,
            mtf=mtf,
            ntf=ntf,
            mtf_unit=None if mtf_unit is None else mtf_unit.value,
            dqe=dqe,
            readout=readout,
            gain_error=gain_error,
            binning=binning,
        ),
        MethodOptions(
            accuracy=accuracy,
            scattering_factors=scattering_factors,
            slice_nm=slice_nm,
            tilt_mrad=tilt_mrad,
            absorption=tuple(absorption or ()),
            phonons=phonons,
            temporal=temporal,
            spatial=spatial,
            seed=seed,
            device=device,
        ),
        vacuum_nm=vacuum_nm,
        sampling_nm=sampling_nm,
    )
