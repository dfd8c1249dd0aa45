"""Specimens a second: a 6 nm particle on 4 nm of quenched carbon in a field of 112 Å, one by one and many at once.

    python benchmarks/assembly.py [--threads 1 2] [--device cuda] [--batch 16] [--seconds 5]

Templates and the library of films are in memory before the clock starts. "elapsed" is by the clock and "processor" by
processor time, which other work on the same machine hardly changes; both are the median of all batches.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from ase import Atoms

from facetem.atoms.assembly import Scenes, assemble_many
from facetem.atoms.film_batch import FilmColumns, draw_films, load_columns
from facetem.atoms.films import FilmLibrary
from facetem.atoms.outlines import masks, thickness
from facetem.atoms.placement import Placements, Template, draw_rotations
from facetem.atoms.scene import assemble, draw_rotation, particle_masks, rotated, thickness_map
from facetem.atoms.shapes import build_particle

FIELD, FILM, PARTICLE = 112.0, 40.0, 60.0  # Å
PIXELS = (280, 280)
SHAPES = ("octahedron", "decahedron", "icosahedron", "cube")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0, help="For each measurement.")
    parser.add_argument("--gap", type=float, default=1.0, help="[Å]; below 1.8 carbon gives way.")
    options = parser.parse_args()
    particles = [build_particle(shape, diameter=PARTICLE) for shape in SHAPES]
    source = FilmLibrary((FIELD, FIELD))
    print("specimens a second                       elapsed  processor")
    torch.set_num_threads(1)
    one_by_one(particles, source, options.gap, options.seconds)
    for threads in options.threads if options.device == "cpu" else [1]:
        torch.set_num_threads(threads)
        print(f"many at once, {options.device}, {threads} threads, {options.batch} a batch")
        many(particles, source, options)


def one_by_one(particles: list[Atoms], source: FilmLibrary, gap: float, seconds: float) -> None:
    rng = np.random.default_rng(0)
    film = source.draw(FILM, rng)

    def whole(film: Atoms | None = None) -> Atoms:
        particle = rotated(particles[rng.integers(len(particles))], draw_rotation(rng))
        film = source.draw(FILM, rng) if film is None else film
        return assemble([particle], film, extent=(FIELD, FIELD), gap=gap)

    specimen = whole()
    print("one by one")
    report("film", lambda: source.draw(FILM, rng), 1, seconds)
    report("particle on a film that is there", lambda: whole(film), 1, seconds)
    report("both", whole, 1, seconds)
    report("mask", lambda: particle_masks(specimen, PIXELS, 0.4), 1, seconds)
    report("thickness", lambda: thickness_map(specimen, PIXELS, 0.4), 1, seconds)


def many(particles: list[Atoms], source: FilmLibrary, options: argparse.Namespace) -> None:
    device, n = options.device, options.batch
    generator = torch.Generator(device).manual_seed(0)
    columns: FilmColumns = load_columns(source, device)
    templates = [Template.of(particle, device) for particle in particles]
    thick = torch.full((n,), FILM, device=device)
    films = draw_films(source, columns, thick, generator)

    def place() -> Placements:
        return Placements(
            torch.arange(n, device=device),
            torch.randint(len(templates), (n,), generator=generator, device=device),
            draw_rotations(n, generator),
            torch.full((n, 2), FIELD / 2, device=device),
            torch.randint(2, (n,), generator=generator, device=device) * 2.0 - 1,
            torch.full((n,), options.gap, device=device),
        )

    def whole(films=None) -> Scenes:
        films = draw_films(source, columns, thick, generator) if films is None else films
        return assemble_many(templates, films, place(), extent=(FIELD, FIELD))

    scenes = whole()
    report("films", lambda: draw_films(source, columns, thick, generator), n, options.seconds, device)
    report("particles on films that are there", lambda: whole(films), n, options.seconds, device)
    report("both", whole, n, options.seconds, device)
    report("masks", lambda: masks(scenes, PIXELS, 0.4), n, options.seconds, device)
    report("thickness", lambda: thickness(scenes, PIXELS, 0.4), n, options.seconds, device)


def report(name: str, work: Callable[[], object], n: int, seconds: float, device: str = "cpu") -> None:
    """Print how many of the `n` things that `work` makes come in a second."""
    work()
    elapsed, processor = [], []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(elapsed) < 3:
        start, used = time.perf_counter(), time.process_time()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        elapsed.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    print(f"    {name:36s} {n / np.median(elapsed):7.0f} {n / np.median(processor):10.0f}", flush=True)


if __name__ == "__main__":
    main()
