"""What the commands print: a prediction, the particles of a micrograph, the library of shapes."""

import io
import json
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Column, Table

from facetem.analysis.labels import label_words
from facetem.atoms.shapes import SHAPES
from facetem.core.words import spoken
from facetem.learn.verdict import CANNOT_TELL, NONE_OF_THESE, NOT_JUDGED, listed

if TYPE_CHECKING:
    from facetem.analysis.agreement import Agreement
    from facetem.analysis.analyze import Analysis
    from facetem.analysis.comparing import Comparison
    from facetem.learn.predictor import Prediction
    from facetem.study.evaluation import Evaluation


def print_prediction(prediction: "Prediction", *, as_json: bool) -> None:
    """The shape, the confidence and all probabilities, as a table or as JSON."""
    if as_json:
        told = {
            "shape": prediction.shape,
            "known": prediction.known,
            "verdict": prediction.verdict,
            "possible": list(prediction.possible),
            "coverage": prediction.coverage,
            "confidence": prediction.confidence,
            "probabilities": prediction.probabilities,
            "family": prediction.family,
            "families": prediction.families,
            "not_judged": None if prediction.judged else prediction.hidden,
            "foreign_spacing_nm": None if prediction.foreign is None else prediction.foreign / 10,
            "diameter_nm": prediction.diameter / 10,
            "facet_ratio": prediction.facet_ratio,
            "orientation": {
                "quaternion": list(prediction.orientation.quaternion),
                "zone": prediction.orientation.zone,
                "zone_angle_deg": prediction.orientation.zone_angle,
                "fit": prediction.orientation.fit,
                "error_deg": prediction.orientation.error,
            },
        }
        typer.echo(json.dumps(told, indent=2))
        return
    if prediction.verdict == "accepted":
        typer.echo(f"{spoken(prediction.shape)} (confidence {prediction.confidence:.2f})")
    elif prediction.verdict == "abstained":
        coverage = prediction.coverage
        at = "" if coverage is None else f" (possible at {100 * coverage:g}% coverage)"
        typer.echo(f"{CANNOT_TELL} from this orientation: {listed(prediction.possible)}{at}")
    elif prediction.verdict == NOT_JUDGED:
        typer.echo(f"{NOT_JUDGED}: {prediction.hidden}")
    else:
        typer.echo(f"{NONE_OF_THESE}; the nearest is {spoken(prediction.shape)}")
        if prediction.foreign is not None:
            typer.echo(
                f"it shows a reflection of {prediction.foreign / 10:.3f} nm, which no learnt metal has"
            )
    if prediction.known:  # of what the network has not learnt it knows neither
        typer.echo(f"{prediction.family} ({prediction.families[prediction.family]:.2f})")
        typer.echo(f"{prediction.diameter / 10:.1f} nm, volume-equivalent")
        if prediction.facet_ratio is not None:
            typer.echo(f"d{{100}} / d{{111}} of its facets: {prediction.facet_ratio:.2f}")
    table = Table("shape", "probability", "")
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    for shape, probability in ranked:
        table.add_row(spoken(shape), f"{probability:.3f}", "█" * round(30 * probability))
    Console().print(table)


def particle_table(analysis: "Analysis") -> str:
    """One line for each particle of a micrograph, as text."""
    table = Table("#", "x, y (nm)", "proj. (nm)", "vol. (nm)", "shape", "confidence", "remarks")
    for p in analysis.particles:
        table.add_row(
            str(p.index),
            f"{p.x_nm:.1f}, {p.y_nm:.1f}",
            f"{p.diameter_nm:.1f}",
            f"{p.volume_diameter_nm:.1f}" if p.known else "",
            p.words,
            f"{p.confidence:.2f}" if p.known else "",
            "; ".join(p.remarks),
        )
    text = io.StringIO()
    Console(file=text, width=Console().width).print(table)
    return text.getvalue().rstrip()


def print_comparison(found: "Comparison") -> None:
    """Two samples and their difference, shape by shape, and what to have in mind."""
    one, other = found.first, found.second
    table = Table(
        "shape",
        *(f"{sample.name}\n{sample.n} particles" for sample in (one, other)),
        f"difference\n{other.name} - {one.name}",
        "beyond\nchance",
        title="Corrected fractions, with 95 % intervals",
    )
    difference = found.difference
    for i, shape in enumerate(difference.shapes):
        table.add_row(
            spoken(shape),
            *(
                f"{part.corrected[i]:.3f} ({part.low[i]:.3f} to {part.high[i]:.3f})"
                for part in (one.fractions, other.fractions)
            ),
            f"{signed(difference.mean[i])} ({signed(difference.low[i])} to {signed(difference.high[i])})",
            "differs" if shape in difference.sure else "",
        )
    Console(width=max(120, Console().width)).print(table)  # a broken table cannot be read
    for note in found.notes:
        typer.echo(f"note: {note}")


