"""What each setting of the multislice costs in accuracy, against a converged calculation.

    python benchmarks/accuracy.py                                # tables, on a free core about ten minutes
    python benchmarks/accuracy.py --figure docs/images/accuracy.png

Specimens, 64 x 64 Å: gold particles of 4 nm in random orientations on 2 nm of carbon, one of 5 nm along [110] and one
along [100], where columns of atoms lie on top of each other. Converged: pixels of 0.08 Å, slices of 2 Å, fourth-order
shares, extent of the atoms along the beam. Wave: relative L2 up to 1 / Å. Image: rms over contrast, mean over foci of -8,
0 and 8 nm from the exit plane, focal spread 3 nm. Lengths in Å.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from ase import Atoms
from multislice import image_rms, relative

from facetem.atoms.carbon import RandomFilms
from facetem.atoms.scene import assemble, draw_rotation, rotated
from facetem.atoms.shapes import build_particle
from facetem.core.grid import Grid
from facetem.core.structure import from_ase
from facetem.hrtem.multislice import exit_wave
from facetem.hrtem.settings import ACCURACIES, Multislice

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 64.0
SEEN = 1.0  # 1/Å
CONVERGED = Multislice(sampling=0.08, slice_thickness=2.0, light_thickness=2.0, order=4, projection="finite")
PLAIN = Multislice(slice_thickness=2.0, light_thickness=2.0, order=1, second_order=False, band=2 / 3, potential_band=2 / 3)
STANDARD = ACCURACIES["standard"]


def turned(axis: "Sequence[float]", about: float) -> "NDArray[np.float64]":
    """A rotation that brings `axis` to the beam, and then turns by `about` [rad]."""
    z = np.asarray(axis, float) / np.linalg.norm(axis)
    x = np.cross([0.31, 0.17, 0.93], z)
    x /= np.linalg.norm(x)
    c, s = np.cos(about), np.sin(about)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.stack([x, np.cross(z, x), z])


def draw_specimens() -> dict[str, list[Atoms]]:
    """By what they are: particles on carbon."""
    rng = np.random.default_rng(5)
    films = RandomFilms((SIDE, SIDE), seed=1, density=(2.0, 2.0), hard_cores=(1.3,), waviness=(0.0, 0.0))

    def on_film(particle: Atoms) -> Atoms:
        atoms = assemble([particle], films.draw(20.0, rng), extent=(SIDE, SIDE))
        atoms.positions[:, 2] += 0.37
        atoms.set_cell((SIDE, SIDE, float(atoms.positions[:, 2].max()) + 2.0))
        return atoms

    random = [
        on_film(rotated(build_particle(shape, diameter=40.0), draw_rotation(rng)))
        for shape in ("truncated_octahedron", "icosahedron", "decahedron")
    ]
    large = build_particle("truncated_octahedron", diameter=50.0)
    return {
        "random": random,
        "[110]": [on_film(rotated(large, turned([1, 1, 0], 0.3)))],
        "[100]": [on_film(rotated(large, turned([1, 0, 0], 0.3)))],
    }


def waves_of(atoms: Sequence[Atoms], energy: float, settings: Multislice) -> tuple[torch.Tensor, float]:
    """Exit waves (n, y, x) in double precision, and the seconds that each took in single precision."""
    from scipy.fft import next_fast_len

    n = int(next_fast_len(int(np.ceil(SIDE / settings.sampling - 1e-6))))
    grid = Grid((n, n), SIDE / n)
    energies = torch.full((1,), energy)
    many = [from_ase([one]) for one in atoms]
    exit_wave(many[0], grid, energies=energies, settings=settings)
    start = time.perf_counter()
    waves = [exit_wave(one, grid, energies=energies, settings=settings) for one in many]
    return torch.cat(waves), (time.perf_counter() - start) / len(many)


def variants() -> dict[str, Multislice]:
    """What is measured: the names, the plain algorithm, and one setting of the standard changed at a time."""
    out: dict[str, Multislice] = {name: settings for name, settings in ACCURACIES.items()}
    for sampling in (0.4, 0.33, 0.25, 0.2, 0.125):
        out[f"plain, {sampling} Å/px, slices of 2 Å"] = replace(PLAIN, sampling=sampling)
    for sampling in (0.4, 0.33, 0.2, 0.16, 0.125):
        out[f"pixels of {sampling} Å"] = replace(STANDARD, sampling=sampling)
    for thickness in (2.0, 4.0, 6.0, 8.0, 14.0, 20.0):
        out[f"planes {thickness:g} Å apart"] = replace(
            STANDARD, slice_thickness=thickness, light_thickness=thickness
        )
    out["carbon in planes 20 Å apart"] = replace(STANDARD, light_thickness=20.0)
    for order in (1, 2, 4):
        out[f"atoms shared by {order}"] = replace(STANDARD, order=order)
    out["no second order"] = replace(STANDARD, second_order=False)
    out["band 2/3"] = replace(STANDARD, band=2 / 3)
    out["potential's band 2/3"] = replace(STANDARD, potential_band=2 / 3)
    out["extent of atoms along z"] = replace(STANDARD, projection="finite")
    return out


def measured(energies: Sequence[float]) -> dict[str, dict[str, dict[str, tuple[float, float, float]]]]:
    """By energy [kV], variant and specimen: error of the wave, of images, seconds a wave."""
    specimens = draw_specimens()
    table: dict[str, dict[str, dict[str, tuple[float, float, float]]]] = {}
    for energy in energies:
        rows: dict[str, dict[str, tuple[float, float, float]]] = {}
        table[f"{energy / 1e3:g}"] = rows
        for kind, atoms in specimens.items():
            converged, _ = waves_of(atoms, energy, CONVERGED)
            for name, settings in variants().items():
                waves, seconds = waves_of(atoms, energy, settings)
                rms, contrast = image_rms(waves, converged, SIDE, energy)
                error = relative(waves, converged, SIDE, SEEN)
                rows.setdefault(name, {})[kind] = (error, rms / contrast, seconds)
        print(f"\n{energy / 1e3:g} kV: error of the wave, of images over their contrast; s a wave")
        print(f"{'':34}" + "".join(f"{kind:>18}" for kind in specimens) + f"{'':4}time")
        for name, row in rows.items():
            cells = "".join(f"{e:10.4f} {i:7.3f}" for e, i, _ in row.values())
            print(f"{name:34}{cells}  {row['random'][2]:6.3f}")
    return table


def draw_figure(table: dict[str, dict[str, dict[str, tuple[float, float, float]]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(table), figsize=(4.2 * len(table), 3.6), sharey=True, layout="constrained")
    groups = {
        "plain, slices of 2 Å": lambda name: name.startswith("plain"),
        "facetem, planes 10 Å apart": lambda name: name == "standard" or name.startswith("pixels"),
        "facetem, named settings": lambda name: name in ACCURACIES,
    }
    for axis, (energy, rows) in zip(np.atleast_1d(axes), table.items(), strict=True):
        for (label, belongs), marker in zip(groups.items(), "so*", strict=True):
            for kind, line in (("random", "-"), ("[110]", ":")):
                points = sorted((row[kind][2], row[kind][1]) for name, row in rows.items() if belongs(name))
                style = line if marker != "*" else "none"
                colour = {"s": "tab:gray", "o": "tab:blue", "*": "tab:red"}[marker]
                size = 12 if marker == "*" else 5
                axis.loglog(*zip(*points, strict=True), marker, ls=style, c=colour, ms=size, label=f"{label}; {kind}")
        axis.set(title=f"{energy} kV", xlabel="s a wave, one thread")
        axis.grid(alpha=0.3, which="both")
    np.atleast_1d(axes)[0].set_ylabel("rms error of images / contrast")
    np.atleast_1d(axes)[-1].legend(fontsize=6.5)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--energies-kv", type=float, nargs="+", default=[80.0, 200.0, 300.0], help="default 80 200 300")
    parser.add_argument("--figure", type=Path, help="where to draw the error against the time (.png)")
    parser.add_argument("--save", type=Path, help="where to write the numbers (.json)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        table = measured([1e3 * energy for energy in arguments.energies_kv])
    if arguments.save:
        arguments.save.write_text(json.dumps(table, indent=1))
    if arguments.figure:
        draw_figure(table, arguments.figure)


if __name__ == "__main__":
    main()
