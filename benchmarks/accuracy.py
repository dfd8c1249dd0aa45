"""What the settings of the multislice cost in accuracy, against a converged calculation.

    python benchmarks/accuracy.py --figure docs/images/accuracy.png    # about ten minutes, one core

First one setting at a time, on gold particles of 4 nm in random orientations on 2 nm of carbon, and on one of 5 nm
along [110], where columns of atoms stand along the beam. Then the named accuracies, on particles of 3, 5 and 8 nm that
are tilted from [110] step by step. Wave: relative L2 up to 1 / Å. Image: rms over contrast, mean over foci of -8, 0 and
8 nm from the exit plane, focal spread 3 nm. Lengths in Å, phases in rad.
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

from facetem.atoms.carbon import RandomFilms
from facetem.atoms.scene import assemble, draw_rotation, rotated
from facetem.atoms.shapes import build_particle
from facetem.core.grid import Grid
from facetem.core.physics import interaction_parameter
from facetem.core.structure import from_ase
from facetem.hrtem.multislice import exit_wave
from facetem.hrtem.potential import projected_potential
from facetem.hrtem.settings import ACCURACIES, Multislice
from facetem.hrtem.simulate import fine_grid
from multislice import image_rms, relative

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 64.0
SEEN = 1.0  # 1/Å
CONVERGED = Multislice(sampling=0.075, slice_thickness=1.5, light_thickness=3.0, order=4, columns=())
PLAIN = Multislice(
    slice_thickness=2.0,
    light_thickness=2.0,
    order=1,
    second_order=False,
    band=2 / 3,
    potential_band=2 / 3,
    columns=(),
)
STANDARD = replace(ACCURACIES["standard"], columns=())
TILTS = (0.0, 1.0, 2.0, 3.0, 6.0)  # degrees from [110]


def turned(axis: "Sequence[float]", about: float) -> "NDArray[np.float64]":
    """A rotation that brings `axis` to the beam, and then turns by `about` [rad]."""
    z = np.asarray(axis, float) / np.linalg.norm(axis)
    x = np.cross([0.31, 0.17, 0.93], z)
    x /= np.linalg.norm(x)
    c, s = np.cos(about), np.sin(about)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.stack([x, np.cross(z, x), z])


def on_carbon() -> dict[str, list[Atoms]]:
    """By what they are: particles on 2 nm of carbon."""
    rng = np.random.default_rng(5)
    films = RandomFilms((SIDE, SIDE), seed=1, density=(2.0, 2.0), hard_cores=(1.3,), waviness=(0.0, 0.0))

    def placed(particle: Atoms) -> Atoms:
        atoms = assemble([particle], films.draw(20.0, rng), extent=(SIDE, SIDE))
        atoms.positions[:, 2] += 0.37
        atoms.set_cell((SIDE, SIDE, float(atoms.positions[:, 2].max()) + 2.0))
        return atoms

    shapes = ("truncated_octahedron", "icosahedron", "decahedron")
    random = [placed(rotated(build_particle(shape, diameter=40.0), draw_rotation(rng))) for shape in shapes]
    large = build_particle("truncated_octahedron", diameter=50.0)
    return {"random": random, "[110]": [placed(rotated(large, turned([1, 1, 0], 0.3)))]}


def tilted(diameter: float, degrees: float) -> Atoms:
    """A particle whose [110] axis is `degrees` from the beam; what lies outside the field is cut off."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    tilt = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    particle = build_particle("truncated_octahedron", diameter=diameter)
    return assemble([rotated(particle, tilt @ turned([1, 1, 0], 0.3))], None, extent=(SIDE, SIDE), clip=True)


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
    """The plain algorithm, and the standard with one setting changed at a time."""
    out = {"standard, not fitted": STANDARD}
    for sampling in (0.4, 0.33, 0.25, 0.2, 0.125):
        out[f"plain, {sampling} Å/px, slices of 2 Å"] = replace(PLAIN, sampling=sampling)
    for sampling in (0.4, 0.33, 0.2, 0.16, 0.125):
        out[f"pixels of {sampling} Å"] = replace(STANDARD, sampling=sampling)
    for thickness in (2.0, 4.0, 8.0, 14.0, 20.0):
        out[f"planes {thickness:g} Å apart"] = replace(
            STANDARD, slice_thickness=thickness, light_thickness=thickness
        )
    out["carbon in planes 20 Å apart"] = replace(STANDARD, light_thickness=20.0)
    for order in (1, 2, 4):
        out[f"atoms shared by {order}"] = replace(STANDARD, order=order)
    out["no second order"] = replace(STANDARD, second_order=False)
    out["wave's band 2/3"] = replace(STANDARD, band=2 / 3)
    out["potential's band 2/3"] = replace(STANDARD, potential_band=2 / 3)
    out["extent of atoms along z"] = replace(STANDARD, projection="finite")
    return out


