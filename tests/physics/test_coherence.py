"""Partial coherence, aperture, image spread and sampling of the image."""

from dataclasses import replace
from math import factorial

import numpy as np
import pytest
import torch

from facetem.core.errors import InputError
from facetem.core.grid import Grid, fourier_resample
from facetem.core.physics import wavelength
from facetem.hrtem.aberrations import Aberrations, aberration_phase
from facetem.hrtem.coherence import even_nodes, gauss_count, gauss_nodes, tilt_nodes
from facetem.hrtem.multislice import exit_wave
from facetem.hrtem.optics import Optics, clean_images, intensity_shape, transfer
from facetem.hrtem.settings import Multislice

ENERGY = 200e3
LAM = wavelength(ENERGY)
GRID = Grid((96, 96), 0.25)
BAND = Multislice.band
LENS = Aberrations(defocus=70.0, C12=15.0, phi12=0.5, C30=-1e5)
STEADY = {"focal_spread": 0.0, "angular_spread": 0.0, "image_spread": 0.0}


@pytest.fixture(scope="module")
def wave(draw_cluster) -> torch.Tensor:
    """A strongly scattering specimen: the images are far from linear."""
    structure = draw_cluster(n=60, numbers=(79,))
    return exit_wave(structure, GRID, energies=torch.tensor([ENERGY], dtype=torch.float64))


