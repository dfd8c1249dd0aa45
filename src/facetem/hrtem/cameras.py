"""Cameras by what they are, with the numbers of published measurements.

Give one a dose with `dataclasses.replace(CAMERAS["direct-counting"], dose=500.0)`. All were measured at 300 kV; at
lower voltages a scintillator spreads the light less, and a thin direct detector scatters more. Curves are in
fractions of the Nyquist frequency.
"""

from collections.abc import Mapping

from facetem.hrtem.camera import Camera
from facetem.hrtem.curves import TransferCurve

_DIRECT = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def _direct(mtf: tuple[float, ...], dqe: tuple[float, ...]) -> Camera:
    """A camera of measured MTF and DQE; NTF = MTF sqrt(DQE(0) / DQE)."""
    ntf = tuple(m * (dqe[0] / d) ** 0.5 for m, d in zip(mtf, dqe, strict=True))
    return Camera(
        mtf=TransferCurve.of_nyquist(_DIRECT, mtf), ntf=TransferCurve.of_nyquist(_DIRECT, ntf), dqe=dqe[0]
    )


# Gatan K2 Summit (counting) and FEI Falcon II (integrating) at 300 kV. DQE: McMullan, Faruqi, Clare & Henderson,
# Ultramicroscopy 147 (2014) 156, read off their curves. MTF: the tables mtf_k2_300kV.star and
# mtf_falcon2_300kV.star in use with RELION. Readout noise is within the DQE; no gain error is given, so it is 0.
# Counting loses electrons at high dose rates, which is left out.
_COUNTING = _direct(
    mtf=(1.0, 0.974, 0.944, 0.927, 0.915, 0.899, 0.855, 0.798, 0.733, 0.664, 0.593, 0.522, 0.454, 0.388),
    dqe=(0.797, 0.796, 0.795, 0.793, 0.785, 0.763, 0.704, 0.629, 0.559, 0.487, 0.414, 0.349, 0.283, 0.230),
)
_INTEGRATING = _direct(
    mtf=(1.0, 0.978, 0.907, 0.799, 0.702, 0.601, 0.423, 0.301, 0.219, 0.160, 0.117, 0.088, 0.067, 0.052),
    dqe=(0.509, 0.499, 0.484, 0.486, 0.493, 0.502, 0.526, 0.553, 0.543, 0.502, 0.449, 0.390, 0.334, 0.273),
)

# MTF of a Gatan UltraScan 1000 (phosphor, fibre optics, CCD) at 300 kV: the file US1000P-300keV.mtf that comes with
# Dr Probe (Barthel, Ultramicroscopy 193 (2018) 1). DQE(0) = 0.4, NTF = MTF^(3/8), and 3 counts of readout noise at 6.6
# counts an electron: such a camera in the simulator of Vulovic et al., J. Struct. Biol. 183 (2013) 19. Gain error: a
# reference of 30 frames of 7050 counts, Sci. Rep. 15 (2025), doi 10.1038/s41598-025-85982-4, fig. 12.
_PHOSPHOR = (0.0, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_PHOSPHOR_MTF = (
    *(1.0, 0.916, 0.797, 0.669, 0.565, 0.444, 0.386, 0.338),
    *(0.298, 0.223, 0.168, 0.127, 0.096, 0.072, 0.052, 0.037),
)  # fmt: skip
_CCD = Camera(
    readout=3 / 6.6,
    mtf=TransferCurve.of_nyquist(_PHOSPHOR, _PHOSPHOR_MTF),
    ntf=TransferCurve.of_nyquist(_PHOSPHOR, tuple(m**0.375 for m in _PHOSPHOR_MTF)),
    dqe=0.4,
    gain_error=0.0027,
)

# A CMOS chip behind the same phosphor and fibre optics. The light spreads in those, not in the chip, so the CCD's
# curves stand in; we know of no published set of numbers. What differs is speed, which is not modelled here.
_CMOS = _CCD

CAMERAS: Mapping[str, Camera] = {
    "scintillator-ccd": _CCD,
    "scintillator-cmos": _CMOS,
    "direct-counting": _COUNTING,
    "direct-integrating": _INTEGRATING,
}
