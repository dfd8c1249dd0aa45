"""`facetem classify`: the shape in an image, and where in it the network found that."""

from pathlib import Path

import typer

from facetem.analysis.single import sight_of
from facetem.app.command import check_not_input, check_suffix
from facetem.app.results import print_prediction
from facetem.core.files import whole_file
from facetem.core.pixels import PIXEL
from facetem.core.words import spoken
from facetem.data.micrograph import load_micrograph
from facetem.learn.conformal import COVERAGE, check_coverage
from facetem.learn.predictor import load_classifier


def run_classify(
    image: Path,
    *,
    sampling: float | None,
    weights: Path | None,
    coverage: float | None,
    saliency: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """Print the prediction; with `saliency`, write a picture of what decided (.png). `sampling` in Å/px."""
    coverage = COVERAGE if coverage is None else coverage
    check_coverage(coverage)
    if saliency is not None:
        check_suffix(saliency, (".png",))
        check_not_input([saliency], [image])
    micrograph = load_micrograph(image, sampling=sampling)
    classifier = load_classifier(weights, device=device)
    sight = sight_of(micrograph, device=device)
    prediction = sight.classified(classifier, coverage=coverage)
    if saliency is not None:
        from facetem.figures import png, saliency_overlay

        with whole_file(saliency) as partial:
            weight = classifier.saliency(sight.view, prediction.shape)
            title = f"what speaks for or against {spoken(prediction.shape)}"
            partial.write_bytes(png(saliency_overlay(sight.view, weight, PIXEL, title)))
    print_prediction(prediction, as_json=as_json)
    if saliency is not None:
        typer.echo(f"{saliency}: what decided", err=True)  # not among the JSON
