"""The model card: what the weights are, how they came about, and what they reached on the standard test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facetem.atoms.shapes import SHAPES
from facetem.core.pixels import PIXEL
from facetem.core.words import spoken
from facetem.data.recipe import Recipe
from facetem.study.card_metadata import TITLE, with_metadata
from facetem.study.evaluation import UNITS, Evaluation


def model_card(
    evaluation: Evaluation, *, classifier: Mapping[str, Any], restorer: Mapping[str, Any], remarks: str = ""
) -> str:
    """A model card in Markdown, under the head that the Hugging Face Hub reads.

    Parameters
    ----------
    evaluation
        Of both networks.
    classifier, restorer
        What the weights' headers say under "training".
    remarks
        Anything a user should know besides, in Markdown.
    """
    scores, pose = evaluation.shapes, evaluation.pose
    lines = [
        TITLE,
        "",
        f"Two networks for HRTEM images of single nanoparticles on amorphous carbon ({_matter(evaluation.recipe)}), at",
        f"{PIXEL:g} Å/px.",
        "`classifier.safetensors` names one of eight 3D shapes; `restorer.safetensors` answers with the noise-free",
        "image at the focus of best particle/substrate contrast and at the focus of the micrograph, with the error",
        "that is to be expected, and with the particle's outline.",
        "",
        "## How they were trained",
        "",
        "Only on images simulated by facetem; no experimental image was used.",
        "",
        "| | classifier | restorer |",
        "| --- | --- | --- |",
    ]
    keys = list(dict.fromkeys([*classifier, *restorer]))
    lines += [f"| {key} | {classifier.get(key, '')} | {restorer.get(key, '')} |" for key in keys]
    low, high = scores.interval
    lines += [
        "",
        "## What they reach",
        "",
        f"{evaluation.n} simulated images that no training saw (recipe `{evaluation.recipe.name}`, split `test`; the",
        f"specimens, films, optics and noise are drawn anew): {_matter(evaluation.recipe)},",
        f"{_conditions(evaluation.recipe)}.",
        "",
        f"- Macro-averaged accuracy **{scores.accuracy:.3f}** (95 % interval {low:.3f} to {high:.3f}).",
        f"- Accuracy of the most confident 90 % of the images: {scores.accuracy_of_most_confident:.3f}.",
        f"- Calibration error {scores.calibration_error:.3f} (15 bins; perfect calibration would show "
        f"{scores.calibration_floor:.3f} on so few images).",
        *_sets(evaluation),
        f"- Structural family (single crystal, singly twinned, decahedral, icosahedral): accuracy "
        f"{pose.family_accuracy:.3f}.",
        f"- Diameter: median error {pose.diameter_error:.1%}. Orientation, where the shape is accepted and right: "
        f"median error {pose.orientation_accepted:.1f} degrees (a guess: {pose.orientation_guess:.1f}). Facet ratio "
        f"d{{100}} / d{{111}} of cubic shapes: median error {pose.ratio_error:.1%}.",
        f"- Images answered as known: {evaluation.known:.3f}.",
        f"- Overlap of the found with the true outline (IoU): {evaluation.mask_iou:.3f}.",
        "",
        "| image | PSNR to the target [dB] | contrast (median) |",
        "| --- | --- | --- |",
    ]
    for name, contrast in evaluation.contrast.items():
        fidelity = f"{evaluation.psnr[name]:.2f}" if name in evaluation.psnr else ""
        lines.append(f"| {name} | {fidelity} | {contrast:.2f} |")
    lines += [
        "",
        'PSNR after an affine fit, peak = the target\'s own range. "Best Gaussian" is the Gaussian filter whose width',
        "was chosen, image by image, with the target in hand. To the noise-free image at the focus of each: raw",
        f"{evaluation.own_psnr['raw']:.2f} dB, denoised {evaluation.own_psnr['denoised']:.2f} dB.",
        "",
        "Confusion (rows: true, columns: named):",
        "",
        "| | " + " | ".join(spoken(shape) for shape in SHAPES) + " |",
        "| --- |" + " --- |" * len(SHAPES),
    ]
    for shape, row in zip(SHAPES, scores.confusion, strict=True):
        lines.append(f"| **{spoken(shape)}** | " + " | ".join(str(n) if n else "" for n in row) + " |")
    for condition, rows in evaluation.accuracy_by.items():
        unit = UNITS[condition]
        lines += ["", f"| {condition} [{unit}] | accuracy | images |", "| --- | --- | --- |"]
        lines += [f"| {a:g} to {b:g} | {p:.3f} | {n} |" for a, b, p, n in rows]
    if remarks:
        lines += ["", remarks.strip()]
    return with_metadata("\n".join(lines) + "\n")


def _matter(recipe: Recipe) -> str:
    """Of what the particles are, and how large."""
    low, high = (length / 10 for length in recipe.particles.diameter)
    return f"{' and '.join(recipe.particles.elements)}, {low:g} to {high:g} nm"


def _conditions(recipe: Recipe) -> str:
    """Film, focus and dose."""
    foci = [focus / 10 for microscope in recipe.microscopes for focus in microscope.defocus]
    thin, thick = (length / 10 for length in recipe.films.thickness)
    few, many = recipe.images.dose
    return (
        f"film of {thin:g} to {thick:g} nm, defocus {min(foci):g} to {max(foci):g} nm from the exit plane, "
        f"{few:,.0f} to {many:,.0f} electrons per Å²"
    )


def _sets(evaluation: Evaluation) -> list[str]:
    """Lines on the sets of possible shapes, if the weights state a coverage."""
    sets, stated = evaluation.sets, evaluation.stated_coverage
    if stated is None:
        return []
    right = f", of which {sets.accuracy:.3f} are right" if sets.accepted else ""
    return [
        f"- Sets of possible shapes at a stated coverage of {stated:.2f}: they hold the true shape in "
        f"{sets.coverage:.3f} of the images, {sets.size:.2f} shapes in the mean.",
        f'- Answered with one shape: {sets.accepted:.3f} of the images{right}; with "cannot tell" and several shapes: '
        f"{sets.abstained:.3f}.",
    ]
