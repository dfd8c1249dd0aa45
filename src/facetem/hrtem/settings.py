"""How a multislice is calculated: what it costs, and how far from the converged wave it stays."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from typing import Literal

from facetem.core.errors import InputError
from facetem.hrtem.scattering import DEBYE_WALLER, PARAMETRIZATIONS, Parametrization

Accuracy = Literal["draft", "standard", "reference"]
Projection = Literal["infinite", "finite"]
WIDEST_BAND = 0.9  # of Nyquist: the gridding needs a margin
STEEPEST_TILT = 50.0  # mrad; beyond, the small-angle propagator is off by more than it corrects


@dataclass(frozen=True)
class Multislice:
    """Settings of a multislice calculation. The defaults are those of `accuracy="standard"`.

    Parameters
    ----------
    sampling
        Largest pixel of the wave [Å/px].
    slice_thickness
        Largest distance [Å] of the planes that act on the wave.
    light_thickness
        The same where there are only elements up to calcium, as in a carbon film.
    order
        Planes that share an atom. 1: it acts where the nearest plane is. 2, 3, 4: with weights that interpolate in z,
        so that its height counts as it is to that order, and the wave has a gradient to it.
    band, potential_band
        Band limits of the wave and of the potential, in units of Nyquist. 2/3 lets no product of two functions alias;
        more is more accurate as long as both have little there.
    second_order
        Keep what an atom scatters out of the band and back into it again, see `atomic.second_order`.
    projection
        `infinite`: an atom is as flat as a plane. `finite`: its extent along z is kept to second order; for `order` 3
        and 4.
    parametrization
        Table of the scattering factors.
    debye_waller
        B [Å^2] by atomic number; empty for frozen phonons.
    absorption
        Imaginary part of the potential in parts of the real part, by atomic number (Hashimoto, Howie & Whelan, Proc.
        R. Soc. A 269 (1962) 80: about 0.05 to 0.1 for thick crystals). Default: none.
    columns
        Where atoms stand in columns along the beam, the wave needs finer pixels and planes: (phase, pixel, distance of
        planes) for specimens whose projected potential somewhere turns the phase by more than `phase` [rad, Å, Å],
        phases ascending. For `fitted`, which `simulate` calls; `exit_wave` takes settings as they are.
    tilt : (x, y)
        Direction of the beam [mrad] to z. The wave is divided by the incident one, and the lens has its axis along the
        beam: this is a specimen tilted by a small angle, seen along z.

    Raises
    ------
    InputError
        If a number is out of its range.
    """

    sampling: float = 0.25
    slice_thickness: float = 10.0
    light_thickness: float = 10.0
    order: int = 3
    band: float = 0.9
    potential_band: float = 0.9
    second_order: bool = True
    projection: Projection = "infinite"
    parametrization: Parametrization = "lobato"
    debye_waller: Mapping[int, float] = field(default_factory=lambda: DEBYE_WALLER, hash=False)
    absorption: Mapping[int, float] = field(default_factory=dict, hash=False)
    columns: tuple[tuple[float, float, float], ...] = ((4.0, 0.16, 4.0), (7.0, 0.125, 3.0))
    tilt: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        for name in ("sampling", "slice_thickness", "light_thickness"):
            value = getattr(self, name)
            if not 0 < value < inf:
                raise InputError(f"{name}: expected a positive number of Å, got {value!r}")
        if self.order not in (1, 2, 3, 4):
            raise InputError(f"order: expected 1, 2, 3 or 4 planes that share an atom, got {self.order!r}")
        for name in ("band", "potential_band"):
            value = getattr(self, name)
            if not 0 < value <= WIDEST_BAND:
                raise InputError(f"{name}: expected up to {WIDEST_BAND} of Nyquist, got {value!r}")
        if self.projection not in ("infinite", "finite"):
            raise InputError(f"projection: expected infinite or finite, got {self.projection!r}")
        if self.projection == "finite" and self.order < 3:
            raise InputError(f"projection: finite needs order 3 or 4, got order {self.order}")
        if self.parametrization not in PARAMETRIZATIONS:
            raise InputError(
                f"parametrization: expected {', '.join(PARAMETRIZATIONS)}, got {self.parametrization!r}"
            )
        for name in ("debye_waller", "absorption"):
            object.__setattr__(
                self, name, dict(getattr(self, name))
            )  # what the caller does with his has no effect
            for number, value in getattr(self, name).items():
                if not (isfinite(value) and value >= 0):
                    raise InputError(f"{name}: expected a number >= 0 for element {number}, got {value!r}")
        object.__setattr__(self, "columns", tuple(tuple(column) for column in self.columns))
        phases = [column[0] for column in self.columns if len(column) == 3]
        if (
            len(phases) < len(self.columns)
            or phases != sorted(set(phases))
            or not all(0 < number < inf for column in self.columns for number in column)
        ):
            raise InputError(
                "columns: expected (phase, pixel, distance) with ascending phases and positive numbers, got "
                f"{self.columns!r}"
            )
        object.__setattr__(self, "tilt", tuple(self.tilt))
        if len(self.tilt) != 2 or not all(abs(angle) <= STEEPEST_TILT for angle in self.tilt):
            raise InputError(f"tilt: expected (x, y) within {STEEPEST_TILT:g} mrad, got {self.tilt!r}")

    def fitted(self, phase: float) -> "Multislice":
        """These settings for a specimen that turns the phase by `phase` [rad] where it does most."""
        finer = [column[1:] for column in self.columns if phase > column[0]]
        sampling, thickness = finer[-1] if finer else (inf, inf)
        return replace(
            self,
            sampling=min(self.sampling, sampling),
            slice_thickness=min(self.slice_thickness, thickness),
            columns=(),
        )


# Errors: docs/validation.md, "Accuracy for its price".
ACCURACIES: Mapping[Accuracy, Multislice] = {
    "draft": Multislice(sampling=0.4, columns=((3.0, 0.25, 8.0), (6.0, 0.16, 4.0))),
    "standard": Multislice(),
    "reference": Multislice(
        sampling=0.125, slice_thickness=2.0, light_thickness=4.0, order=4, columns=((4.0, 0.1, 2.0),)
    ),
}


def settings_of(accuracy: Accuracy | Multislice) -> Multislice:
    """The settings that a name stands for; settings of one's own pass through.

    Raises
    ------
    InputError
        If it is neither.
    """
    if isinstance(accuracy, Multislice):
        return accuracy
    if accuracy not in ACCURACIES:
        raise InputError(f"accuracy: expected {', '.join(ACCURACIES)} or a Multislice, got {accuracy!r}")
    return ACCURACIES[accuracy]
