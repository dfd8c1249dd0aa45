"""How unlike an image is to all that a network has been shown to know: the score that says "none of these".

Four signs are added, each in units of its own spread over known images:

- the distance from the image's features, scaled to length 1, to the k-th nearest of known images (Sun, Ming, Zhu and
  Li, Out-of-distribution detection with deep nearest neighbors, ICML 2022): other shapes, and no particle at all;
- the logarithm of the Mahalanobis distance of its power spectrum in rings from those of known images: other optics,
  and other lattices. A network learns to look away from both;
- how little the strongest spot of that spectrum stands out of its ring: no lattice;
- the network's own logit of "none of these", learnt from specimens that are none (Hendrycks, Mazeika and Dietterich,
  Deep anomaly detection with outlier exposure, ICLR 2019). It tells the most, so that what it has beyond what known
  images have counts twice.

benchmarks/confidence.py compares this with other scores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from facetem.core.errors import InputError
from facetem.learn.classifier import Answer
from facetem.learn.conformal import conformal_quantile
from facetem.learn.spectra import Rings, ring_spectra

BEYOND = 1.0  # standard deviations: where a logit of "none of these" begins to count twice
FALSE_ALARMS = 0.02  # of known images that are called unknown, at most
NEIGHBOUR = 5
LARGEST = 400  # images of the bank: 384 features of half precision each make 300 kB
SHRINK = 0.1  # of the rings' correlations towards none: a few hundred images do not fix them all


@dataclass(frozen=True)
class Familiarity:
    """What known images are like.

    Parameters
    ----------
    bank : (m, d)
        Features of known images, of length 1, half precision.
    rings, spread, precision : (r,), (r,), (r, r)
        Mean and standard deviation of their ring spectra, and the inverse correlations.
    middle, scale : (4,)
        Mean and standard deviation of the four signs over other known images.
    threshold
        The score that `FALSE_ALARMS` of known images exceed.
    """

    bank: Tensor
    rings: Tensor
    spread: Tensor
    precision: Tensor
    middle: Tensor
    scale: Tensor
    threshold: float

    @classmethod
    def fit(cls, familiar: tuple[Answer, Tensor], held_out: tuple[Answer, Tensor]) -> Familiarity:
        """Of the answers to images and the images (m, y, x) of all that was trained on, and those of other images, of
        the conditions that confidence is stated for.

        Every other one of the familiar images is what is known. A new image like the rest of them, or like the others,
        exceeds the threshold with a chance of at most `FALSE_ALARMS`, if each of these are 49 or more: a field in
        which particles have neighbours is no less familiar than a particle alone.

        Raises
        ------
        InputError
            If there are too few images.
        """
        if len(familiar[1]) < 2 * NEIGHBOUR or len(held_out[1]) < 2:
            raise InputError(
                f"images: expected at least {2 * NEIGHBOUR} familiar and 2 held-out ones, got {len(familiar[1])} and "
                f"{len(held_out[1])}"
            )
        answers, seen = familiar
        features, images = answers.features[::2], seen[::2]
        rest = Answer(*(part[1::2] for part in answers)), seen[1::2]
        # Half precision now, so that the threshold is that of the bank as it comes back from a file.
        bank = functional.normalize(features[:LARGEST].float(), dim=1).half()
        spectra = ring_spectra(images)[0].double()
        rings, spread = spectra.mean(0), spectra.std(0).clamp_min(1e-6)
        scaled = (spectra - rings) / spread
        correlation = (1 - SHRINK) * scaled.T @ scaled / len(scaled)
        correlation += SHRINK * torch.eye(len(correlation), dtype=correlation.dtype)
        precision = torch.linalg.inv(correlation)
        parts = (bank, rings.float(), spread.float(), precision.float())
        signs = cls(*parts, torch.zeros(4), torch.ones(4), float("inf")).signs(*held_out)
        middle, scale = signs.mean(0), signs.std(0).clamp_min(1e-6)
        known = cls(*parts, middle, scale, float("inf"))
        thresholds = []
        for scores in (known.score(*held_out), known.score(*rest)):
            thresholds.append(min(conformal_quantile(scores, 1 - FALSE_ALARMS), float(scores.max())))
        return replace(known, threshold=max(thresholds))

    def signs(self, answers: Answer, images: Tensor, rings: Rings | None = None) -> Tensor:
        """The four signs (n, 4) of the answers to images (n, y, x), the larger the less familiar. `rings` as those of
        `ring_spectra`."""
        own = functional.normalize(answers.features.float(), dim=1)
        apart = torch.cdist(own, self.bank.float(), compute_mode="donot_use_mm_for_euclid_dist")
        nearest = apart.topk(min(NEIGHBOUR, len(self.bank)), largest=False).values[:, -1]
        spectra, spot = ring_spectra(images, rings)
        offset = (spectra - self.rings) / self.spread
        distance = torch.einsum("nd,de,ne->n", offset, self.precision, offset)
        return torch.stack([nearest, distance.clamp_min(1e-6).log(), -spot, answers.refusal.float()], dim=1)

    def score(self, answers: Answer, images: Tensor, rings: Rings | None = None) -> Tensor:
        """How unfamiliar images are (n,): about 0 for known ones."""
        signs = (self.signs(answers, images, rings) - self.middle) / self.scale
        return signs.sum(1) + (signs[:, -1] - BEYOND).clamp_min(0)

    def known(self, answers: Answer, images: Tensor) -> Tensor:
        """Whether images are like those of learnt shapes (n; bool)."""
        return self.score(answers, images) <= self.threshold
