"""Images of what no shape of the classifier is, to test whether it says so.

    python benchmarks/unknowns.py -o unknowns/                  # split validation: to choose by; 24 images of each kind
    python benchmarks/unknowns.py -o unknowns/ --split test     # to report; about a second an image on a free core

The conditions are those of the standard test (recipe `au-4-8nm-test`); each kind differs from it in one thing. One
file of tensors (n, 256, 256) for each kind and split; a file that is there is not drawn again.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from facetem.atoms.library import OPEN_SET
from facetem.data.draw import draw_specimen
from facetem.data.items import simulated
from facetem.data.recipe import Recipe, Split
from facetem.data.recipe_file import shipped_recipe
from facetem.data.samples import SampleStream, draw_set
from facetem.data.sources import Showing, Visit
from facetem.data.specimens import truth_of

DISORDERED = ("polycrystal", "amorphous")  # kinds of their own
OTHER_SHAPES = tuple(shape for shape in OPEN_SET if shape not in DISORDERED)
METALS = ("Pt", "Cu", "Ag")  # lattice constants 3.92, 3.61, 4.09 Å; gold has 4.08
FAR = (550.0, 650.0)  # Å of defocus; the classifier was trained to 200

Draw = Callable[[Recipe, Split, int], Tensor]


def _particles(recipe: Recipe, **changed: object) -> Recipe:
    return recipe.model_copy(update={"particles": recipe.particles.model_copy(update=changed)})


def _shapes(*shapes: str) -> Draw:
    def draw(recipe: Recipe, split: Split, n: int) -> Tensor:
        return draw_set(_particles(recipe, shapes=dict.fromkeys(shapes, 1.0)), split=split, n=n).noisy

    return draw


def material(recipe: Recipe, split: Split, n: int) -> Tensor:
    """The learnt shapes in other metals, a third of the images in each."""
    parts = []
    for i, metal in enumerate(METALS):
        own = _particles(recipe, elements={metal: 1.0}).model_copy(update={"seed": recipe.seed + 1 + i})
        parts.append(draw_set(own, split=split, n=n // len(METALS)).noisy)
    return torch.cat(parts)


def far_defocus(recipe: Recipe, split: Split, n: int) -> Tensor:
    """The learnt shapes in gold, at about three times the defocus that any training image had."""
    far = tuple(microscope.model_copy(update={"defocus": FAR}) for microscope in recipe.microscopes)
    return draw_set(recipe.model_copy(update={"microscopes": far}), split=split, n=n).noisy


def bare_film(recipe: Recipe, split: Split, n: int) -> Tensor:
    """The film alone, of specimens from which the particle was taken away."""
    stream = SampleStream(recipe)
    images = []
    for index in range(n):
        specimen = draw_specimen(recipe, split, index)
        film = specimen.atoms[specimen.atoms.get_tags() == 0]
        bare = replace(specimen, atoms=film, masks=0 * specimen.masks, thickness=0 * specimen.thickness)
        item = simulated(truth_of([bare], recipe, "cpu"), 0, bare)
        images.append(stream.draw([Showing(Visit(index, 0, None), item)]).noisy)
    return torch.cat(images)


def no_micrograph(recipe: Recipe, split: Split, n: int) -> Tensor:
    """White noise, clouds of a 1/f spectrum, and stripes with a bright disc: a third of the images each."""
    generator = torch.Generator().manual_seed(recipe.seed + (split == "test"))
    k = torch.fft.fftfreq(256)
    frequency = torch.sqrt(k[:, None] ** 2 + k[None, :] ** 2)
    distance = torch.hypot(
        *torch.meshgrid(torch.arange(256.0) - 128, torch.arange(256.0) - 128, indexing="ij")
    )
    images = []
    for i in range(n):
        noise = torch.randn(256, 256, generator=generator)
        drawn = torch.rand(3, generator=generator)
        if i % 3 == 1:
            noise = torch.fft.ifft2(torch.fft.fft2(noise) / frequency.clamp_min(1 / 256)).real
            noise = noise / noise.std()
        elif i % 3 == 2:
            stripes = torch.sin(2 * torch.pi * torch.arange(256) / (8 + 40 * drawn[0]))
            noise = 0.3 * noise + stripes + 2 * (distance < 40 + 50 * drawn[1])
        images.append(1 + 0.1 * noise)
    return torch.stack(images)


KINDS: dict[str, Draw] = {
    "other shape": _shapes(*OTHER_SHAPES),
    "other metal": material,
    "polycrystal": _shapes("polycrystal"),
    "amorphous": _shapes("amorphous"),
    "bare film": bare_film,
    "no micrograph": no_micrograph,
    "far defocus": far_defocus,
}


def path_of(folder: Path, kind: str, split: Split) -> Path:
    """Where the images of a kind are kept."""
    return folder / f"{split}-{kind.replace(' ', '-')}.pt"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--n", type=int, default=24, help="images of each kind; a multiple of 3")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    recipe = shipped_recipe("au-4-8nm-test")
    for kind, draw in KINDS.items():
        path = path_of(given.output, kind, given.split)
        if not path.exists():
            torch.save(draw(recipe, given.split, given.n), path)
        print(path, flush=True)


if __name__ == "__main__":
    main()
