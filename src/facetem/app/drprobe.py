"""A calculation as input files of Dr Probe (CELSLC, MSA, WAVIMG: Barthel, Ultramicroscopy 193 (2018) 1).

Formats as the programs' "howto" files describe them (github.com/ju-bar/drprobe_clt). Dr Probe counts in nm, kV and
mrad; its spreads are 1/e half widths, sqrt(2) standard deviations; its C10 is the negative of our defocus.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import degrees, inf
from pathlib import Path

import numpy as np
from ase import Atoms

from facetem.app.calculation import Calculation
from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.camera import Camera
from facetem.hrtem.coherence import to_half_width
from facetem.hrtem.curves import TransferCurve
from facetem.hrtem.notations import to_wavimg
from facetem.hrtem.scattering import Parametrization

PIXELS, SLICES, ENERGIES = (32, 2048), (1, 2048), (10.0, 1300.0)  # what CELSLC takes; energies in kV
OPEN = 2500.0  # mrad: an aperture that is none
SLICE = 2.0  # Å: every atom of a slice acts at its entrance, so they are thinner than ours
MTF_POINTS = 513


def export(folder: Path, atoms: Atoms, calculation: Calculation) -> None:
    """Write structure.cel, the parameter files, run.sh and README.txt into `folder`.

    Raises
    ------
    InputError
        If Dr Probe's programs cannot take the pixels, the slices or the energy.
    """
    height = float(atoms.cell.lengths()[2])
    slices = max(1, round(height / SLICE))
    _check(calculation, slices)
    for name in ("slc", "wav", "img"):
        (folder / name).mkdir()
    (folder / "structure.cel").write_text(cel(atoms, calculation.method.settings.debye_waller))
    thickness = height / slices
    (folder / "slc" / "s.prm").write_text(slice_parameters(calculation.grid, slices, thickness))
    text = msa_parameters(calculation.energy, slices, calculation.method.settings.tilt)
    (folder / "msa.prm").write_text(text)
    curve = calculation.camera.mtf
    if curve is None and calculation.camera.mtf_width < inf:
        curve = _sampled(calculation.camera)
    if curve is not None:
        (folder / "camera.mtf").write_text(mtf_table(curve))
    names = []
    for defocus in calculation.defoci:
        name = f"m{_model(calculation)}_C10_{_plain(-defocus / 10):+g}"
        text = wavimg_parameters(calculation, defocus, name, slices=slices, has_mtf=curve is not None)
        (folder / f"wavimg_{name}.prm").write_text(text)
        names.append(name)
    (folder / "run.sh").write_text(_script(calculation, slices, names))
    (folder / "README.txt").write_text(_readme(calculation, thickness))


def _check(calculation: Calculation, slices: int) -> None:
    energy = calculation.energy / 1e3
    for name, value, (low, high) in (
        ("pixels along y", calculation.grid.shape[0], PIXELS),
        ("pixels along x", calculation.grid.shape[1], PIXELS),
        ("slices", slices, SLICES),
        ("kV", energy, ENERGIES),
    ):
        if not low <= value <= high:
            raise InputError(
                f"export-drprobe: expected {low:g} to {high:g} {name}, as Dr Probe takes, got {value:g}"
            )


def cel(atoms: Atoms, debye_waller: Mapping[int, float]) -> str:
    """The cell (nm) and the atoms: symbol, fractional coordinates, occupancy, B [nm^2], three unused numbers."""
    lengths = atoms.cell.lengths()
    fractions = atoms.positions / lengths
    fractions[:, :2] %= 1.0
    fractions[:, 2] = fractions[:, 2].clip(0.0, 1 - 1e-9)  # at 1 it would come back at the entrance
    occupancy = atoms.arrays.get("occupancies", np.ones(len(atoms)))
    lines = [
        f"# {len(atoms)} atoms, written by facetem",
        "  0 " + " ".join(f"{length / 10:.7f}" for length in lengths) + " 90.00000 90.00000 90.00000",
    ]
    for symbol, number, (x, y, z), part in zip(
        atoms.get_chemical_symbols(), atoms.numbers, fractions, occupancy, strict=True
    ):
        b = debye_waller.get(int(number), 0.0) / 100
        lines.append(
            f" {symbol:2s} {x:12.9f} {y:11.9f} {z:11.9f} {part:8.6f} {b:9.7f} 0.000000 0.000000 0.000000"
        )
    return "\n".join([*lines, "*", ""])


def slice_parameters(grid: Grid, slices: int, thickness: float) -> str:
    """What CELSLC writes about its slices: files, pixels, variants, pixel sizes and thickness [nm]."""
    lines = [f"{slices:6d}"]
    for i in range(1, slices + 1):
        lines += [
            "'[Slice Parameters]'",
            f"slice{i:03d}",
            f"'slc/s_{i:03d}.sli'",
            *(f"{n:6d}" for n in (grid.shape[1], grid.shape[0], 1)),
            *(f"{x / 10:12.8f}" for x in (*grid.pixel[::-1], thickness)),
        ]
    return "\n".join([*lines, ""])


def msa_parameters(energy: float, slices: int, tilt: tuple[float, float] = (0.0, 0.0)) -> str:
    """MSA's file: a microscope that imaging does not use, the energy [kV], the tilt, and every slice once.

    The direction of the beam [mrad] is there the tilt of the object [deg], the other way round: MSA's propagator has
    lambda k^2 - 2 k . t (MS_PreparePropagators) where `multislice.propagator` has a plus.
    """
    microscope = ["25.0 0.0 0.0 0.03", "0.0", "30.0", "0, 'none'", f"{energy / 1e3:.4f}"]
    microscope += ["0.0", "0.0", "2.0", "7", "0"]
    tilt_and_scan = [f"{_plain(degrees(-1e-3 * angle)):.6f}" for angle in tilt]
    tilt_and_scan += ["0.0", "0.0", "1.0", "1.0", "0.0", "1", "1", "0", "0", "1", "1", "1"]
    stack = ["'slc/s'", str(slices), "1", "1", str(slices), str(slices), *(str(i) for i in range(slices))]
    return "\n".join(
        ["'[Microscope Parameters]'", *microscope, "'[Multislice Parameters]'", *tilt_and_scan, *stack, ""]
    )


def wavimg_parameters(
    calculation: Calculation, defocus: float, name: str, *, slices: int, has_mtf: bool
) -> str:
    """WAVIMG's file for one image at `defocus` [Å], img/`name`.dat."""
    optics, grid, shape = calculation.optics, calculation.grid, calculation.shape
    y, x = (side / 10 for side in grid.pixel)
    pixel = grid.extent[0] / shape[0] / 10
    own = shape != grid.shape
    terms = _terms(optics.aberrations, defocus)
    lines = [
        f"'wav/epw_sl{slices:03d}.wav'",
        f"{grid.shape[1]}, {grid.shape[0]}",
        f"{x:.9f}, {y:.9f}",
        f"{calculation.energy / 1e3:.4f}",
        "0",
        f"'img/{name}.dat'",
        f"{shape[1]}, {shape[0]}",
        "0, 1, 1, 0",
        str(int(own)),
        f"{pixel:.9f}",
        "0.0, 0.0",
        "0.0",
        str(_model(calculation)),
        _switch(to_half_width(float(optics.focal_spread)) / 10),
        _switch(to_half_width(float(optics.angular_spread))),
        f"{int(has_mtf)}, {1 / calculation.camera.binning:g}, '{'camera' if has_mtf else 'none'}.mtf'",
        f"{int(float(optics.image_spread) > 0)}, "
        + ", ".join(2 * [f"{float(optics.image_spread) / 10:.4f}"])
        + ", 0.0",
        str(len(terms)),
        *(f"{number}, {x:.4f}, {y:.4f}" for number, x, y in terms),
        f"{OPEN if optics.aperture == inf else optics.aperture:.4f}, 0.03",
        "0.0, 0.0",
        "0",
        "",
    ]
    return "\n".join(lines)


