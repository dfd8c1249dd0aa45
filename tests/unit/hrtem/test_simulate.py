"""The public way from ASE atoms to images."""

import numpy as np
import pytest
import torch
from ase import Atoms

from facetem.core.errors import InputError
from facetem.core.grid import Grid
from facetem.core.structure import from_ase, to_ase
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.camera import Camera
from facetem.hrtem.optics import Optics
from facetem.hrtem.phonons import configurations
from facetem.hrtem.settings import ACCURACIES, Multislice
from facetem.hrtem.simulate import (
    exit_waves,
    fine_grid,
    fitted_settings,
    fitting_batch,
    resolve_device,
    simulate,
)


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


MIXED = [
    specimen(30, 0),
    specimen(3, 1, (20.0, 16.0, 4.0)),
    Atoms("C6", positions=[[i, 2.0 * i, 40.0 + i] for i in range(6)], cell=(20.0, 16.0, 61.3)),
    Atoms("AuSi", positions=[[3, 3, 1.0], [7, 7, 1.0]], cell=(20.0, 16.0, 2.0)),
    specimen(60, 2, (20.0, 16.0, 90.0)),
]
ENERGIES = [80e3, 300e3, 200e3, 80e3, 60e3]


@pytest.mark.parametrize("batch", [1, 2, 3, None])
@pytest.mark.parametrize(
    "settings", [None, Multislice(slice_thickness=2.0, order=4, projection="finite", absorption={79: 0.1})]
)
def test_exit_waves_do_not_depend_on_the_batch(batch: int | None, settings: Multislice | None) -> None:
    """Specimens of other heights, elements and energies, side by side: 1e-6 in double precision and 2e-6 in single."""
    grid = Grid((32, 40), 0.5)
    for dtype, atol in ((torch.float64, 1e-10), (torch.float32, 2e-6)):
        structure = from_ase(MIXED, dtype)
        together = exit_waves(structure, grid, energies=ENERGIES, settings=settings, batch=5)
        waves = exit_waves(structure, grid, energies=ENERGIES, settings=settings, batch=batch)
        torch.testing.assert_close(waves, together, atol=atol, rtol=0)
    assert float((together[0] - together[4]).abs().max()) > 0.1


def test_several_threads_give_what_one_gives() -> None:
    """And leave the number of threads and the gradients as they were."""
    grid, threads = Grid((32, 40), 0.5), torch.get_num_threads()
    structure = from_ase(MIXED, torch.float64)
    expected = exit_waves(structure, grid, energies=ENERGIES, batch=5)
    told: list[tuple[int, int]] = []
    try:
        torch.set_num_threads(3)
        waves = exit_waves(structure, grid, energies=ENERGIES, progress=lambda *x: told.append(x))
        assert torch.get_num_threads() == 3
        structure.positions.requires_grad_()
        assert exit_waves(structure, grid, energies=ENERGIES).requires_grad
        with torch.no_grad():
            assert not exit_waves(structure, grid, energies=ENERGIES).requires_grad
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(waves, expected, atol=1e-10, rtol=0)
    assert told == [(i, 5) for i in range(1, 6)]


def no_room(limit: int, sizes: list[int], error: RuntimeError):
    """An `exit_wave` with memory for `limit` specimens."""
    from facetem.hrtem.multislice import exit_wave

    def small(structure, *arguments, **options):
        sizes.append(structure.n_specimens)
        if structure.n_specimens > limit:
            raise error
        return exit_wave(structure, *arguments, **options)

    return small


