"""How unlike an image is to all that a network has been shown to know: the score that says "none of these".

Three signs are added, each in units of its own spread over known images:

- the distance from the image's features, scaled to length 1, to the k-th nearest of known images (Sun, Ming, Zhu and
  Li, Out-of-distribution detection with deep nearest neighbors, ICML 2022): other shapes, and no particle at all;
- the logarithm of the Mahalanobis distance of its power spectrum in rings from those of known images: other optics,
  and other lattices. A network learns to look away from both;
- how little the strongest spot of that spectrum stands out of its ring: no lattice.

benchmarks/confidence.py compares this with other scores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from facetem.core.errors import InputError
from facetem.learn.conformal import conformal_quantile
from facetem.learn.spectra import ring_spectra

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
    middle, scale : (3,)
        Mean and standard deviation of the three signs over other known images.
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
    def fit(cls, familiar: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor]) -> Familiarity:
        """Of features (m, d) and images (m, y, x) of all that was trained on, and those of other images, of the
        conditions that confidence is stated for.

        Every other one of the familiar images is what is known. A new image like the rest of them, or like the others,
        exceeds the threshold with a chance of at most `FALSE_ALARMS`, if each of these are 49 or more: a field in
        which particles have neighbours is no less familiar than a particle alone.

        Raises
        ------
        InputError
            If there are too few images.
        """
        if len(familiar[0]) < 2 * NEIGHBOUR or len(held_out[0]) < 2:
            raise InputError(
                f"images: expected at least {2 * NEIGHBOUR} familiar and 2 held-out ones, got {len(familiar[0])} and "
                f"{len(held_out[0])}"
            )
        features, images = (part[::2] for part in familiar)
        rest = familiar[0][1::2], familiar[1][1::2]
        # Half precision now, so that the threshold is that of the bank as it comes back from a file.
        bank = functional.normalize(features[:LARGEST].float(), dim=1).half()
        spectra = ring_spectra(images)[0].double()
        rings, spread = spectra.mean(0), spectra.std(0).clamp_min(1e-6)
        scaled = (spectra - rings) / spread
        correlation = (1 - SHRINK) * scaled.T @ scaled / len(scaled)
        correlation += SHRINK * torch.eye(len(correlation), dtype=correlation.dtype)
        precision = torch.linalg.inv(correlation)
        parts = (bank, rings.float(), spread.float(), precision.float())
        signs = cls(*parts, torch.zeros(3), torch.ones(3), float("inf")).signs(*held_out)
        middle, scale = signs.mean(0), signs.std(0).clamp_min(1e-6)
        known = cls(*parts, middle, scale, float("inf"))
        thresholds = []
        for scores in (known.score(*held_out), known.score(*rest)):
            thresholds.append(min(conformal_quantile(scores, 1 - FALSE_ALARMS), float(scores.max())))
        return replace(known, threshold=max(thresholds))

    def signs(self, features: Tensor, images: Tensor) -> Tensor:
        """The three signs (n, 3) of features (n, d) and images (n, y, x), the larger the less familiar."""
        own = functional.normalize(features.float(), dim=1)
        apart = torch.cdist(own, self.bank.float(), compute_mode="donot_use_mm_for_euclid_dist")
        nearest = apart.topk(min(NEIGHBOUR, len(self.bank)), largest=False).values[:, -1]
        spectra, spot = ring_spectra(images)
        offset = (spectra - self.rings) / self.spread
        distance = torch.einsum("nd,de,ne->n", offset, self.precision, offset)
        return torch.stack([nearest, distance.clamp_min(1e-6).log(), -spot], dim=1)

    def score(self, features: Tensor, images: Tensor) -> Tensor:
        """How unfamiliar images are (n,): about 0 for known ones."""
        return ((self.signs(features, images) - self.middle) / self.scale).sum(1)

    def known(self, features: Tensor, images: Tensor) -> Tensor:
        """Whether images are like those of learnt shapes (n; bool)."""
        return self.score(features, images) <= self.threshold
