"""Networks in files: safetensors with their configuration in the header."""

from __future__ import annotations

import copy
import json
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from facetem.atoms.shapes import SHAPES
from facetem.core.errors import InputError
from facetem.core.files import whole_file, write_whole
from facetem.learn.classifier import ClassifierConfig, ShapeClassifier
from facetem.learn.restorer import ContrastRestorer, RestorerConfig

FORMAT = 1

Network = TypeVar("Network", bound=nn.Module)
_KINDS: dict[type[nn.Module], tuple[str, Any]] = {
    ShapeClassifier: ("classifier", ClassifierConfig),
    ContrastRestorer: ("restorer", RestorerConfig),
}


def shipped(name: str) -> Path:
    """The weights that come with the package: `classifier` or `restorer`."""
    return Path(str(resources.files("facetem.learn").joinpath("weights", f"{name}.safetensors")))


def as_saved(model: Network) -> Network:
    """A copy with the weights that a file keeps, which are of half precision: what is calibrated has to answer as what
    comes back."""
    model = copy.deepcopy(model)
    model.load_state_dict({k: _half(v).to(v.dtype) for k, v in model.state_dict().items()})
    return model


def _half(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value


def save_weights(
    path: str | Path, kind: str, model: nn.Module, config: dict[str, Any], extra: dict[str, Tensor]
) -> None:
    """Write a network as safetensors, half precision, with its configuration in the file's header.

    The configuration is repeated, legibly, in a `.json` beside it; only the header is read.
    """
    from safetensors.torch import save_file

    path = Path(path)
    header = {"format": FORMAT, "kind": kind, **config}
    tensors = {f"model.{k}": _half(v) for k, v in model.state_dict().items()}
    tensors |= {f"extra.{k}": v for k, v in extra.items()}
    write_whole(path.with_suffix(".json"), json.dumps(header, indent=2) + "\n")
    whole = {k: v.contiguous() for k, v in tensors.items()}
    with whole_file(path) as partial:  # last: where it is, a training is taken for finished
        save_file(whole, partial, metadata={"facetem": json.dumps(header)})


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


def load_network(
    path: str | Path | None, network: type[Network]
) -> tuple[Network, dict[str, Any], dict[str, Tensor]]:
    """The network of a weights file (by default the one that comes with the package), its header and what else the
    file holds, on the CPU.

    Raises
    ------
    InputError
        If the file is missing, damaged, of another kind or for other classes, or does not hold what it says.
    """
    kind, config = _KINDS[network]
    path = Path(path or shipped(kind))
    header, state, extra = _load(path, kind)
    if (classes := header.get("classes", list(SHAPES))) != list(SHAPES):  # answers are named by their place
        raise InputError(
            f"{path}: expected weights for the classes {list(SHAPES)}, in this order, got {classes}"
        )
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
