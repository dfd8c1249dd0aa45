"""Signals that HyperSpy opens (.hspy), with their axes; RosettaSciIO writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facetem.data.axes import Axes


def image_axes(shape: Sequence[int], sampling: float) -> list[dict[str, Any]]:
    """The axes y and x [nm] of an image (y, x) with pixels of `sampling` [Å]."""
    return Axes().described(shape, sampling)


def metadata_of(
    data: NDArray[Any], title: str, about: Mapping[str, Any], more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The metadata of a signal; arguments as those of `save_signal`."""
    return {
        "General": {"title": title},
        "Signal": {"signal_type": "complex_signal2d" if np.iscomplexobj(data) else ""},
        **(more or {}),
        "facetem": dict(about),
    }


def save_signal(
    path: Path,
    data: NDArray[Any],
    axes: Sequence[Mapping[str, Any]],
    *,
    title: str,
    about: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write an array as a signal of two dimensions, over whatever other axes there are.

    Parameters
    ----------
    axes
        One for each dimension: name, units, offset, scale, size. All but the last two are navigated.
    about
        What facetem says of it, under `facetem` in the signal's metadata.
    more
        Further metadata.
    """
    from rsciio.hspy import file_writer

    signal = {
        "data": data,
        "axes": [{**axis, "navigate": i < len(axes) - 2, "index_in_array": i} for i, axis in enumerate(axes)],
        "metadata": metadata_of(data, title, about, more),
        "original_metadata": {},
        "package_info": {
            "package": "facetem",
            "package_version": str(about.get("facetem", version("facetem"))),
        },
        "tmp_parameters": {},
        "attributes": {"_lazy": False},
        "learning_results": {},
        "models": {},
    }
    file_writer(str(path), signal, show_progressbar=False)
