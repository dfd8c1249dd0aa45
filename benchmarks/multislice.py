"""Times facetem's exit waves against abTEM's, on the same structures in the same run, and compares the waves.

    python benchmarks/multislice.py                                   # 8 particles on carbon, 448 x 448 px
    python benchmarks/multislice.py --threads 2 --repeats 7 --fine    # and both against waves on finer pixels

Both go from ASE atoms to the exit wave: Lobato's factors with Debye-Waller, infinite projection, slices of 2 Å, single
precision, the same number of threads. Each is warmed up on the first specimen, then all specimens are
simulated in turn by the one and the other, and the medians over the repeats are compared. abTEM transmits at the
entrance of a slice, so its wave is propagated half a slice back to be compared. Lengths are in Å.
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

SAMPLING, SLICE = 0.25, 2.0
FINE = 0.1  # Å/px of the waves that --fine compares with
SEEN = 1.0  # 1/Å: about the information limit of the microscopes that take such images
FOCI = (-80.0, 0.0, 80.0)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=448, help="pixels of 0.25 Å along a side (default 448)")
    parser.add_argument("--specimens", type=int, default=8, help="different particles on carbon (default 8)")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each code (default 3)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of both codes (default 1)")
    parser.add_argument("--energy-kv", type=float, default=200.0, help="beam energy [kV] (default 200)")
    parser.add_argument(
        "--device", default="cpu", choices=["cpu", "cuda"], help="of facetem; abTEM runs on the CPU"
    )
    parser.add_argument(
        "--batch", type=int, help="specimens that facetem simulates at once (default: its own choice)"
    )
    parser.add_argument("--fine", action="store_true", help=f"compare both with a wave at {FINE} Å/px (slow)")
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
    specimens: Sequence["Atoms"], size: int, energy: float, device: str, batch: int | None
) -> "torch.Tensor":
    """(n, y, x) exit waves at the end of the cell."""
    from facetem.core.grid import Grid
    from facetem.core.structure import from_ase
    from facetem.hrtem.simulate import exit_waves

    structure = from_ase(specimens).to(device)
    grid = Grid((size, size), specimens[0].cell.lengths()[0] / size)
    energies = [energy] * len(specimens)
    waves = exit_waves(structure, grid, energies=energies, slice_thickness=SLICE, batch=batch)
    if device == "cuda":
        import torch

        torch.cuda.synchronize()
    return waves.cpu()


def theirs(specimens: Sequence["Atoms"], size: int, energy: float) -> "torch.Tensor":
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
            projection="infinite",
            parametrization=LobatoParametrization(sigmas=vibrations),
        )
        wave = abtem.PlaneWave(energy=energy).multislice(potential)
        assert isinstance(wave, abtem.Waves)
        waves.append(
            torch.as_tensor(np.ascontiguousarray(np.asarray(wave.array).T))
        )  # abTEM's arrays are (x, y)
    return torch.stack(waves)


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
    runs: dict[str, Callable[[Sequence[Atoms], int], object]] = {
        "facetem": lambda s, n: ours(s, n, arguments.energy_kv * 1e3, "cpu", arguments.batch),
        "abTEM": lambda s, n: theirs(s, n, arguments.energy_kv * 1e3),
    }
    runs[code](draw_specimens(1, 16.0), 64)  # imports, compilation
    before = peak = resident()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    runs[code](specimens, arguments.size)
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

    energy, side, size = arguments.energy_kv * 1e3, arguments.size * SAMPLING, arguments.size
    specimens = draw_specimens(arguments.specimens, side)
    atoms = [len(s) for s in specimens]
    depth = [float(s.cell.lengths()[2]) for s in specimens]
    print(
        f"{len(specimens)} specimens of {min(atoms)} to {max(atoms)} atoms, {min(depth):.0f} to {max(depth):.0f} Å "
        f"deep, {size} x {size} px of {SAMPLING} Å, slices of {SLICE} Å, {arguments.energy_kv:g} kV, "
        f"{arguments.threads} thread(s); torch {torch.__version__}, abTEM {abtem.__version__}, facetem on "
        f"{arguments.device}"
    )
    mine = ours(specimens[:1], size, energy, arguments.device, arguments.batch)
    others = theirs(specimens[:1], size, energy)
    seconds: dict[str, list[tuple[float, float]]] = {"facetem": [], "abTEM": []}
    for _ in range(arguments.repeats):
        clock, cpu, mine = timed(lambda: ours(specimens, size, energy, arguments.device, arguments.batch))
        seconds["facetem"].append((clock, cpu))
        clock, cpu, others = timed(lambda: theirs(specimens, size, energy))
        seconds["abTEM"].append((clock, cpu))
    for k, kind in enumerate(("clock", "CPU")):
        of = {name: [pair[k] / len(specimens) for pair in pairs] for name, pairs in seconds.items()}
        for name, values in of.items():
            print(
                f"{name:8}{statistics.median(values):8.3f} s a wave by the {kind}, median of {arguments.repeats} "
                f"({min(values):.3f} to {max(values):.3f})"
            )
        ratio = statistics.median(of["abTEM"]) / statistics.median(of["facetem"])
        ratios = [b / a for a, b in zip(of["facetem"], of["abTEM"], strict=True)]
        print(
            f"abTEM / facetem by the {kind}: {ratio:.2f} (of the pairs {min(ratios):.2f} to {max(ratios):.2f})"
        )

    others = propagate(others, Grid((size, size), SAMPLING), distance=-SLICE / 2, energy=energy)
    rms, contrast = image_rms(others, mine, side, energy)
    band = 0.95 * 2 / 3 * 0.5 / SAMPLING
    print(
        f"difference of the waves {relative(others, mine, side, band):.4f} (relative L2), up to {SEEN:g} / Å "
        f"{relative(others, mine, side, SEEN):.4f}; of images {rms:.4f} rms of vacuum at a contrast of {contrast:.3f}"
    )
    if arguments.fine:
        n = round(side / FINE)
        fine = {
            "facetem": ours(specimens[:1], n, energy, arguments.device, 1),
            "abTEM": propagate(
                theirs(specimens[:1], n, energy), Grid((n, n), side / n), distance=-SLICE / 2, energy=energy
            ),
        }
        for reference, wave in fine.items():
            for name, coarse in (("facetem", mine[:1]), ("abTEM", others[:1])):
                rms, _ = image_rms(coarse, wave, side, energy)
                print(
                    f"{name} at {SAMPLING} Å/px against {reference} at {FINE} Å/px: wave up to {SEEN:g} / Å "
                    f"{relative(coarse, wave, side, SEEN):.4f}, images {rms:.4f} rms"
                )
    if arguments.device == "cuda":
        print(f"peak memory of facetem on the device {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB")
    for code in ("facetem", "abTEM") if Path("/proc/self/statm").exists() else ():
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            print(f"peak memory of {code}, CPU {pool.submit(peak_memory, code, arguments).result():.0f} MiB")


if __name__ == "__main__":
    main()
