"""Single against double precision, gradients, and inputs that stay as they were."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from facetem.core.grid import Grid
from facetem.core.structure import Structure
from facetem.hrtem import atomic
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.camera import Camera, record
from facetem.hrtem.multislice import exit_wave, propagate
from facetem.hrtem.optics import Optics, clean_images
from facetem.hrtem.settings import ACCURACIES, Multislice

GRID = Grid((80, 80), 0.25)
LENS = Optics(Aberrations(defocus=90.0, C12=30.0, phi12=1.0, C21=300.0, phi21=2.0, C23=300.0, C30=-1e5))


@pytest.fixture
def structure(draw_cluster) -> Structure:
    return draw_cluster(n=80, box=(20.0, 20.0, 60.0), numbers=(6, 79))


def imaged(
    structure: Structure,
    optics: Optics = LENS,
    energy: float = 200e3,
    settings: Multislice | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    energies = torch.tensor([energy], dtype=structure.positions.dtype)
    wave = exit_wave(structure, GRID, energies=energies, settings=settings)
    return wave, clean_images(wave, GRID, energies=[energy], optics=[optics])


@pytest.mark.parametrize("energy", [80e3, 300e3])
@pytest.mark.parametrize("name", ACCURACIES)
def test_float32_tracks_float64(structure: Structure, energy: float, name) -> None:
    """Measured: wave 1e-6, image 3e-6 at most."""
    wave, image = imaged(structure, energy=energy, settings=ACCURACIES[name])
    single = structure.to("cpu", torch.float32)
    wave32, image32 = imaged(single, energy=energy, settings=ACCURACIES[name])
    assert wave32.dtype == torch.complex64
    assert image32.dtype == torch.float32
    assert float(torch.linalg.vector_norm(wave32 - wave) / torch.linalg.vector_norm(wave)) < 1e-5
    assert float((image32 - image).abs().max()) < 2e-5


def test_float32_far_from_the_corner_and_far_out_of_focus(structure: Structure) -> None:
    """Where phases are large: 1 µm of defocus, and C30 of an uncorrected lens."""
    strong = Optics(Aberrations(defocus=1e4, C30=1.2e7), focal_spread=40.0, angular_spread=0.1)
    _, image = imaged(structure, strong)
    _, image32 = imaged(structure.to("cpu", torch.float32), strong)
    assert float((image32 - image).abs().max()) < 1e-3 * float(image.std()) + 1e-4


SETTINGS = {
    "order 2": Multislice(order=2, slice_thickness=3.0, light_thickness=3.0),
    "order 3": Multislice(slice_thickness=3.0, light_thickness=3.0),
    "order 4, finite": Multislice(slice_thickness=3.0, light_thickness=3.0, order=4, projection="finite"),
    "absorbing, tilted": Multislice(absorption={79: 0.1}, tilt=(5.0, -3.0)),
}


def with_frame(structure: Structure) -> Structure:
    """With an atom at the top and one at the bottom, which stay where they are: planes go from one to the other."""
    frame = torch.tensor([[3.0, 3.0, 0.2], [17.0, 16.0, 11.9]], dtype=torch.float64)
    return Structure(
        torch.cat([structure.positions, frame]),
        torch.cat([structure.numbers, torch.tensor([79, 79])]),
        torch.zeros(len(structure.numbers) + 2, dtype=torch.int64),
        structure.cell,
    )


@pytest.mark.parametrize("name", SETTINGS)
def test_gradients_are_finite_differences(draw_cluster, name: str) -> None:
    """Of an image's misfit with respect to x, y and z of atoms."""
    structure = with_frame(draw_cluster(n=12, box=(20.0, 20.0, 12.0), numbers=(79,)))
    target = imaged(structure)[1].roll(1, -1)

    def misfit(positions: torch.Tensor) -> torch.Tensor:
        moved = replace(structure, positions=positions)
        return (imaged(moved, settings=SETTINGS[name])[1] - target).square().sum()

    positions = structure.positions.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(misfit(positions), positions)
    assert bool(torch.isfinite(gradient).all())
    torch.testing.assert_close(torch.func.grad(misfit)(structure.positions), gradient)
    step = 1e-4
    for atom, axis in ((0, 0), (3, 1), (7, 0), (11, 1), (0, 2), (3, 2), (7, 2), (11, 2)):
        change = torch.zeros_like(structure.positions)
        change[atom, axis] = step
        with torch.no_grad():
            up, down = (misfit(structure.positions + sign * change) for sign in (1, -1))
        slope = (up - down) / (2 * step)
        largest = float(gradient[:12, axis].abs().max())
        assert float(gradient[atom, axis]) == pytest.approx(float(slope), rel=2e-3, abs=1e-3 * largest)
    assert float(gradient[:12, 2].abs().max()) > 1e-3


