"""Images of what none of the classes is, of kinds that no network is trained on, to test whether it says so.

The conditions are those of a recipe, by default the standard test's; each kind differs from it in one thing. Platinum
and silver (3.92 and 4.09 Å against gold's 4.08) lie within the 5 % that a pixel size is uncertain by, and a particle of
them has a shape: they are no unknowns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from facetem.data.draw import draw_specimen
from facetem.data.items import simulated
from facetem.data.recipe import Recipe, Split
from facetem.data.samples import SampleStream, draw_set
from facetem.data.sources import Showing, Visit
from facetem.data.specimens import truth_of

OTHER_SHAPES = ("hexagonal_plate", "stacking_fault", "winterbottom", "sphere")
SIDE = 256  # px

Draw = Callable[[Recipe, Split, int], Tensor]


def _particles(recipe: Recipe, **changed: object) -> Recipe:
    return recipe.model_copy(update={"particles": recipe.particles.model_copy(update=changed)})


def _shapes(*shapes: str) -> Draw:
    def draw(recipe: Recipe, split: Split, n: int) -> Tensor:
        return draw_set(_particles(recipe, shapes=dict.fromkeys(shapes, 1.0)), split=split, n=n).noisy

    return draw


def _copper(recipe: Recipe, split: Split, n: int) -> Tensor:
    """The learnt shapes in copper: a lattice constant of 3.61 Å, 11 % less."""
    own = _particles(recipe, elements={"Cu": 1.0}).model_copy(update={"seed": recipe.seed + 1})
    return draw_set(own, split=split, n=n).noisy


def _bare_film(recipe: Recipe, split: Split, n: int) -> Tensor:
    """The film alone, of specimens from which the particle was taken away."""
    stream = SampleStream(recipe, split=split)
    images = []
    for index in range(n):
        specimen = draw_specimen(recipe, split, index)
        film = specimen.atoms[specimen.atoms.get_tags() == 0]
        bare = replace(specimen, atoms=film, masks=0 * specimen.masks, thickness=0 * specimen.thickness)
        item = simulated(truth_of([bare], recipe, "cpu"), 0, bare)
        images.append(stream.draw([Showing(Visit(index, 0, None), item)]).noisy)
    return torch.cat(images)


def _no_micrograph(recipe: Recipe, split: Split, n: int) -> Tensor:
    """White noise, clouds of a 1/f spectrum, and stripes with a bright disc, in turn."""
    generator = torch.Generator().manual_seed(recipe.seed + (split == "test"))
    k = torch.fft.fftfreq(SIDE)
    frequency = torch.sqrt(k[:, None] ** 2 + k[None, :] ** 2)
    along = torch.arange(float(SIDE))
    distance = torch.hypot(*torch.meshgrid(along - SIDE / 2, along - SIDE / 2, indexing="ij"))
    images = []
    for i in range(n):
        noise = torch.randn(SIDE, SIDE, generator=generator)
        drawn = torch.rand(3, generator=generator)
        if i % 3 == 1:
            noise = torch.fft.ifft2(torch.fft.fft2(noise) / frequency.clamp_min(1 / SIDE)).real
            noise = noise / noise.std()
        elif i % 3 == 2:
            stripes = torch.sin(2 * torch.pi * along / (8 + 40 * drawn[0]))
            noise = 0.3 * noise + stripes + 2 * (distance < 40 + 50 * drawn[1])
        images.append(1 + 0.1 * noise)
    return torch.stack(images)


KINDS: dict[str, Draw] = {
    "other shape": _shapes(*OTHER_SHAPES),
    "other crystal": _shapes("foreign_crystal"),
    "other metal": _copper,
    "polycrystal": _shapes("polycrystal"),
    "amorphous": _shapes("amorphous"),
    "bare film": _bare_film,
    "no micrograph": _no_micrograph,
}


def draw_unknowns(kind: str, recipe: Recipe, *, split: Split, n: int) -> Tensor:
    """Images (n, y, x) of one of `KINDS`."""
    return KINDS[kind](recipe, split, n)


@dataclass(frozen=True)
class UnknownScores:
    """How unknown images of one kind are told from known ones: area under the ROC curve of the unfamiliarity (1:
    perfectly, 0.5: by chance), and the part of them that is answered with "none of these"."""

    auroc: float
    refused: float


def unknown_scores(known: Tensor, unknown: Tensor, taken: Tensor) -> UnknownScores:
    """Of the unfamiliarity of known (n,) and unknown (m,) images, and which of these are taken for known (m,; bool).

    The area is NaN of weights that do not say what is familiar.
    """
    from torchmetrics.functional.classification import binary_auroc

    scores = torch.cat([known, unknown]).double()
    refused = float((~taken).double().mean())
    if scores.isnan().any():
        return UnknownScores(math.nan, refused)
    labels = torch.cat([torch.zeros(len(known)), torch.ones(len(unknown))]).long()
    # Its sigmoid would round high scores to the same number: the ranks say the same. Equal scores have equal ranks.
    ranks = scores.unique(return_inverse=True)[1].double() / len(scores)
    return UnknownScores(float(binary_auroc(ranks, labels)), refused)
