"""Amorphous carbon: the figures and numbers of docs/carbon.md, and how quickly films and scenes are drawn.

python benchmarks/carbon.py structure docs/images    # carbon-structure.png, and tables
python benchmarks/carbon.py images docs/images       # carbon-images.png, carbon-spectrum.png, and tables
python benchmarks/carbon.py speed                    # films and scenes per second, on one core
"""

import argparse
import time
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from ase import Atoms

from facetem.atoms import statistics
from facetem.atoms.carbon import FilmSource, RandomFilms, draw_random_film
from facetem.atoms.films import SHIPPED, FilmLibrary, LibraryFilm, library
from facetem.atoms.scene import assemble, draw_rotation, rotated
from facetem.atoms.shapes import SHAPES, build_particle
from facetem.core.grid import Grid
from facetem.core.structure import from_ase
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.multislice import exit_wave
from facetem.hrtem.optics import Optics, clean_images
from facetem.hrtem.settings import Multislice

FIELD = 102.4  # Å
DENSITY = 2.1  # g/cm3, of the films that are compared
THICKNESS = 30.0  # Å
ENERGY = 200e3  # eV
COLOURS = {"quenched": "#1f77b4", "hard core 1.35 Å": "#d95f02", "fully random": "#777777"}
BANDS = (
    (0.1, 0.2),
    (0.2, 0.3),
    (0.3, 0.4),
    (0.4, 0.45),
    (0.45, 0.55),
    (0.55, 0.65),
    (0.65, 0.75),
    (0.85, 0.9),
)
SIZES = range(3, 10)


def draw(kind: str, rng: np.random.Generator, extent: float = FIELD, thickness: float = THICKNESS) -> Atoms:
    """A film of one of the three kinds."""
    if kind == "quenched":
        return FilmLibrary((extent, extent), density=(DENSITY, DENSITY)).draw(thickness, rng)
    core = 1.35 if kind.startswith("hard") else 0.0
    return draw_random_film((extent, extent), thickness=thickness, density=DENSITY, hard_core=core, rng=rng)


def as_atoms(film: LibraryFilm) -> Atoms:
    cell = (film.period, film.period, film.thickness)
    return Atoms(
        numbers=np.full(film.xyz.shape[1], 6), positions=film.xyz.T.astype(float), cell=cell, pbc=(1, 1, 0)
    )


def structure(folder: Path) -> None:
    films = sorted((*library(SHIPPED, "training"), *library(SHIPPED, "test")), key=lambda film: film.density)
    rng = np.random.default_rng(0)
    columns = ("film", "g/cm3", "Å", "first peak, Å", "second, Å", "neighbours", "2-fold", "3-fold", "4-fold")
    print("| " + " | ".join((*columns, "angle", "rings 5 : 6 : 7")) + " |\n" + "|---" * 11 + "|")
    rows = {film.name: row(film.name, as_atoms(film), film.thickness, rng) for film in films}
    random = {kind: row(kind, draw(kind, rng), THICKNESS, rng) for kind in tuple(COLOURS)[1:]}
    light = min(films, key=lambda film: abs(film.density - 1.75))
    dense = films[-1]
    middle = min(
        (film for film in films if film.thickness > 25), key=lambda film: abs(film.density - DENSITY)
    )
    shown = {f"quenched, {film.density:.2f} g/cm3": as_atoms(film) for film in (light, middle, dense)}
    shown |= {kind: draw(kind, rng) for kind in random}
    colours = ["#9ecae1", "#1f77b4", "#08306b", *list(COLOURS.values())[1:]]
    figure, ((left, right), (low_left, low_right)) = plt.subplots(
        2, 2, figsize=(10, 7.4), layout="constrained"
    )
    for (name, film), colour in zip(shown.items(), colours, strict=True):
        r, g = statistics.pair_distribution(film, width=0.05)
        left.plot(r, g, color=colour, label=name, lw=1.4)
        if "random" not in name:
            angles = statistics.bond_angles(film)
            low_left.hist(angles, np.arange(40, 181, 2), density=True, histtype="step", color=colour, lw=1.4)
    left.axvspan(1.85, 2.0, color="#eeeeee", zorder=0)
    left.set(xlabel="r (Å)", ylabel="g(r)", xlim=(0.8, 6), ylim=(0, 12))
    left.legend(frameon=False, fontsize=8)
    low_left.set(
        xlabel="bond angle (degrees), bonds up to 1.9 Å", ylabel="probability per degree", xlim=(40, 180)
    )
    for n, colour in zip((2, 3, 4), ("#7570b3", "#1b9e77", "#e7298a"), strict=True):
        for part, face in (("training", colour), ("test", "white")):
            at = [film for film in films if film.name.startswith(part)]
            right.plot(
                [film.density for film in at],
                [100 * rows[film.name]["coordination"][n] for film in at],
                "o",
                color=colour,
                markerfacecolor=face,
                label=f"{n}-fold" if part == "training" else None,
            )
    right.set(xlabel="density (g/cm3)", ylabel="part of the atoms (%)", ylim=(0, 100))
    right.legend(frameon=False, fontsize=8, title="filled: training, open: test", title_fontsize=8)
    chosen = {
        light.name: colours[0],
        middle.name: colours[1],
        dense.name: colours[2],
        "hard core 1.35 Å": colours[3],
    }
    for i, (name, colour) in enumerate(chosen.items()):
        rings = (rows | random)[name]["rings"]
        low_right.bar(np.array(SIZES) + 0.2 * (i - 1.5), [rings[n] for n in SIZES], 0.2, color=colour)
    low_right.set(xlabel="atoms in the ring (King's criterion)", ylabel="rings per atom", xticks=list(SIZES))
    save(figure, folder / "carbon-structure.png")


