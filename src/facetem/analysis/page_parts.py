"""Small pieces of the reports' pages."""

from __future__ import annotations

from base64 import b64encode
from html import escape

import numpy as np
from numpy.typing import NDArray

from facetem.core.words import spoken

WIDEST = 1200  # px of an image of the field on the page; restored.tif has all pixels


def spoken_in_html(name: str) -> str:
    """A name as one reads it, on a page."""
    return escape(spoken(name))


def meter(share: float, colour: str) -> str:
    """A bar that is filled to a share, 0 to 1."""
    return f'<span class="meter"><i style="width:{100 * share:.1f}%;background:{colour}"></i></span>'


def dot(colour: str) -> str:
    """A dot of a colour."""
    return f'<i class="dot" style="background:{colour}"></i>'


def picture(image: NDArray[np.float32], levels: tuple[float, float] | None = None) -> str:
    """An image in grey levels, for the `src` of an element."""
    from facetem.figures import grey_png

    return embed(grey_png(image, levels, widest=WIDEST))


def embed(data: bytes) -> str:
    """The bytes of a PNG, likewise."""
    return "data:image/png;base64," + b64encode(data).decode("ascii")
