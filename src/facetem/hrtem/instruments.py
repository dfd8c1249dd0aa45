"""Aberration-corrected microscopes to start from: beam energy, source and lens -> `Optics`.

Of an instrument's numbers the energy spread of its source is published for each kind of source; chromatic
aberration, ripples, convergence and vibration are typical, the same for all, and named as such; focal spread,
information limit and residual spherical aberration follow from them. docs/optics.md has the table.
"""

from dataclasses import dataclass
from math import inf, isfinite, pi, sqrt

from facetem.core.errors import InputError
from facetem.core.physics import wavelength
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.coherence import focal_spread, from_fwhm, from_half_width
from facetem.hrtem.optics import Optics

# FWHM of the source's energies [eV], and where it is published
SOURCES = {
    "cold-feg": (0.3, "JEOL, Glossary of SEM Terms, energy spread: about 0.3 eV at room temperature"),
    "schottky": (0.7, "JEOL, Glossary of SEM Terms, energy spread: 0.4 to 1 eV; here the middle"),
    "monochromated": (
        0.15,
        "Lopatin & Chuvilin, 18th Int. Microscopy Congress (2014) IT-2-P-2571: image-corrected Titan, below 0.15 eV",
    ),
}

# Typical, not published of one instrument
CHROMATIC = 1.5e7  # Å: the middle of 1 to 2 mm, what 200-300 kV objective lenses have
RIPPLE = 0.5e-6  # FWHM of high tension and lens current, each, relative
CONVERGENCE = 0.2  # mrad, half width at 1/e: bright, nearly parallel light
VIBRATION = 0.3  # Å, standard deviation along an axis


@dataclass(frozen=True)
class Instrument:
    """A microscope at one beam energy.

    Parameters
    ----------
    energy
        Of the beam [eV].
    Cc
        Coefficient of chromatic aberration [Å].
    energy_spread
        Full width at half maximum of the source's energies [eV].
    optics
        The lens at `defocus` 0 with its spreads as standard deviations.
    source
        Where `energy_spread` is published.
    """

    energy: float
    Cc: float
    energy_spread: float
    optics: Optics
    source: str


def information_limit(energy: float, focal_spread: float) -> float:
    """Frequency [1/Å] at which the focal spread [Å] leaves exp(-2) of the linear transfer.

    exp(-(pi lambda Delta k^2)^2 / 2) = exp(-2) at k = sqrt(2 / (pi lambda Delta)) (O'Keefe, Ultramicroscopy 47
    (1992) 282); infinite without a focal spread.

    Raises
    ------
    InputError
        If `focal_spread` is negative or not finite.
    """
    if not 0 <= focal_spread < inf:
        raise InputError(f"focal_spread: expected a finite number >= 0, got {focal_spread!r}")
    return sqrt(2 / (pi * wavelength(energy) * focal_spread)) if focal_spread else inf


def spread_of_limit(energy: float, limit: float) -> float:
    """The focal spread [Å] whose information limit is the frequency `limit` [1/Å], see `information_limit`.

    Raises
    ------
    InputError
        If `limit` is not a finite positive number.
    """
    _check_limit(limit)
    return 2 / (pi * wavelength(energy) * limit**2)


def _check_limit(limit: float) -> None:
    if not (isfinite(limit) and limit > 0):
        raise InputError(f"limit: expected a finite frequency > 0, got {limit!r}")


def bright_atoms(energy: float, limit: float) -> Aberrations:
    """C30 < 0 and overfocus for the strongest phase contrast up to `limit` [1/Å], atoms bright.

    C30 = -64 / (27 lambda^3 k^4), defocus = -16 / (9 lambda k^2): where Scherzer's focus sqrt(4/3 C30 lambda) and
    that of the least delocalisation, 3/4 C30 lambda^2 k^2 (Lichte, Ultramicroscopy 38 (1991) 13), are the same
    (Lentzen et al., Ultramicroscopy 92 (2002) 233); both signs turned (Jia, Lentzen & Urban, Science 299 (2003) 870).

    Raises
    ------
    InputError
        If `limit` is not a finite positive number.
    """
    _check_limit(limit)
    lam = wavelength(energy)
    return Aberrations(defocus=-16 / (9 * lam * limit**2), C30=-64 / (27 * lam**3 * limit**4))


def _instrument(energy: float, kind: str) -> Instrument:
    width, source = SOURCES[kind]
    ripple = from_fwhm(RIPPLE)
    spread = focal_spread(
        CHROMATIC, energy, energy_spread=from_fwhm(width), tension_ripple=ripple, lens_ripple=ripple
    )
    residual = bright_atoms(energy, information_limit(energy, spread)).C30
    optics = Optics(
        Aberrations(C30=residual),
        focal_spread=spread,
        angular_spread=from_half_width(CONVERGENCE),
        image_spread=VIBRATION,
    )
    return Instrument(energy, CHROMATIC, width, optics, source)


# "300kV-schottky" and so on
INSTRUMENTS: dict[str, Instrument] = {
    f"{energy / 1e3:.0f}kV-{kind}": _instrument(energy, kind)
    for energy in (80e3, 200e3, 300e3)
    for kind in SOURCES
}
