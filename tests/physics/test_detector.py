"""Detectors that transfer signal and noise differently: what an experimenter would measure on them."""

from dataclasses import replace
from itertools import pairwise
from math import inf

import numpy as np
import pytest
import torch

from facetem.core.errors import InputError
from facetem.core.grid import Grid, fourier_crop
from facetem.hrtem.camera import (
    Camera,
    detective_quantum_efficiency,
    modulation_transfer,
    noise_transfer,
    record,
    record_each,
)
from facetem.hrtem.cameras import CAMERAS
from facetem.hrtem.curves import TransferCurve

GRID = Grid((256, 256), 0.4)
N = 256 * 256
AREA = 0.4**2

FRACTIONS = (0.0, 0.2, 0.4, 0.7, 1.0)
MTF = TransferCurve.of_nyquist(FRACTIONS, (1.0, 0.7, 0.45, 0.25, 0.1))
NTF = TransferCurve.of_nyquist(FRACTIONS, (1.0, 0.9, 0.75, 0.6, 0.5))
INDIRECT = Camera(dose=300.0, mtf=MTF, ntf=NTF, dqe=0.6)


def flat_series(camera: Camera, n: int, seed: int = 0, grid: Grid = GRID) -> torch.Tensor:
    """n exposures (n, y, x) of the empty field."""
    clean = torch.ones((n, *grid.shape), dtype=torch.float64)
    return record(clean, grid, [camera] * n, torch.Generator().manual_seed(seed))


def noise_power(series: torch.Tensor, camera: Camera, grid: Grid = GRID) -> torch.Tensor:
    """Power (y, x) of the noise, where that of all arriving electrons, counted perfectly, is 1."""
    pixels = series.shape[-2] * series.shape[-1]
    power = torch.fft.fft2(series - 1).abs().square().mean(0) / pixels
    return power * camera.dose * grid.sampling**2


def rings(grid: Grid = GRID) -> list[torch.Tensor]:
    u = torch.sqrt(grid.squared_frequency(dtype=torch.float64)) * grid.sampling
    edges = torch.linspace(0.0, 0.7, 15).tolist()
    return [(u > low) & (u <= high) for low, high in pairwise(edges)]


@pytest.mark.parametrize("name", [*CAMERAS, "indirect"])
def test_noise_of_a_flat_field_is_ntf_squared_over_dqe(name: str) -> None:
    camera = INDIRECT if name == "indirect" else replace(CAMERAS[name], dose=300.0, gain_error=0, readout=0)
    power = noise_power(flat_series(camera, 6), camera)
    expected = noise_transfer(GRID, camera, power) ** 2 / camera.dqe
    for ring in rings():
        spread = 5 / (6 * int(ring.sum()) / 2) ** 0.5
        assert float((power / expected)[ring].mean()) == pytest.approx(1, abs=spread)


