"""Windows of periodic fields, turned and mirrored, for a whole batch at once on its device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

FRINGES = 12  # px around a particle that belong to its image: its Fresnel fringes


def upload(parts: Sequence[Tensor], device: torch.device) -> Tensor:
    """The tensors as a stack on `device`, in the precision that they have."""
    stack = torch.stack(list(parts))
    if device.type == "cuda" and stack.device.type == "cpu":
        stack = stack.pin_memory()
    return stack.to(device, non_blocking=True)


def turn_matrix(turn: int) -> np.ndarray:
    """How directions (x, y, z) of a field turn into its window (3, 3): `turn` % 4 quarters, then mirrored from 4 on."""
    quarter = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    mirror = np.diag([-1.0 if turn >= 4 else 1.0, 1, 1])
    return mirror @ np.linalg.matrix_power(quarter, turn % 4)


class Windows:
    """Pixels of square windows on a field of `shape` (y, x).

    In all eight positions a pixel's place in the field is one number of its row plus another of its column, since
    only whole quarters are turned.
    """

    def __init__(self, size: int, shape: tuple[int, int]) -> None:
        self.size, self.shape = size, shape
        self.turns = [turn_matrix(turn) for turn in range(8)]
        y, x = np.mgrid[:size, :size]
        self._ways: list[
            tuple[bool, np.ndarray, np.ndarray]
        ] = []  # turned sideways; y and x along their axes
        for turn in range(8):
            places = [np.rot90(axis, turn % 4)[:, :: -1 if turn >= 4 else 1] for axis in (y, x)]
            sideways = bool(turn % 2)
            lines = [
                place[0] if sideways is (axis == 0) else place[:, 0] for axis, place in enumerate(places)
            ]
            self._ways.append((sideways, lines[0], lines[1]))

    def at(self, turns: Sequence[int], corners: Sequence[tuple[int, int]], device: torch.device) -> Tensor:
        """Places (n, size^2) in the flat field of windows with their first `corners` (y, x) before they are turned:
        by `turn` % 4 quarters, and mirrored from 4 on."""
        height, width = self.shape
        rows = np.empty((len(turns), self.size), dtype=np.int64)
        columns = np.empty_like(rows)
        for k, (turn, (top, left)) in enumerate(zip(turns, corners, strict=True)):
            sideways, y, x = self._ways[turn]
            y, x = (y + top) % height * width, (x + left) % width
            rows[k], columns[k] = (x, y) if sideways else (y, x)
        down, along = (torch.from_numpy(part).to(device) for part in (rows, columns))
        return (down[:, :, None] + along[:, None, :]).flatten(1)

    def cut(self, fields: Tensor, places: Tensor) -> Tensor:
        """The windows (n, c, size, size) at `places` of fields (n, c, y, x)."""
        n, channels = fields.shape[:2]
        index = places[:, None].expand(n, channels, -1)
        return fields.flatten(2).gather(2, index).reshape(n, channels, self.size, self.size)


def grown(masks: Tensor) -> Tensor:
    """Masks (n, y, x), 0 or 1, with `FRINGES` pixels more on every side."""
    for axis in (-2, -1):
        pad = (FRINGES + 1, FRINGES) if axis == -1 else (0, 0, FRINGES + 1, FRINGES)
        sums = torch.nn.functional.pad(masks, pad).cumsum(axis)  # a running maximum is twenty times slower
        n = masks.shape[axis]
        masks = (sums.narrow(axis, 2 * FRINGES + 1, n) > sums.narrow(axis, 0, n)).to(masks.dtype)
    return masks
