"""HyperSpy's signals in memory: told from arrays by what they have, read as files are, and made with their axes.

HyperSpy itself is imported only to make one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from facetem.core.errors import InputError
from facetem.data.formats import RawImage, image_of
from facetem.data.hyperspy_file import metadata_of


@runtime_checkable
class Signal(Protocol):
    """What is used of a HyperSpy signal."""

    @property
    def data(self) -> Any: ...

    @property
    def axes_manager(self) -> Any: ...

    @property
    def metadata(self) -> Any: ...


def signal_name(signal: Signal) -> str:
    """Its title; empty if it has none."""
    return str(_tree(signal.metadata).get("General", {}).get("title") or "")


def named(signal: Signal) -> str:
    """What errors call it."""
    return f"signal {signal_name(signal)}".rstrip()


def read_signal(signal: Signal, frame: int | None = None) -> RawImage:
    """The image of a signal of two dimensions, as `read_file` reads one: one of the frames that it is navigated along,
    or by default their sum after their drift.

    Raises
    ------
    InputError
        If it has not two signal axes, or they are not those of an image of real space.
    """
    name = named(signal)
    axes = list(signal.axes_manager.as_dictionary().values())
    shown = [i for i, axis in enumerate(axes) if not axis.get("navigate")]
    if len(shown) != 2:
        raise InputError(
            f"{name}: expected an image (Signal2D), got {len(shown)} signal axes; "
            "signal.as_signal2D((x, y)) chooses two"
        )
    order = [i for i in range(len(axes)) if i not in shown] + shown
    data = signal.data  # of a lazy signal read when it is used
    if data.ndim == len(axes):
        data = data.transpose(order)
    told = [
        {**axes[i], "size": data.shape[k], "index_in_array": k, "name": _known(axes[i].get("name"))}
        for k, i in enumerate(order)
    ]
    parts = {
        "data": data,
        "axes": told,
        "metadata": _tree(signal.metadata),
        "original_metadata": _tree(getattr(signal, "original_metadata", {})),
    }
    return image_of(parts, name, frame)


def units_of(signal: Signal) -> str:
    """The units of its two signal axes, as one reads them."""
    units = [
        _known(axis.get("units")) or "no unit"
        for axis in signal.axes_manager.as_dictionary().values()
        if not axis.get("navigate")
    ]
    return " and ".join(dict.fromkeys(map(str, units)))


def make_signal(
    data: NDArray[Any],
    axes: list[dict[str, Any]],
    *,
    title: str,
    about: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
) -> Any:
    """An array (y, x) as a HyperSpy Signal2D; arguments as those of `save_signal`.

    Raises
    ------
    InputError
        If HyperSpy is not installed.
    """
    return hyperspy().signals.Signal2D(data, axes=axes, metadata=metadata_of(data, title, about, more))


def acquisition(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a micrograph's metadata tell of the microscope, where HyperSpy keeps it [keV]."""
    energy = metadata.get("beam_energy_kev")
    return {} if energy is None else {"Acquisition_instrument": {"TEM": {"beam_energy": energy}}}


def hyperspy() -> Any:
    """The module hyperspy.api.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        import hyperspy.api as hs
    except ImportError as error:
        raise InputError(
            f"signal: expected HyperSpy, which could not be loaded ({error}); pip install 'facetem[hyperspy]'"
        ) from None
    return hs


def _tree(metadata: Any) -> dict[str, Any]:
    return dict(metadata.as_dictionary() if hasattr(metadata, "as_dictionary") else metadata or {})


def _known(value: Any) -> Any:
    """Text or number; what HyperSpy has not been told is a `traits` object of its own."""
    return value if isinstance(value, (str, int, float, np.number)) else None
