"""What the options of `facetem simulate` say about microscope and camera, checked against each other."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import inf, radians
from pathlib import Path
from typing import TypeVar

import numpy as np

from facetem.core.errors import InputError
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.camera import Camera
from facetem.hrtem.cameras import CAMERAS
from facetem.hrtem.curves import FrequencyUnit, TransferCurve, load_curve
from facetem.hrtem.optics import Optics

ENERGY = 300e3  # eV
DEFOCUS = 60.0  # Å
MOST_FOCI = 500

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class MicroscopeOptions:
    """Options as given; None: not given."""

    instrument: str | None = None
    energy_kv: float | None = None
    defocus_nm: float | None = None
    focal_series: str | None = None
    cs_um: float | None = None
    astigmatism_nm: float | None = None
    astigmatism_deg: float | None = None
    aberrations_nm: tuple[str, ...] = ()
    focal_spread_nm: float | None = None
    angular_spread_mrad: float | None = None
    aperture_mrad: float | None = None
    image_spread_nm: float | None = None


@dataclass(frozen=True)
class CameraOptions:
    """Options as given; None: not given."""

    camera: str | None = None
    dose: float | None = None
    mtf: Path | None = None
    ntf: Path | None = None
    mtf_unit: FrequencyUnit | None = None
    dqe: float | None = None
    readout: float | None = None
    gain_error: float | None = None
    binning: int | None = None


def read_microscope(options: MicroscopeOptions) -> tuple[float, Optics, tuple[float, ...] | None]:
    """Energy [eV], lens, and the foci [Å] of a series (None: one image at the focus of the lens).

    Raises
    ------
    InputError
        If a name is unknown, a number out of its range, or two options contradict each other.
    """
    energy, optics = _instrument(options)
    aberrations = _aberrations(options, optics.aberrations)
    foci = None
    if options.focal_series is not None:
        around = 10 * (options.defocus_nm or 0.0)
        foci = tuple(around + 10 * focus for focus in parse_focal_series(options.focal_series))
    given = {
        "focal_spread": _times(10, options.focal_spread_nm),
        "angular_spread": options.angular_spread_mrad,
        "aperture": options.aperture_mrad,
        "image_spread": _times(10, options.image_spread_nm),
    }
    numbers = {name: value for name, value in given.items() if value is not None}
    return energy, replace(optics, aberrations=aberrations, **numbers), foci


def _times(factor: float, value: float | None) -> float | None:
    return None if value is None else factor * value


def _instrument(options: MicroscopeOptions) -> tuple[float, Optics]:
    energy = _times(1e3, options.energy_kv)
    if options.instrument is None:
        return ENERGY if energy is None else energy, Optics()
    from facetem.hrtem.instruments import INSTRUMENTS

    chosen = choose("instrument", options.instrument, INSTRUMENTS)
    if energy is not None and abs(energy - chosen.energy) > 1:
        raise InputError(
            f"--energy-kv {options.energy_kv:g} contradicts --instrument {options.instrument}, which has "
            f"{chosen.energy / 1e3:g} kV; leave one of them out"
        )
    return chosen.energy, chosen.optics


def choose(kind: str, name: str, known: Mapping[str, Thing]) -> Thing:
    """The thing of that name.

    Raises
    ------
    InputError
        If there is none; the message lists those that there are.
    """
    if name not in known:
        raise InputError(f"{kind}: expected one of {', '.join(known)}, got {name!r}")
    return known[name]


def _aberrations(options: MicroscopeOptions, base: Aberrations) -> Aberrations:
    if options.astigmatism_deg is not None and options.astigmatism_nm is None:
        raise InputError("--astigmatism-deg without --astigmatism-nm: an azimuth of nothing; give both")
    given: dict[str, float] = {}
    named = {
        "defocus": ("--defocus-nm", _times(10, options.defocus_nm)),
        "C30": ("--cs-um", _times(1e4, options.cs_um)),
        "C12": ("--astigmatism-nm", _times(10, options.astigmatism_nm)),
        "phi12": ("--astigmatism-deg", _times(radians(1), options.astigmatism_deg)),
    }
    for name, (_, value) in named.items():
        if value is not None:
            given[name] = value
    for text in options.aberrations_nm:
        name, coefficient, azimuth = parse_aberration(text)
        if name in given:
            other = named[name][0] if name in named else "--aberration-nm"
            raise InputError(
                f"--aberration-nm {text} contradicts {other}: {name} is given twice; leave one out"
            )
        given[name] = coefficient
        if azimuth is not None:
            given["phi" + name[1:]] = azimuth
    if options.instrument is None and options.defocus_nm is None and options.focal_series is None:
        given["defocus"] = DEFOCUS
    return replace(base, **given)


def parse_aberration(text: str) -> tuple[str, float, float | None]:
    """Name, coefficient [Å] and azimuth [rad] of "C21=30@45": nm and degrees; the azimuth may be missing."""
    known = [item.name for item in fields(Aberrations) if item.name.startswith("C")]
    name, _, value = text.partition("=")
    coefficient, at, azimuth = value.partition("@")
    if name not in known:
        raise InputError(
            f"--aberration-nm {text}: expected one of {', '.join(known)}, got {name!r}; C10 is --defocus-nm"
        )
    if at and not hasattr(Aberrations(), "phi" + name[1:]):
        raise InputError(
            f"--aberration-nm {text}: {name} is round and has no azimuth; leave {at}{azimuth} out"
        )
    try:
        return name, 10 * float(coefficient), radians(float(azimuth)) if at else None
    except ValueError as error:
        raise InputError(
            f"--aberration-nm {text}: expected NAME=VALUE or NAME=VALUE@AZIMUTH, in nm and degrees, as in C21=30@45"
        ) from error


def parse_focal_series(text: str) -> tuple[float, ...]:
    """The numbers of "start:stop:step", both ends included: "-10:10:5" is -10, -5, 0, 5, 10."""
    try:
        start, stop, step = (float(part) for part in text.split(":"))
        count = (stop - start) / step
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(
            f"--focal-series: expected start:stop:step in nm, as in -10:10:2, got {text!r}"
        ) from error
    if not 0 <= count < MOST_FOCI:  # also false for NaN and infinity
        raise InputError(
            f"--focal-series: expected a step that leads from start to stop in fewer than {MOST_FOCI}, got {text!r}"
        )
    if abs(count - round(count)) > 1e-6:
        raise InputError(
            f"--focal-series: expected whole steps from start to stop, got {count:.3f} of them in {text!r}"
        )
    return tuple(round(float(x), 9) for x in np.linspace(start, stop, round(count) + 1))


def read_camera(options: CameraOptions) -> Camera:
    """The camera; without any option a perfect one, without noise.

    Raises
    ------
    InputError
        If a name is unknown, a file no curve, a number out of its range, or options contradict each other.
    """
    if options.dose is None:
        for name in ("readout", "dqe", "ntf"):
            if getattr(options, name) is not None:
                raise InputError(
                    f"--{name} without --dose: there is no noise without a dose; give one in e/Å2"
                )
    if options.camera is not None and (options.mtf is not None or options.ntf is not None):
        raise InputError("--mtf and --ntf contradict --camera, which has curves of its own; leave one out")
    if options.ntf is not None and options.mtf is None:
        raise InputError(
            "--ntf without --mtf: the noise's transfer is that of a camera with a known one; give both"
        )
    if options.mtf_unit is not None and options.mtf is None:
        raise InputError("--mtf-unit without --mtf: there is no curve; leave it out")
    base = Camera() if options.camera is None else choose("camera", options.camera, CAMERAS)
    given = {
        "dose": inf if options.dose is None else options.dose,
        "mtf": _curve(options.mtf, options.mtf_unit),
        "ntf": _curve(options.ntf, options.mtf_unit),
        "dqe": options.dqe,
        "readout": options.readout,
        "gain_error": options.gain_error,
        "binning": options.binning,
    }
    return replace(base, **{name: value for name, value in given.items() if value is not None})


def _curve(path: Path | None, unit: FrequencyUnit | None) -> TransferCurve | None:
    return None if path is None else load_curve(path, unit=unit or "cycles-per-pixel")
