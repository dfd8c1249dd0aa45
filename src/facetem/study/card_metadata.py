"""The head of a model card, as the Hugging Face Hub reads it: licence, task, tags, and the figures that it states.

The figures are read from the text of the card itself: there is one place that states them, and whatever wrote them
there, the head cannot say something else.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from facetem.core.errors import InputError

TITLE = "# Model card"
LIBRARY = "facetem"
_RULE = "---\n"
_NUMBER = r"\**(\d+(?:\.\d+)?)\**"
# Name, type on the Hub, network, and how the card states it.
_FIGURES = (
    ("Macro-averaged accuracy", "accuracy", "classifier", rf"^- Macro-averaged accuracy {_NUMBER}"),
    ("Accuracy of the structural family", "accuracy", "classifier", rf"^- Structural family .*: accuracy {_NUMBER}"),
    ("Calibration error (15 bins)", "expected_calibration_error", "classifier", rf"^- Calibration error {_NUMBER}"),
    ("Sets of possible shapes that hold the true one", "coverage", "classifier", rf"hold the true shape in {_NUMBER}"),
    ("Overlap of the outline", "mean_iou", "restorer", rf"outline \(IoU\): {_NUMBER}"),
    ("PSNR of the restored image [dB]", "psnr", "restorer", rf"^\| restored \| {_NUMBER}"),
    ("PSNR of the image as it came [dB]", "psnr", "restorer", rf"^\| raw \| {_NUMBER}"),
)  # fmt: skip
_TASKS = {
    "classifier": ("image-classification", "3D shape of a nanoparticle from one HRTEM image"),
    "restorer": ("image-to-image", "Restoration of HRTEM images"),
}


def with_metadata(card: str) -> str:
    """A model card (Markdown) under its head (YAML), which replaces one that is there.

    Raises
    ------
    InputError
        If it is no card of facetem, or states no test.
    """
    body = without_metadata(card)
    head = yaml.safe_dump(metadata_of(body), sort_keys=False, allow_unicode=True, width=110)
    return f"{_RULE}{head}{_RULE}{body}"


def without_metadata(card: str) -> str:
    """The text of a card alone."""
    if card.startswith(_RULE):
        _, _, rest = card.removeprefix(_RULE).partition(f"\n{_RULE}")
        return rest.lstrip("\n")
    return card


def metadata_of(body: str) -> dict[str, Any]:
    """What the head of a card says, from the text of the card."""
    test = re.search(r"^(\d+) simulated images .*\(recipe `([^`]+)`, split `(\w+)`", body, re.MULTILINE)
    if not body.startswith(TITLE) or test is None:
        raise InputError(
            f"model card: expected one that facetem wrote, from {TITLE!r} on, with its standard test"
        )
    images, recipe, split = test.groups()
    dataset = {"type": recipe, "name": f"{images} simulated images of recipe {recipe}", "split": split}
    found = [
        (name, kind, network, re.search(how, body, re.MULTILINE)) for name, kind, network, how in _FIGURES
    ]
    models = []
    for network, (task, words) in _TASKS.items():
        metrics = [
            {"type": kind, "name": name, "value": float(value[1])}
            for name, kind, of, value in found
            if of == network and value is not None
        ]
        result = {"task": {"type": task, "name": words}, "dataset": dict(dataset), "metrics": metrics}
        models.append({"name": f"facetem {network}", "results": [result]})
    return {
        "license": "gpl-3.0",
        "library_name": LIBRARY,
        "pipeline_tag": "image-classification",
        "tags": [
            "electron-microscopy", "hrtem", "nanoparticles", "materials-science", "denoising", "image-to-image",
            "image-segmentation", "pytorch", "safetensors", "onnx",
        ],
        "model-index": models,
    }  # fmt: skip
