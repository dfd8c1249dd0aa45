"""What an answer claims, and the words for it: one shape, one of several, or none.

Three facts about an image decide whether a shape is claimed at all: whether it is `familiar`, the spacing of a
`foreign` reflection, and by what the particle is `hidden`, in words. `Prediction` has them.
"""

from collections.abc import Sequence
from typing import Literal

from facetem.core.words import spoken

Verdict = Literal["accepted", "abstained", "unknown", "not judged"]
NONE_OF_THESE = "none of these"
CANNOT_TELL = "cannot tell"
NOT_JUDGED: Literal["not judged"] = "not judged"


def is_judged(foreign: float | None, hidden: str) -> bool:
    """Whether enough of a particle is seen: of another crystal it does not matter how much."""
    return foreign is not None or not hidden


def is_known(familiar: bool, foreign: float | None, hidden: str) -> bool:
    """Whether shapes are claimed: of a particle that is seen, like those that were learnt, and of no other crystal."""
    return familiar and foreign is None and not hidden


def verdict(judged: bool, known: bool, possible: Sequence[str]) -> Verdict:
    """`accepted`: one shape is possible; `abstained`: more than one is, in this orientation and image; `unknown`: the
    image is unlike those of any learnt shape; `not judged`: too little of the particle is seen."""
    if not judged:
        return NOT_JUDGED
    if not known:
        return "unknown"
    return "accepted" if len(possible) == 1 else "abstained"


def listed(shapes: Sequence[str]) -> str:
    """Shapes as one reads them: "cube, twin or truncated octahedron"."""
    names = [spoken(shape) for shape in shapes]
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def verdict_words(told: Verdict, possible: Sequence[str]) -> str:
    """A verdict with its shapes: "cube", "cannot tell: cube or cuboctahedron", "none of these", "not judged"."""
    if told == "unknown":
        return NONE_OF_THESE
    if told == NOT_JUDGED:
        return NOT_JUDGED
    return listed(possible) if told == "accepted" else f"{CANNOT_TELL}: {listed(possible)}"
