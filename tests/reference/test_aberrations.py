"""Lenses of fifth order against abTEM (Madsen & Susi, Open Research Europe 1 (2021) 24): same names, signs, azimuths.

abTEM's spreads are half widths at 1/e, sqrt(2) standard deviations, and both are envelopes on the wave. Its arrays are
(x, y).
"""

from types import ModuleType

import pytest
import torch

from facetem.core.grid import Grid, fourier_resample
from facetem.hrtem.aberrations import ORDERS, Aberrations
from facetem.hrtem.coherence import to_half_width
from facetem.hrtem.optics import Optics, clean_images

GRID = Grid((96, 96), 0.25)
# Some radians each at 1 / Å and 200 kV.
SIZES = {1: 40.0, 2: 500.0, 3: 5e4, 4: 2e6, 5: 1e8}
AZIMUTHS = {name: 0.3 + 0.17 * i for i, name in enumerate(ORDERS)}


@pytest.fixture(scope="module")
def wave() -> torch.Tensor:
    """A strong object up to 0.95 / Å, so that its intensity folds back nowhere on its own pixels."""
    noise = torch.randn(GRID.shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    inside = GRID.squared_frequency(dtype=torch.float64) <= 0.95**2
    return 1 + fourier_resample(torch.fft.ifft2(torch.fft.fft2(noise) * inside), GRID.shape)


def numbers_of(names: tuple[str, ...]) -> dict[str, float]:
    numbers = {}
    for name in names:
        n, m = ORDERS[name]
        numbers |= {"defocus": 60.0} if name == "C10" else {name: SIZES[n]}
        numbers |= {"phi" + name[1:]: AZIMUTHS[name]} if m else {}
    return numbers


@pytest.mark.parametrize("names", [*((name,) for name in ORDERS), tuple(ORDERS)], ids=[*ORDERS, "all"])
@pytest.mark.parametrize(("focal", "angular"), [(0.0, 0.0), (25.0, 0.15)], ids=["coherent", "envelopes"])
def test_lens(
    abtem: ModuleType, wave: torch.Tensor, names: tuple[str, ...], focal: float, angular: float
) -> None:
    """Measured rms, in units of the mean intensity: 1e-13 coherent, 1e-8 with both envelopes."""
    numbers = numbers_of(names)
    ctf = abtem.CTF(
        energy=200e3,
        focal_spread=to_half_width(focal),
        angular_spread=to_half_width(angular),
        aberration_coefficients=numbers,
    )
    waves = abtem.Waves(wave.T.numpy().copy(), energy=200e3, sampling=GRID.sampling)
    theirs = torch.as_tensor(waves.apply_ctf(ctf).intensity().array.T.copy())
    optics = Optics(Aberrations(**numbers), focal_spread=focal, angular_spread=angular, image_spread=0.0)
    ours = clean_images(wave[None], GRID, energies=[200e3], optics=[optics], band=0.96, temporal="envelope")[
        0
    ]
    plain = wave.abs().square()
    scale = float(plain.mean())
    assert float((plain - ours).std()) > 0.05 * scale  # the lens does something
    assert float((theirs - ours).std()) < 1e-5 * scale
