"""Weights + configuration -> networks; the classifier's predictions on arrays and micrographs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError
from facetem.data.crop import crop
from facetem.data.draw import PIXEL
from facetem.data.micrograph import micrograph_from_array, resample
from facetem.hrtem.simulate import resolve_device
from facetem.learn.calibration import FeatureSpace
from facetem.learn.classifier import ClassifierConfig, ShapeClassifier
from facetem.learn.normalise import normalise
from facetem.learn.restorer import ContrastRestorer, RestorerConfig

FIELD = 256  # px of the classifier's view
BATCH = 8  # patches or views at once: more does not run faster on a CPU
FORMAT = 1

Progress = Callable[[int, int], None]
Network = TypeVar("Network", bound=nn.Module)
_KINDS: dict[type[nn.Module], tuple[str, Any]] = {
    ShapeClassifier: ("classifier", ClassifierConfig),
    ContrastRestorer: ("restorer", RestorerConfig),
}


@dataclass(frozen=True)
class Prediction:
    """The shape of one particle: name, calibrated probabilities of all shapes, that of the named one.

    `known` is False where the image is unlike those of any learnt shape: the answer is then "none of these".
    """

    shape: str
    probabilities: dict[str, float]
    confidence: float
    known: bool


def shipped(name: str) -> Path:
    """The weights that come with the package: `classifier` or `restorer`."""
    return Path(str(resources.files("facetem.learn").joinpath("weights", f"{name}.safetensors")))


def save_weights(
    path: str | Path, kind: str, model: nn.Module, config: dict[str, Any], extra: dict[str, Tensor]
) -> None:
    """Write a network as safetensors, half precision, with its configuration in the file's header.

    The configuration is repeated, legibly, in a `.json` beside it; only the header is read.
    """
    from safetensors.torch import save_file

    path = Path(path)
    header = {"format": FORMAT, "kind": kind, **config}
    tensors = {f"model.{k}": v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    tensors |= {f"extra.{k}": v for k, v in extra.items()}
    save_file({k: v.contiguous() for k, v in tensors.items()}, path, metadata={"facetem": json.dumps(header)})
    path.with_suffix(".json").write_text(json.dumps(header, indent=2) + "\n")


def _load(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("facetem", "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: expected {kind} weights (.safetensors) of facetem, could not read: {reason}"
        ) from None
    if header.get("kind") != kind or header.get("format") != FORMAT:
        raise InputError(f"{path}: expected {kind} weights of format {FORMAT}, got {header.get('kind')!r}")
    model = {k.removeprefix("model."): v.float() for k, v in tensors.items() if k.startswith("model.")}
    extra = {k.removeprefix("extra."): v for k, v in tensors.items() if k.startswith("extra.")}
    return header, model, extra


def _ready(model: Network, device: str) -> Network:
    """The network on its device, to predict with."""
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval()


class Classifier:
    """The shape network with its calibration. Answers are averaged over the eight turns and mirrors."""

    def __init__(
        self,
        model: ShapeClassifier,
        *,
        temperature: float = 1.0,
        space: FeatureSpace | None = None,
        name: str = "classifier",
        device: str = "cpu",
    ) -> None:
        self._model, self._device = model, device
        self._temperature, self._space = temperature, space
        self.provenance = {"name": name, "device": device}

    @torch.inference_mode()
    def logits_and_features(self, crops: ArrayLike) -> tuple[Tensor, Tensor]:
        """Mean logits (n, classes) and pooled features (n, d) of images (n, y, x) at 0.4 Å/px, on the CPU."""
        images = torch.as_tensor(np.asarray(crops, dtype=np.float32))
        if images.ndim != 3:
            raise InputError(f"crops: expected (n, y, x), got shape {tuple(images.shape)}")
        logits, features = [], []
        for image in images.split(max(1, BATCH // 8) if self._device == "cpu" else 64):
            scaled = normalise(image.to(self._device))
            views = [torch.rot90(v, k, (-2, -1)) for v in (scaled, scaled.flip(-1)) for k in range(4)]
            answers = self._model.classify(torch.cat(views).contiguous(memory_format=torch.channels_last))
            for stack, answer in zip((logits, features), answers, strict=True):
                stack.append(answer.view(8, len(image), -1).mean(0).cpu())
        return torch.cat(logits), torch.cat(features)

    def classify(self, crops: ArrayLike) -> list[Prediction]:
        """One prediction for each image (n, 256, 256) at 0.4 Å/px with its particle in the middle."""
        logits, features = self.logits_and_features(crops)
        probabilities = torch.softmax(logits / self._temperature, dim=1)
        known = torch.ones(len(logits), dtype=torch.bool)
        if self._space is not None:
            known = self._space.distance(features) <= self._space.threshold
        return [
            Prediction(
                shape=SHAPES[int(row.argmax())],
                probabilities={shape: float(p) for shape, p in zip(SHAPES, row, strict=True)},
                confidence=float(row.max()),
                known=bool(fits),
            )
            for row, fits in zip(probabilities, known, strict=True)
        ]


def load_network(
    path: str | Path | None, network: type[Network]
) -> tuple[Network, dict[str, Any], dict[str, Tensor]]:
    """The network of a weights file (by default the one that comes with the package), its header and what else the
    file holds, on the CPU.

    Raises
    ------
    InputError
        If the file is missing, damaged, of another kind, or does not hold what it says.
    """
    kind, config = _KINDS[network]
    path = Path(path or shipped(kind))
    header, state, extra = _load(path, kind)
    values = header.get("network", {})
    try:
        model = network(config(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}))
    except TypeError:
        raise InputError(f"{path}: describes a network that this version does not know: {values}") from None
    wanted = model.state_dict()
    state = {k: v.to(wanted[k].dtype) if k in wanted else v for k, v in state.items()}
    try:
        model.load_state_dict(state)
    except RuntimeError:
        raise InputError(f"{path}: the weights do not fit the network that the file describes") from None
    return model, header, extra


def load_classifier(path: str | Path | None = None, *, device: str = "auto") -> Classifier:
    """The classifier in `path`, or the one that comes with the package.

    Raises
    ------
    InputError
        If the file is missing, damaged or of another kind, or the device is not there.
    """
    device = resolve_device(device)
    model, header, extra = load_network(path, ShapeClassifier)
    space = (
        FeatureSpace(extra["means"], extra["precision"], header["threshold"]) if "means" in extra else None
    )
    return Classifier(
        _ready(model, device),
        temperature=header.get("temperature", 1.0),
        space=space,
        name=header.get("name", "classifier"),
        device=device,
    )


def classify(
    image: ArrayLike, *, sampling: float, weights: str | Path | None = None, device: str = "auto"
) -> Prediction:
    """The 3D shape of the particle in an image.

    Parameters
    ----------
    image : (y, x)
        Any intensity scale. If it shows more than the 102 Å that the network sees, the particle is looked for
        (the largest one) and the view centred on it; a smaller field is continued by its mirror image.
    sampling
        Pixel size [Å/px].

    Raises
    ------
    InputError
        If the image or its pixel size cannot be used.
    """
    from facetem.learn.restoration import load_restorer  # which itself reads its weights with this module

    micrograph = micrograph_from_array(image, sampling)
    pixels = resample(micrograph.image, micrograph.sampling, PIXEL)
    centre = (pixels.shape[0] / 2, pixels.shape[1] / 2)
    if max(pixels.shape) > 1.15 * FIELD:
        centre = _largest(load_restorer(device=device).restore(pixels).mask) or centre
    return load_classifier(weights, device=device).classify(crop(pixels, centre, FIELD)[None])[0]


def _largest(mask: NDArray[np.float32]) -> tuple[float, float] | None:
    """Centroid (y, x) [px] of the largest connected particle; None if there is none."""
    from skimage.measure import label, regionprops

    regions = regionprops(np.asarray(label(mask > 0.5)))
    if not regions:
        return None
    y, x = max(regions, key=lambda region: region.area).centroid
    return float(y), float(x)
