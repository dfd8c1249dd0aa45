"""Colours, levels, scale bars and axes that all figures share, and figures as bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

# Okabe and Ito's seven, and a wine red from Tol's muted scheme for the eighth shape.
PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#882255")
SLATE = "#4F5B66"  # "cannot tell"
GREY = "#9AA3AD"  # "none of these"
PALE = "#E4E7EB"  # "not judged"
INK = "#22262B"
SOFT = "#6B727B"
SERIES = (PALETTE[4], PALETTE[5], SOFT, PALETTE[2])  # lines of one panel, each with a marker of its own
MARKERS = "os^D"
SHOWN = 1200  # px of a picture in a figure: no panel shows more
LIGHTLY = 3  # of 9, how hard PNGs are compressed: a fifth larger than by default, in half of the time


def shape_colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each shape name, in the order given; the ninth and later ones are grey."""
    return {name: PALETTE[i] if i < len(PALETTE) else GREY for i, name in enumerate(names)}


def display_range(image: ArrayLike) -> tuple[float, float]:
    """Black and white level that show an image well: its 0.5th and 99.5th percentile."""
    low, high = np.percentile(np.asarray(image), (0.5, 99.5))
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def reduced(image: ArrayLike, widest: int) -> NDArray[np.float32]:
    """An image (y, x) of at most `widest` px along each side, by Lanczos' filter: a lattice too fine for its pixels
    vanishes, where averages of blocks would turn it into moiré."""
    from PIL import Image

    values = np.asarray(image, dtype=np.float32)
    most = max(values.shape)
    if most <= widest:
        return values
    ny, nx = (max(1, round(n * widest / most)) for n in values.shape)
    return np.asarray(Image.fromarray(values).resize((nx, ny), Image.Resampling.LANCZOS))


def grey_png(
    image: ArrayLike, levels: tuple[float, float] | None = None, *, widest: int | None = None
) -> bytes:
    """An image (y, x) as an 8-bit PNG, between `levels` (default: `display_range`), `reduced` to `widest` px."""
    from imageio.v3 import imwrite

    values = np.asarray(image, dtype=np.float32) if widest is None else reduced(image, widest)
    low, high = levels or display_range(values)
    scaled = np.clip((values - low) / (high - low), 0, 1)
    return imwrite("<bytes>", (255 * scaled + 0.5).astype(np.uint8), extension=".png", compress_level=LIGHTLY)


def png(figure: Figure, dpi: float = 150) -> bytes:
    """The figure as PNG bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", pil_kwargs={"compress_level": LIGHTLY})
    return buffer.getvalue()


def svg(figure: Figure) -> bytes:
    """The figure as vectors, and its pictures as pixels."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", dpi=150, metadata={"Date": None})
    return buffer.getvalue()


def bar_length(width: float) -> float:
    """A round length, 1, 2 or 5 times a power of ten, of about a fifth of `width`, in its unit."""
    wanted = width / 5
    power = 10.0 ** math.floor(math.log10(wanted))
    return max(step * power for step in (1, 2, 5) if step * power <= wanted * 1.0001)


def scale_bar(axes: Axes, image: ArrayLike, sampling: float) -> None:
    """Lower right: a camera's own bar, where it is burnt in, is at the lower left."""
    ny, nx = np.shape(image)
    length = bar_length(nx * sampling / 10)
    width, thick = length * 10 / sampling, 0.011 * nx
    x, y = 0.96 * nx - width, ny - 0.05 * nx
    axes.add_patch(Rectangle((x, y), width, thick, facecolor="white", edgecolor="black", lw=0.6))
    axes.text(x + width / 2, y - 0.015 * nx, f"{length:g} nm", color="white", fontsize=8, ha="center", va="bottom",
              path_effects=[patheffects.withStroke(linewidth=2.2, foreground="black")])  # fmt: skip


def show(axes: Axes, image: ArrayLike, title: str, levels: tuple[float, float] | None = None) -> None:
    """Draw an image (y, x) in grey; the axes count its pixels, however many of them are shown."""
    picture, (ny, nx) = reduced(image, SHOWN), np.shape(image)
    low, high = levels or display_range(picture)
    extent = (-0.5, nx - 0.5, ny - 0.5, -0.5)
    axes.imshow(picture, cmap="gray", vmin=low, vmax=high, interpolation="antialiased", extent=extent)
    axes.set_axis_off()
    axes.autoscale(False)
    if title:
        axes.set_title(title, loc="left", fontsize=11, color=INK)


def tidy(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    axes.tick_params(colors=SOFT, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#B9BFC7")


def dot(colour: str) -> Line2D:
    return Line2D([], [], marker="o", ls="", color=colour, markersize=7)
