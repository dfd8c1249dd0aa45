"""The command line: parse, call, write. Units are in the option names; inside there are Å, eV and e/Å2."""

from pathlib import Path
from typing import Annotated

import typer

from facetem.app.command import (
    Commands,
    Device,
    Film,
    Network,
    Side,
    check_suffix,
    given,
    say_error,
    whole_file,
)
from facetem.app.dataset import dataset
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
from facetem.app.recipe import recipe_app
from facetem.app.simulate import simulate

app = typer.Typer(
    cls=Commands,
    name="facetem",
    help="The 3D shape of nanoparticles, with a confidence, from one high-resolution TEM image.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ImageFile = Annotated[
    Path, typer.Argument(metavar="IMAGE", help="dm3, dm4, emd, ser, mrc, hspy, tif, npy or png.")
]
SamplingOption = Annotated[
    float | None, typer.Option("--sampling-nm", help="Pixel size (nm/px); overrides the file's own.")
]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where to compute.")]
CARBON = "carbon"  # in place of a shape, for `build`
SeedOption = Annotated[int, typer.Option("--seed", help="The same seed gives the same result.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """The `facetem` program."""
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"facetem {version('facetem')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error comes from.")] = False,
) -> None:
    pass


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report.")] = Path(
        "facetem-demo"
    ),
    device: DeviceOption = Device.auto,
) -> None:
    """Simulate a field of known particles, analyse it, and show truth beside prediction."""
    from facetem.app.batch import check_folder
    from facetem.app.demo import run_demo

    check_folder(output)
    run_demo(output, device=device)


@app.command()
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


@app.command()
def shapes(
    gallery: Annotated[
        Path | None, typer.Option(help="Folder for pictures and simulated images of all of them.")
    ] = None,
    device: DeviceOption = Device.auto,
    as_json: JsonOption = False,
) -> None:
    """List the shapes that can be built, and what the classifier is to call each."""
    from facetem.app.results import print_shapes

    if gallery is not None:
        from facetem.app.batch import check_folder
        from facetem.app.gallery import make_gallery

        check_folder(gallery)
        for path in make_gallery(gallery, device=device):
            typer.echo(f"{path}: sheet of pictures")
        return
    print_shapes(as_json=as_json)


app.command()(simulate)
app.add_typer(recipe_app, name="recipe")
app.add_typer(dataset)


@app.command()
def train(
    network: Annotated[Network, typer.Argument(help="Which of the two, or both.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for weights and checkpoints.")],
    recipe: Annotated[
        Path | None, typer.Option(help="YAML. Default: that of the store, or the released one.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Folder for the specimens. Default: simulate them as they are needed.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="Weights to learn on from: a file, or a folder with those of both.")
    ] = None,
    specimens: Annotated[int, typer.Option(help="How many different ones.")] = 16000,
    validation: Annotated[int, typer.Option(help="Specimens, never trained on, to calibrate with.")] = 800,
    minutes: Annotated[float, typer.Option(help="Of training, all resumed runs together.")] = 60.0,
    workers: Annotated[int, typer.Option(help="Processes that make specimens.")] = 1,
    batch: Annotated[
        int | None,
        typer.Option(help="Samples a step, on all devices together. Default: 16, or 4 (restorer)."),
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = Device.auto,
    devices: Annotated[int, typer.Option(help="GPUs of each node (processes, on the CPU); 0: all GPUs.")] = 1,
    nodes: Annotated[int, typer.Option(help="Computers that train together.")] = 1,
) -> None:
    """Train a network on simulated images. Call it again to go on after a stop."""
    from facetem.app.batch import check_folder
    from facetem.app.train import Machines, run_training
    from facetem.learn.processes import is_first

    if is_first():  # the check leaves no trace, which the others would trip over
        check_folder(output)
    run_training(
        network,
        output,
        recipe=recipe,
        store=store,
        start=start,
        specimens=specimens,
        validation=validation,
        minutes=minutes,
        workers=workers,
        seed=seed,
        batch=batch,
        machines=Machines(device, "auto" if devices == 0 else devices, nodes),
    )


@app.command()
def evaluate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the figures and numbers.")],
    recipe: Annotated[Path | None, typer.Option(help="YAML. Default: that of the standard test.")] = None,
    per_shape: Annotated[int, typer.Option(help="Specimens of each shape.")] = 50,
    classifier: Annotated[Path | None, typer.Option(help="A classifier of your own.")] = None,
    restorer: Annotated[Path | None, typer.Option(help="A restorer of your own.")] = None,
    device: DeviceOption = Device.auto,
) -> None:
    """Score both networks on freshly simulated specimens that no training has seen."""
    from facetem.app.batch import check_folder
    from facetem.app.evaluate import run_evaluation

    check_folder(output)
    run_evaluation(
        output, recipe=recipe, per_shape=per_shape, classifier=classifier, restorer=restorer, device=device
    )


@app.command()
def classify(
    image: ImageFile,
    sampling_nm: SamplingOption = None,
    weights: Annotated[
        Path | None, typer.Option(help="A classifier of your own. Default: the released one.")
    ] = None,
    coverage: Annotated[
        float, typer.Option(help="Part of all answers that are to hold the true shape among the possible.")
    ] = 0.9,
    saliency: Annotated[Path | None, typer.Option(help="Also draw what decided, .png.")] = None,
    device: DeviceOption = Device.auto,
    as_json: JsonOption = False,
) -> None:
    """Name the 3D shape of the particle in an image (of the largest, if there are several)."""
    from facetem.app.classify import run_classify

    sampling = None if sampling_nm is None else 10 * sampling_nm
    run_classify(
        image, sampling=sampling, weights=weights, coverage=coverage, saliency=saliency, device=device, as_json=as_json
    )  # fmt: skip


@app.command()
def restore(
    image: ImageFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="The restored image, .tif.")],
    spread: Annotated[Path | None, typer.Option(help="The uncertainty of each pixel, .tif.")] = None,
    sampling_nm: SamplingOption = None,
    weights: Annotated[
        Path | None, typer.Option(help="A restorer of your own. Default: the released one.")
    ] = None,
    views: Annotated[int, typer.Option(help="Random patches that show a pixel, at least; from 2.")] = 3,
    seed: SeedOption = 0,
    device: DeviceOption = Device.auto,
) -> None:
    """Restore an image: no noise, and the focus of best particle contrast."""
    from facetem.app.restore import run_restore

    sampling = None if sampling_nm is None else 10 * sampling_nm
    run_restore(
        image,
        output,
        spread=spread,
        sampling=sampling,
        weights=weights,
        views=views,
        seed=seed,
        device=device,
    )


@app.command()
def analyze(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Micrographs, or folders of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the reports.")],
    sampling_nm: SamplingOption = None,
    classifier: Annotated[Path | None, typer.Option(help="A classifier of your own.")] = None,
    restorer: Annotated[Path | None, typer.Option(help="A restorer of your own.")] = None,
    device: DeviceOption = Device.auto,
) -> None:
    """Find, classify and measure every particle of one or many micrographs, and restore them."""
    from facetem.app.batch import analyze_batch, check_folder, find_micrographs

    check_folder(output)
    batch = find_micrographs(paths, output)
    failed = analyze_batch(
        batch,
        sampling=None if sampling_nm is None else 10 * sampling_nm,
        classifier=classifier,
        restorer=restorer,
        device=device,
    )
    if failed:
        if len(batch) > 1:
            say_error(f"{failed} of {len(batch)} micrographs could not be analysed")
        raise typer.Exit(1 if failed < len(batch) else 2)


if __name__ == "__main__":  # python -m facetem.app.cli, which torchrun can start
    main()
