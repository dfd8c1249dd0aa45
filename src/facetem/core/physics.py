"""Electron-optical constants and the two numbers every multislice needs.

Symbols: lambda (`wavelength`), sigma (`interaction_parameter`), E (`energy`, beam energy in eV).
"""

import math

# CODATA 2018, exact or to more digits than a single-precision wave can hold.
PLANCK = 6.62607015e-34  # J s
LIGHT_SPEED = 299792458.0  # m / s
ELECTRON_MASS = 9.1093837015e-31  # kg
ELEMENTARY_CHARGE = 1.602176634e-19  # C
REST_ENERGY = ELECTRON_MASS * LIGHT_SPEED**2 / ELEMENTARY_CHARGE  # eV

BOHR_RADIUS = 0.529177210903  # Å
HARTREE_E2 = 14.399645478  # e^2 / (4 pi eps0) [V Å]


def wavelength(energy: float) -> float:
    """Relativistic de Broglie wavelength [Å] of electrons of `energy` [eV].

    lambda = h c / sqrt(E (E + 2 m c^2))   (Kirkland, Advanced Computing in Electron Microscopy, eq. 2.5)

    Raises
    ------
    ValueError
        If `energy` is not positive and finite.
    """
    if not (math.isfinite(energy) and energy > 0):
        raise ValueError(f"energy must be a positive number of eV, got {energy!r}")
    hc = PLANCK * LIGHT_SPEED / ELEMENTARY_CHARGE * 1e10  # eV Å
    return hc / math.sqrt(energy * (energy + 2 * REST_ENERGY))


def interaction_parameter(energy: float) -> float:
    """Phase [rad] per projected potential [V Å]: sigma = 2 pi m e lambda / h^2, m relativistic.

    (Kirkland, eq. 5.6; here in the form 2 pi / (lambda E) (mc^2 + E) / (2 mc^2 + E).)
    """
    return 2 * math.pi / (wavelength(energy) * energy) * (REST_ENERGY + energy) / (2 * REST_ENERGY + energy)
