"""The command `facetem build`: a particle on its film, or a new film, as a file of atoms."""

from pathlib import Path
from typing import Annotated

import typer

from facetem.app.command import Film, Side, check_suffix, given
from facetem.app.particle import (
    AlloyOrder,
    CutOption,
    EnergiesOption,
    FractionOption,
    GrainOption,
    OrderOption,
    Proportions,
    RatioOption,
    RelaxOption,
    RoughnessOption,
    RoundingOption,
    SecondOption,
    ShellOption,
    SubstrateOption,
    TwinLayersOption,
    ViewOption,
    read_alloy,
)
from facetem.core.files import whole_file

CARBON = "carbon"  # in place of a shape
SeedOption = Annotated[int, typer.Option("--seed", help="The same seed gives the same result.")]


def build(
    ctx: typer.Context,
    shape: Annotated[
        str,
        typer.Argument(
            help="For example icosahedron; an unknown name lists them all. Or carbon: a new film alone."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Atoms: .extxyz, .xyz or .cif.")],
    diameter_nm: Annotated[float, typer.Option(help="Of the sphere of the same volume (nm).")] = 5.0,
    film: Annotated[
        Film, typer.Option(help="Melt-quenched carbon of the library, atoms at random, or none.")
    ] = Film.realistic,
    film_nm: Annotated[
        float,
        typer.Option("--film-nm", "--thickness-nm", help="Thickness of the carbon film (nm); 0 for none."),
    ] = 3.0,
    film_density: Annotated[float, typer.Option("--film-density", "--density", help="(g/cm3)")] = 2.2,
    zone_axis: Annotated[
        str | None, typer.Option(help="Three numbers as in 1,1,0: along the beam. Default: random.")
    ] = None,
    side: Annotated[Side, typer.Option(help="Of the film, as the beam meets it.")] = Side.entrance,
    extent_nm: Annotated[
        float | None,
        typer.Option(help="Width of the field of view (nm). Default: 10.24, or what the particle needs."),
    ] = None,
    ideal: Annotated[
        bool, typer.Option("--ideal", help="The ideal polyhedron, not one of its family.")
    ] = False,
    element: Annotated[str, typer.Option(help="An fcc metal.")] = "Au",
    second: SecondOption = None,
    alloy: OrderOption = AlloyOrder.random,
    fraction: FractionOption = 0.5,
    shell: ShellOption = 1,
    ratio: RatioOption = None,
    cut: CutOption = None,
    rounding: RoundingOption = None,
    roughness: RoughnessOption = None,
    grain: GrainOption = None,
    energies: EnergiesOption = None,
    substrate: SubstrateOption = None,
    twin_layers: TwinLayersOption = None,
    relax: RelaxOption = False,
    view: ViewOption = None,
    seed: SeedOption = 0,
) -> None:
    """Build a nanoparticle on an amorphous carbon film, or make a new film: `facetem build carbon`.

    `facetem shapes` lists the shapes.
    """
    from facetem.app.structures import parse_zone_axis, save_structure
    from facetem.app.view import check_view, save_view
    from facetem.atoms.build import build as build_scene
    from facetem.atoms.relax import cache_folder

    check_suffix(output, (".extxyz", ".xyz", ".cif"))
    if shape == CARBON:
        from facetem.app.carbon import build_carbon

        of_a_film = {"shape", "output", "film_nm", "film_density", "extent_nm", "seed"}
        of_a_particle = given(ctx, *(name for name in ctx.params if name not in of_a_film))
        build_carbon(
            output, film_nm, film_density, 10.2 if extent_nm is None else extent_nm, seed, of_a_particle
        )
        return
    if view is not None:
        check_view(view)
    proportions = Proportions(ratio, cut, rounding, roughness, grain, energies, substrate, twin_layers)
    with whole_file(output) as partial:
        atoms = build_scene(
            shape,
            diameter=10 * diameter_nm,
            orientation="random" if zone_axis is None else parse_zone_axis(zone_axis),
            film=film.value,
            film_thickness=10 * film_nm,
            film_density=film_density,
            side=side.value,
            extent=None if extent_nm is None else 10 * extent_nm,
            ideal=ideal,
            element=element,
            form=proportions.form(shape, ideal=ideal, seed=seed),
            alloy=read_alloy(second, alloy, fraction, shell),
            relax=relax,
            cache=cache_folder(),
            seed=seed,
        )
        save_structure(partial, atoms)
    metal, carbon = int((atoms.get_tags() == 1).sum()), int((atoms.get_tags() == 0).sum())
    metals = element if second is None else f"{element} and {second}"
    typer.echo(f"{output}: {shape}, {metal} {metals} atoms on {carbon} C atoms")
    if view is not None:
        typer.echo(f"{view}: page; {save_view(view, atoms)}: picture")
