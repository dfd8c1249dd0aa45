"""The commands `facetem recipe show`, `check` and `preview`."""

from pathlib import Path
from typing import Annotated

import typer

from facetem.app.command import Commands

recipe_app = typer.Typer(
    cls=Commands,
    help="What data sets are drawn from: show a recipe, check one of your own, look at what it gives.",
    no_args_is_help=True,
)
RecipeArgument = Annotated[
    str,
    typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a recipe that comes with facetem."),
]


@recipe_app.command()
def show(
    recipe: Annotated[
        str, typer.Argument(metavar="[RECIPE]", help="A file or a name; none lists the names.")
    ] = "",
) -> None:
    """Print a whole recipe, with all that it leaves to the defaults."""
    from facetem.data.recipe_file import find_recipe, load_recipe, shipped_recipes

    if recipe:
        typer.echo(load_recipe(find_recipe(recipe)).to_yaml(), nl=False)
        return
    for name, path in shipped_recipes().items():
        lines = path.read_text(encoding="utf-8").splitlines()
        said = " ".join(line.removeprefix("# ") for line in lines if line.startswith("# "))
        typer.echo(f"{name:18} {said.split('. ')[0].rstrip('.')}")


@recipe_app.command()
def check(recipe: RecipeArgument) -> None:
    """Say everything that is wrong with a recipe, a line each; nothing if all is well."""
    from facetem.data.recipe import Recipe
    from facetem.data.recipe_file import find_recipe, problems, read_yaml

    path = find_recipe(recipe)
    found = problems(read_yaml(path))
    if isinstance(found, Recipe):
        typer.echo(f"{path}: a recipe, {found.name!r}, seed {found.seed}")
        return
    for line in found:
        typer.echo(f"facetem: {path}: {line}", err=True)
    raise typer.Exit(2)


@recipe_app.command()
def preview(
    recipe: RecipeArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")],
    n: Annotated[int, typer.Option(help="Images to simulate.")] = 24,
    draws: Annotated[int, typer.Option(help="Specimens to draw for the histograms.")] = 200,
) -> None:
    """Look at a recipe: a contact sheet of camera images, and a histogram of every parameter."""
    from facetem.app.batch import check_folder
    from facetem.app.preview import run_preview
    from facetem.data.recipe_file import find_recipe, load_recipe

    check_folder(output)
    run_preview(load_recipe(find_recipe(recipe)), output, n=n, draws=draws)
