"""The command `facetem build carbon`: a new film by melt-quench."""

from pathlib import Path

import typer

from facetem.app.command import progress_bar
from facetem.app.structures import save_structure
from facetem.atoms.films import surfaces
from facetem.atoms.quench import quench_film
from facetem.atoms.scene import assemble
from facetem.core.errors import InputError
from facetem.core.files import whole_file


def build_carbon(
    output: Path,
    thickness_nm: float,
    density: float,
    extent_nm: float,
    seed: int,
    of_a_particle: list[str],
) -> None:
    """Make a film, write it to `output` and say what came out.

    Raises
    ------
    InputError
        If there are options `of_a_particle`, LAMMPS is not installed, or a size or the density is out of range.
    """
    if of_a_particle:
        raise InputError(f"{of_a_particle[0]}: expected for a particle, got it for carbon; leave it out")
    extent = 10 * extent_nm
    with whole_file(output) as partial, progress_bar("melting and quenching") as progress:
        film = quench_film(
            (extent, extent), thickness=10 * thickness_nm, density=density, seed=seed, progress=progress
        )
        specimen = assemble([], film, extent=(extent, extent))
        specimen.info |= {"density": density, "seed": seed}
        save_structure(partial, specimen)
    inner, _, thick = surfaces(film.positions, extent)
    typer.echo(
        f"{output}: {len(film)} C atoms, {thick / 10:.2f} nm of {inner:.2f} g/cm3, period {extent_nm:g} nm"
    )