def row(name: str, film: Atoms, thickness: float, rng: np.random.Generator) -> dict[str, dict[int, float]]:
    """Statistics of a film, printed as a row of the table."""
    r, g = statistics.pair_distribution(film, longest=5.0, width=0.02)
    smooth = np.convolve(g, np.ones(5) / 5, "same")
    peaks = ["none", "none"]
    if g[r < 1.8].max() > 2:
        shells = (r < 1.8, (r > 2.2) & (r < 3))
        peaks = [f"{r[shell][smooth[shell].argmax()]:.2f}" for shell in shells]
    neighbours = statistics.coordination(film)
    parts = {n: float(np.mean(neighbours == n)) for n in range(8)}
    angles = statistics.bond_angles(film)
    rings = statistics.ring_sizes(film, rng, atoms=1500)
    cells = [name, f"{statistics.density(film):.2f}", f"{thickness:.0f}", *peaks]
    cells += [f"{neighbours.mean():.2f}", *(f"{100 * parts[n]:.0f} %" for n in (2, 3, 4))]
    cells += [f"{angles.mean():.1f} ± {angles.std():.1f}°", " : ".join(f"{rings[n]:.3f}" for n in (5, 6, 7))]
    print("| " + " | ".join(cells) + " |", flush=True)
    return {"coordination": parts, "rings": rings}


def images(folder: Path, n_films: int) -> None:
    grid = Grid((512, 512), FIELD / 512)
    optics = Optics(Aberrations(defocus=600.0), focal_spread=25.0, angular_spread=0.05)
    waves, pictures = {}, {}
    for kind in COLOURS:
        rng = np.random.default_rng(1)
        films = [assemble([], draw(kind, rng), extent=(FIELD, FIELD)) for _ in range(n_films)]
        with torch.no_grad():
            many = [exit_wave(from_ase([film]), grid, energies=torch.tensor([ENERGY]), settings=Multislice())
                    for film in films]  # fmt: skip
            waves[kind] = torch.cat(many)
            pictures[kind] = clean_images(
                waves[kind], grid, energies=[ENERGY] * n_films, optics=[optics] * n_films, shape=(512, 512)
            ).numpy()
    k = np.hypot(*np.meshgrid(*[np.fft.fftfreq(512, FIELD / 512)] * 2))
    edges = np.arange(0.05, 1.4, 0.0125)
    middles = (edges[1:] + edges[:-1]) / 2
    scattered = {kind: radial(np.abs(np.fft.fft2(w.numpy() - 1)) ** 2, k, edges) for kind, w in waves.items()}
    seen = {kind: radial(np.abs(np.fft.fft2(p - p.mean((1, 2), keepdims=True))) ** 2, k, edges)
            for kind, p in pictures.items()}  # fmt: skip
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.9), layout="constrained")
    for kind, colour in COLOURS.items():
        axes[0].semilogy(middles, scattered[kind], color=colour, label=kind)
        axes[2].semilogy(middles, seen[kind], color=colour, label=kind)
    ratios = {other: scattered["quenched"] / scattered[other] for other in tuple(COLOURS)[1:]}
    for other, ratio in ratios.items():
        axes[1].plot(middles, ratio, color=COLOURS[other], label=f"quenched / {other}")
    axes[1].axhline(1, color="#bbbbbb", lw=0.8, zorder=0)
    for d in (2.355, 2.039, 1.442, 1.230):
        axes[1].axvline(1 / d, color="#d4af37", lw=1, ls=":", zorder=0)
    axes[1].text(0.43, 0.04, "Au 111, 200, 220, 311", fontsize=8, color="#a08020")
    titles = ("scattered by the film", "ratio of what is scattered", "Thon rings, 60 nm underfocus")
    for axis, title in zip(axes, titles, strict=True):
        axis.set(xlabel="spatial frequency (1/Å)", title=title, xlim=(0.05, 1.0))
        axis.legend(frameon=False, fontsize=8)
    axes[0].set(ylabel="power (arbitrary)", ylim=(scattered["quenched"][middles < 1].min() / 1.5, None))
    axes[2].set(xlim=(0.05, 0.6), ylim=(np.max(seen["quenched"]) / 300, None))
    axes[1].set(ylim=(0, 2.3))
    save(figure, folder / "carbon-spectrum.png")
    print("| band, 1/Å | " + " | ".join(f"quenched / {other}" for other in ratios) + " |\n|---|---|---|")
    for low, high in BANDS:
        band = np.array([low, high])
        means = {
            kind: radial(np.abs(np.fft.fft2(w.numpy() - 1)) ** 2, k, band)[0] for kind, w in waves.items()
        }
        print(
            f"| {low:g}-{high:g} | "
            + " | ".join(f"{means['quenched'] / means[o]:.2f}" for o in ratios)
            + " |"
        )
    show_images(pictures, folder)