def print_agreement(found: "Agreement") -> None:
    """How often the answers are those of the labels, and which are taken for which."""
    table = Table(
        "of the labelled particles",
        Column("so", justify="right"),
        Column("of", justify="right"),
        "share, 95 % interval",
        "stated",
    )
    for share in found.shares():
        low, high = share.interval
        part = f"{share.hits / share.n:.2f} ({low:.2f} to {high:.2f})" if share.n else "-"
        stated = "" if share.expected is None else f"{share.expected:.2f}"
        table.add_row(share.what, str(share.hits), str(share.n), part, stated)
    console = Console(width=max(110, Console().width))  # a broken table cannot be read
    console.print(table)
    table = Table("label", "answer", Column("particles", justify="right"))
    for (label, verdict), n in sorted(found.confusion().items(), key=lambda item: (item[0][0], -item[1])):
        table.add_row(label_words(label), verdict, str(n))
    console.print(table)
    for note in found.notes:
        typer.echo(f"note: {note}")


def signed(value: float) -> str:
    """A number with its sign, unless it is too small to have one."""
    text = f"{value:+.3f}"
    return text if float(text) else text[1:]


def print_evaluation(evaluation: "Evaluation") -> None:
    """Accuracy, confusion and calibration of the shapes; fidelity and contrast of the restored images."""
    from facetem.study.evaluation import UNITS

    scores = evaluation.shapes
    low, high = scores.interval
    typer.echo(
        f"{evaluation.n} simulated images, recipe {evaluation.recipe.name}, seed {evaluation.recipe.seed}"
    )
    typer.echo(f"macro-averaged accuracy  {scores.accuracy:.3f}  (95 % interval {low:.3f} to {high:.3f})")
    typer.echo(f"most confident 90 %      {scores.accuracy_of_most_confident:.3f}  (accuracy)")
    typer.echo(f"structural family        {evaluation.pose.family_accuracy:.3f}  (accuracy)")
    typer.echo(f"diameter                 {evaluation.pose.diameter_error:.1%}  (median error)")
    typer.echo(
        f"orientation              {evaluation.pose.orientation_error:.1f} deg  (median error where the shape is "
        f"right; a guess: {evaluation.pose.orientation_guess:.1f})"
    )
    typer.echo(
        f"calibration error        {scores.calibration_error:.3f}  "
        f"(perfect calibration would show {scores.calibration_floor:.3f} on so many images)"
    )
    typer.echo(f"answered as known        {evaluation.known:.3f}")
    if evaluation.stated_coverage is not None:
        sets = evaluation.sets
        typer.echo(
            f"sets of possible shapes  {sets.coverage:.3f} hold the true one "
            f"(stated {evaluation.stated_coverage:.2f}), {sets.size:.2f} shapes in the mean"
        )
        right = f" ({sets.accuracy:.3f} of them right)" if sets.accepted else ""
        typer.echo(
            f"answered                 {sets.accepted:.3f} with one shape{right}, {sets.abstained:.3f} cannot tell, "
            f"{sets.unknown:.3f} none of these"
        )
    names = [spoken(shape) for shape in SHAPES]
    confusion = Table(
        Column("true \\ named", no_wrap=True), *(name[:8] for name in names), title="Confusion (images)"
    )
    for name, row in zip(names, scores.confusion, strict=True):
        confusion.add_row(name, *(str(count) if count else "" for count in row))
    console = Console(width=max(100, Console().width))  # a broken matrix cannot be read
    console.print(confusion)
    for condition, rows in evaluation.accuracy_by.items():
        table = Table(f"{condition} ({UNITS[condition]})", "accuracy", "images")
        for start, stop, accuracy, n in rows:
            table.add_row(f"{start:g} to {stop:g}", f"{accuracy:.3f}", str(n))
        console.print(table)
    restored = Table("image", "PSNR (dB)", "contrast (median)")
    for name, contrast in evaluation.contrast.items():
        fidelity = f"{evaluation.psnr[name]:.2f}" if name in evaluation.psnr else ""
        restored.add_row(name, fidelity, f"{contrast:.4g}")
    console.print(restored)
    own = evaluation.own_psnr
    typer.echo(
        f"at their own focus (PSNR, dB)     denoised {own['denoised']:.2f}, as recorded {own['raw']:.2f}"
    )
    typer.echo(f"overlap of the masks (IoU, mean)  {evaluation.mask_iou:.3f}")


def print_shapes(*, as_json: bool) -> None:
    """The library: what each shape is, and what the classifier is to answer."""
    from facetem.atoms.library import LIBRARY

    if as_json:
        rows = [
            {"shape": name, "class": kind.label, "about": kind.about, "source": kind.source, "ratio": kind.ratios,
             "cut": kind.cuts, "ideal": kind.ideal.as_dict()}
            for name, kind in LIBRARY.items()
        ]  # fmt: skip
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("shape", "class", "what it is")
    for name, kind in LIBRARY.items():
        table.add_row(name, kind.label, kind.about)
    Console().print(table)
