"""Times facetem's exit waves against abTEM's, on the same structures in the same run, and compares the waves.

    python benchmarks/multislice.py                       # 16 particles on carbon, 440 x 440 px of 0.25 Å
    python benchmarks/multislice.py --threads 2 --specimens 4 --repeats 5 --errors 2

From ASE atoms to the exit wave, Lobato's factors with Debye-Waller, single precision, the same number of threads.
abTEM: slices of 2 Å, `infinite` and `finite` projection. facetem: `plain`, with slices of 2 Å and every atom in the
nearest, which is abTEM's `infinite`, and `standard`, the default. All are warmed up on the first specimen, then
simulate all specimens in turn; medians over the repeats are compared. Fourier transforms are timed where they are
called. Errors are those of the wave up to 1 / Å and of images, against facetem on pixels of 0.1 Å in slices of 1 Å.
abTEM transmits at the entrance of a slice, so its wave is propagated half a slice back to be compared. Lengths: Å.
"""

import argparse
import os
import resource
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from math import ceil, pi
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from ase import Atoms

    from facetem.hrtem.settings import Multislice

SAMPLING, SLICE = 0.25, 2.0
FINE = 0.1  # Å/px of the converged waves
SEEN = 1.0  # 1/Å: about the information limit of the microscopes that take such images
FOCI = (-80.0, 0.0, 80.0)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=440, help="pixels of 0.25 Å along a side (default 440)")
    parser.add_argument(
        "--specimens", type=int, default=16, help="different particles on carbon (default 16)"
    )
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each code (default 3)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of both codes (default 1)")
    parser.add_argument("--energy-kv", type=float, default=200.0, help="beam energy [kV] (default 200)")
    parser.add_argument(
        "--device", default="cpu", choices=["cpu", "cuda"], help="of facetem; abTEM runs on the CPU"
    )
    parser.add_argument(
        "--batch", type=int, help="specimens that facetem simulates at once (default: its own choice)"
    )
    parser.add_argument(
        "--errors", type=int, default=1, help="specimens whose converged wave is calculated, slow (default 1)"
    )
    arguments = parser.parse_args()
    if min(arguments.size, arguments.specimens, arguments.repeats, arguments.threads) < 1:
        parser.error("--size, --specimens, --repeats and --threads: expected at least 1")
    return arguments


def draw_specimens(n: int, side: float, seed: int = 0) -> list["Atoms"]:
    """Particles of all shapes, 4 to 8 nm where the field allows it, on 1 to 6 nm of carbon, either side up."""
    from facetem.atoms.carbon import RandomFilms
    from facetem.atoms.scene import assemble, draw_rotation, rotated
    from facetem.atoms.shapes import SHAPES, build_particle

    rng = np.random.default_rng(seed)
    films = RandomFilms((side, side), seed=seed, density=(2.0, 2.0), hard_cores=(1.3,), waviness=(0.0, 0.0))
    specimens = []
    for i in range(n):
        diameter = float(np.clip(rng.uniform(0.36, 0.72) * side, 12, 80))
        particle = rotated(build_particle(SHAPES[i % len(SHAPES)], diameter=diameter), draw_rotation(rng))
        film = films.draw(float(rng.uniform(10, 60)), rng)
        facing = "entrance" if rng.random() < 0.5 else "exit"
        atoms = assemble([particle], film, extent=(side, side), side=facing, clip=True)
        atoms.positions[:, 2] += 0.37  # no atom on the border of two slices, where the codes may differ
        height = ceil((atoms.positions[:, 2].max() + 1) / SLICE) * SLICE
        atoms.set_cell((side, side, height))
        specimens.append(atoms)
    return specimens


def ours(
    specimens: Sequence["Atoms"],
    size: int,
    energy: float,
    settings: "Multislice",
    device: str = "cpu",
    batch: int | None = None,
) -> "torch.Tensor":
    """(n, y, x) exit waves at the end of the cell."""
    from facetem.core.grid import Grid
    from facetem.core.structure import from_ase
    from facetem.hrtem.simulate import exit_waves

    structure = from_ase(specimens).to(device)
    grid = Grid((size, size), specimens[0].cell.lengths()[0] / size)
    energies = [energy] * len(specimens)
    waves = exit_waves(structure, grid, energies=energies, settings=settings, batch=batch)
    if device == "cuda":
        import torch

        torch.cuda.synchronize()
    return waves.cpu()


