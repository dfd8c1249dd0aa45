"""Every figure of the project, and the only room that imports matplotlib.

Functions take plain arrays and return a `Figure` made with the object interface, so that nothing is drawn on a
screen and no state is shared; `png` turns one into bytes. Colours are told apart by colour-blind readers and are
never the only carrier of a meaning.
"""

from facetem.figures.datasets import contact_sheet, parameter_histograms
from facetem.figures.micrographs import (
    Card,
    Mark,
    before_after,
    gallery,
    overview,
    restorations,
    saliency_overlay,
    size_histogram,
)
from facetem.figures.scores import (
    accuracy_against,
    confusion_matrix,
    methods_against,
    reliability,
    training_curves,
)
from facetem.figures.shapes import ShapeRow, shape_sheet
from facetem.figures.style import (
    GREY,
    PALE,
    PALETTE,
    SLATE,
    bar_length,
    display_range,
    grey_png,
    png,
    shape_colours,
    svg,
)

__all__ = [
    "GREY", "PALE", "PALETTE", "SLATE", "Card", "Mark", "ShapeRow", "accuracy_against", "bar_length", "before_after",
    "confusion_matrix", "contact_sheet", "display_range", "gallery", "grey_png", "methods_against", "overview",
    "parameter_histograms",
    "png", "reliability", "restorations", "saliency_overlay", "shape_colours", "shape_sheet", "size_histogram",
    "svg", "training_curves",
]  # fmt: skip