def radial(power: np.ndarray, k: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Mean power (bins,) of (n, y, x) in rings of |k|."""
    which = np.digitize(k.ravel(), edges)
    counts = np.bincount(which, minlength=len(edges) + 1)
    return np.bincount(which, power.mean(0).ravel(), len(edges) + 1)[1:-1] / counts[1:-1]


def show_images(pictures: dict[str, np.ndarray], folder: Path) -> None:
    figure, axes = plt.subplots(2, 3, figsize=(9, 6.3), layout="constrained")
    for column, (kind, pixels) in zip(axes.T, pictures.items(), strict=True):
        column[0].imshow(pixels[0, :256, :256], cmap="gray", vmin=0.85, vmax=1.15)
        column[0].set_title(f"{kind} (σ = {pixels.std():.3f})", fontsize=10)
        power = np.mean(np.abs(np.fft.fft2(pixels - pixels.mean((1, 2), keepdims=True))) ** 2, axis=0)
        shown = np.fft.fftshift(np.log(power + 1e-9))[256 - 70 : 256 + 71, 256 - 70 : 256 + 71]
        column[1].imshow(shown, cmap="gray", vmin=np.percentile(shown, 30), vmax=shown.max())
        for axis in column:
            axis.set_axis_off()
    save(figure, folder / "carbon-images.png")


def save(figure: "plt.Figure", path: Path) -> None:
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(f"{path}\n")


def speed(n: int) -> None:
    """Films and scenes per second of one core (processor time): a particle of 6 nm from a template on 4 nm of carbon,
    in a field of 11.2 nm."""
    torch.set_num_threads(1)
    extent = (112.0, 112.0)
    rng = np.random.default_rng(0)
    templates = [build_particle(shape, diameter=60.0) for shape in SHAPES]
    sources: dict[str, FilmSource] = {
        "quenched": FilmLibrary(extent),
        "quenched, wavy": FilmLibrary(extent, waviness=(0.0, 2.5)),
        "random": RandomFilms(extent, waviness=(0.0, 0.0)),
        "random, wavy": RandomFilms(extent, waviness=(0.0, 2.5)),
    }
    print(
        "| films | ms a film | ms a particle turned | ms an assembly | scenes a second |\n|---|---|---|---|---|"
    )
    for name, source in sources.items():
        for _ in range(12):
            source.draw(40.0, rng)  # blocks and library into memory
        spent = np.zeros(3)
        for i in range(n):
            at = time.process_time()
            film = source.draw(40.0, rng)
            after_film = time.process_time()
            particle = rotated(templates[i % len(templates)], draw_rotation(rng))
            turned = time.process_time()
            assemble([particle], film, extent=extent, gap=2.0)
            spent += np.diff([at, after_film, turned, time.process_time()])
        print(
            f"| {name} | " + " | ".join(f"{1e3 * t / n:.2f}" for t in spent) + f" | {n / spent.sum():.0f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("structure", "images", "speed"))
    parser.add_argument("folder", type=Path, nargs="?", default=Path())
    parser.add_argument("--n", type=int, help="Films of each kind (8), or scenes (100).")
    options = parser.parse_args()
    if options.what == "structure":
        structure(options.folder)
    elif options.what == "images":
        images(options.folder, options.n or 8)
    else:
        speed(options.n or 100)


if __name__ == "__main__":
    main()