def test_signal_is_damped_by_the_mtf_and_not_by_the_ntf() -> None:
    camera = replace(INDIRECT, dose=inf)
    x = torch.arange(256, dtype=torch.float64)
    for periods in (13, 51, 90):
        fringes = (1 + 0.2 * torch.cos(2 * torch.pi * x * periods / 256)).expand(1, 256, 256)
        seen = record(fringes, GRID, [camera], torch.Generator())[0]
        expected = float(MTF.at(torch.tensor([periods / 256])))
        assert float(seen.std() / fringes.std()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dqe", [1.0, 0.37])
def test_dqe_at_zero_frequency_measured_on_flat_fields_is_the_argument(dqe: float) -> None:
    """(signal to noise of the image)^2 / (of the electrons)^2, on fields of 8 x 8 pixels that share no noise."""
    white = TransferCurve((0.0, 0.5), (1.0, 1.0))
    camera = Camera(dose=80.0, mtf=MTF, ntf=white, dqe=dqe)
    series = flat_series(camera, 8)
    totals = series.unfold(1, 8, 8).unfold(2, 8, 8).mean((-2, -1))
    arriving = camera.dose * AREA * 64
    measured = float(totals.mean() ** 2 / totals.var()) / arriving
    assert measured == pytest.approx(dqe, rel=5 * (2 / totals.numel()) ** 0.5)


def test_dqe_at_all_frequencies_is_what_signal_and_noise_give() -> None:
    series = flat_series(INDIRECT, 6, seed=1)
    measured = modulation_transfer(GRID, INDIRECT, series) ** 2 / noise_power(series, INDIRECT)
    dqe = detective_quantum_efficiency(GRID, INDIRECT, series)
    for ring in rings():
        ratio = 1 / float((dqe / measured)[ring].mean())
        assert ratio == pytest.approx(1, abs=5 / (6 * int(ring.sum()) / 2) ** 0.5)
    assert float(dqe[0, 0]) == pytest.approx(0.6)
    alike = detective_quantum_efficiency(GRID, replace(INDIRECT, ntf=None), series)
    assert float((alike - 0.6).abs().max()) == 0


def slanted_edge(shape: tuple[int, int], slope: float) -> torch.Tensor:
    """A sharp edge x > x0 + slope y, without what the pixels cannot hold."""
    fine = 8
    y = (torch.arange(shape[0] * fine, dtype=torch.float64) / fine)[:, None]
    x = (torch.arange(shape[1] * fine, dtype=torch.float64) / fine)[None, :]
    sharp = ((x > shape[1] / 2 + slope * (y - shape[0] / 2)) & (x > 8)).to(torch.float64)
    spectrum = fourier_crop(torch.fft.fft2(sharp), shape)
    return torch.fft.ifft2(spectrum).real[None] / fine**2


def edge_mtf(image: np.ndarray, slope: float, frequencies: np.ndarray) -> np.ndarray:
    """The slanted-edge method (ISO 12233): edge profile in steps of 1/4 pixel, its derivative, transformed."""
    rows = np.arange(image.shape[0])[:, None]
    columns = np.arange(image.shape[1])[None, :]
    centre = (image.shape[1] / 2) + slope * (rows - image.shape[0] / 2)
    distance = (columns - centre) / np.hypot(1, slope)
    inner = (np.abs(rows - image.shape[0] / 2) < image.shape[0] / 4) & (np.abs(distance) < 40)
    step = 0.25
    index = np.floor(distance[inner] / step).astype(int)
    index -= index.min()
    profile = np.bincount(index, image[inner]) / np.bincount(index)
    line = np.diff(profile)
    line = line * np.hanning(len(line))
    places = step * np.arange(len(line))
    spectrum = np.abs(np.exp(-2j * np.pi * frequencies[:, None] * places) @ line)
    steps = np.sinc(frequencies * step) ** 2  # of the bins, and of the difference
    return spectrum / steps  # the step is 1 high; the windowed tails of `line` do not add up to it


@pytest.mark.parametrize(
    "camera", [INDIRECT, CAMERAS["scintillator-ccd"], Camera(mtf_width=0.3, mtf_floor=0.1)]
)
def test_mtf_measured_on_a_slanted_edge_is_the_curve(camera: Camera) -> None:
    slope = 0.13
    clean = slanted_edge((256, 256), slope)
    noiseless = replace(camera, dose=inf, gain_error=0.0)
    seen = record(clean, GRID, [noiseless], torch.Generator())[0].numpy()
    frequencies = np.array([0.05, 0.1, 0.2, 0.3, 0.4])
    measured = edge_mtf(seen, slope, frequencies)
    if camera.mtf is not None:
        expected = camera.mtf.at(torch.as_tensor(frequencies)).numpy()
    else:
        expected = 0.9 * (1 + (frequencies / 0.3) ** 2) ** -1.5 + 0.1
    assert measured == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("binning", [2, 4])
def test_binning_keeps_the_dose_and_divides_the_variance_of_white_noise(binning: int) -> None:
    """Counts add: the mean stays that of vacuum, shot and readout variance fall as the number of pixels."""
    counts = 100.0 * AREA
    camera = Camera(dose=100.0, readout=3.0, binning=binning)
    image = flat_series(camera, 1)[0]
    pixels = N // binning**2
    assert image.shape == (256 // binning, 256 // binning)
    variance = (1 / counts + (3.0 / counts) ** 2) / binning**2
    assert float(image.mean()) == pytest.approx(1, abs=5 * (variance / pixels) ** 0.5)
    assert float(image.var()) == pytest.approx(variance, rel=5 * (2 / pixels) ** 0.5)
    whole = record(torch.ones((1, *GRID.shape), dtype=torch.float64), GRID, [replace(camera, readout=0.0)],
                   torch.Generator().manual_seed(0))[0] * counts * binning**2  # fmt: skip
    torch.testing.assert_close(whole, whole.round(), atol=1e-8, rtol=0)


def test_binning_of_correlated_noise_keeps_more_of_it() -> None:
    """Neighbours that share their noise do not average it out: NPS times the bin's transfer, folded."""
    camera = replace(INDIRECT, binning=2)
    image = flat_series(camera, 8)
    power = noise_transfer(GRID, camera, image) ** 2 / camera.dqe / (camera.dose * AREA)
    f = torch.fft.fftfreq(256, dtype=torch.float64)
    box = torch.cos(torch.pi * f) ** 2  # |mean of two neighbours|^2
    expected = float((power * box[:, None] * box).mean())
    assert float(image.var()) == pytest.approx(expected, rel=0.03)
    assert expected > 1.2 * float(power.mean()) / 4


def test_gain_error_stays_when_shot_noise_averages_out() -> None:
    frames = 24
    camera = Camera(dose=500.0, gain_error=0.02)
    series = flat_series(camera, frames)
    shot = 1 / (500.0 * AREA)
    assert float(series[0].var()) == pytest.approx(shot + 0.02**2, rel=0.05)
    assert float(series.mean(0).var()) == pytest.approx(shot / frames + 0.02**2, rel=0.05)
    assert float(flat_series(replace(camera, gain_error=0.0), frames).mean(0).var()) == pytest.approx(
        shot / frames, rel=0.05
    )


def test_a_camera_keeps_its_gain_and_another_has_its_own() -> None:
    camera = Camera(gain_error=0.05)
    first, again = (flat_series(camera, 1, seed)[0] - 1 for seed in (1, 2))
    other = flat_series(replace(camera, gain_pattern=7), 1)[0] - 1
    assert torch.equal(first, again)  # at infinite dose it is all there is
    assert float(first.std()) == pytest.approx(0.05, rel=5 / (2 * N) ** 0.5)
    assert abs(float((first * other).mean()) / 0.05**2) < 5 / N**0.5
    single = record(torch.ones((1, 256, 256)), GRID, [camera], torch.Generator())[0] - 1
    torch.testing.assert_close(single.double(), first, atol=1e-6, rtol=0)


def test_a_batch_is_its_images_one_by_one_with_all_that_a_camera_does() -> None:
    clean = torch.rand((3, 256, 256), dtype=torch.float64, generator=torch.Generator().manual_seed(5)) + 0.5
    full = replace(INDIRECT, readout=1.0, gain_error=0.01, binning=2)
    cameras = [full, replace(full, dose=50.0, gain_pattern=3), replace(CAMERAS["direct-counting"], binning=2)]
    together = record(clean, GRID, cameras, torch.Generator().manual_seed(7))
    one_by_one = torch.Generator().manual_seed(7)
    for i in range(3):
        alone = record(clean[i : i + 1], GRID, cameras[i : i + 1], one_by_one)
        assert torch.equal(together[i], alone[0])
    again = record(clean, GRID, cameras, torch.Generator().manual_seed(7))
    assert torch.equal(again, together)


def test_what_the_first_four_arguments_do_has_not_changed() -> None:
    """The recipes of the released networks: Poisson, then the transfer, then the readout noise."""
    clean = torch.rand((1, 256, 256), generator=torch.Generator().manual_seed(5)) + 0.5
    camera = Camera(200.0, 2.0, 0.3, 0.1)
    seen = record(clean, GRID, [camera], torch.Generator().manual_seed(9))[0]
    seed = int(torch.randint(2**62, (1,), generator=torch.Generator().manual_seed(9)))
    own = torch.Generator().manual_seed(seed)
    counts = 200.0 * GRID.sampling**2
    image = torch.poisson(clean[0] * counts, generator=own) / counts
    u2 = GRID.squared_frequency() * GRID.sampling**2
    mtf = (1 - 0.1) * (1 + u2 / 0.3**2) ** -1.5 + 0.1
    image = torch.fft.ifft2(torch.fft.fft2(image) * mtf).real
    image = image + 2.0 / counts * torch.randn(image.shape, generator=own)
    assert torch.equal(seen, image)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dqe": 0.0}, "dqe: expected a fraction above 0, at most 1, got 0"),
        ({"dqe": 1.2}, "dqe: expected"),
        ({"gain_error": -0.1}, "gain_error: expected a fraction from 0 to below 1, got -0.1"),
        ({"gain_error": 1.0}, "gain_error: expected"),
        ({"binning": 0}, "binning: expected a whole number of pixels >= 1, got 0"),
        ({"binning": 1.5}, "binning: expected"),
        ({"mtf": MTF, "mtf_width": 0.3}, "mtf: expected either a curve or mtf_width and mtf_floor, got both"),
        ({"mtf": NTF, "ntf": MTF}, "ntf: expected DQE.* of at most 1 at all frequencies, got 25 at 0.5"),
        ({"mtf": TransferCurve((0.0, 0.5), (1.0, 0.5)), "ntf": TransferCurve((0.0, 0.5), (1.0, 0.488))},
         "ntf: expected DQE.* got 1.05 at 0.5"),
        # MTF(0.5) = (1 + 1)^-1.5 = 0.35 and NTF 0.3: above 1 there, below 1 at half that frequency.
        ({"mtf_width": 0.5, "ntf": TransferCurve((0.0, 0.25, 0.5), (1.0, 0.8, 0.3))},
         "ntf: expected DQE.* got 1.39 at 0.5"),
        ({"mtf": MTF, "ntf": TransferCurve((0.0, 0.5), (1.0, 0.0))}, "ntf: expected values above 0"),
    ],
)  # fmt: skip
def test_bad_cameras_are_named(values: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Camera(**values)


def test_binning_that_does_not_fit_is_named() -> None:
    clean = torch.ones((2, 256, 256))
    with pytest.raises(InputError, match=r"binning: expected one number that divides \(256, 256\).*\[3\]"):
        record(clean, GRID, [Camera(binning=3)] * 2, torch.Generator())
    with pytest.raises(InputError, match=r"binning: expected one number .*got \[1, 2\]"):
        record(clean, GRID, [Camera(), Camera(binning=2)], torch.Generator())


def test_cameras_of_all_kinds_in_a_batch_give_what_each_gives_alone() -> None:
    """To the last bit: a sample must not depend on what is recorded beside it."""
    grid, clean = (
        Grid((32, 32), 0.4),
        1 + 0.1 * torch.randn(6, 32, 32, generator=torch.Generator().manual_seed(0)),
    )
    measured = [replace(camera, dose=800.0) for camera in CAMERAS.values()]
    cameras = [Camera(dose=800.0), Camera(dose=800.0, mtf_width=0.4, mtf_floor=0.1, readout=1.0), *measured]
    together = record_each(clean, grid, cameras, range(6))
    for i, camera in enumerate(cameras):
        assert torch.equal(record_each(clean[i : i + 1], grid, [camera], [i])[0], together[i])
