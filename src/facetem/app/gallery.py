"""Pictures of the whole library: every shape in perspective, and its images along two zone axes."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from imageio.v3 import imread
from numpy.typing import NDArray

from facetem import figures
from facetem.app.command import step_progress
from facetem.app.render import bond_length, neighbour_colours, neighbours, render
from facetem.atoms.build import zone_axis_rotation
from facetem.atoms.facets import FCC, HCP
from facetem.atoms.lattices import LATTICES, icosahedron_faces, icosahedron_vertices
from facetem.atoms.library import LIBRARY, OPEN_SET, SHAPES, draw_form
from facetem.atoms.scene import rotated
from facetem.atoms.shapes import build_particle
from facetem.core.files import whole_file
from facetem.core.words import spoken
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.optics import Optics
from facetem.hrtem.simulate import simulate

DIAMETER = 45.0  # Å
VACUUM = 6.0  # Å around the particle
ENERGY, DEFOCUS = 300e3, 50.0  # eV, Å
SAMPLING = 0.25  # Å/px
EYE = (1.0, 0.42, 0.38)  # where perspective pictures are seen from, off all high symmetry; z is up
Zone = tuple[tuple[float, ...], tuple[float, ...]]  # along the beam, and up in the image
PAGES = {
    "classes": SHAPES,
    "members": tuple(name for name in LIBRARY if name not in SHAPES and name not in OPEN_SET),
    "open-set": OPEN_SET,
}


def zones(shape: str) -> dict[str, Zone]:
    """Two directions of a shape's own axes that show its structure, by a name for each."""
    kind = LIBRARY[shape]
    lattice = kind.planes(kind.ideal).lattice
    if kind.disorder:
        return {"along z": ((0, 0, 1), (0, 1, 0)), "along x": ((1, 0, 0), (0, 0, 1))}
    if shape == "winterbottom":  # the substrate below
        return {
            "[1-10], substrate below": ((1, -1, 0), (1, 1, 1)),
            "[11-2], substrate below": ((1, 1, -2), (1, 1, 1)),
        }
    if lattice is FCC:
        return {"[110]": ((1, 1, 0), (0, 0, 1)), "[100]": ((1, 0, 0), (0, 0, 1))}
    if lattice is LATTICES["decahedral"]:
        cube = (math.cos(math.pi / 5), math.sin(math.pi / 5), 0)
        return {"five-fold axis": ((0, 0, 1), (1, 0, 0)), "[100] of one crystal": (cube, (0, 0, 1))}
    if lattice is LATTICES["icosahedral"]:
        vertices = icosahedron_vertices()
        corners = vertices[icosahedron_faces()[0]]
        three_fold = tuple(corners.sum(axis=0))
        return {
            "five-fold axis": (tuple(corners[0]), tuple(corners[1])),
            "three-fold axis": (three_fold, tuple(corners[0])),
        }
    if lattice is HCP:
        return {"[11-20]": ((1, 0, 0), (0, 0, 1)), "[0001]": ((0, 0, 1), (0, 1, 0))}
    return {"[110]": ((1, 0, 0), (0, 0, 1)), "[111]": ((0, 0, 1), (0, 1, 0))}


def looking(along: Sequence[float], up: Sequence[float]) -> NDArray[np.float64]:
    """The rotation (3, 3) that lays `along` on the beam and `up` on the image's upward direction, -y."""
    z = np.asarray(along, dtype=float) / np.linalg.norm(along)
    y = -(np.asarray(up, dtype=float) - z * (z @ np.asarray(up, dtype=float)))
    y /= np.linalg.norm(y)
    return np.stack([np.cross(y, z), y, z])


def perspective(particle: Atoms, pixels: int = 360) -> NDArray[np.uint8]:
    """A particle's atoms seen from `EYE`, (y, x, 3); a Winterbottom shape's substrate lies below."""
    counts = neighbours(particle)
    seen = counts < 12
    if particle.info["shape"] == "winterbottom":
        particle = rotated(particle, zone_axis_rotation((1, 1, 1)))
    # The renderer looks from +z with y up, a beam comes from -z with y down.
    turned = rotated(particle, np.diag([1.0, -1, -1]) @ looking([-c for c in EYE], (0, 0, 1)))
    colours = [colour for colour, shown in zip(neighbour_colours(counts), seen, strict=True) if shown]
    return render(turned.positions[seen], colours, radius=0.5 * bond_length(particle), pixels=pixels)


def boxed(particle: Atoms, width: float) -> Atoms:
    """The particle in the middle of a square box with vacuum, its last atom 2 Å before the exit plane."""
    atoms = particle.copy()
    z = atoms.positions[:, 2]
    atoms.positions += [width / 2, width / 2, 2 - z.min()]
    atoms.set_cell([width, width, float(np.ptp(z)) + 4])
    atoms.pbc = (True, True, False)
    return atoms


def shape_row(shape: str, *, device: str = "auto") -> figures.ShapeRow:
    """The pictures of one ideal shape."""
    particle, axes = build_particle(shape, diameter=DIAMETER, rng=np.random.default_rng(1)), zones(shape)
    along = [rotated(particle, looking(*zone)) for zone in axes.values()]
    width = max(2 * float(np.abs(a.positions[:, :2]).max()) for a in along) + 2 * VACUUM
    images = simulate(
        [boxed(a, math.ceil(width)) for a in along],
        energy=ENERGY,
        sampling=SAMPLING,
        optics=Optics(Aberrations(defocus=DEFOCUS)),
        device=device,
    )
    return figures.ShapeRow(
        spoken(shape), perspective(particle), dict(zip(axes, images, strict=True)), SAMPLING
    )


def make_gallery(folder: Path, *, device: str = "auto") -> list[Path]:
    """Write a sheet for the classes, one for their named members, one for the rest and one of drawn members of the
    classes into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    written, done = [], 0
    with step_progress("gallery") as progress:
        for page, names in PAGES.items():
            rows = []
            for name in names:
                progress(name, done, len(LIBRARY))
                rows.append(shape_row(name, device=device))
                done += 1
            written.append(folder / f"{page}.png")
            with whole_file(written[-1]) as partial:
                sheet = figures.png(figures.shape_sheet(rows), dpi=110)
                _save_few_colours(partial, imread(sheet, extension=".png")[..., :3])
        progress("drawn members", done, len(LIBRARY))
        written.append(folder / "drawn.png")
        with whole_file(written[-1]) as partial:
            _save_few_colours(partial, drawn_members())
    return written


def drawn_members(n: int = 6, pixels: int = 160) -> NDArray[np.uint8]:
    """Pictures of `n` random members of each class, a row each (y, x, 3)."""
    rows = []
    for shape in SHAPES:
        members = []
        for seed in range(n):
            rng = np.random.default_rng([seed, SHAPES.index(shape)])
            particle = build_particle(shape, diameter=DIAMETER, form=draw_form(shape, rng), rng=rng)
            members.append(perspective(particle, pixels))
        rows.append(np.concatenate(members, axis=1))
    return np.concatenate(rows)


def _save_few_colours(path: Path, picture: NDArray[np.uint8]) -> None:
    """A PNG of 256 colours, a third of the size of one with all."""
    from PIL import Image  # comes with matplotlib

    Image.fromarray(picture).quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
