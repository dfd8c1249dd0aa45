"""The classifier at work: its predictions on arrays and micrographs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional

from facetem.atoms.library import CUBIC_CLASSES
from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError
from facetem.core.pixels import FIELD, PIXEL
from facetem.data.digest import digest_of
from facetem.hrtem.simulate import resolve_device
from facetem.learn.classifier import TYPICAL, Answer, ShapeClassifier
from facetem.learn.conformal import COVERAGE, check_coverage
from facetem.learn.folded import folded
from facetem.learn.foreign import foreign_spacings
from facetem.learn.matter import Matter
from facetem.learn.normalise import normalise
from facetem.learn.orientation import FAMILIES, Orientation, find_orientation
from facetem.learn.saliency import saliency
from facetem.learn.stated import Stated
from facetem.learn.surroundings import lattice_around, words_for
from facetem.learn.verdict import Verdict, is_judged, is_known, verdict
from facetem.learn.views import TURNS, left_handed, mean_answer, views
from facetem.learn.weights_file import load_network, shipped

BATCH = 8  # patches or views at once: more does not run faster on a CPU

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Prediction:
    """The shape of one particle: name, calibrated probabilities of all shapes, that of the named one.

    `familiar` is False where the image is unlike those of any learnt shape; `foreign` is the spacing [Å] of a
    reflection that no learnt metal has, if it shows one: either way the answer is "none of these". `hidden` says in
    words what hides a part of the particle, or the lattice of a support that it drowns in, empty if nothing does: then
    it is not judged, unless it is seen to be of another crystal. Where shapes are claimed, it is `known`.
    `possible` are the shapes that the image leaves possible, the most probable first, never none: sets found so hold
    the true shape in a part of at least `coverage` of images like those of the calibration. Weights that state no
    coverage leave the named shape alone.

    `families` are the probabilities of the structural families, each the sum of its shapes', and `family` is the most
    probable one: not always that of the named shape. `diameter` is the volume-equivalent one [Å]; `orientation` is that
    of a particle of the named shape. `facet_ratio` is d{100} / d{111}, the distances of its facets from its centre,
    which tells from cube (0.58) to octahedron (1.73) how far the corners are cut; None for the other shapes.
    """

    shape: str
    probabilities: dict[str, float]
    confidence: float
    familiar: bool
    possible: tuple[str, ...]
    coverage: float | None
    diameter: float
    orientation: Orientation
    facet_ratio: float | None = None
    foreign: float | None = None
    hidden: str = ""

    @property
    def families(self) -> dict[str, float]:
        """Probabilities of the structural families."""
        return {name: sum(self.probabilities[shape] for shape in shapes) for name, shapes in FAMILIES.items()}

    @property
    def family(self) -> str:
        """The most probable family."""
        return max(self.families, key=self.families.__getitem__)

    @property
    def verdict(self) -> Verdict:
        """`accepted` (one shape is possible), `abstained` (several are), `unknown` (none of these), or `not judged`."""
        return verdict(self.judged, self.known, self.possible)

    @property
    def judged(self) -> bool:
        """Whether enough of the particle is seen to say anything."""
        return is_judged(self.foreign, self.hidden)

    @property
    def known(self) -> bool:
        """Whether it is of one of the learnt shapes, and judged."""
        return is_known(self.familiar, self.foreign, self.hidden)


class Classifier:
    """The shape network with what its weights state. Answers are averaged over `learn.views`."""

    def __init__(
        self,
        model: ShapeClassifier,
        stated: Stated | None = None,
        *,
        name: str = "classifier",
        digest: str | None = None,
        device: str = "cpu",
    ) -> None:
        self._model = folded(model).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device = device
        self.stated = stated or Stated()
        self.provenance = {"name": name, "device": device, "sha256": digest}

    @property
    def matter(self) -> Matter:
        """The particles that it has learnt."""
        return self.stated.matter

    @torch.inference_mode()
    def answers(self, crops: ArrayLike) -> Answer:
        """What the network says of images (n, 256, 256) at 0.4 Å/px, averaged over `learn.views`, on the CPU.

        Raises
        ------
        InputError
            If they are of another shape or not finite.
        """
        images = checked_crops(crops)
        seen = (
            images if len(images) else torch.zeros(1, FIELD, FIELD)
        )  # of none, it is asked of what it consists
        parts: list[Answer] = []
        for image in seen.split(BATCH // TURNS if self._device == "cpu" else 64):
            scaled = normalise(image.to(self._device))
            mirrored = left_handed(scaled[:, 0])
            turns = views(scaled, mirrored).contiguous(memory_format=torch.channels_last)
            answer = mean_answer(self._model.classify(turns), mirrored)
            parts.append(Answer(*(part.cpu() for part in answer)))
        return Answer(*(torch.cat(stack)[: len(images)] for stack in zip(*parts, strict=True)))

    def classify(self, crops: ArrayLike, *, coverage: float = COVERAGE) -> list[Prediction]:
        """One prediction for each image (n, 256, 256) at 0.4 Å/px with its particle in the middle.

        `coverage` is the part of all images whose set of possible shapes is to hold the true one.

        Raises
        ------
        InputError
            If the images are of another shape or not finite, or `coverage` does not lie between 0 and 1.
        """
        check_coverage(coverage)
        images = checked_crops(crops)
        if not len(images):
            return []
        answers = self.answers(images)
        logits = answers.logits
        probabilities = torch.softmax(logits / self.stated.temperature, dim=1)
        familiar = torch.ones(len(logits), dtype=torch.bool)
        foreign, around = np.full(len(logits), np.nan), [""] * len(logits)
        if self.stated.space is not None:
            familiar = self.stated.space.known(answers, images)
            foreign = foreign_spacings(images, widest=self.matter.widest)
            around = [words_for(lattice_around(image)) for image in images]
        possible = functional.one_hot(probabilities.argmax(1), probabilities.shape[1]).bool()
        if self.stated.sets is not None:
            possible = self.stated.sets.possible(probabilities, coverage)
        return [
            Prediction(
                shape=SHAPES[int(row.argmax())],
                probabilities={shape: float(p) for shape, p in zip(SHAPES, row, strict=True)},
                confidence=float(row.max()),
                familiar=bool(fits),
                possible=tuple(SHAPES[i] for i in row.argsort(descending=True) if inside[i]),
                coverage=None if self.stated.sets is None else coverage,
                diameter=TYPICAL * float(size.exp()),
                orientation=self._orientation(SHAPES[int(row.argmax())], lies),
                facet_ratio=float(ratio.exp()) if SHAPES[int(row.argmax())] in CUBIC_CLASSES else None,
                foreign=None if np.isnan(other) else float(other),
                hidden=hidden,
            )
            for row, fits, inside, size, lies, ratio, other, hidden in zip(
                probabilities,
                familiar,
                possible,
                answers.log_diameter,
                answers.moments.numpy(),
                answers.log_ratio,
                foreign,
                around,
                strict=True,
            )
        ]

    def _orientation(self, shape: str, moments: NDArray[np.float32]) -> Orientation:
        found, lying = find_orientation(shape, moments), self.stated.lying
        return found if lying is None else replace(found, error=lying.of(shape, found.fit))

    @property
    def threshold(self) -> float:
        """The `unfamiliarity` beyond which an image is answered with "none of these"; infinite if the weights do not
        say what is known."""
        return float("inf") if self.stated.space is None else self.stated.space.threshold

    def unfamiliarity(self, crops: ArrayLike) -> Tensor:
        """How unlike images (n, 256, 256) are to those of learnt shapes (n,), about 0 for such; NaN if the weights do
        not say what is known."""
        images = checked_crops(crops)
        if self.stated.space is None or not len(images):
            return torch.full((len(images),), float("nan"))
        return self.stated.space.score(self.answers(images), images)

    def saliency(self, crop: ArrayLike, shape: str) -> NDArray[np.float32]:
        """How much each pixel of an image (256, 256) weighs in the odds of `shape` against all others: a map (y, x)
        that sums to 1, see `facetem.learn.saliency`."""
        image = checked_crops(np.asarray(crop)[None])[0]
        return saliency(self._model, image.to(self._device), SHAPES.index(shape)).cpu().numpy()


def checked_crops(crops: ArrayLike) -> Tensor:
    """Images (n, 256, 256) as the classifier takes them: float32, on the CPU.

    Raises
    ------
    InputError
        If they are of another shape or not finite.
    """
    try:
        images = np.asarray(crops, dtype=np.float32)
    except (TypeError, ValueError):
        raise InputError(f"crops: expected numbers (n, {FIELD}, {FIELD}), got something else") from None
    if images.shape[:1] == (0,):
        images = np.empty((0, FIELD, FIELD), dtype=np.float32)
    if images.ndim != 3 or images.shape[1:] != (FIELD, FIELD):
        raise InputError(f"crops: expected (n, {FIELD}, {FIELD}) at {PIXEL} Å/px, got shape {images.shape}")
    if not np.isfinite(images).all():
        raise InputError("crops: expected finite images, got some with values that are not")
    return torch.as_tensor(images)


def load_classifier(path: str | Path | None = None, *, device: str = "auto") -> Classifier:
    """The classifier in `path`, or the one that comes with the package.

    Raises
    ------
    InputError
        If the file is missing, damaged or of another kind, or the device is not there.
    """
    device = resolve_device(device)
    model, header, extra = load_network(path, ShapeClassifier)
    return Classifier(
        model,
        Stated.read(header, extra),
        name=header.get("name", "classifier"),
        digest=digest_of(path or shipped("classifier")),
        device=device,
    )
