"""The lens: the wave aberration, the sign of defocus, and the transfer of a weak phase object."""

import itertools

import numpy as np
import pytest
import torch

from facetem.core.grid import Grid
from facetem.core.physics import interaction_parameter, wavelength
from facetem.core.structure import Structure
from facetem.hrtem.multislice import exit_wave, propagate
from facetem.hrtem.optics import ORDERS, Aberrations, Optics, aberration_phase, clean_images
from facetem.hrtem.potential import projected_potential
from facetem.hrtem.scattering import DEBYE_WALLER

ENERGY = 200e3
LAM = wavelength(ENERGY)
COHERENT = {"focal_spread": 0.0, "angular_spread": 0.0, "image_spread": 0.0}
FULL = Aberrations(defocus=55.0, C12=30.0, phi12=0.4, C21=700.0, phi21=-1.2, C23=600.0, phi23=2.5, C30=-8.0e4)


def phase(kx: torch.Tensor, ky: torch.Tensor, aberrations: Aberrations) -> tuple[torch.Tensor, torch.Tensor]:
    """`aberration_phase` of one lens at frequencies (n,), as (n,) tensors."""
    polar = {k: torch.tensor(v, dtype=torch.complex128).view(1, 1, 1) for k, v in aberrations.polar().items()}
    lam = torch.full((1, 1, 1), LAM, dtype=torch.float64)
    chi, slope2 = aberration_phase(kx.view(1, 1, -1), ky.view(1, 1, -1), lam, polar)
    return chi.flatten(), slope2.flatten()


def azimuth_form(kx: np.ndarray, ky: np.ndarray, aberrations: Aberrations) -> np.ndarray:
    """chi = 2 pi / lambda sum C_nm alpha^(n+1) cos(m (phi - phi_nm)) / (n + 1), as it is usually printed."""
    alpha, phi = LAM * np.hypot(kx, ky), np.arctan2(ky, kx)
    a = aberrations
    path = (
        -a.defocus * alpha**2 / 2
        + a.C12 * alpha**2 / 2 * np.cos(2 * (phi - a.phi12))
        + a.C21 * alpha**3 / 3 * np.cos(phi - a.phi21)
        + a.C23 * alpha**3 / 3 * np.cos(3 * (phi - a.phi23))
        + a.C30 * alpha**4 / 4
    )
    return 2 * np.pi / LAM * path


@pytest.fixture
def frequencies() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    kx, ky = 2 * torch.rand(2, 200, generator=random, dtype=torch.float64) - 1
    return kx, ky


LENSES = [
    Aberrations(defocus=100.0),
    Aberrations(C12=40.0, phi12=0.7),
    Aberrations(C21=500.0, phi21=2.1),
    Aberrations(C23=500.0, phi23=-0.4),
    Aberrations(C30=1e5),
    FULL,
]


@pytest.mark.parametrize("lens", LENSES, ids=[*ORDERS, "all"])
def test_wave_aberration_is_the_printed_polynomial(frequencies, lens: Aberrations) -> None:
    kx, ky = frequencies
    chi, _ = phase(kx, ky, lens)
    np.testing.assert_allclose(chi.numpy(), azimuth_form(kx.numpy(), ky.numpy(), lens), atol=1e-10)


@pytest.mark.parametrize("lens", LENSES, ids=[*ORDERS, "all"])
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
    wave = exit_wave(
        atom, grid, energies=torch.tensor([ENERGY], dtype=torch.float64), slice_thickness=2 * depth / 11
    )
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
    wave = exit_wave(layer, grid, energies=torch.tensor([ENERGY], dtype=torch.float64), slice_thickness=2.0)
    wave = propagate(wave, grid, distance=-1.0, energy=ENERGY)  # back to the layer's mid-plane
    image = clean_images(wave, grid, energies=[ENERGY], optics=[Optics(lens, **COHERENT)], nodes=1)[0]
    k2 = grid.squared_frequency(dtype=torch.float64)
    chi = torch.as_tensor(chi_of(torch.sqrt(k2).numpy(), 70.0, -1e5))
    phi = interaction_parameter(ENERGY) * projected_potential(layer, grid, debye_waller=DEBYE_WALLER)[0]
    linear = 1 + torch.fft.ifft2(2 * torch.fft.fft2(phi) * torch.sin(chi)).real
    assert float((image - linear).std() / (linear - 1).std()) < 0.1