@pytest.fixture(scope="module")
def weak() -> torch.Tensor:
    """A random weak phase object, band-limited, (1, y, x)."""
    noise = torch.randn(GRID.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    inside = GRID.squared_frequency(dtype=torch.float64) <= 1.0**2
    phase = torch.fft.ifft2(torch.fft.fft2(noise) * inside).real
    return 1 + 1e-6j * phase[None]


def images(wave: torch.Tensor, *optics: Optics, **options) -> torch.Tensor:
    many = wave.expand(len(optics), -1, -1)
    return clean_images(many, GRID, energies=[ENERGY] * len(optics), optics=optics, **options)


def vacuum() -> torch.Tensor:
    return torch.ones(1, *GRID.shape, dtype=torch.complex128)


def test_vacuum_has_intensity_one_under_any_lens() -> None:
    every = Optics(
        Aberrations(200.0, 30.0, 1.0, 400.0, 2.0, 400.0, 3.0, 1e5), 40.0, 0.3, aperture=20.0, image_spread=0.5
    )
    for shape in ((96, 96), (60, 60), (45, 45)):
        image = images(vacuum(), every, shape=shape)[0]
        torch.testing.assert_close(image, torch.ones(shape, dtype=torch.float64), atol=1e-12, rtol=0)


def focal_series(
    wave: torch.Tensor, spread: float, positions: np.ndarray, masses: np.ndarray
) -> torch.Tensor:
    """The weighted mean (y, x) of images that are each taken at one focus, `positions` standard deviations off."""
    lenses = [Aberrations(LENS.defocus + spread * x, 15.0, 0.5, C30=-1e5) for x in positions]
    series = images(wave, *(Optics(lens, **STEADY) for lens in lenses), nodes=1)
    return torch.einsum("n,nyx->yx", torch.as_tensor(masses / masses.sum()), series)


def test_focal_average_is_the_average_of_images(wave: torch.Tensor) -> None:
    spread = 40.0
    optics = Optics(LENS, **{**STEADY, "focal_spread": spread})
    gauss = images(wave, optics, nodes=5)[0]
    expected = focal_series(wave, spread, *np.polynomial.hermite_e.hermegauss(5))
    torch.testing.assert_close(gauss, expected, atol=1e-10, rtol=0)
    phase = torch.full((1, 1, 1), np.pi * LAM * spread * GRID.nyquist**2, dtype=torch.float64)
    positions, masses = (v.flatten().numpy() for v in even_nodes(phase))
    even = images(wave, optics)[0]
    torch.testing.assert_close(even, focal_series(wave, spread, positions, masses), atol=1e-10, rtol=0)


@pytest.mark.parametrize("spread", [5.0, 20.0, 35.0, 50.0])
def test_focal_average_is_the_gaussian_integral(wave: torch.Tensor, spread: float) -> None:
    """Against 81 foci over 5 standard deviations, for a wave that no aperture limits."""
    positions = np.linspace(-5, 5, 81)
    exact = focal_series(wave, spread, positions, np.exp(-(positions**2) / 2))
    optics = Optics(LENS, **{**STEADY, "focal_spread": spread})
    ours = images(wave, optics, band=BAND * GRID.nyquist)[0]
    assert float(exact.std()) > 0.07
    assert float((ours - exact).std()) < 1e-3
    few, some, many = (float((images(wave, optics, nodes=n)[0] - exact).std()) for n in (3, 9, 61))
    assert few > some - 1e-6
    assert some > many - 1e-6
    assert many < 1e-4  # both rules go to the same integral


def test_few_nodes_bring_back_what_the_spread_has_damped() -> None:
    """Why the number of foci follows the spread: one pair of beams, which 50 Å damps to nothing at 80 kV.

    Relative phase a = pi lambda Delta k^2 = 5.4 rad: transfer exp(-a^2 / 2) = 5e-7. Five Gauss-Hermite nodes
    give it back at more than a third.
    """
    line = Grid((4, 256), 0.25)
    x = torch.arange(256, dtype=torch.float64) / 256
    k = 58 / 64.0
    wave = (1 + 1e-6j * torch.cos(2 * torch.pi * 58 * x)).expand(1, 4, 256)
    optics = Optics(
        Aberrations(defocus=0.25 / (wavelength(80e3) * k**2) * 2), **{**STEADY, "focal_spread": 50.0}
    )
    five, enough = (
        clean_images(wave, line, energies=[80e3], optics=[optics], nodes=n, band=1.0).std() * 2**0.5 / 2e-6
        for n in (5, None)
    )
    assert float(five) > 0.3
    assert float(enough) < 0.01


def test_nodes_of_an_image_do_not_depend_on_its_batch() -> None:
    phase = torch.tensor([0.0, 0.8, 7.0], dtype=torch.float64).view(3, 1, 1)
    offsets, weights = even_nodes(phase)
    for i in range(3):
        alone_offsets, alone_weights = even_nodes(phase[i : i + 1])
        used = weights[:, i].flatten() > 0
        torch.testing.assert_close(offsets[used, i], alone_offsets[:, 0])
        torch.testing.assert_close(weights[used, i], alone_weights[:, 0])
    torch.testing.assert_close(weights.sum(0), torch.ones(3, 1, 1, dtype=torch.float64))
    assert int((weights[:, 0] > 0).sum()) == 1


def test_linear_limit_of_the_focal_spread_is_its_envelope(weak: torch.Tensor) -> None:
    """exp(-(pi lambda Delta k^2)^2 / 2) on what a weak object transfers."""
    spread = 25.0
    k2 = GRID.squared_frequency(dtype=torch.float64)
    envelope = torch.exp(-0.5 * (torch.pi * LAM * spread * k2) ** 2)
    sharp, blurred = (
        torch.fft.fft2(images(weak, Optics(LENS, **{**STEADY, "focal_spread": s}), nodes=15)[0] - 1)
        for s in (0.0, spread)
    )
    torch.testing.assert_close(blurred, sharp * envelope, atol=1e-5 * float(sharp.abs().max()), rtol=0)


def test_strong_objects_do_not_follow_the_envelope(wave: torch.Tensor) -> None:
    """Why the average is explicit: an envelope on the wave damps the interference that focus does not touch."""
    spread = 35.0
    k2 = GRID.squared_frequency(dtype=torch.float64)
    enveloped = torch.fft.ifft2(torch.fft.fft2(wave) * torch.exp(-0.5 * (torch.pi * LAM * spread * k2) ** 2))
    explicit = images(wave, Optics(LENS, **{**STEADY, "focal_spread": spread}))
    quasi = images(enveloped, Optics(LENS, **STEADY), nodes=1)
    # The average alone keeps the number of electrons.
    scattered = float(wave.abs().square().mean()) - float(wave.mean().abs() ** 2)
    assert float(explicit.mean()) == pytest.approx(float(wave.abs().square().mean()), rel=1e-10)
    assert float(explicit.mean() - quasi.mean()) > 0.2 * scattered
    assert float((explicit - quasi).std()) > 0.05 * float(explicit.std())


FINE = (160, 160)  # pixels that hold twice the wave's frequencies


def over_directions(wave: torch.Tensor, lens: Aberrations, mrad: float, count: int) -> torch.Tensor:
    """The image (y, x) under illumination from a Gaussian cone, one of `count`^2 directions q at a time.

    Each sees the lens at k + q.
    """
    polar = {k: torch.tensor(v, dtype=torch.complex128).view(1, 1, 1) for k, v in lens.polar().items()}
    lam = torch.full((1, 1, 1), LAM, dtype=torch.float64)
    ky, kx = GRID.frequencies(dtype=torch.float64)
    spectrum = torch.fft.fft2(wave[0])
    offsets, weights = np.polynomial.hermite_e.hermegauss(count)
    average = torch.zeros(FINE, dtype=torch.float64)
    for qx, wx in zip(offsets * mrad * 1e-3 / LAM, weights / weights.sum(), strict=True):
        for qy, wy in zip(offsets * mrad * 1e-3 / LAM, weights / weights.sum(), strict=True):
            chi, _ = aberration_phase(kx + qx, ky + qy, lam, polar)
            seen = torch.fft.ifft2(spectrum * torch.exp(-1j * chi[0]))
            average += wx * wy * fourier_resample(seen, FINE).abs().square()
    return fourier_resample(average, GRID.shape)


def test_spatial_envelope_is_the_average_over_tilts(weak: torch.Tensor) -> None:
    """A weak object: for a lens of second order exp(-s^2 |grad chi|^2 / 2) is exact."""
    lens = Aberrations(defocus=600.0, C12=60.0, phi12=0.3)
    average = over_directions(weak, lens, 0.3, 11)
    ours = images(weak, Optics(lens, **{**STEADY, "angular_spread": 0.3}), nodes=1)[0]
    sharp = images(weak, Optics(lens, **STEADY), nodes=1)[0]
    signal = float((average - average.mean()).std())
    assert float((ours - average).std()) < 1e-3 * signal
    assert float((sharp - average).std()) > 0.3 * signal


SKEW = Aberrations(defocus=300.0, C12=15.0, phi12=0.5, C21=800.0, phi21=1.0, C30=-2e5)


@pytest.mark.parametrize(("mrad", "count"), [(0.1, 7), (0.3, 9), (0.8, 21)])
def test_angular_average_is_the_average_of_images(wave: torch.Tensor, mrad: float, count: int) -> None:
    """A strong object and a lens that tilts: many directions against the 4, 16 and 49 that the average takes.

    Measured: 5e-5, 4e-5 and 1.8e-4 of vacuum; the envelope is off by 4e-4, 2.4e-3 and 6.6e-3.
    """
    exact = over_directions(wave, SKEW, mrad, count)
    optics = Optics(SKEW, **{**STEADY, "angular_spread": mrad})
    ours, envelope = (
        images(wave, optics, band=BAND * GRID.nyquist, spatial=s)[0] for s in ("average", "envelope")
    )
    assert float((ours - exact).square().mean().sqrt()) < 3e-4
    assert float((envelope - exact).square().mean().sqrt()) > 5 * float((ours - exact).std())
    # It keeps the number of electrons; the envelope loses those that scatter far.
    assert float(ours.mean()) == pytest.approx(float(wave.abs().square().mean()), rel=1e-10)


def test_both_averages_at_once(wave: torch.Tensor) -> None:
    """Foci and directions nest: the mean of angular averages, each at one focus."""
    optics = Optics(SKEW, **{**STEADY, "angular_spread": 0.2, "focal_spread": 10.0})
    ours = images(wave, optics, band=BAND * GRID.nyquist, spatial="average")[0]
    positions, masses = np.polynomial.hermite_e.hermegauss(7)
    expected = sum(
        mass / masses.sum() * over_directions(wave, replace(SKEW, defocus=300.0 + 10.0 * x), 0.2, 4)
        for x, mass in zip(positions, masses, strict=True)
    )
    assert float((ours - expected).std()) < 5e-4


def test_in_focus_a_tilt_acts_through_the_focal_spread_alone(wave: torch.Tensor) -> None:
    """A perfect lens at focus moves no tilted wave, but it does at each of the foci that it spreads over.

    Measured: 4e-5 of vacuum; without the directions 3e-3.
    """
    focused = Optics(Aberrations(), **{**STEADY, "focal_spread": 60.0})
    positions, masses = np.polynomial.hermite_e.hermegauss(8)
    expected = sum(
        mass / masses.sum() * over_directions(wave, Aberrations(defocus=60.0 * x), 1.0, 4)
        for x, mass in zip(positions, masses, strict=True)
    )
    tilted, axial = (
        images(
            wave, replace(focused, angular_spread=mrad), band=BAND * GRID.nyquist, spatial="average", nodes=8
        )[0]
        for mrad in (1.0, 0.0)
    )
    assert float((tilted - expected).std()) < 3e-4
    assert float((axial - expected).std()) > 2e-3


def test_temporal_envelope_is_on_the_wave(wave: torch.Tensor) -> None:
    """The quasi-coherent image: exp(-(pi lambda Delta k^2)^2 / 2) on the wave, one focus."""
    k2 = GRID.squared_frequency(dtype=torch.float64)
    damped = torch.fft.ifft2(torch.fft.fft2(wave) * torch.exp(-0.5 * (torch.pi * LAM * 35.0 * k2) ** 2))
    optics = Optics(LENS, focal_spread=35.0, angular_spread=0.2)
    quasi = images(wave, optics, temporal="envelope")
    expected = images(damped, replace(optics, focal_spread=0.0))
    torch.testing.assert_close(quasi, expected, atol=1e-12, rtol=0)


def test_directions_of_an_image_do_not_depend_on_its_batch() -> None:
    phase = torch.tensor([0.0, 0.01, 1.1, 3.0], dtype=torch.float64).view(4, 1, 1)
    offsets, weights = tilt_nodes(phase)
    used = (weights > 0).sum(0).flatten()
    assert used.tolist() == [1, 4, 16, 49]
    for i in range(4):
        alone_offsets, alone_weights = tilt_nodes(phase[i : i + 1])
        torch.testing.assert_close(offsets[: used[i], :, i], alone_offsets[:, :, 0])
        torch.testing.assert_close(weights[: used[i], i], alone_weights[:, 0])
    torch.testing.assert_close(weights.sum(0), torch.ones(4, 1, 1, dtype=torch.float64))
    # Unit variance along both axes, none between them: true of Gauss-Hermite, nearly of the even grid.
    moments = torch.einsum("qn,qan,qbn->nab", weights[..., 0, 0], offsets[..., 0, 0], offsets[..., 0, 0])
    unit = torch.eye(2, dtype=torch.float64)
    torch.testing.assert_close(moments[1:3], unit.expand(2, 2, 2))
    torch.testing.assert_close(moments[3], unit, atol=0.03, rtol=0)


def test_a_lens_that_needs_too_many_directions_is_named() -> None:
    uncorrected = Optics(Aberrations(defocus=600.0, C30=1.2e7), angular_spread=0.3)
    with pytest.raises(InputError, match=r"spatial: expected at most 1000 directions .* set an aperture"):
        images(vacuum(), uncorrected, spatial="average")
    images(vacuum(), replace(uncorrected, aperture=12.0), spatial="average")


def test_a_focal_spread_of_the_wrong_unit_is_named() -> None:
    with pytest.raises(InputError, match="focal_spread: expected one that needs at most 1000 foci"):
        images(vacuum(), Optics(focal_spread=3e5))


@pytest.mark.parametrize("phase", [0.1, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("error", [1e-2, 1e-4])
def test_gauss_nodes_keep_the_error_asked_for(phase: float, error: float) -> None:
    """Two beams of this phase are damped to exp(-phase^2 / 2) within `error`, and one node fewer is not promised."""
    count = gauss_count(phase, error)
    offsets, weights = gauss_nodes(count)
    assert abs(weights @ np.cos(phase * offsets) - np.exp(-(phase**2) / 2)) < error
    if count > 1:
        fewer = factorial(count - 1) / factorial(2 * count - 2) * phase ** (2 * count - 2)
        assert fewer > error


def test_envelope_in_the_transfer_function() -> None:
    """exp(-s^2 (2 pi lambda d k)^2 / 2) for pure defocus, s the angular spread over the wavelength."""
    (function,) = transfer(GRID, [Optics(Aberrations(defocus=300.0), angular_spread=0.2)], [ENERGY], vacuum())
    k2 = GRID.squared_frequency(dtype=torch.float64)
    slope2 = (2 * torch.pi * LAM * 300.0) ** 2 * k2
    torch.testing.assert_close(function.abs(), torch.exp(-0.5 * (0.2e-3 / LAM) ** 2 * slope2))


def test_image_spread_is_a_gaussian_blur(wave: torch.Tensor) -> None:
    """Standard deviation s along each axis: a point becomes a Gaussian of that width."""
    sharp, blurred = images(wave, Optics(LENS, **STEADY), Optics(LENS, **{**STEADY, "image_spread": 0.7}))
    x = torch.arange(96, dtype=torch.float64)
    distance = torch.minimum(x, 96 - x) * GRID.sampling
    kernel = torch.exp(-(distance**2) / (2 * 0.7**2))
    kernel2 = kernel[:, None] * kernel[None, :] / kernel.sum() ** 2
    expected = torch.fft.ifft2(torch.fft.fft2(sharp) * torch.fft.fft2(kernel2)).real
    torch.testing.assert_close(blurred, expected, atol=1e-6, rtol=0)


def test_the_aperture_takes_away_all_beyond_it(wave: torch.Tensor) -> None:
    """The mean intensity is what passes; a weak object has no contrast beyond the aperture's frequency."""
    for aperture in (10.0, 25.0):
        image = images(wave, Optics(LENS, **STEADY, aperture=aperture), nodes=1)[0]
        spectrum = torch.fft.fft2(wave[0]) / (96 * 96)
        passed = GRID.squared_frequency(dtype=torch.float64) <= (aperture * 1e-3 / LAM) ** 2
        assert float(image.mean()) == pytest.approx(float(spectrum[passed].abs().square().sum()), rel=1e-9)
        # |psi|^2 holds differences of frequencies, up to twice the aperture.
        beyond = GRID.squared_frequency(dtype=torch.float64) > (2 * aperture * 1e-3 / LAM) ** 2
        assert float(torch.fft.fft2(image)[beyond].abs().max()) < 1e-8 * 96 * 96


@pytest.mark.parametrize("shape", [(60, 60), (48, 48), (30, 30), (96, 96)])
def test_no_aliasing_in_the_image(wave: torch.Tensor, shape: tuple[int, int]) -> None:
    """|psi|^2 has twice the wave's frequencies; a coarse image is the Fourier crop of one that holds them all."""
    optics = Optics(LENS, focal_spread=20.0)
    band = BAND * GRID.nyquist
    fine = images(wave, optics, shape=(160, 160), band=band)
    coarse = images(wave, optics, shape=shape, band=band)
    expected = fourier_resample(fine, shape)
    # The coefficient of the Nyquist frequency itself is shared by +k and -k; the image spread leaves little.
    torch.testing.assert_close(coarse, expected, atol=1e-5, rtol=0)


def test_intensity_shape_suffices() -> None:
    for n_out, band in ((48, 0.9), (60, 1.1), (96, 4 / 3), (30, 2.0)):
        out = Grid((n_out, n_out), 24.0 / n_out)
        fine = intensity_shape(GRID, band, out)[0]
        assert fine >= n_out
        assert fine / 24.0 - 2 * band >= out.nyquist - 1e-6  # where 2 band folds to
        assert fine <= max(n_out, 1.2 * 24.0 * (2 * band + out.nyquist))


def test_more_waves_than_optics_is_named(wave: torch.Tensor) -> None:
    with pytest.raises(InputError, match="got 1 waves, 1 energies, 2 Optics"):
        clean_images(wave, GRID, energies=[ENERGY], optics=[Optics(), Optics()])
    with pytest.raises(InputError, match=r"waves: expected \(n, 96, 96\), got \(96, 96\)"):
        clean_images(wave[0], GRID, energies=[ENERGY], optics=[Optics()])
    with pytest.raises(InputError, match=r"shape: expected square pixels .*got \(40, 56\)"):
        clean_images(wave, GRID, energies=[ENERGY], optics=[Optics()], shape=(40, 56))
