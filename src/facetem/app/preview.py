"""A recipe at a glance: what its images look like and how its parameters are distributed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import typer

from facetem.app.command import progress_bar
from facetem.core.errors import InputError
from facetem.core.files import whole_file
from facetem.core.pixels import PIXEL
from facetem.core.words import spoken
from facetem.data.conditions import draw_camera, draw_microscope, draw_optics
from facetem.data.draw import Row, draw_specimen, image_shape
from facetem.data.recipe import Recipe
from facetem.data.samples import draw_set

Columns = dict[str, list[str | float]]
# What is shown of the columns, by which title and in which unit
SPECIMEN = {"energy": ("energy (kV)", 1e-3), "n_particles": ("particles", 1), "film": ("film", 1),
            "film_thickness": ("film thickness (nm)", 0.1), "film_density": ("film density (g/cm3)", 1),
            "side": ("side of the film", 1), "gap": ("gap (nm)", 0.1), "height": ("height (nm)", 0.1),
            "calibration": ("calibration error", 1)}  # fmt: skip
PARTICLE = {"shape": ("shape", 1), "element": ("element", 1), "diameter": ("diameter (nm)", 0.1),
            "n_atoms": ("atoms", 1), "lies": ("orientation", 1), "zone": ("nearest zone", 1),
            "zone_angle": ("angle to it (deg)", 180 / np.pi)}  # fmt: skip


def run_preview(recipe: Recipe, output: Path, *, n: int, draws: int) -> None:
    """Write `images.png` and `parameters.png` into the folder `output`."""
    from facetem.figures import contact_sheet, parameter_histograms, png

    if n < 1 or draws < n:
        raise InputError(f"preview: expected 1 <= --n <= --draws, got {n} and {draws}")
    with progress_bar("drawing") as show:
        columns, titles = drawn_columns(recipe, draws, show)
    with progress_bar("simulating") as show:
        images = draw_set(recipe, split="train", n=n, size=min(image_shape(recipe)), progress=show)
    told = [
        f"{title}\n{dose:.0f} e/Å2, focus {defocus / 10:+.1f} nm"
        for title, dose, defocus in zip(titles, images.dose.tolist(), images.defocus.tolist(), strict=False)
    ]
    varied = {name: values for name, values in columns.items() if len(set(values)) > 1}
    output.mkdir(parents=True, exist_ok=True)
    for name, figure in (
        ("images.png", contact_sheet(list(images.noisy.numpy()), told, PIXEL)),
        ("parameters.png", parameter_histograms(varied)),
    ):
        with whole_file(output / name) as partial:
            partial.write_bytes(png(figure, dpi=110))
    fixed = [f"{name} {values[0]}" for name, values in columns.items() if name not in varied]
    if fixed:
        typer.echo(f"always: {', '.join(fixed)}")
    typer.echo(f"{output}: images.png ({n} of {recipe.name}), parameters.png ({draws} drawn)")


def drawn_columns(
    recipe: Recipe, draws: int, progress: Callable[[int, int], None]
) -> tuple[Columns, list[str]]:
    """The parameters of `draws` specimens, by their titles, and what each specimen is called."""
    rng = np.random.default_rng(recipe.seed)
    rows: list[dict[str, str | float]] = []
    titles = []
    for i in range(draws):
        specimen = draw_specimen(recipe, "train", i)
        first = specimen.particles[0]
        titles.append(f"{i}  {_called(specimen.particles)}")
        rows.append(
            {
                **_shown(specimen.parameters, SPECIMEN),
                **_shown({**first, "zone": first["zone"] or "twinned"}, PARTICLE),
                **_conditions(recipe, specimen.energy, rng),
            }
        )
        progress(i + 1, draws)
    return {name: [row[name] for row in rows] for name in rows[0]}, titles


def _called(particles: list[Row]) -> str:
    if len(particles) > 1:
        return f"{len(particles)} particles"
    return f"{spoken(str(particles[0]['shape']))}, {float(particles[0]['diameter']) / 10:.1f} nm"


def _shown(row: Row, wanted: dict[str, tuple[str, float]]) -> dict[str, str | float]:
    values = {title: (row[name], factor) for name, (title, factor) in wanted.items()}
    return {title: v if isinstance(v, str) else v * factor for title, (v, factor) in values.items()}


def _conditions(recipe: Recipe, energy: float, rng: np.random.Generator) -> dict[str, str | float]:
    optics = draw_optics(draw_microscope(recipe, energy, rng), energy, rng)
    a = optics.aberrations
    return {
        "defocus (nm)": float(a.defocus) / 10,
        "C12 (nm)": float(a.C12) / 10,
        "C21 (nm)": float(a.C21) / 10,
        "C23 (nm)": float(a.C23) / 10,
        "C30 (µm)": float(a.C30) / 1e4,
        "focal spread (nm)": float(optics.focal_spread) / 10,
        "angular spread (mrad)": float(optics.angular_spread),
        "log10 dose (e/Å2)": float(np.log10(draw_camera(recipe, rng).dose)),
    }