def one_at_a_time(energy: float) -> dict[str, dict[str, tuple[float, float, float]]]:
    """By variant and specimen: error of the wave, of images, seconds a wave."""
    rows: dict[str, dict[str, tuple[float, float, float]]] = {}
    for kind, atoms in on_carbon().items():
        converged, _ = waves_of(atoms, energy, CONVERGED)
        for name, settings in variants().items():
            waves, seconds = waves_of(atoms, energy, settings)
            rms, contrast = image_rms(waves, converged, SIDE, energy)
            error = relative(waves, converged, SIDE, SEEN)
            rows.setdefault(name, {})[kind] = (error, rms / contrast, seconds)
    print(f"\n{energy / 1e3:g} kV, error of the wave, of images over their contrast: random, [110]; s a wave")
    for name, row in rows.items():
        print(
            f"{name:34}"
            + "".join(f"{e:10.4f}{i:8.3f}" for e, i, _ in row.values())
            + f"{row['random'][2]:9.3f}"
        )
    return rows


def named(energy: float) -> list[dict[str, float | str]]:
    """Of each named accuracy and particle: phase, error of the wave and of images, seconds."""
    rows: list[dict[str, float | str]] = []
    print(
        f"\n{energy / 1e3:g} kV, particles tilted from [110]: phase; error of the wave, of images over their contrast"
    )
    for diameter in (30.0, 50.0, 80.0):
        for degrees in TILTS:
            atoms = tilted(diameter, degrees)
            converged, _ = waves_of([atoms], energy, CONVERGED)
            structure = from_ase([atoms])
            phase = interaction_parameter(energy) * float(
                projected_potential(structure, fine_grid((SIDE, SIDE))).max()
            )
            cells = []
            for name, settings in {**ACCURACIES, "plain": PLAIN}.items():
                waves, seconds = waves_of([atoms], energy, settings.fitted(phase))
                rms, contrast = image_rms(waves, converged, SIDE, energy)
                error = relative(waves, converged, SIDE, SEEN)
                told = {
                    "accuracy": name,
                    "kv": energy / 1e3,
                    "diameter": diameter,
                    "degrees": degrees,
                    "phase": phase,
                }
                rows.append(told | {"wave": error, "image": rms / contrast, "seconds": seconds})
                cells.append(f"{name} {error:.4f} {rms / contrast:.3f}")
            print(f"{diameter:3.0f} Å {degrees:g} deg {phase:5.1f} rad   " + "   ".join(cells), flush=True)
    return rows


def draw_figure(rows: list[dict[str, float | str]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4.2), layout="constrained")
    styles = {"plain": ("s", "tab:gray"), "draft": ("v", "tab:orange"), "standard": ("o", "tab:blue")}
    styles["reference"] = ("D", "tab:green")
    for name, (marker, colour) in styles.items():
        mine = [row for row in rows if row["accuracy"] == name]
        label = "plain, pixels of 0.25 Å, slices of 2 Å" if name == "plain" else name
        axes.loglog(
            [r["phase"] for r in mine], [r["image"] for r in mine], marker, c=colour, ms=5, label=label
        )
    for phase, _, _ in ACCURACIES["standard"].columns:
        axes.axvline(phase, c="tab:blue", lw=0.8, ls=":")
    axes.set(xlabel="largest phase of the projected specimen [rad]", ylabel="rms error of images / contrast")
    axes.set_title("gold, 3, 5 and 8 nm, 0 to 6 degrees from [110], 80 to 300 kV", fontsize=10)
    axes.set_xticks([2, 3, 4, 5, 7, 10, 20, 40], ["2", "3", "4", "5", "7", "10", "20", "40"])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--energies-kv", type=float, nargs="+", default=[80.0, 200.0, 300.0], help="default 80 200 300"
    )
    parser.add_argument("--figure", type=Path, help="where to draw the error against the time (.png)")
    parser.add_argument("--save", type=Path, help="where to write the numbers (.json)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    changed: dict[str, object] = {}
    rows: list[dict[str, float | str]] = []
    with torch.no_grad():
        for energy in arguments.energies_kv:
            changed[f"{energy:g}"] = one_at_a_time(1e3 * energy)
            rows += named(1e3 * energy)
    for name in ACCURACIES:
        errors = sorted(float(row["image"]) for row in rows if row["accuracy"] == name)
        print(
            f"{name}: images' error over contrast, median {errors[len(errors) // 2]:.3f}, largest {errors[-1]:.3f}"
        )
    if arguments.save:
        arguments.save.write_text(json.dumps({"one at a time": changed, "named": rows}, indent=1))
    if arguments.figure:
        draw_figure(rows, arguments.figure)


if __name__ == "__main__":
    main()
