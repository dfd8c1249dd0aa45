"""The method in one figure: how well each shape is told, and images restored from several foci beside their truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facetem.atoms.shapes import SHAPES
from facetem.core.files import write_whole
from facetem.study.bench import Bench
from facetem.study.restoring import at_focus

SHOWN_FOCI = (-150.0, 0.0, 150.0)  # Å
SHOWN = ("icosahedron", "decahedron", "octahedron")


@dataclass(frozen=True)
class FigureOne:
    """What the figure shows.

    Parameters
    ----------
    recall : (shape,)
        Part of the specimens of each of `SHAPES` that is named so.
    confusion : (true, named)
    shown
        Shapes of the restored specimens.
    foci
        Defocus of their images [Å].
    recorded, restored, target : (specimen, focus, y, x)
        The truth differs between foci in which way round the lattice is.
    """

    recall: NDArray[np.float64]
    confusion: NDArray[np.int64]
    shown: tuple[str, ...]
    foci: tuple[float, ...]
    recorded: NDArray[np.float32]
    restored: NDArray[np.float32]
    target: NDArray[np.float32]


def figure_one(
    bench: Bench, *, shown: tuple[str, ...] = SHOWN, foci: tuple[float, ...] = SHOWN_FOCI
) -> FigureOne:
    """Classify the specimens of the bench, and restore the first of each of the shapes `shown` from each focus."""
    images = bench.images
    named = []
    for i, image in enumerate(images.noisy):
        named.append(SHAPES.index(bench.shapes.classify(image[None].numpy())[0].shape))
        bench.progress("classifying", i + 1, bench.n)
    confusion = np.zeros((len(SHAPES), len(SHAPES)), dtype=np.int64)
    np.add.at(confusion, (images.labels.numpy(), np.array(named)), 1)
    first = [images.labels.tolist().index(SHAPES.index(shape)) for shape in shown]
    stacks: dict[str, list[list[NDArray[np.float32]]]] = {"recorded": [], "restored": [], "target": []}
    series = [bench.imaged(bench.specimens, at_focus(bench.recipe, f), n=max(first) + 1) for f in foci]
    for row in first:
        stacks["recorded"].append([samples.noisy[row].numpy() for samples in series])
        stacks["target"].append([samples.target[row].numpy() for samples in series])
        stacks["restored"].append(
            [bench.contrast.restore(samples.noisy[row].numpy(), seed=row).image for samples in series]
        )
    arrays = {name: np.array(stack, dtype=np.float32) for name, stack in stacks.items()}
    recall = confusion.diagonal() / np.maximum(confusion.sum(axis=1), 1)
    return FigureOne(recall, confusion, shown, foci, **arrays)


def save_figure_one(result: FigureOne, folder: Path) -> list[Path]:
    """Write figure1.svg, figure1.png, and what they show as figure1.npz."""
    from facetem.figures import png, svg
    from facetem.figures.studies import method_figure

    folder.mkdir(parents=True, exist_ok=True)
    figure = method_figure(
        SHAPES,
        result.confusion,
        result.shown,
        result.foci,
        recorded=result.recorded,
        restored=result.restored,
        target=result.target,
    )
    paths = [folder / f"figure1.{suffix}" for suffix in ("svg", "png", "npz")]
    write_whole(paths[0], svg(figure))
    write_whole(paths[1], png(figure))
    np.savez_compressed(
        paths[2],
        shapes=np.array(SHAPES),
        shown=np.array(result.shown),
        foci_A=np.array(result.foci),
        confusion=result.confusion,
        recall=result.recall,
        recorded=result.recorded,
        restored=result.restored,
        target=result.target,
    )
    return paths
