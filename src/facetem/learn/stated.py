"""What the weights of a classifier state besides the network: how sure its answers are, and of what particles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from facetem.learn.conformal import ConformalSets
from facetem.learn.familiarity import FALSE_ALARMS, Familiarity
from facetem.learn.lying import OrientationErrors
from facetem.learn.matter import Matter

# The tensors of a `Familiarity` by their names in a file, in the order of its fields.
_SPACE = ("bank", "rings", "spread", "ring_precision", "middle", "scale")


@dataclass(frozen=True)
class Stated:
    """What is calibrated; None of what a file does not say.

    Parameters
    ----------
    temperature
        Logits over it are those of probabilities.
    sets
        Of shapes that are possible.
    space
        What known images are like.
    lying
        How far orientations are typically off.
    confusion : (true, named)
        Held-out images of each shape by what they were named.
    matter
        The particles that were learnt.
    """

    temperature: float = 1.0
    sets: ConformalSets | None = None
    space: Familiarity | None = None
    lying: OrientationErrors | None = None
    confusion: NDArray[np.int64] | None = None
    matter: Matter = field(default_factory=Matter)

    @classmethod
    def read(cls, header: dict[str, Any], extra: dict[str, Tensor]) -> Stated:
        """From the header and the tensors of a file of weights, as `load_network` gives them."""
        space = None
        if "bank" in extra:
            space = Familiarity(*(extra[name] for name in _SPACE), threshold=header["unfamiliar"])
        return cls(
            temperature=header.get("temperature", 1.0),
            sets=ConformalSets(extra["conformal"].float()) if "conformal" in extra else None,
            space=space,
            lying=OrientationErrors(extra["lying"]) if "lying" in extra else None,
            confusion=np.array(header["confusion"]) if "confusion" in header else None,
            matter=Matter.read(header.get("matter")),
        )

    def written(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Entries of the header and tensors that `read` reads."""
        header: dict[str, Any] = {"temperature": self.temperature, "matter": self.matter.as_dict()}
        extra: dict[str, Tensor] = {}
        if self.sets is not None:
            extra["conformal"] = self.sets.scores
        if self.space is not None:
            space = self.space
            header |= {"unfamiliar": space.threshold, "false_alarms": FALSE_ALARMS}
            parts = (space.bank, space.rings, space.spread, space.precision, space.middle, space.scale)
            extra |= dict(zip(_SPACE, parts, strict=True))
        if self.lying is not None:
            extra["lying"] = self.lying.knots
        if self.confusion is not None:
            header["confusion"] = self.confusion.tolist()
        return header, extra