def test_gradients_to_a_turn_and_a_size(draw_cluster) -> None:
    """One parameter that moves all atoms: a turn about x, which mixes y and z, and a scale of all but the frame."""
    structure = with_frame(draw_cluster(n=20, box=(20.0, 20.0, 12.0), numbers=(6, 79)))
    inner = structure.positions[:-2].clone()
    inner = torch.tensor([10.0, 10.0, 6.0]) + 0.7 * (inner - torch.tensor([10.0, 10.0, 6.0]))
    target = imaged(structure)[1]

    def misfit(parameters: torch.Tensor) -> torch.Tensor:
        angle, size = parameters
        middle = torch.tensor([10.0, 10.0, 6.0], dtype=torch.float64)
        x, y, z = (inner - middle).unbind(1)
        turned = torch.stack(
            [x, y * torch.cos(angle) - z * torch.sin(angle), y * torch.sin(angle) + z * torch.cos(angle)],
            dim=1,
        )
        positions = torch.cat([middle + size * turned, structure.positions[-2:]])
        settings = SETTINGS["order 3"]
        return (imaged(replace(structure, positions=positions), settings=settings)[1] - target).square().sum()

    here = torch.tensor([0.02, 1.01], dtype=torch.float64)
    gradient = torch.func.grad(misfit)(here)
    for i in range(2):
        change = torch.zeros(2, dtype=torch.float64)
        change[i] = 1e-5
        slope = (misfit(here + change) - misfit(here - change)) / 2e-5
        assert float(gradient[i]) == pytest.approx(float(slope), rel=2e-3)


@pytest.mark.parametrize("projection", ["infinite", "finite"])
def test_what_is_kept_has_gradients_after_inference(draw_cluster, projection) -> None:
    """Tables of elements are computed once; under inference mode or in a functional gradient as anywhere else."""
    structure = draw_cluster(n=5, box=(20.0, 20.0, 12.0))

    def total(positions: torch.Tensor) -> torch.Tensor:
        moved = replace(structure, positions=positions)
        return imaged(moved, settings=Multislice(projection=projection))[1].square().sum()

    results = []
    for first in ("inference", "functional", "plain"):
        atomic.form.cache_clear()
        atomic._second_order.cache_clear()
        if first == "inference":
            with torch.inference_mode():
                assert bool(torch.isfinite(total(structure.positions)))
        if first == "functional":
            torch.func.grad(total)(structure.positions)
        positions = structure.positions.clone().requires_grad_()
        results.append(torch.autograd.grad(total(positions), positions)[0])
        torch.testing.assert_close(torch.func.grad(total)(structure.positions), results[-1])
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_gradient_through_wave_and_lens(draw_cluster) -> None:
    """torch's own check, of the image with respect to the exit wave."""
    grid = Grid((12, 12), 0.5)
    random = torch.Generator().manual_seed(0)
    wave = (1 + 0.3 * torch.randn(1, 12, 12, dtype=torch.complex128, generator=random)).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda w: clean_images(w, grid, energies=[200e3], optics=[LENS], shape=(8, 8)).sum((-1, -2)), (wave,)
    )


def test_two_runs_are_equal_to_the_last_bit(structure: Structure) -> None:
    for first, second in zip(imaged(structure), imaged(structure), strict=True):
        assert torch.equal(first, second)


def test_inputs_stay_as_they_were(structure: Structure) -> None:
    before = {f.name: getattr(structure, f.name).clone() for f in fields(structure)}
    energies = torch.tensor([200e3], dtype=torch.float64)
    wave = exit_wave(structure, GRID, energies=energies)
    for name, value in before.items():
        assert torch.equal(getattr(structure, name), value), name
    assert energies.tolist() == [200e3]
    kept = wave.clone()
    propagate(wave, GRID, distance=10.0, energy=200e3)
    image = clean_images(wave, GRID, energies=[200e3], optics=[LENS], shape=(50, 50))
    assert torch.equal(wave, kept)
    kept = image.clone()
    record(
        image,
        Grid((50, 50), 0.4),
        [Camera(dose=100.0, readout=2.0, mtf_width=0.3)],
        torch.Generator().manual_seed(0),
    )
    assert torch.equal(image, kept)


def test_positions_given_as_numpy_are_not_shared(draw_cluster) -> None:
    """`from_ase` copies at 32 bits; at 64 it may share, and nothing downstream writes."""
    from ase import Atoms

    from facetem.core.structure import from_ase

    atoms = Atoms("AuC", positions=[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], cell=(20, 20, 10))
    before = atoms.positions.copy()
    exit_wave(from_ase([atoms], torch.float64), GRID, energies=torch.tensor([2e5], dtype=torch.float64))
    np.testing.assert_array_equal(atoms.positions, before)
