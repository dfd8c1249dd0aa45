"""docs/models.md: what the standard suite measured, in words and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import facetem.figures as figures
from facetem.atoms.shapes import SHAPES
from facetem.core.files import write_whole
from facetem.core.words import spoken
from facetem.study.evaluation import UNITS

Result = Mapping[str, Any]
_MEASURES = {"psnr": "PSNR [dB]", "ssim": "SSIM", "lattice": "lattice", "contrast_ratio": "contrast"}


def write_models_page(
    results: Mapping[str, Result], training: Mapping[str, Mapping[str, Any]], page: Path, pictures: Path
) -> None:
    """Write the page, and its figures into the folder `pictures` beside it.

    Parameters
    ----------
    results
        Of `run_suite`.
    training
        What the headers of the classifier's and the restorer's weights say of how they came about.
    """
    pictures.mkdir(parents=True, exist_ok=True)
    where = pictures.relative_to(page.parent)
    sections = [_introduction(training)]
    for part, write in _SECTIONS.items():
        if part in results:
            lines, drawn = write(results[part])
            for name, figure in drawn.items():
                write_whole(pictures / f"{name}.png", figures.png(figure))
                lines += ["", f"![{name.replace('-', ' ')}]({where}/{name}.png)"]
            sections.append("\n".join(lines))
    write_whole(page, "\n\n".join(sections) + "\n")


def _introduction(training: Mapping[str, Mapping[str, Any]]) -> str:
    keys = list(dict.fromkeys(key for told in training.values() for key in told))
    return "\n".join(
        [
            "# The models, measured",
            "",
            "Written by `facetem evaluate --suite standard`: every figure is from its output, and the same command",
            "makes it again. Intervals are 95 %, by bootstrap over the specimens.",
            "",
            "| | " + " | ".join(training) + " |",
            "| --- |" + " --- |" * len(training),
            *(
                f"| {key} | " + " | ".join(str(told.get(key, "")) for told in training.values()) + " |"
                for key in keys
            ),
        ]
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    head = list(head)
    return [
        "",
        "| " + " | ".join(head) + " |",
        "| --- |" + " --- |" * (len(head) - 1),
        *("| " + " | ".join(_said(cell) for cell in row) + " |" for row in rows),
    ]


def _said(cell: Any, digits: int = 3) -> str:
    if cell is None:
        return ""
    return f"{cell:.{digits}f}" if isinstance(cell, float) else str(cell)


def _interval(values: Iterable[float]) -> str:
    low, high = values
    return f"{low:.3f} to {high:.3f}"


def _standard(result: Result) -> tuple[list[str], dict[str, Any]]:
    sets, turned = result["sets"], result["orientation_error_deg_median"]
    told = result["orientation_told"]
    lines = [
        "## Standard test",
        "",
        f"{result['specimens']} specimens that no training saw (recipe `{result['recipe']['name']}`, split",
        "`test`): gold of 4 to 8 nm on realistic carbon of 2 to 6 nm, defocus within 15 nm, 500 to 10 000 electrons",
        "per Å².",
        *_table(
            ("", "measured"),
            [
                ("macro-averaged accuracy", result["macro_accuracy"]),
                ("its interval", _interval(result["accuracy_interval_95"])),
                ("accuracy of the structural family", result["family_accuracy"]),
                ("accuracy of the most confident 90 %", result["accuracy_of_most_confident_90"]),
                ("calibration error, 15 bins", result["calibration_error"]),
                ("what perfect calibration would show on as many images", result["calibration_floor"]),
                (f"sets of shapes hold the true one (stated {sets['stated_coverage']})", sets["coverage"]),
                ("shapes in a set, mean", sets["mean_size"]),
                ("answered with one shape", sets["accepted"]),
                ("of these right", sets["accuracy_of_accepted"]),
                ("answered with none of these", sets["unknown"]),
                ("diameter, median relative error", result["diameter_error_median"]),
                (
                    "orientation, median error where accepted and right [deg]",
                    _said(turned["accepted_and_right"], 1),
                ),
                *(
                    (f"the same, {name} [deg]", _said(error, 1))
                    for name, error in turned["accepted_by_family"].items()
                ),
                ("the same of a guess [deg]", _said(turned["guess"], 1)),
                ("accepted and right images that are told how they lie", told["share_of_accepted"]),
                ("their median error [deg]", _said(told["error_deg_median"], 1)),
                ("orientations no farther off than is stated (a median: 0.5)", told["within_stated"]),
                (
                    "d{100} / d{111} of cubic shapes, median relative error",
                    result["facet_ratio_error_median"],
                ),
                ("overlap of the outline (IoU)", result["mask_iou"]),
            ],
        ),
        "",
        "Confusion (rows: true, columns: named):",
        *_table(
            ("", *(spoken(shape) for shape in SHAPES)),
            (
                (f"**{spoken(shape)}**", *(n or "" for n in row))
                for shape, row in zip(SHAPES, result["confusion"], strict=True)
            ),
        ),
    ]
    for name, rows in result["accuracy_by"].items():
        lines += _table(
            (f"{name} [{UNITS[name]}]", "accuracy", "images"),
            ((f"{row['from']:g} to {row['to']:g}", row["accuracy"], row["n"]) for row in rows),
        )
    return lines, {"confusion": figures.confusion_matrix(result["confusion"], SHAPES)}


def _unknowns(result: Result) -> tuple[list[str], dict[str, Any]]:
    lines = [
        "## What is none of these",
        "",
        f"{result['images_of_each']} images of each kind, in the conditions of the standard test. No training has seen",
        "these other shapes, crystals and metal; polycrystals and glasses like these it has.",
        f"{100 * result['false_alarms']:.1f} % of the known images are refused. Mean area under the ROC curve",
        f"**{result['mean_auroc']:.3f}**.",
        *_table(
            ("kind", "AUROC", "refused"),
            ((name, kind["auroc"], kind["refused"]) for name, kind in result["kinds"].items()),
        ),
    ]
    return lines, {}


def _ceiling(result: Result) -> tuple[list[str], dict[str, Any]]:
    lines = [
        "## What could be reached",
        "",
        "The same network on the same specimens, without noise and without carbon:",
        *_table(
            ("images", "accuracy", "interval"),
            ((name, one["accuracy"], _interval(one["interval"])) for name, one in result["accuracy"].items()),
        ),
        "",
        "Where the errors are. Cube, cuboctahedron, truncated octahedron and octahedron are parts of one continuum of",
        "proportions, and a particle within 6 % of a border belongs to its class by definition alone. What is named",
        "wrongly even without carbon and noise, away from the borders, is what the projection does not tell this",
        "network.",
        *_table(
            ("part of the test", "share of the images", "share of the errors", "accuracy"),
            (
                (name, group["share"], group["errors"], group["accuracy"])
                for name, group in result["groups"].items()
            ),
        ),
    ]
    return lines, {}


def _baselines(result: Result) -> tuple[list[str], dict[str, Any]]:
    lines = [
        "## Without a network",
        "",
        f"The same test images, told by what {result['library']} labelled training images teach of power spectra:",
        *_table(
            ("method", "accuracy", "interval", "family", "most confident 90 %"),
            (
                (
                    name,
                    one["accuracy"],
                    _interval(one["interval"]),
                    one["family_accuracy"],
                    one["accuracy_of_most_confident"],
                )
                for name, one in result["methods"].items()
            ),
        ),
    ]
    return lines, {}


def _restoration(result: Result) -> tuple[list[str], dict[str, Any]]:
    foci = [row["defocus"] / 10 for row in result["foci"]]
    lines = [
        "## Restoration",
        "",
        f"{result['images_at_each']} specimens of the standard test, each taken at five foci (counted from the exit",
        "plane; underfocus is positive), against the noise-free image at the best focus. PSNR and SSIM after an affine",
        "fit with the target's range; lattice: correlation of the spectra at the target's lattice peaks (1: the",
        "lattice, 0: unrelated, -1: turned over); contrast: median ratio to the target's. The best Gaussian and",
        "the best linear filter (all that knowing transfer, noise and specimen could give) are chosen with the target",
        "in hand.",
    ]
    lines += _by_focus(result, "scores", ("psnr", "ssim", "lattice", "contrast_ratio"))
    told = ", ".join(_said(row["spearman"], 2) for row in result["foci"])
    lines += [
        "",
        f"Rank correlation of the spread with the true error, at these foci: {told}.",
        "",
        "The same images against the noise-free image at the focus of each, which a denoiser is asked for:",
    ]
    lines += _by_focus(result, "own", ("psnr", "ssim", "lattice"))
    methods = list(result["foci"][0]["scores"])
    drawn = figures.methods_against(
        foci,
        {name: [row["scores"][name]["psnr"] for row in result["foci"]] for name in methods},
        x_label="defocus [nm]",
        y_label="PSNR to the image at best focus [dB]",
    )
    return lines, {"restoration-by-focus": drawn}


def _by_focus(result: Result, against: str, measures: Sequence[str]) -> list[str]:
    """Tables of some measures, method by method and focus by focus."""
    rows = result["foci"]
    lines: list[str] = []
    for measure in measures:
        digits = 2 if measure == "psnr" else 3
        lines += _table(
            (_MEASURES[measure], *(f"{row['defocus'] / 10:g} nm" for row in rows)),
            (
                (name, *(_said(row[against][name][measure], digits) for row in rows))
                for name in rows[0][against]
            ),
        )
    return lines


def _cost(result: Result) -> tuple[list[str], dict[str, Any]]:
    side, total = result["side"], result["restoring"] + result["classifying"]
    lines = [
        "## Cost",
        "",
        f"A field of {side} x {side} px restored in {result['restoring']:.1f} s and {result['crops']} particles",
        f"classified in {result['classifying']:.1f} s, {total:.1f} s together, on {result['threads']} threads;",
        f"peak memory {result['memory'] / 2**30:.2f} GiB.",
    ]
    return lines, {}


def _others(result: Result) -> tuple[list[str], dict[str, Any]]:
    lines = [
        "## Another simulator",
        "",
        f"{result['images']} images by abTEM of particles from ASE on relaxed random carbon, of narrower families",
        f"(`benchmarks/other_hands.py`): accuracy {result['accuracy']:.3f} ({_interval(result['interval'])}),",
        f"calibration error {result['calibration_error']:.3f}, {result['known']:.3f} known.",
    ]
    return lines, {}


_SECTIONS = {
    "standard": _standard,
    "ceiling": _ceiling,
    "unknowns": _unknowns,
    "baselines": _baselines,
    "restoration": _restoration,
    "cost": _cost,
    "others": _others,
}
