"""Dose, light spread and readout: what noise does, in mean, variance and spectrum."""

from math import inf

import numpy as np
import pytest
import torch

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.hrtem.camera import Camera, modulation_transfer, record

GRID = Grid((256, 256), 0.4)
N = 256 * 256
AREA = 0.4**2


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def flat(level: float = 1.0) -> torch.Tensor:
    return torch.full((1, *GRID.shape), level, dtype=torch.float64)


def fringes(period: int) -> torch.Tensor:
    """1 + 0.2 cos along x, with a whole number of periods."""
    x = torch.arange(256, dtype=torch.float64)
    return (1 + 0.2 * torch.cos(2 * torch.pi * x / period)).expand(1, 256, 256)


@pytest.mark.parametrize("dose", [50.0, 500.0, 10_000.0])
@pytest.mark.parametrize("level", [0.5, 1.0, 1.7])
def test_shot_noise_follows_the_dose(dose: float, level: float) -> None:
    """Counts are Poisson: variance = mean, so that of the normalised image is level / (dose * pixel area)."""
    image = record(flat(level), GRID, [Camera(dose=dose)], generator())[0]
    variance = level / (dose * AREA)
    assert float(image.mean()) == pytest.approx(level, abs=5 * (variance / N) ** 0.5)
    # The variance of a Poisson sample variance: (mu + 2 mu^2) / N in counts.
    counts = level * dose * AREA
    spread = (2 + 1 / counts) ** 0.5 / N**0.5
    assert float(image.var()) == pytest.approx(variance, rel=5 * spread)


def test_counts_are_whole_electrons() -> None:
    camera = Camera(dose=20.0)
    counts = record(fringes(16), GRID, [camera], generator())[0] * camera.dose * AREA
    torch.testing.assert_close(counts, counts.round(), atol=1e-9, rtol=0)
    assert float(counts.max()) > 3


def test_pixels_of_a_perfect_camera_are_independent() -> None:
    noise = record(flat(), GRID, [Camera(dose=100.0)], generator())[0] - 1
    for shift in ((0, 1), (1, 0), (1, 1), (0, 5)):
        correlation = (noise * noise.roll(shift, (0, 1))).mean() / noise.var()
        assert abs(float(correlation)) < 5 / N**0.5


def test_no_dose_given_is_no_noise() -> None:
    image = fringes(16)
    assert torch.equal(record(image, GRID, [Camera()], generator()), image)
    assert torch.equal(record(image, GRID, [Camera(readout=5.0)], generator()), image)


@pytest.mark.parametrize("period", [4, 16])
def test_light_spread_damps_fringes_by_the_mtf(period: int) -> None:
    camera = Camera(mtf_width=0.3, mtf_floor=0.2)
    amplitude = float(record(fringes(period), GRID, [camera], generator())[0].std() / fringes(period).std())
    expected = 0.8 * (1 + (1 / period / 0.3) ** 2) ** -1.5 + 0.2
    assert amplitude == pytest.approx(expected, rel=1e-6)


def test_light_spread_damps_shot_noise_alike() -> None:
    """The spectrum of the noise falls as MTF^2."""
    camera = Camera(dose=200.0, mtf_width=0.25, mtf_floor=0.1)
    noise = record(flat(), GRID, [camera], generator())[0] - 1
    power = torch.fft.fft2(noise).abs().square() / N * camera.dose * AREA  # 1 without spread
    u = torch.sqrt(GRID.squared_frequency(dtype=torch.float64)) * GRID.sampling
    mtf = modulation_transfer(GRID, camera, noise)
    for low, high in ((0.02, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.5)):
        ring = (u >= low) & (u < high)
        rel = 5 / int(ring.sum() / 2) ** 0.5
        assert float(power[ring].mean()) == pytest.approx(float((mtf[ring] ** 2).mean()), rel=rel)
    assert float(mtf[0, 0]) == 1.0
    assert float(mtf.min()) == pytest.approx(0.1 + 0.9 * (1 + 0.5 / 0.25**2) ** -1.5)


