"""What the graphs of `facetem.learn.onnx` compute: both networks with all that `facetem.classify` does around them, on
images of one size, in operations that the exporter knows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from facetem.core.pixels import FIELD
from facetem.learn.classifier import TYPICAL, ShapeClassifier
from facetem.learn.conformal import COVERAGE, conformal_quantile
from facetem.learn.folded import folded
from facetem.learn.foreign import ForeignLattice
from facetem.learn.normalise import levels, normalise
from facetem.learn.restorer import FOCUS, ContrastRestorer
from facetem.learn.spectra import Rings
from facetem.learn.stated import Stated
from facetem.learn.views import left_handed, mean_answer, views

CLASSIFIER_OUTPUTS = (
    "logits",
    "probabilities",
    "possible",
    "known",
    "unfamiliarity",
    "log_diameter",
    "diameter",
    "facet_ratio",
    "moments",
)
RESTORER_OUTPUTS = ("restored", "denoised", "mask", "error", "focus")


class ClassifierGraph(nn.Module):
    """Images (n, 256, 256) -> `CLASSIFIER_OUTPUTS`: the arithmetic of `Classifier.classify`.

    logits, probabilities (n, classes), in the order of `SHAPES`; possible (n, classes; bool) at a coverage of 95 %;
    known (n,; bool) and the score behind it; log_diameter (n,) in units of `TYPICAL`, diameter [Å] (n,); facet_ratio
    (n,), d{100} / d{111} if the shape is cubic; moments (n, 25), see `facetem.learn.orientation`.
    """

    def __init__(self, model: ShapeClassifier, stated: Stated) -> None:
        super().__init__()
        self.model, self._stated = folded(model), stated
        self._foreign = ForeignLattice(FIELD, stated.matter.widest)
        # Which the exporter then keeps as they are: it knows no frequencies and no histogram.
        self._rings = Rings.on((FIELD, FIELD), torch.device("cpu"))
        sets = stated.sets
        self._quantile = None if sets is None else conformal_quantile(sets.scores, COVERAGE)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        scaled = normalise(images)
        mirrored = left_handed(scaled[:, 0])
        answer = mean_answer(self.model.classify(views(scaled, mirrored)), mirrored)
        probabilities = torch.softmax(answer.logits / self._stated.temperature, dim=1)
        best = probabilities >= probabilities.amax(1, keepdim=True)
        possible = best if self._quantile is None else best | (1 - probabilities <= self._quantile)
        space = self._stated.space
        score = (
            torch.zeros_like(answer.refusal) if space is None else space.score(answer, images, self._rings)
        )
        known = score <= (float("inf") if space is None else space.threshold)
        if space is not None:
            known = known & ~self._foreign(images)[0]
        diameter = TYPICAL * answer.log_diameter.exp()
        size, lies, ratio = answer.log_diameter, answer.moments, answer.log_ratio.exp()
        return answer.logits, probabilities, possible, known, score, size, diameter, ratio, lies


class RestorerGraph(nn.Module):
    """Patches (n, 256, 256) -> `RESTORER_OUTPUTS`: restored image, vacuum 1; denoised image, in the units of the patch;
    probability of the particle; expected rms error of the restored image (n, 256, 256); wavelength times distance from
    focus [Å^2] (n,), on either side. One view: `Restorer.restore` averages over random patches."""

    def __init__(self, model: ContrastRestorer) -> None:
        super().__init__()
        self.model = folded(model)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        reading = self.model(normalise(images))
        level, scale = levels(images)
        return (
            reading.restored + 1,
            level + scale * reading.denoised,
            torch.sigmoid(reading.mask),
            reading.error.exp(),
            FOCUS * reading.focus,
        )
