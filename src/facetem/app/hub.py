"""A folder that is ready for the Hugging Face Hub; what carries it there is the user's own."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from facetem.app.outputs import whole_folder
from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError
from facetem.core.pixels import FIELD, PIXEL
from facetem.data.digest import digest_of
from facetem.learn.release import CARD, weights_in
from facetem.learn.weights_file import load_network
from facetem.study.card_metadata import with_metadata

CONFIG = "config.json"
USE = """
## How to use

```python
import facetem
from facetem.learn.predictor import load_classifier
from facetem.learn.restoration import load_restorer

analysis = facetem.analyze(  # a file, an array or a HyperSpy signal
    "micrograph.dm4",
    classifier=load_classifier("classifier.safetensors"),  # of this folder
    restorer=load_restorer("restorer.safetensors"),
)
print(*(particle.words for particle in analysis.particles), sep="\\n")
```
"""


def read_card(weights: Path | None) -> str:
    """The model card beside weights (default: the released ones), under its head.

    Raises
    ------
    InputError
        If there is none.
    """
    path = weights_in(weights)["classifier"].with_name(CARD)
    if not path.is_file():
        raise InputError(
            f"{path}: expected a model card, as facetem train release writes it, got no such file"
        )
    return with_metadata(path.read_text(encoding="utf-8"))


def write_hub_folder(output: Path, weights: Path | None, *, with_onnx: bool) -> list[Path]:
    """Lay out README.md (the card), both networks (.safetensors), config.json and, if wanted, the ONNX graphs.

    Returns
    -------
    The files.

    Raises
    ------
    InputError
        If weights or their card are missing, or the folder cannot be made.
    """
    from facetem.learn.onnx import check_exporter, export_onnx

    if with_onnx:
        check_exporter()
    files = weights_in(weights)
    text = read_card(weights)
    with whole_folder(output) as partial:
        for name, path in files.items():
            shutil.copyfile(path, partial / f"{name}.safetensors")
        config = json.dumps(_config(files), indent=2, ensure_ascii=False)
        (partial / CONFIG).write_text(config + "\n", encoding="utf-8")
        (partial / "README.md").write_text(text + USE, encoding="utf-8")
        if with_onnx:
            export_onnx(partial, classifier=files["classifier"], restorer=files["restorer"])
        names = sorted(path.name for path in partial.iterdir())
    return [output / name for name in names]


def _config(files: dict[str, Path]) -> dict[str, Any]:
    """What a program that reads the folder must know; the headers of the weights say the same."""
    from facetem.learn.classifier import ShapeClassifier
    from facetem.learn.restorer import ContrastRestorer

    told: dict[str, Any] = {
        "model_type": "facetem",
        "facetem_version": version("facetem"),
        "image_size": FIELD,
        "pixel_size_angstrom": PIXEL,
        "num_channels": 1,
        "id2label": dict(enumerate(SHAPES)),
        "label2id": {shape: i for i, shape in enumerate(SHAPES)},
    }
    for name, network in (("classifier", ShapeClassifier), ("restorer", ContrastRestorer)):
        header = load_network(files[name], network)[1]
        told[name] = {"file": f"{name}.safetensors", "sha256": digest_of(files[name])}
        told[name] |= {
            key: header[key] for key in ("network", "temperature", "matter", "spread_scale") if key in header
        }
    return told
