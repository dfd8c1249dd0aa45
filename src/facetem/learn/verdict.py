"""What an answer claims, and the words for it: one shape, one of several, or none."""

from collections.abc import Sequence
from typing import Literal

Verdict = Literal["accepted", "abstained", "unknown"]
NONE_OF_THESE = "none of these"
CANNOT_TELL = "cannot tell"


def verdict(known: bool, possible: Sequence[str]) -> Verdict:
    """`accepted`: one shape is possible; `abstained`: more than one is, in this orientation and image; `unknown`: the
    image is unlike those of any learnt shape."""
    if not known:
        return "unknown"
    return "accepted" if len(possible) == 1 else "abstained"


def listed(shapes: Sequence[str]) -> str:
    """Shapes as one reads them: "cube, twin or truncated octahedron"."""
    names = [shape.replace("_", " ") for shape in shapes]
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def verdict_words(known: bool, possible: Sequence[str]) -> str:
    """The verdict with its shapes: "cube", "cannot tell: cube or cuboctahedron", "none of these"."""
    told = verdict(known, possible)
    if told == "unknown":
        return NONE_OF_THESE
    return listed(possible) if told == "accepted" else f"{CANNOT_TELL}: {listed(possible)}"
