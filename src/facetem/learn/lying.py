"""How far an orientation is likely to be off.

The moments that the network answers with are those of some orientation only as far as it is sure: where it hesitates
between several, it answers with something between, which fits none. So how well the best orientation fits tells how far
it is to be trusted; held-out images tell by how many degrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from facetem.atoms.shapes import SHAPES
from facetem.learn.orientation import FAMILIES, angle_between, family_of, find_orientation

BLOCK = 10  # held-out images, at least, whose mean one statement rests on
FEWEST = 2 * BLOCK  # of a family, to say anything
FLOOR = 0.1  # deg


@dataclass(frozen=True)
class OrientationErrors:
    """Typical errors of orientations by family and fit.

    Parameters
    ----------
    knots : (m, 3)
        Index of the family in `FAMILIES`, fit, error [deg]; within a family the better the fit, the smaller the error.
    """

    knots: Tensor

    @classmethod
    def fit(cls, families: ArrayLike, fits: ArrayLike, errors: ArrayLike) -> OrientationErrors:
        """Of images whose family was named rightly (n,): the index of that, how well the orientation fits and by how
        much it is off [deg].

        Isotonic regression of the errors' logarithms (Barlow et al., Statistical inference under order restrictions,
        1972), in blocks of images that fit about as well: of all falling curves the nearest one.
        """
        from scipy.optimize import isotonic_regression

        kinds, goodness, off = (np.asarray(values, dtype=float) for values in (families, fits, errors))
        knots: list[NDArray[np.float64]] = []
        for kind in range(len(FAMILIES)):
            some = np.flatnonzero(kinds == kind)
            if len(some) < FEWEST:
                continue
            blocks = np.array_split(some[np.argsort(goodness[some])], len(some) // BLOCK)
            logs = [np.log(np.maximum(off[block], FLOOR)).mean() for block in blocks]
            falling = isotonic_regression(logs, weights=[len(block) for block in blocks], increasing=False).x
            middles = [goodness[block].mean() for block in blocks]
            knots.append(np.stack([np.full(len(blocks), kind), middles, np.exp(falling)], axis=1))
        return cls(torch.from_numpy(np.concatenate(knots) if knots else np.empty((0, 3))).float())

    @classmethod
    def measured(
        cls, moments: Tensor, named: Tensor, labels: Tensor, orientations: Tensor
    ) -> OrientationErrors:
        """Of held-out images: moments (n, 25) that the network answered with, shapes that it named (n,), and the truth
        (n,), (n, 3, 3)."""
        kinds, fits, errors = [], [], []
        for i, (said, true) in enumerate(zip(named.tolist(), labels.tolist(), strict=True)):
            shape = SHAPES[said]
            if family_of(shape) != family_of(SHAPES[true]):
                continue
            found = find_orientation(shape, moments[i].double().numpy())
            kinds.append(list(FAMILIES).index(family_of(shape)))
            fits.append(found.fit)
            errors.append(angle_between(shape, found.rotation, orientations[i].double().numpy()))
        return cls.fit(kinds, fits, errors)

    def of(self, shape: str, fit: float) -> float | None:
        """The typical error [deg] of an orientation of a shape that fits so well; None if too few of its family were
        held out."""
        mine = self.knots[self.knots[:, 0] == list(FAMILIES).index(family_of(shape))]
        if not len(mine):
            return None
        return float(np.interp(fit, mine[:, 1].numpy(), mine[:, 2].numpy()))
