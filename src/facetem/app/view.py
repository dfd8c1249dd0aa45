"""A specimen as a page that shows its atoms in three dimensions, and as a picture; both need nothing else."""

import html
import json
from importlib import resources
from pathlib import Path

import numpy as np
from ase import Atoms

from facetem.app.render import (
    BY_NEIGHBOURS,
    bond_length,
    element_colours,
    neighbour_colours,
    neighbours,
    render,
)
from facetem.core.errors import InputError
from facetem.core.files import whole_file
from facetem.core.words import spoken

SHOWN = ("shape", "class", "diameter", "circumscribed_diameter", "symmetry", "facets", "alloy", "relaxed")
PICTURE = 900  # px


def check_view(path: Path) -> None:
    """Raise InputError if `path` is no name for a page."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(
            f"--view {path}: expected a name ending in .html; the picture goes beside it as .png"
        )


def save_view(path: Path, scene: Atoms) -> Path:
    """Write the page of a specimen to `path` and the picture of its particle beside it, whose path is returned."""
    tags = scene.get_tags()
    particle = scene[tags == 1] if (tags == 1).any() else scene
    assert isinstance(particle, Atoms)
    picture = path.with_suffix(".png")
    with whole_file(path) as partial:
        partial.write_text(view_page(scene), encoding="utf-8")
    with whole_file(picture) as partial:
        partial.write_bytes(particle_picture(particle))
    return picture


def particle_picture(particle: Atoms, pixels: int = PICTURE) -> bytes:
    """PNG of a particle as the beam sees it."""
    from imageio.v3 import imwrite

    counts = neighbours(particle)
    mixed = len(np.unique(particle.numbers)) > 1
    colours = element_colours(particle.numbers) if mixed else neighbour_colours(counts)
    turned = particle.positions * [
        1,
        -1,
        -1,
    ]  # as an image shows it: along the beam, x to the right and y down
    seen = counts < 12
    chosen = [colour for colour, shown in zip(colours, seen, strict=True) if shown]
    image = render(turned[seen], chosen, radius=0.5 * bond_length(particle), pixels=pixels)
    return imwrite("<bytes>", image, extension=".png")


def view_page(scene: Atoms) -> str:
    """HTML with the atoms in it: drag turns them, the wheel comes closer, a slider cuts them open."""
    tags = scene.get_tags()
    particle = tags > 0 if (tags > 0).any() else np.ones(len(scene), dtype=bool)
    metal = scene[particle]
    assert isinstance(metal, Atoms)
    surface = ["#B9BFC7"] * len(scene)
    for index, colour in zip(np.flatnonzero(particle), neighbour_colours(neighbours(metal)), strict=True):
        surface[index] = colour
    centre = scene.positions[particle].mean(axis=0)
    names = {name: _words(scene.info[name]) for name in SHOWN if name in scene.info}
    data = {
        "positions": np.round((scene.positions - centre) * 100).astype(int).ravel().tolist(),
        "elements": _indexed(element_colours(scene.numbers)),
        "surface": _indexed(surface),
        "particle": particle.astype(int).tolist(),
        "radius": round(0.5 * bond_length(metal), 3),
        "legend": BY_NEIGHBOURS,
    }
    rows = "".join(f"<dt>{html.escape(spoken(k))}</dt><dd>{html.escape(v)}</dd>" for k, v in names.items())
    template = resources.files("facetem.app").joinpath("view.html").read_text(encoding="utf-8")
    title = f"{spoken(scene.info.get('shape', 'atoms'))}, {int(particle.sum())} atoms"
    return template.replace("{{title}}", html.escape(title)).replace("{{rows}}", rows).replace(
        "{{data}}", json.dumps(data, separators=(",", ":"))
    )  # fmt: skip


def _indexed(colours: list[str]) -> dict[str, list]:
    names = sorted(set(colours))
    place = {name: i for i, name in enumerate(names)}
    return {"colours": names, "of": [place[colour] for colour in colours]}


def _words(value: object) -> str:
    if isinstance(value, dict):
        total = sum(value.values()) or 1.0
        return ", ".join(f"{{{name}}} {100 * area / total:.0f} %" for name, area in value.items()) or "none"
    return f"{value / 10:.2f} nm" if isinstance(value, float) else str(value)