def _switch(width: float) -> str:
    return f"{int(width > 0)}, {width:.4f}"


def _terms(aberrations: Aberrations, defocus: float) -> list[tuple[int, float, float]]:
    """Dr Probe's number and components x and y [nm] of the defocus and of all others that are not zero."""
    others = to_wavimg(replace(aberrations, defocus=0.0))
    return [(number, _plain(x), _plain(y)) for number, x, y in sorted([(1, -defocus / 10, 0.0), *others])]


def _plain(value: float) -> float:
    return value + 0.0  # no minus before a zero


def _model(calculation: Calculation) -> int:
    """WAVIMG's treatment of coherence: average over foci and directions (2), over foci only (1), or two envelopes (6).

    There is none that averages over directions only.
    """
    if calculation.method.spatial == "average":
        return 2
    return 6 if calculation.method.temporal == "envelope" else 1


def mtf_table(curve: TransferCurve) -> str:
    """WAVIMG's table: the number of values, and those from zero to the Nyquist frequency."""
    values = np.interp(np.linspace(0, 0.5, MTF_POINTS), curve.frequencies, curve.values) / curve.values[0]
    return "\n".join([str(MTF_POINTS), *(f"{value:.8f}" for value in values), ""])


def _sampled(camera: Camera) -> TransferCurve:
    u = np.linspace(0, 0.5, MTF_POINTS)
    mtf = (1 - camera.mtf_floor) * (1 + (u / camera.mtf_width) ** 2) ** -1.5 + camera.mtf_floor
    return TransferCurve(tuple(u.tolist()), tuple(mtf.tolist()))


