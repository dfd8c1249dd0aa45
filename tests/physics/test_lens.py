"""The lens: the wave aberration, the sign of defocus, and the transfer of a weak phase object."""

import itertools

import numpy as np
import pytest
import torch

from facetem.core.grid import Grid
from facetem.core.physics import interaction_parameter, wavelength
from facetem.core.structure import Structure
from facetem.hrtem.aberrations import ORDERS, Aberrations, aberration_phase
from facetem.hrtem.multislice import exit_wave, propagate
from facetem.hrtem.optics import Optics, clean_images
from facetem.hrtem.potential import projected_potential

ENERGY = 200e3
LAM = wavelength(ENERGY)
COHERENT = {"focal_spread": 0.0, "angular_spread": 0.0, "image_spread": 0.0}
# Each gives some radians at 1 / Å.
SINGLE = {
    "C10": Aberrations(defocus=100.0),
    "C12": Aberrations(C12=40.0, phi12=0.7),
    "C21": Aberrations(C21=500.0, phi21=2.1),
    "C23": Aberrations(C23=500.0, phi23=-0.4),
    "C30": Aberrations(C30=1e5),
    "C32": Aberrations(C32=3e4, phi32=1.1),
    "C34": Aberrations(C34=5e4, phi34=0.5),
    "C41": Aberrations(C41=2e6, phi41=-2.4),
    "C43": Aberrations(C43=3e6, phi43=0.9),
    "C45": Aberrations(C45=2e6, phi45=-0.3),
    "C50": Aberrations(C50=1e8),
    "C52": Aberrations(C52=1e8, phi52=-0.8),
    "C54": Aberrations(C54=2e8, phi54=0.2),
    "C56": Aberrations(C56=1e8, phi56=0.4),
}
FULL = Aberrations(
    **{name: value for lens in SINGLE.values() for name, value in vars(lens).items() if value != 0}
)


def phase(kx: torch.Tensor, ky: torch.Tensor, aberrations: Aberrations) -> tuple[torch.Tensor, torch.Tensor]:
    """`aberration_phase` of one lens at frequencies (n,), as (n,) tensors."""
    polar = {k: torch.tensor(v, dtype=torch.complex128).view(1, 1, 1) for k, v in aberrations.polar().items()}
    lam = torch.full((1, 1, 1), LAM, dtype=torch.float64)
    chi, slope2 = aberration_phase(kx.view(1, 1, -1), ky.view(1, 1, -1), lam, polar)
    return chi.flatten(), slope2.flatten()


def azimuth_form(
    kx: np.ndarray, ky: np.ndarray, aberrations: Aberrations, parity: tuple[int, ...] = (0, 1)
) -> np.ndarray:
    """chi = 2 pi / lambda sum C_nm alpha^(n+1) cos(m (phi - phi_nm)) / (n + 1), as it is usually printed.

    `parity` 0 keeps what is even in k (m even), 1 what is odd.
    """
    alpha, phi = LAM * np.hypot(kx, ky), np.arctan2(ky, kx)
    path = np.zeros_like(alpha)
    for name in SINGLE:
        n, m = int(name[1]), int(name[2])
        C = -aberrations.defocus if name == "C10" else getattr(aberrations, name)
        azimuth = getattr(aberrations, "phi" + name[1:], 0.0)
        if m % 2 in parity:
            path += C * alpha ** (n + 1) / (n + 1) * np.cos(m * (phi - azimuth))
    return 2 * np.pi / LAM * path


@pytest.fixture
def frequencies() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    kx, ky = 2 * torch.rand(2, 200, generator=random, dtype=torch.float64) - 1
    return kx, ky


LENSES = [*SINGLE.values(), FULL]
IDS = [*SINGLE, "all"]


