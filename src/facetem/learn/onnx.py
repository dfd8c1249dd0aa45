"""Both networks as ONNX graphs, which run without PyTorch and without facetem.

A graph takes images (n, 256, 256) at 0.4 Å/px in whatever units the camera has: scaling, the average over turns and
mirrors, the calibration and "none of these" are part of it, so that its answers are those of `facetem.classify`.
Spectra are taken with ONNX's own DFT.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError
from facetem.core.pixels import FIELD, PIXEL
from facetem.data.digest import digest_of
from facetem.learn.classifier import ShapeClassifier
from facetem.learn.conformal import COVERAGE
from facetem.learn.graphs import (
    CLASSIFIER_OUTPUTS,
    RESTORER_OUTPUTS,
    ClassifierGraph,
    RestorerGraph,
)
from facetem.learn.restorer import PATCH, ContrastRestorer
from facetem.learn.stated import Stated
from facetem.learn.weights_file import load_network, shipped

OPSET = 18  # the first whose scatter takes the largest
LICENCE = "GPL-3.0-or-later"


def export_onnx(
    folder: Path, *, classifier: str | Path | None = None, restorer: str | Path | None = None
) -> list[Path]:
    """Write `classifier.onnx` and `restorer.onnx`, each whole in one file, into `folder`, which is there.

    Parameters
    ----------
    classifier, restorer
        Weights; by default those that come with the package.

    Raises
    ------
    InputError
        If weights cannot be read, or the packages that export are not installed.
    """
    check_exporter()
    shapes, header, extra = load_network(classifier, ShapeClassifier)
    stated = Stated.read(header, extra)
    weights = Path(classifier or shipped("classifier"))
    told = {
        "shapes": json.dumps(list(SHAPES)),
        "temperature": repr(stated.temperature),
        "coverage": "none stated" if stated.sets is None else repr(COVERAGE),
        "unfamiliarity_threshold": "none" if stated.space is None else repr(stated.space.threshold),
        "diameter_unit": "Å, volume-equivalent",
    }
    written = [folder / "classifier.onnx", folder / "restorer.onnx"]
    graph = ClassifierGraph(shapes, stated)
    write_graph(graph, CLASSIFIER_OUTPUTS, FIELD, written[0], _about(weights, told))
    contrast, header, _ = load_network(restorer, ContrastRestorer)
    weights = Path(restorer or shipped("restorer"))
    told = {"vacuum": "1", "spread_scale": repr(header.get("spread_scale", 1.0)), "focus_unit": "Å^2"}
    write_graph(RestorerGraph(contrast), RESTORER_OUTPUTS, PATCH, written[1], _about(weights, told))
    return written


def check_exporter() -> None:
    """Raise InputError, with what to install, if the packages that export are missing."""
    from importlib.util import find_spec

    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"ONNX: expected the package {missing[0]}, which is not installed; pip install 'facetem[onnx]'"
        )


def _about(weights: Path, told: Mapping[str, str]) -> dict[str, str]:
    from importlib.metadata import version

    return {
        "pixel_size": f"{PIXEL} Å",
        "input": "images (n, 256, 256), raw intensities",
        "weights_sha256": digest_of(weights),
        "facetem": version("facetem"),
        "license": LICENCE,
        **told,
    }


@torch.no_grad()
def write_graph(
    graph: nn.Module, outputs: Sequence[str], side: int, path: Path, about: Mapping[str, str]
) -> None:
    """Write a module that takes images (n, side, side), any n, as one file, with what is told `about` it."""
    import onnx

    example = torch.rand(2, side, side, generator=torch.Generator().manual_seed(0))
    with _quiet():
        program = torch.onnx.export(
            graph.eval(),
            (example,),
            input_names=["images"],
            output_names=list(outputs),
            dynamic_shapes={"images": {0: torch.export.Dim("n", min=1)}},
            opset_version=OPSET,
            custom_translation_table={torch.ops.aten._cdist_forward.default: _distances},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    del model.metadata_props[:]
    for key, value in about.items():
        model.metadata_props.add(key=key, value=value)
    model.producer_name, model.doc_string = "facetem", (graph.__doc__ or "").split("\n")[0]
    _forget_sources(model)
    onnx.checker.check_model(model)
    onnx.save_model(model, path)


def _distances(x1: Any, x2: Any, p: float, compute_mode: int | None) -> Any:
    """Euclidean distances between rows, for which the exporter has no translation of its own."""
    from onnxscript import opset18

    op: Any = opset18  # whose annotations know tensors but not what stands for them while a graph is made
    apart = op.Sub(op.Unsqueeze(x1, [-2]), op.Unsqueeze(x2, [-3]))
    return op.ReduceL2(apart, [-1], keepdims=0)


def _forget_sources(model: Any) -> None:
    """Where in whose files an operation came from, which the exporter notes on each: of no use to others."""
    for node in model.graph.node:
        del node.metadata_props[:]
    for function in model.functions:
        for node in function.node:
            del node.metadata_props[:]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of itself: its own calls of functions that are to go, and that torchvision, which
    we do not use, is not there."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, message=".*LeafSpec.*")
            warnings.filterwarnings(
                "ignore", category=DeprecationWarning, module=r"(onnx|copyreg|torch)(\..*)?"
            )
            yield
    finally:
        log.setLevel(before)