def _script(calculation: Calculation, slices: int, names: Sequence[str]) -> str:
    ny, nx = calculation.grid.shape
    thermal = " -dwf" if any(calculation.method.settings.debye_waller.values()) else ""
    return "\n".join(
        [
            "#!/bin/sh",
            "# Needs celslc, msa and wavimg of the Dr Probe command-line tools.",
            "set -e",
            'cd "$(dirname "$0")"',
            f"celslc -cel structure.cel -slc slc/s -nx {nx} -ny {ny} -nz {slices} "
            f"-ht {calculation.energy / 1e3:g} -pps{thermal}",
            "msa -prm msa.prm -out wav/epw.wav /ctem",
            *(f"wavimg -prm wavimg_{name}.prm" for name in names),
            "",
        ]
    )


def _readme(calculation: Calculation, thickness: float) -> str:
    settings = calculation.method.settings
    height, planes = f"{thickness / 20:.3g}", f"{settings.slice_thickness / 10:.3g}"
    differences = "\n".join([_factors(settings.parametrization), *_left_out(calculation)])
    return f"""Input of Dr Probe's command-line tools for a calculation of facetem. `sh run.sh` repeats it.

structure.cel       atoms; lengths in nm, fractional coordinates, B in nm^2
slc/s.prm           the slices; CELSLC writes the same beside its slice files
msa.prm             multislice: wav/epw_sl*.wav is the exit wave, complex64, x fastest
wavimg_*.prm        images: img/*.dat, float32, x fastest, vacuum 1. C10 = -defocus, in nm
camera.mtf          transfer of the camera, if it has one

What is different in Dr Probe
- All atoms of a slice, {thickness / 10:.3g} nm thick, act on the wave at its entrance; in facetem each acts at its
  own height, shared by {settings.order} planes at most {planes} nm apart. So Dr Probe's wave is {height} nm further on,
  half a slice.
- Its potential is tapered near 0.9 of the Nyquist frequency and its wave ends at 2/3; in facetem both end at
  {settings.band:.3g}{", and what atoms scatter beyond and back is kept" if settings.second_order else ""}.
{differences}
- WAVIMG cuts its averages over foci and directions at two of the half widths.
- Atoms' positions keep 9 digits.
"""


def _factors(parametrization: Parametrization) -> str:
    if parametrization == "weickenmeier_kohl":
        return "- Scattering factors are those of Weickenmeier and Kohl in both."
    if parametrization == "kirkland":
        return "- Scattering factors are those of Weickenmeier and Kohl, where facetem took Kirkland's."
    return (
        "- Scattering factors are those of Weickenmeier and Kohl, where facetem took Lobato's: 1 % of gold's,\n"
        "  0.4 % of a wave. With --scattering-factors weickenmeier-kohl they are the same."
    )


def _left_out(calculation: Calculation) -> list[str]:
    """What the calculation has and these files have not, or have in another way."""
    camera, method = calculation.camera, calculation.method
    lines = []
    if method.phonons:
        lines.append(
            f"- facetem averaged {method.phonons} configurations of vibrating atoms; here is a Debye-Waller factor."
        )
    if any(method.settings.absorption.values()):
        lines.append("- Absorption is left out; CELSLC's -abf takes one ratio for all elements.")
    if any(method.settings.tilt):
        lines.append(
            "- The tilt of the beam is in msa.prm as that of the object: in degrees, the other way round."
        )
    if (method.temporal, method.spatial) == ("envelope", "average"):
        lines.append("- WAVIMG has no average over directions only: its model 2 averages over foci as well.")
    if camera.dose < inf or camera.gain_error:
        lines.append("- The camera's noise is left out.")
    return lines
