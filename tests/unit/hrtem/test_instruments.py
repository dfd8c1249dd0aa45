"""The presets hold together: their numbers follow from each other, and reach what is published of such microscopes."""

from math import inf, pi

import numpy as np
import pytest
import torch

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.core.physics import wavelength
from facetem.hrtem.coherence import from_fwhm
from facetem.hrtem.instruments import INSTRUMENTS, SOURCES, bright_atoms, information_limit
from facetem.hrtem.optics import Optics, clean_images


def test_names_say_energy_and_source() -> None:
    assert set(INSTRUMENTS) == {f"{kV}kV-{kind}" for kV in (80, 200, 300) for kind in SOURCES}
    for name, instrument in INSTRUMENTS.items():
        assert name.startswith(f"{instrument.energy / 1e3:.0f}kV-")
        assert instrument.source


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_the_source_is_most_of_the_focal_spread(name: str) -> None:
    """Cc kappa dE / E of the energy spread alone is a lower bound; instabilities add to it in squares."""
    instrument = INSTRUMENTS[name]
    spread = instrument.optics.focal_spread
    relativistic = (1 + instrument.energy / 510_998.95) / (1 + instrument.energy / 2 / 510_998.95)
    source = instrument.Cc * relativistic * from_fwhm(instrument.energy_spread) / instrument.energy
    assert source < spread < 2.2 * source


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # Kisielowski et al., Microsc. Microanal. 14 (2008) 469: TEAM 0.5, 0.5 Å
        ("300kV-monochromated", (0.45, 0.55)),
        # Lentzen, Microsc. Microanal. 12 (2006) 191: CM200 FEG ST, better than 1.3 Å
        ("200kV-schottky", (0.9, 1.3)),
    ],
)
def test_information_limit_is_that_of_the_microscope(name: str, published: tuple[float, float]) -> None:
    instrument = INSTRUMENTS[name]
    limit = 1 / information_limit(instrument.energy, float(instrument.optics.focal_spread))
    assert published[0] < limit < published[1]


def test_information_limit_is_where_the_envelope_is_one_over_e_squared() -> None:
    k = information_limit(200e3, 30.0)
    assert np.exp(-0.5 * (pi * wavelength(200e3) * 30.0 * k**2) ** 2) == pytest.approx(np.exp(-2))
    assert information_limit(200e3, 0.0) == inf
    with pytest.raises(InputError, match="focal_spread: expected a finite number >= 0, got -1"):
        information_limit(200e3, -1.0)


def test_residual_spherical_aberration_is_what_was_used() -> None:
    """Jia, Lentzen & Urban, Science 299 (2003) 870: -40 µm on the CM200, whose limit is 1.3 Å."""
    aberrations = bright_atoms(200e3, 1 / 1.3)
    assert aberrations.C30 == pytest.approx(-40e4, rel=0.1)
    assert aberrations.defocus < 0
    with pytest.raises(InputError, match="limit: expected a finite frequency > 0, got 0"):
        bright_atoms(200e3, 0.0)


@pytest.mark.parametrize("name", ["80kV-monochromated", "200kV-cold-feg", "300kV-schottky"])
def test_bright_atoms_have_nearly_all_the_contrast_there_is(name: str) -> None:
    """From half the limit to the limit a weak phase object is transferred with more than 0.85 of 2, and positive."""
    energy = INSTRUMENTS[name].energy
    limit = information_limit(energy, float(INSTRUMENTS[name].optics.focal_spread))
    line = Grid((4, 512), 0.2)
    point = torch.zeros(1, *line.shape, dtype=torch.float64)
    point[..., 0] = 1e-7
    optics = Optics(bright_atoms(energy, limit), focal_spread=0.0, angular_spread=0.0, image_spread=0.0)
    image = clean_images(torch.exp(1j * point), line, energies=[energy], optics=[optics])[0]
    transfer = (torch.fft.fft2(image)[0].real / torch.fft.fft2(point[0])[0].real).numpy()
    k = line.frequencies(dtype=torch.float64)[1][0].numpy()
    band = transfer[(k > limit / 2) & (k < limit)]
    assert band.min() > 0.85 * 2
