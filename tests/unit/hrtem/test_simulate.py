"""The public way from ASE atoms to images."""

import numpy as np
import pytest
import torch
from ase import Atoms

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.core.structure import from_ase
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.camera import Camera
from facetem.hrtem.optics import Optics
from facetem.hrtem.simulate import exit_waves, fine_grid, fitting_batch, resolve_device, simulate


def specimen(n: int, seed: int, cell: tuple[float, float, float] = (20.0, 16.0, 15.0)) -> Atoms:
    rng = np.random.default_rng(seed)
    return Atoms(
        numbers=rng.choice([6, 79], n),
        positions=rng.uniform(0, 1, (n, 3)) * cell,
        cell=cell,
        pbc=(True, True, False),
    )


def test_one_specimen_is_one_image_and_several_are_a_stack() -> None:
    one, two = specimen(20, 0), specimen(5, 1)
    image = simulate(one, device="cpu")
    stack = simulate([one, two], device="cpu")
    assert image.shape == (40, 50)  # (y, x) at 0.4 Å/px
    assert stack.shape == (2, 40, 50)
    assert image.dtype == stack.dtype == np.float32
    np.testing.assert_allclose(stack[0], image, atol=1e-5)


def test_vacuum_is_one() -> None:
    atom = Atoms("C", positions=[[2, 2, 1]], cell=(40, 40, 2))
    image = simulate(atom, device="cpu")
    assert abs(float(image[40:60, 40:60].mean()) - 1) < 1e-3
    assert image.mean() == pytest.approx(1, abs=1e-3)


def test_an_atom_is_where_it_is() -> None:
    """x is the second axis of the image and y the first; pixel (iy, ix) lies at (ix, iy) * sampling."""
    atom = Atoms("Au", positions=[[4.0, 12.0, 1.0]], cell=(20, 16, 2))
    image = simulate(atom, optics=Optics(Aberrations(defocus=40.0), image_spread=0.5), device="cpu")
    assert np.unravel_index(image.argmin(), image.shape) == (30, 10)


def test_the_seed_decides_the_noise() -> None:
    atoms, camera = specimen(20, 0), Camera(dose=500.0, readout=1.0, mtf_width=0.4)
    first, again, other = (simulate(atoms, camera=camera, seed=s, device="cpu") for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
    clean = simulate(atoms, device="cpu")
    assert (first - clean).std() > 0.02
    assert first.mean() == pytest.approx(clean.mean(), abs=0.02)


def test_noise_of_a_stack_is_that_of_its_first_image_alone() -> None:
    one, two, camera = specimen(20, 0), specimen(5, 1), Camera(dose=500.0)
    alone, stack = (
        simulate(one, camera=camera, device="cpu"),
        simulate([one, two], camera=camera, device="cpu"),
    )
    # Where the clean images differ in the last bit, a Poisson draw may differ by an electron.
    assert np.mean(np.abs(stack[0] - alone) > 1e-4) < 1e-2


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    simulate(
        [specimen(5, i) for i in range(3)],
        device="cpu",
        progress=lambda done, all_: told.append((done, all_)),
    )
    assert told[-1] == (3, 3)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_batch_that_does_not_fit_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    from facetem.hrtem import simulate as module

    sizes: list[int] = []
    exact = module.exit_wave

    def small_memory(structure, *arguments, **options):
        sizes.append(structure.n_specimens)
        if structure.n_specimens > 1:
            raise torch.cuda.OutOfMemoryError("no room")
        return exact(structure, *arguments, **options)

    structure = from_ase([specimen(5, i) for i in range(3)])
    grid = Grid((32, 40), 0.5)
    expected = exit_waves(structure, grid, energies=[2e5] * 3, batch=3)
    monkeypatch.setattr(module, "exit_wave", small_memory)
    waves = exit_waves(structure, grid, energies=[2e5] * 3, batch=3)
    assert sizes == [3, 1, 1, 1]
    torch.testing.assert_close(waves, expected)


def test_fine_grids_have_square_pixels_that_are_fine_enough() -> None:
    rng = np.random.default_rng(0)
    for x, y in [(112.0, 112.0), (50.1, 40.0), (63.7, 41.3), *rng.uniform(12, 300, (50, 2))]:
        grid = fine_grid((x, y), 0.25)
        assert grid.sampling <= 0.25 + 1e-9
        assert grid.sampling > 0.12
        assert grid.extent[0] == pytest.approx(y, rel=1e-9)
        assert grid.extent[1] == pytest.approx(x, rel=1e-3)
    assert fine_grid((112.0, 112.0), 0.25) == Grid((448, 448), 0.25)


def test_devices() -> None:
    assert resolve_device("auto") in ("cpu", "cuda")
    assert resolve_device("cpu") == "cpu"
    assert fitting_batch(Grid((64, 64), 0.25), "cpu") >= 1
    with pytest.raises(InputError, match="device: expected auto, cpu or cuda, got 'tpu'"):
        resolve_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="cuda was asked for but PyTorch sees no CUDA device"):
            resolve_device("cuda")


@pytest.mark.parametrize(
    ("specimens", "options", "message"),
    [
        ([], {}, "specimens: expected at least one"),
        ([specimen(5, 0), specimen(5, 0, (20.0, 20.0, 15.0))], {}, "same cell in x and y"),
        (specimen(5, 0), {"sampling": 0.0}, "sampling: expected a positive number of Å/px, got 0"),
        (specimen(5, 0), {"sampling": float("nan")}, "sampling: expected"),
        (specimen(5, 0), {"energy": -200e3}, "energy must be a positive number of eV"),
        (specimen(5, 0), {"slice_thickness": 0.0}, "slice_thickness: expected a positive number"),
        (Atoms("Au"), {}, "orthogonal cell"),
        (Atoms(cell=(20, 20, 20)), {}, "has no atoms"),
        (Atoms("Au", positions=[[1, 1, -5]], cell=(20, 20, 20)), {}, "between z = 0 and the cell height"),
    ],
)
def test_bad_input_is_named(specimens, options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulate(specimens, device="cpu", **options)


@pytest.mark.gpu
def test_cuda_gives_what_the_cpu_gives() -> None:
    atoms = [specimen(60, i) for i in range(3)]
    np.testing.assert_allclose(simulate(atoms, device="cuda"), simulate(atoms, device="cpu"), atol=1e-4)


def test_binned_images_have_the_pixel_that_was_asked_for() -> None:
    """They are the means of 2 x 2 pixels of half the size."""
    atoms = Atoms("Au", positions=[[8.0, 6.0, 5.0]], cell=(20.0, 16.0, 10.0))
    binned = simulate(atoms, sampling=0.4, fine_sampling=0.2, camera=Camera(binning=2), device="cpu")
    single = simulate(atoms, sampling=0.2, fine_sampling=0.2, device="cpu")
    assert binned.shape == (40, 50)
    np.testing.assert_allclose(binned, single.reshape(40, 2, 50, 2).mean((1, 3)), atol=1e-6)
    assert binned.std() > 100 * 1e-6  # of a single atom in focus, far above the tolerance