OUT_OF_MEMORY = [
    torch.cuda.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_a_batch_that_does_not_fit_is_halved(monkeypatch: pytest.MonkeyPatch, error: RuntimeError) -> None:
    grid = Grid((32, 40), 0.5)
    structure = from_ase(MIXED)
    expected = exit_waves(structure, grid, energies=ENERGIES, batch=5)
    sizes: list[int] = []
    monkeypatch.setattr("facetem.hrtem.simulate.exit_wave", no_room(1, sizes, error))
    waves = exit_waves(structure, grid, energies=ENERGIES, batch=5)
    assert sizes == [5, 2, 1, 1, 1, 1, 1]
    torch.testing.assert_close(waves, expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("batch", [5, 1, None])
@pytest.mark.parametrize("error", OUT_OF_MEMORY)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_specimen_that_does_not_fit_alone_is_named(
    monkeypatch: pytest.MonkeyPatch, error: RuntimeError, batch: int | None, threads: int
) -> None:
    monkeypatch.setattr("facetem.hrtem.simulate.exit_wave", no_room(0, [], error))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        with pytest.raises(InputError, match="grid: 32 x 40 pixels do not fit the memory of cpu"):
            exit_waves(from_ase(MIXED), Grid((32, 40), 0.5), energies=ENERGIES, batch=batch)
    finally:
        torch.set_num_threads(before)


def test_other_errors_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr("facetem.hrtem.simulate.exit_wave", no_room(0, sizes, RuntimeError("something else")))
    with pytest.raises(RuntimeError, match="something else"):
        exit_waves(from_ase(MIXED), Grid((32, 40), 0.5), energies=ENERGIES, batch=5)
    assert sizes == [5]


def test_accuracies_go_from_cheap_to_exact() -> None:
    """Names stand for settings; an image is nearer to that of finer settings the more it costs."""
    atoms = specimen(40, 3, (20.0, 16.0, 40.0))
    named = {
        name: simulate(atoms, accuracy=name, device="cpu") for name in ("draft", "standard", "reference")
    }
    np.testing.assert_array_equal(simulate(atoms, device="cpu"), named["standard"])
    for name, image in named.items():
        np.testing.assert_array_equal(simulate(atoms, accuracy=ACCURACIES[name], device="cpu"), image)
    finest = Multislice(sampling=0.0625, slice_thickness=1.0, light_thickness=1.0, order=4)
    exact = simulate(atoms, accuracy=finest, device="cpu")
    errors = [
        float(np.std(named[name] - exact) / np.std(exact)) for name in ("draft", "standard", "reference")
    ]
    assert errors[0] > 1.5 * errors[1] > 3 * errors[2]
    assert errors[2] < 0.01


def column(n: int) -> Atoms:
    """Gold atoms on top of each other, 2.9 Å apart, beside one that stands alone."""
    heights = 1 + 2.9 * np.arange(n)
    positions = [*((8.0, 6.0, z) for z in heights), (15.0, 10.0, 1.0)]
    return Atoms(f"Au{n + 1}", positions, cell=(20.0, 16.0, heights[-1] + 1), pbc=(True, True, False))


def test_columns_of_atoms_are_calculated_on_finer_pixels() -> None:
    """One atom turns the phase by about 1 rad, four of a column by 4. A batch gives each specimen what it needs."""
    many = [column(1), column(12), column(2), column(5)]
    settings = Multislice()
    groups = fitted_settings(from_ase(many), energies=[200e3] * 4, settings=settings)
    found = {member: fitted.sampling for fitted, members in groups for member in members}
    assert found == {0: 0.25, 1: 0.125, 2: 0.25, 3: 0.16}
    images = simulate(many, energy=200e3, device="cpu")
    for atoms, image in zip(many, images, strict=True):
        np.testing.assert_allclose(image, simulate(atoms, energy=200e3, device="cpu"), atol=1e-6)
    exact = simulate(many[1], energy=200e3, accuracy="reference", device="cpu")
    coarse = simulate(many[1], energy=200e3, accuracy=Multislice(columns=()), device="cpu")
    error, without = (float(np.std(image - exact) / np.std(exact)) for image in (images[1], coarse))
    assert error < 0.25  # a column alone is the worst case: 0.17, and 2.8 on pixels of 0.25 Å
    assert without > 5 * error


def test_phonons_are_averaged_in_intensity() -> None:
    """The mean of the images of `configurations` drawn with the same seed, each without a Debye-Waller factor."""
    atoms = [specimen(20, 0), specimen(12, 1)]
    image = simulate(atoms, phonons=3, seed=5, device="cpu")
    settings = Multislice()
    structure = from_ase(atoms)
    generator = torch.Generator().manual_seed(5)
    frozen = configurations(structure, settings.debye_waller, generator, n=3)
    each = np.stack(
        [simulate(to_ase(one), accuracy=Multislice(debye_waller={}), device="cpu") for one in frozen]
    )
    np.testing.assert_allclose(image, each.mean(0), atol=1e-5)
    assert each.std(0).max() > 0.01
    still = simulate(atoms, device="cpu")
    assert np.abs(image - still).max() > 1e-3
    assert np.abs(image - simulate(atoms, phonons=3, seed=6, device="cpu")).max() > 1e-3
    np.testing.assert_array_equal(image, simulate(atoms, phonons=3, seed=5, device="cpu"))


def test_vibrations_of_ones_own() -> None:
    """Phonons take their amplitudes from the settings: none, and every configuration is the specimen at rest."""
    atoms, rest = specimen(20, 0), Multislice(debye_waller={})
    np.testing.assert_allclose(
        simulate(atoms, accuracy=rest, phonons=2, device="cpu"),
        simulate(atoms, accuracy=rest, device="cpu"),
        atol=1e-6,
    )


def test_progress_counts_configurations() -> None:
    told: list[tuple[int, int]] = []
    simulate([specimen(5, 0)] * 2, phonons=3, device="cpu", progress=lambda *x: told.append(x))
    assert told == [(i, 6) for i in range(1, 7)]


def test_fine_grids_have_pixels_that_are_fine_enough() -> None:
    rng = np.random.default_rng(0)
    for x, y in [(112.0, 112.0), (50.1, 40.0), (63.7, 41.3), *rng.uniform(12, 300, (50, 2))]:
        grid = fine_grid((x, y), 0.25)
        assert max(grid.pixel) <= 0.25 + 1e-9
        assert min(grid.pixel) > 0.22
        assert grid.extent == pytest.approx((y, x), rel=1e-9)
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
        (
            specimen(5, 0),
            {"accuracy": "best"},
            "accuracy: expected draft, standard, reference or a Multislice, got",
        ),
        (specimen(5, 0), {"phonons": -1}, "phonons: expected a number of configurations >= 0, got -1"),
        (specimen(5, 0), {"phonons": 1.5}, "phonons: expected"),
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
    accuracy = Multislice(sampling=0.2)
    binned = simulate(atoms, sampling=0.4, accuracy=accuracy, camera=Camera(binning=2), device="cpu")
    single = simulate(atoms, sampling=0.2, accuracy=accuracy, device="cpu")
    assert binned.shape == (40, 50)
    np.testing.assert_allclose(binned, single.reshape(40, 2, 50, 2).mean((1, 3)), atol=1e-6)
    assert binned.std() > 100 * 1e-6  # of a single atom in focus, far above the tolerance