def theirs(specimens: Sequence["Atoms"], size: int, energy: float, projection: str) -> "torch.Tensor":
    """(n, y, x) exit waves, half a slice after the end of the cell."""
    import abtem
    import torch
    from abtem.parametrizations import LobatoParametrization
    from ase.data import chemical_symbols

    from facetem.hrtem.scattering import DEBYE_WALLER

    vibrations = {chemical_symbols[z]: (b / 8) ** 0.5 / pi for z, b in DEBYE_WALLER.items()}
    waves = []
    for atoms in specimens:
        potential = abtem.Potential(
            atoms,
            gpts=size,
            slice_thickness=SLICE,
            projection=projection,
            parametrization=LobatoParametrization(sigmas=vibrations if projection == "infinite" else None),
        )
        wave = abtem.PlaneWave(energy=energy).multislice(potential)
        assert isinstance(wave, abtem.Waves)
        waves.append(
            torch.as_tensor(np.ascontiguousarray(np.asarray(wave.array).T))
        )  # abTEM's arrays are (x, y)
    return torch.stack(waves)


def codes(arguments: argparse.Namespace) -> "dict[str, Callable[[Sequence[Atoms], int], torch.Tensor]]":
    """What is timed, by name: specimens and pixels -> waves."""
    from facetem.hrtem.settings import ACCURACIES, Multislice

    energy, device, batch = arguments.energy_kv * 1e3, arguments.device, arguments.batch
    plain = Multislice(slice_thickness=SLICE, light_thickness=SLICE, order=1, second_order=False, band=2 / 3)
    return {
        "facetem, standard": lambda s, n: ours(s, n, energy, ACCURACIES["standard"], device, batch),
        "facetem, plain": lambda s, n: ours(s, n, energy, plain, device, batch),
        "abTEM, infinite": lambda s, n: theirs(s, n, energy, "infinite"),
        "abTEM, finite": lambda s, n: theirs(s, n, energy, "finite"),
    }


class Fourier:
    """CPU seconds that threads spend in PyTorch's Fourier transforms while it is entered."""

    def __enter__(self) -> "Fourier":
        import torch

        self.seconds: list[float] = []
        self.own = {name: getattr(torch.fft, name) for name in ("fft2", "ifft2", "rfft2", "irfft2")}
        for name, function in self.own.items():
            setattr(torch.fft, name, self._watched(function))
        return self

    def __exit__(self, *_: object) -> None:
        import torch

        for name, function in self.own.items():
            setattr(torch.fft, name, function)

    def _watched(self, function: Callable[..., "torch.Tensor"]) -> Callable[..., "torch.Tensor"]:
        def watched(*arguments: object, **options: object) -> "torch.Tensor":
            start = time.thread_time()
            result = function(*arguments, **options)
            self.seconds.append(time.thread_time() - start)
            return result

        return watched


def set_up(threads: int) -> None:
    import abtem
    import torch

    torch.set_num_threads(threads)
    abtem.config.set({"dask.lazy": False, "diagnostics.progress_bar": False, "precision": "float32"})
    abtem.config.set({"fft": "fftw", "fftw.threads": threads, "fftw.planning_effort": "FFTW_MEASURE"})