def test_every_aberration_to_fifth_order_is_there() -> None:
    """n + m odd, m <= n + 1, n from 1 to 5; no image shift."""
    expected = {f"C{n}{m}": (n, m) for n in range(1, 6) for m in range(n + 2) if (n + m) % 2}
    assert expected == ORDERS
    assert list(SINGLE) == list(ORDERS)


@pytest.mark.parametrize("lens", LENSES, ids=IDS)
def test_wave_aberration_is_the_printed_polynomial(frequencies, lens: Aberrations) -> None:
    kx, ky = frequencies
    chi, _ = phase(kx, ky, lens)
    expected = azimuth_form(kx.numpy(), ky.numpy(), lens)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(chi.numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("lens", LENSES, ids=IDS)
def test_its_gradient_is_its_derivative(frequencies, lens: Aberrations) -> None:
    kx, ky = (k.clone().requires_grad_() for k in frequencies)
    chi, slope2 = phase(kx, ky, lens)
    dx, dy = torch.autograd.grad(chi.sum(), (kx, ky))
    torch.testing.assert_close(slope2.detach(), dx**2 + dy**2)


# --- a weak phase object -------------------------------------------------------------------------------------

LINE = Grid((4, 2048), 0.2)  # frequencies 1/409.6 Å apart, up to 2.5 / Å


def contrast_transfer(optics: Optics, nodes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """k [1/Å] and the transfer of phase to intensity, I(k) / phi(k), of a point in the middle of a line."""
    point = torch.zeros(LINE.shape, dtype=torch.float64)
    point[:, 1024] = 1e-7
    image = clean_images(torch.exp(1j * point)[None], LINE, energies=[ENERGY], optics=[optics], nodes=nodes)[
        0
    ]
    ratio = (torch.fft.fft2(image)[0] / torch.fft.fft2(point)[0])[1:1024]
    assert float(ratio.imag.abs().max()) < 1e-4
    return LINE.frequencies(dtype=torch.float64)[1][0, 1:1024].numpy(), ratio.real.numpy()


def chi_of(k: np.ndarray, defocus: float, C30: float) -> np.ndarray:
    return np.pi * LAM * k**2 * (-defocus) + np.pi / 2 * C30 * LAM**3 * k**4


def zeros_of(k: np.ndarray, transfer: np.ndarray) -> np.ndarray:
    """Where the transfer changes sign, between the samples."""
    at = np.flatnonzero(np.diff(np.sign(transfer)) != 0)
    return k[at] - transfer[at] * (k[at + 1] - k[at]) / (transfer[at + 1] - transfer[at])


@pytest.mark.parametrize(
    ("defocus", "C30"), [(80.0, 0.0), (-80.0, 0.0), (0.0, 1e7), (650.0, 1.2e7), (-60.0, -1e5), (60.0, 1e5)]
)
def test_weak_phase_transfer_is_twice_the_sine(defocus: float, C30: float) -> None:
    """I(k) = 2 phi(k) sin chi(k), also in size, for k up to 0.8 / Å."""
    k, transfer = contrast_transfer(Optics(Aberrations(defocus=defocus, C30=C30), **COHERENT))
    seen = k < 0.8
    np.testing.assert_allclose(transfer[seen], 2 * np.sin(chi_of(k, defocus, C30))[seen], atol=1e-5)


def test_zeros_of_pure_defocus() -> None:
    """sin chi = 0 at k = sqrt(n / (lambda |defocus|)), whichever the sign."""
    for defocus in (300.0, -300.0):
        k, transfer = contrast_transfer(Optics(Aberrations(defocus=defocus), **COHERENT))
        seen = k < 0.9
        found = zeros_of(k[seen], transfer[seen])
        expected = np.sqrt(np.arange(1, len(found) + 1) / (LAM * 300.0))
        assert len(found) == 6
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_first_zero_at_scherzer_focus() -> None:
    """C30 = 1.2 mm at Scherzer's focus sqrt(C30 lambda): first zero at sqrt(2) (C30 lambda^3)^(-1/4)."""
    C30 = 1.2e7
    k, transfer = contrast_transfer(
        Optics(Aberrations(defocus=float(np.sqrt(C30 * LAM)), C30=C30), **COHERENT)
    )
    assert zeros_of(k, transfer)[0] == pytest.approx(2**0.5 * (C30 * LAM**3) ** -0.25, rel=1e-4)
    # Atoms are dark there: the transfer is negative up to the first zero.
    assert transfer[10] < 0


def test_point_resolution_at_scherzer_focus() -> None:
    """Focus sqrt(4/3 C30 lambda): chi falls to -2 pi / 3, so the transfer is a plateau between -sqrt(3) and -2,
    and first zero at k = (16/3)^(1/4) (C30 lambda^3)^(-1/4): point resolution 0.66 (C30 lambda^3)^(1/4)
    (Williams & Carter, Transmission Electron Microscopy, 2nd ed. (2009), ch. 28)."""
    C30 = 1.2e7
    k, transfer = contrast_transfer(
        Optics(Aberrations(float(np.sqrt(4 / 3 * C30 * LAM)), C30=C30), **COHERENT)
    )
    zero = zeros_of(k, transfer)[0]
    assert 1 / zero == pytest.approx(0.66 * (C30 * LAM**3) ** 0.25, rel=3e-3)
    assert 1 / zero == pytest.approx(2.44, abs=0.01)  # Å, at 200 kV
    plateau = transfer[(k > 0.62 * zero) & (k < 0.9 * zero)]
    assert plateau.max() == pytest.approx(-(3**0.5), rel=2e-2)
    assert plateau.min() == pytest.approx(-2, rel=1e-3)


def test_weak_phase_transfer_of_any_lens() -> None:
    """Two dimensions, all aberrations: I(k) = 2 phi(k) sin chi_even(k) exp(-i chi_odd(k)).

    psi = 1 + i phi has the image 1 + i phi T - i phi* T*, whose spectrum is i phi(k) (T(k) - T*(-k)), T = exp(-i chi).
    """
    grid = Grid((96, 96), 0.4)
    point = torch.zeros(1, *grid.shape, dtype=torch.float64)
    point[0, 0, 0] = 1e-7
    optics = Optics(FULL, **COHERENT)
    image = clean_images(torch.exp(1j * point), grid, energies=[ENERGY], optics=[optics], nodes=1)[0]
    transfer = torch.fft.fft2(image).numpy() / 1e-7
    ky, kx = (k.numpy() for k in grid.frequencies(dtype=torch.float64))
    seen = (np.hypot(kx, ky) < 1.0) & (np.hypot(kx, ky) > 0)
    even, odd = (azimuth_form(kx + 0 * ky, ky + 0 * kx, FULL, parity=(p,)) for p in (0, 1))
    expected = 2 * np.sin(even) * np.exp(-1j * odd)
    assert np.abs(expected.imag[seen]).max() > 1.5
    np.testing.assert_allclose(transfer[seen], expected[seen], atol=1e-5)


def test_astigmatism_moves_the_zeros_of_each_azimuth() -> None:
    """Along phi12 the lens is overfocused by C12 more (C10 + C12), across it by C12 less."""
    for azimuth, effective in ((0.0, -300.0 + 80.0), (np.pi / 2, -300.0 - 80.0)):
        lens = Aberrations(defocus=300.0, C12=80.0, phi12=azimuth)
        k, transfer = contrast_transfer(Optics(lens, **COHERENT))
        seen = k < 0.9
        found = zeros_of(k[seen], transfer[seen])
        expected = np.sqrt(np.arange(1, len(found) + 1) / (LAM * abs(effective)))
        assert len(found) >= 4
        np.testing.assert_allclose(found, expected, rtol=1e-4)


# --- the sign of defocus -------------------------------------------------------------------------------------


def test_defocus_images_a_plane_upstream() -> None:
    """The image at `defocus` is that of the wave propagated by -defocus."""
    grid = Grid((64, 64), 0.25)
    noise = torch.randn(grid.shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    inside = grid.squared_frequency(dtype=torch.float64) <= 0.9**2
    wave = 1 + 0.1 * torch.fft.ifft2(torch.fft.fft2(noise) * inside)
    for defocus in (-120.0, 35.0):
        lens = Optics(Aberrations(defocus=defocus), **COHERENT)
        image = clean_images(wave[None], grid, energies=[ENERGY], optics=[lens])[0]
        upstream = propagate(wave, grid, distance=-defocus, energy=ENERGY)
        torch.testing.assert_close(image, upstream.abs().square(), atol=1e-10, rtol=0)


@pytest.mark.parametrize("depth", [20.0, 50.0])
def test_an_atom_is_least_seen_when_focused_on(depth: float) -> None:
    """A phase object in focus has no amplitude contrast: the contrast is least at defocus = height above the exit."""
    atom = Structure(
        torch.tensor([[8.0, 8.0, 60.0 - depth]], dtype=torch.float64),
        torch.tensor([6]),
        torch.tensor([0]),
        torch.tensor([[16.0, 16.0, 60.0]], dtype=torch.float64),
    )
    grid = Grid((64, 64), 0.25)
    wave = exit_wave(atom, grid, energies=torch.tensor([ENERGY], dtype=torch.float64))
    foci = np.arange(-80.0, 81.0, 5.0)
    optics = [Optics(Aberrations(defocus=d), **COHERENT) for d in foci]
    images = clean_images(
        wave.expand(len(foci), -1, -1), grid, energies=[ENERGY] * len(foci), optics=optics, nodes=1
    )
    contrast = images.flatten(1).std(1).numpy()
    assert foci[int(contrast.argmin())] == depth


def test_atoms_are_dark_at_underfocus_and_bright_at_overfocus() -> None:
    grid = Grid((64, 64), 0.25)
    atom = Structure(
        torch.tensor([[8.0, 8.0, 1.0]], dtype=torch.float64),
        torch.tensor([79]),
        torch.tensor([0]),
        torch.tensor([[16.0, 16.0, 2.0]], dtype=torch.float64),
    )
    wave = exit_wave(atom, grid, energies=torch.tensor([ENERGY], dtype=torch.float64))
    for defocus, darker in itertools.product((60.0, -60.0), (True,)):
        image = clean_images(
            wave, grid, energies=[ENERGY], optics=[Optics(Aberrations(defocus=defocus), image_spread=0.5)]
        )[0]
        assert (float(image[32, 32]) < float(image.mean())) is (darker if defocus > 0 else not darker)


def test_phase_times_transfer_is_the_image_of_thin_carbon(draw_cluster) -> None:
    """Real atoms: one layer of carbon follows 2 sigma V sin chi to the second order in its phase."""
    layer = draw_cluster(n=20, box=(24.0, 24.0, 2.0), numbers=(6,))
    grid = Grid((96, 96), 0.25)
    lens = Aberrations(defocus=70.0, C30=-1e5)
    layer.positions[:, 2] = 1.0
    wave = exit_wave(layer, grid, energies=torch.tensor([ENERGY], dtype=torch.float64))
    wave = propagate(wave, grid, distance=-1.0, energy=ENERGY)  # back to the layer
    image = clean_images(wave, grid, energies=[ENERGY], optics=[Optics(lens, **COHERENT)], nodes=1)[0]
    k2 = grid.squared_frequency(dtype=torch.float64)
    chi = torch.as_tensor(chi_of(torch.sqrt(k2).numpy(), 70.0, -1e5))
    phi = interaction_parameter(ENERGY) * projected_potential(layer, grid)[0]
    linear = 1 + torch.fft.ifft2(2 * torch.fft.fft2(phi) * torch.sin(chi)).real
    assert float((image - linear).std() / (linear - 1).std()) < 0.1
