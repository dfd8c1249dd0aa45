"""What the options of `facetem simulate` say about the calculation itself, checked."""

from dataclasses import dataclass, replace
from math import inf
from typing import get_args

from ase.data import atomic_numbers

from facetem.app.calculation import Method
from facetem.app.imaging import choose
from facetem.core.errors import InputError
from facetem.hrtem.optics import Average
from facetem.hrtem.scattering import PARAMETRIZATIONS
from facetem.hrtem.settings import ACCURACIES, STEEPEST_TILT

MOST_PHONONS = 10_000
FACTORS = {name.replace("_", "-"): name for name in PARAMETRIZATIONS}
PRESETS = {str(name): settings for name, settings in ACCURACIES.items()}
AVERAGES: dict[str, Average] = {name: name for name in get_args(Average)}


@dataclass(frozen=True)
class MethodOptions:
    """Options as given."""

    accuracy: str = "standard"
    scattering_factors: str = "lobato"
    slice_nm: float | None = None
    tilt_mrad: str | None = None
    absorption: tuple[str, ...] = ()
    phonons: int = 0
    temporal: str = "average"
    spatial: str = "envelope"
    seed: int = 0
    device: str = "auto"


def read_method(options: MethodOptions) -> Method:
    """Settings of the multislice and of the averages.

    Raises
    ------
    InputError
        If a name is unknown or a number out of its range.
    """
    settings = replace(
        choose("--accuracy", options.accuracy, PRESETS),
        parametrization=choose("--scattering-factors", options.scattering_factors, FACTORS),
        absorption=_absorption(options.absorption),
    )
    if options.slice_nm is not None:
        if not 0 < options.slice_nm < inf:
            raise InputError(f"--slice-nm: expected a positive distance, got {options.slice_nm:g} nm")
        thickness = 10 * options.slice_nm
        columns = tuple((phase, pixel, thickness) for phase, pixel, _ in settings.columns)
        settings = replace(settings, slice_thickness=thickness, light_thickness=thickness, columns=columns)
    if options.tilt_mrad is not None:
        settings = replace(settings, tilt=parse_tilt(options.tilt_mrad))
    if not 0 <= options.phonons <= MOST_PHONONS:
        raise InputError(
            f"--phonons: expected 0 to {MOST_PHONONS} configurations to average, got {options.phonons}"
        )
    return Method(
        settings=settings,
        phonons=options.phonons,
        temporal=choose("--temporal", options.temporal, AVERAGES),
        spatial=choose("--spatial", options.spatial, AVERAGES),
        seed=options.seed,
    )


def parse_tilt(text: str) -> tuple[float, float]:
    """The two angles [mrad] of "3,-1.5"."""
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = inf
    if not (abs(x) <= STEEPEST_TILT and abs(y) <= STEEPEST_TILT):  # NaN neither
        raise InputError(
            f"--tilt-mrad: expected X,Y within {STEEPEST_TILT:g} mrad, as in 3,-1.5, got {text!r}"
        )
    return x, y


def _absorption(texts: tuple[str, ...]) -> dict[int, float]:
    """Ratios by atomic number."""
    ratios: dict[int, float] = {}
    for text in texts:
        number, ratio = parse_absorption(text)
        if number in ratios:
            raise InputError(f"--absorption {text}: the element is given twice; leave one out")
        ratios[number] = ratio
    return ratios


def parse_absorption(text: str) -> tuple[int, float]:
    """Atomic number and ratio of "Au=0.05"."""
    symbol, _, value = text.partition("=")
    try:
        number, ratio = atomic_numbers[symbol], float(value)
    except (KeyError, ValueError) as error:
        raise InputError(f"--absorption {text}: expected SYMBOL=RATIO, as in Au=0.05") from error
    if not 0 <= ratio < inf:
        raise InputError(f"--absorption {text}: expected a ratio >= 0, got {value}")
    return number, ratio