def resident() -> float:
    """MiB of memory that this process holds (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def peak_memory(code: str, arguments: argparse.Namespace) -> float:
    """MiB that one code takes in a process of its own, above what its imports and the atoms take."""
    set_up(arguments.threads)
    specimens = draw_specimens(arguments.specimens, arguments.size * SAMPLING)
    run = codes(arguments)[code]
    run(draw_specimens(1, 16.0), 64)  # imports, compilation
    before = peak = resident()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    run(specimens, arguments.size)
    done.set()
    watcher.join()
    return peak - before


def relative(a: "torch.Tensor", b: "torch.Tensor", side: float, limit: float) -> float:
    """L2 difference of waves (n, y, x) over that of `b`, up to the frequency `limit` [1/Å]."""
    import torch

    from facetem.core.grid import Grid, fourier_resample

    n = 2 * ceil(limit * side) + 2
    seen = Grid((n, n), side / n).squared_frequency() <= limit**2
    first, second = (torch.fft.fft2(fourier_resample(wave, (n, n))) * seen for wave in (a, b))
    return float(torch.linalg.vector_norm(first - second) / torch.linalg.vector_norm(second))


def image_rms(a: "torch.Tensor", b: "torch.Tensor", side: float, energy: float) -> tuple[float, float]:
    """rms difference and contrast [vacuum = 1] of the images of two sets of waves, over three foci."""
    from facetem.core.grid import Grid
    from facetem.hrtem.aberrations import Aberrations
    from facetem.hrtem.optics import Optics, clean_images

    n = round(side / 0.4)
    differences, contrasts = [], []
    for pair in zip(a, b, strict=True):
        first, second = (
            clean_images(
                wave.expand(len(FOCI), -1, -1),
                Grid((wave.shape[-2], wave.shape[-1]), side / wave.shape[-1]),
                energies=[energy] * len(FOCI),
                optics=[Optics(Aberrations(defocus=focus)) for focus in FOCI],
                shape=(n, n),
                band=2 / 3 * 0.5 / SAMPLING,
            )
            for wave in pair
        )
        differences.append(float((first - second).square().mean()))
        contrasts.append(float(second.var()))
    return statistics.mean(differences) ** 0.5, statistics.mean(contrasts) ** 0.5


def timed(run: Callable[[], "torch.Tensor"]) -> tuple[float, float, "torch.Tensor"]:
    """Seconds by the clock and of the CPU, which tell the same on an idle machine with one thread."""
    clock, cpu = time.perf_counter(), time.process_time()
    result = run()
    return time.perf_counter() - clock, time.process_time() - cpu, result


def main() -> None:
    arguments = parsed()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)
    set_up(arguments.threads)
    import abtem
    import torch

    from facetem.core.grid import Grid
    from facetem.hrtem.multislice import propagate
    from facetem.hrtem.settings import Multislice

    energy, side, size = arguments.energy_kv * 1e3, arguments.size * SAMPLING, arguments.size
    specimens = draw_specimens(arguments.specimens, side)
    atoms = [len(s) for s in specimens]
    depth = [float(s.cell.lengths()[2]) for s in specimens]
    print(
        f"{len(specimens)} specimens of {min(atoms)} to {max(atoms)} atoms, {min(depth):.0f} to {max(depth):.0f} Å "
        f"deep, {size} x {size} px of {SAMPLING} Å, {arguments.energy_kv:g} kV, {arguments.threads} thread(s); torch "
        f"{torch.__version__}, abTEM {abtem.__version__}, facetem on {arguments.device}"
    )
    runs = codes(arguments)
    for run in runs.values():
        run(specimens[:1], size)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    fourier: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(arguments.repeats):
        for name, run in runs.items():
            with Fourier() as transforms:
                clock, cpu, _ = timed(lambda run=run: run(specimens, size))
            seconds[name].append((clock / len(specimens), cpu / len(specimens)))
            if transforms.seconds:
                fourier[name].append(cpu / sum(transforms.seconds))
    for name in runs:
        clock, cpu = (statistics.median(column) for column in zip(*seconds[name], strict=True))
        times = [pair[0] for pair in seconds[name]]
        share = f"; {statistics.median(fourier[name]):.2f} x its Fourier transforms" if fourier[name] else ""
        print(f"{name:18}{clock:7.3f} s a wave ({min(times):.3f} to {max(times):.3f}), CPU {cpu:.3f}{share}")
    for mine in ("facetem, standard", "facetem, plain"):
        for other in ("abTEM, infinite", "abTEM, finite"):
            ratios = [b[0] / a[0] for a, b in zip(seconds[mine], seconds[other], strict=True)]
            print(
                f"{other} / {mine}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            )
    few = specimens[: arguments.errors]
    if few:
        n = round(side / FINE)
        fine = Multislice(slice_thickness=1.0, light_thickness=2.0, order=4)
        converged = ours(few, n, energy, fine, arguments.device, 1)
        for name, run in runs.items():
            wave = run(few, size)
            if name.startswith("abTEM"):
                back = Grid((size, size), SAMPLING)
                wave = propagate(wave, back, distance=-SLICE / 2, energy=energy)
            rms, contrast = image_rms(wave, converged, side, energy)
            print(
                f"{name:18}error of the wave up to {SEEN:g} / Å {relative(wave, converged, side, SEEN):.4f}, of images "
                f"{rms:.4f} rms of vacuum at a contrast of {contrast:.3f}"
            )
    if arguments.device == "cuda":
        print(f"peak memory of facetem on the device {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB")
    for code in runs if Path("/proc/self/statm").exists() else ():
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            print(f"{code:18}peak memory {pool.submit(peak_memory, code, arguments).result():.0f} MiB, CPU")


if __name__ == "__main__":
    main()