def test_the_mtf_is_the_transform_of_exponential_light_spread() -> None:
    """exp(-2 pi b r) in two dimensions: sum it on a fine grid, and transform."""
    width = 0.08
    fine = Grid((256, 256), 1.0)
    i = torch.arange(256, dtype=torch.float64)
    distance = torch.minimum(i, 256 - i)
    r = torch.sqrt(distance[:, None] ** 2 + distance[None, :] ** 2)
    spectrum = torch.fft.fft2(torch.exp(-2 * torch.pi * width * r)).real
    mtf = modulation_transfer(fine, Camera(mtf_width=width), r)
    near = fine.squared_frequency(dtype=torch.float64) < 0.15**2
    torch.testing.assert_close((spectrum / spectrum[0, 0])[near], mtf[near], atol=0.01, rtol=0)


def test_the_mtf_counts_pixels_whatever_their_shape() -> None:
    """Along both sides of oblong pixels: light spreads over pixels, not over Å."""
    oblong = Grid((32, 32), 0.5, 1.5)
    mtf = modulation_transfer(oblong, Camera(mtf_width=0.3), torch.zeros(1))
    torch.testing.assert_close(mtf, mtf.T)
    assert float(mtf[16, 0]) == pytest.approx((1 + (0.5 / 0.3) ** 2) ** -1.5)


@pytest.mark.parametrize("mtf_width", [inf, 0.3])
def test_readout_adds_its_own_variance(mtf_width: float) -> None:
    """In electrons, white, and not spread: added after the light."""
    dose, readout = 100.0, 6.0
    cameras = [Camera(dose, 0.0, mtf_width), Camera(dose, readout, mtf_width)]
    without, with_readout = (record(flat(), GRID, [camera], generator())[0] for camera in cameras)
    added = (with_readout - without) * dose * AREA
    assert float(added.std()) == pytest.approx(readout, rel=5 / (2 * N) ** 0.5)
    assert abs(float((added * added.roll(1, 1)).mean()) / readout**2) < 5 / N**0.5


def test_a_batch_is_its_images_one_by_one() -> None:
    """Also an image without noise, or with more of it, leaves its neighbours' noise as it was."""
    clean = torch.cat([fringes(16), flat(0.7), fringes(8)])
    cameras = [Camera(dose=100.0), Camera(), Camera(dose=5e3, readout=2.0, mtf_width=0.4)]
    together = record(clean, GRID, cameras, generator(7))
    one_by_one = generator(7)
    for i in range(3):
        alone = record(clean[i : i + 1], GRID, cameras[i : i + 1], one_by_one)
        assert torch.equal(together[i], alone[0])
    louder = record(clean, GRID, [Camera(dose=1.0, readout=9.0), *cameras[1:]], generator(7))
    assert torch.equal(louder[1:], together[1:])


def test_seeds_decide() -> None:
    camera = [Camera(dose=100.0, readout=1.0)]
    first, again, other = (record(flat(), GRID, camera, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    correlation = np.corrcoef(first.flatten(), other.flatten())[0, 1]
    assert abs(correlation) < 5 / N**0.5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dose": -100.0}, "dose: expected a number of electrons per Å\\^2 > 0, got -100"),
        ({"dose": 0.0}, "dose: expected"),
        ({"dose": float("nan")}, "dose: expected"),
        ({"readout": -1.0}, "readout: expected electrons per pixel >= 0, got -1"),
        ({"mtf_width": 0.0}, "mtf_width: expected cycles per pixel > 0"),
        ({"mtf_floor": 1.2}, "mtf_floor: expected a fraction from 0 to 1, got 1.2"),
    ],
)
def test_bad_cameras_are_named(values: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Camera(**values)


def test_cameras_that_do_not_fit_are_named() -> None:
    with pytest.raises(InputError, match=r"cameras: expected one per image on \(256, 256\), got 2"):
        record(flat(), GRID, [Camera(), Camera()], generator())
