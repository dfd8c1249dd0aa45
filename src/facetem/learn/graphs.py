"""What the graphs of `facetem.learn.onnx` compute: both networks with all that `facetem.classify` does around them, on
images of one size, in operations that the exporter knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from facetem.data.draw import PIXEL
from facetem.learn import foreign
from facetem.learn.classifier import TYPICAL, Answer, ShapeClassifier
from facetem.learn.conformal import COVERAGE, ConformalSets, conformal_quantile
from facetem.learn.familiarity import Familiarity
from facetem.learn.folded import folded
from facetem.learn.normalise import normalise
from facetem.learn.orientation import MOMENTS, turned
from facetem.learn.predictor import FIELD, TURNS_BACK
from facetem.learn.restorer import FOCUS, ContrastRestorer
from facetem.learn.saliency import views
from facetem.learn.spectra import Rings

CLASSIFIER_OUTPUTS = (
    "logits",
    "probabilities",
    "possible",
    "known",
    "unfamiliarity",
    "log_diameter",
    "diameter",
    "moments",
)
RESTORER_OUTPUTS = ("restored", "mask", "focus")


@dataclass(frozen=True)
class Calibration:
    """What a file of weights says besides the network's own: see `Classifier`."""

    temperature: float
    sets: ConformalSets | None
    space: Familiarity | None


class ClassifierGraph(nn.Module):
    """Images (n, 256, 256) -> `CLASSIFIER_OUTPUTS`: the arithmetic of `Classifier.classify`.

    logits, probabilities (n, classes), in the order of `SHAPES`; possible (n, classes; bool) at a coverage of 90 %;
    known (n,; bool) and the score behind it; log_diameter (n,) in units of `TYPICAL`, diameter [Å] (n,); moments
    (n, 25), see `facetem.learn.orientation`.
    """

    def __init__(self, model: ShapeClassifier, calibration: Calibration) -> None:
        super().__init__()
        self.model, self._calibration = folded(model), calibration
        self._foreign = ForeignLattice(FIELD)
        # Which the exporter then keeps as they are: it knows no frequencies and no histogram.
        self._rings = Rings.on((FIELD, FIELD), torch.device("cpu"))
        # A turn of moments is a linear map: one product for each view, where `turned` itself is hundreds of operations.
        self._back = torch.stack([turned(torch.eye(len(MOMENTS)), turn) for turn in TURNS_BACK])
        sets = calibration.sets
        self._quantile = None if sets is None else conformal_quantile(sets.scores, COVERAGE)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        answer = self._mean_answer(images)
        probabilities = torch.softmax(answer.logits / self._calibration.temperature, dim=1)
        best = probabilities >= probabilities.amax(1, keepdim=True)
        possible = best if self._quantile is None else best | (1 - probabilities <= self._quantile)
        space = self._calibration.space
        score = (
            torch.zeros_like(answer.refusal) if space is None else space.score(answer, images, self._rings)
        )
        known = score <= (float("inf") if space is None else space.threshold)
        if space is not None:
            known = known & ~self._foreign(images)
        diameter = TYPICAL * answer.log_diameter.exp()
        size, lies = answer.log_diameter, answer.moments
        return answer.logits, probabilities, possible, known, score, size, diameter, lies

    def _mean_answer(self, images: Tensor) -> Answer:
        """The mean over the eight turns and mirrors, as `Classifier.answers` takes it."""
        answer = self.model.classify(torch.cat(views(normalise(images))))
        # Not `chunk`, which the exporter takes for a statement about how many images there are.
        parts = Answer(*(part.reshape(8, -1, *part.shape[1:]) for part in answer))
        lies = torch.einsum("vnm,vmk->nk", parts.moments, self._back) / 8
        return Answer(*(part.mean(0) for part in parts))._replace(moments=lies)


class RestorerGraph(nn.Module):
    """Patches (n, 256, 256) -> `RESTORER_OUTPUTS`: restored image, vacuum 1, and probability of the particle
    (n, 256, 256); wavelength times distance from focus [Å^2] (n,), on either side. One view: `Restorer.restore`
    averages over random patches."""

    def __init__(self, model: ContrastRestorer) -> None:
        super().__init__()
        self.model = folded(model)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        reading = self.model(normalise(images))
        image, mask = reading.drawn.unbind(1)
        return image + 1, torch.sigmoid(mask), FOCUS * reading.focus


class ForeignLattice(nn.Module):
    """Images (n, side, side) -> whether each shows a reflection that gold cannot have (n; bool): what
    `facetem.learn.foreign` finds, with the median of each ring that its strongest spot may be in taken beforehand."""

    def __init__(self, side: int) -> None:
        super().__init__()
        k = np.hypot(np.fft.fftfreq(side, PIXEL)[:, None], np.fft.rfftfreq(side, PIXEL))
        ring = np.rint(k * side * PIXEL).astype(int)
        gap, own = foreign.between(k, foreign.GAP), foreign.between(k, foreign.BEYOND)
        rings = range(ring[gap].min(), ring[gap].max() + 1)
        self._taper = torch.from_numpy(np.outer(np.hanning(side), np.hanning(side))).float()
        self._gap, self._own = (torch.from_numpy(np.flatnonzero(part)) for part in (gap, own))
        self._ring = torch.from_numpy(ring[gap] - rings.start)
        self._around = [torch.from_numpy(np.flatnonzero(np.abs(ring - r) <= foreign.RING)) for r in rings]

    def forward(self, images: Tensor) -> Tensor:
        scaled = normalise(images)[:, 0]
        mean = (scaled * self._taper).sum((-2, -1), keepdim=True) / self._taper.sum()
        power = torch.fft.rfft2((scaled - mean) * self._taper).abs().square().flatten(1)
        strongest, at = power[:, self._gap].max(1)
        noise = torch.stack([_median(power[:, around]) for around in self._around], dim=1)
        there = noise.gather(1, self._ring[at][:, None])[:, 0] / np.log(2)
        own = power[:, self._own].amax(1)
        return (strongest > foreign.SIGNIFICANT * there) & (strongest > foreign.SHARE * own)


def _median(values: Tensor) -> Tensor:
    """Of each row, as numpy has it: of an even number, the mean of the two in the middle."""
    ordered, n = values.sort(dim=1).values, values.shape[1]
    return (ordered[:, (n - 1) // 2] + ordered[:, n // 2]) / 2
