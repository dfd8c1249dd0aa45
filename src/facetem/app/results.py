"""What the commands print: a prediction, the particles of a micrograph."""

import json
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from facetem.analysis.analyze import Analysis
    from facetem.learn.predictor import Prediction

NONE_OF_THESE = "none of these"


def shape_words(shape: str) -> str:
    """A shape's name as one reads it."""
    return shape.replace("_", " ")


def print_prediction(prediction: "Prediction", *, as_json: bool) -> None:
    """The shape, the confidence and all probabilities, as a table or as JSON."""
    if as_json:
        told = {
            "shape": prediction.shape,
            "known": prediction.known,
            "confidence": prediction.confidence,
            "probabilities": prediction.probabilities,
        }
        typer.echo(json.dumps(told, indent=2))
        return
    if prediction.known:
        typer.echo(f"{shape_words(prediction.shape)} (confidence {prediction.confidence:.2f})")
    else:
        typer.echo(f"{NONE_OF_THESE}; the nearest is {shape_words(prediction.shape)}")
    table = Table("shape", "probability", "")
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    for shape, probability in ranked:
        table.add_row(shape_words(shape), f"{probability:.3f}", "█" * round(30 * probability))
    Console().print(table)


def print_particles(analysis: "Analysis") -> None:
    """One line for each particle of a micrograph."""
    table = Table("#", "x, y (nm)", "diameter (nm)", "shape", "confidence", "remarks")
    for p in analysis.particles:
        table.add_row(
            str(p.index),
            f"{p.x_nm:.1f}, {p.y_nm:.1f}",
            f"{p.diameter_nm:.1f}",
            p.verdict,
            f"{p.confidence:.2f}" if p.known else "",
            "; ".join(p.remarks),
        )
    Console().print(table)
