"""One specimen as samples are made of it: from a store, or as it was just simulated."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from facetem.atoms.library import CUBIC_CLASSES
from facetem.atoms.shapes import SHAPES
from facetem.data.draw import Row, Specimen
from facetem.data.specimens import Truth
from facetem.data.store import ARRAYS, Store

Quaternion = tuple[float, float, float, float]


@dataclass(frozen=True)
class Item:
    """One specimen as it is stored, in any precision and on any device: exit wave (2, y, x), its real and imaginary
    part; target, mask and thickness [Å] (y', x') at `PIXEL`; index of the shape, -1 for one that is no class;
    energy [eV]; of the first particle the volume-equivalent diameter [Å], with the error of the pixel size, the unit
    quaternion (w, x, y, z) from the shape's axes to the specimen's, and the `facet_ratio`."""

    wave: Tensor
    target: Tensor
    mask: Tensor
    thickness: Tensor
    label: int
    energy: float
    diameter: float
    quaternion: Quaternion
    facet_ratio: float


class Shelf:
    """Reads specimens of a store to a device, in the precision that they have there."""

    def __init__(self, store: Store, device: str = "cpu") -> None:
        self.store, self._device = store, device
        self._arrays = {name: store.array(name) for name in ARRAYS}
        one = (array.dtype.itemsize * int(np.prod(array.shape[1:])) for array in self._arrays.values())
        self.size = sum(one)  # bytes of one specimen
        self.rows = store.shard_size

    def read(self, shard: int, rows: list[int]) -> dict[int, Item]:
        """Those specimens of a shard, by index."""
        indices = self.store.indices(shard)
        first = indices[0]
        if indices[-1] >= self._arrays["waves"].shape[0]:  # the store has been extended
            self._arrays = {name: self.store.array(name) for name in ARRAYS}
        labels = self.store.table("labels", shard)
        classes, energies = list(labels["label"]), list(labels["energy"])
        particles = self.store.table("particles", shard)
        lies = particles[particles["particle"] == 1].set_index("index").reindex(labels["index"])
        diameters = lies["diameter"].to_numpy() * (1 + labels["calibration"].to_numpy())
        turns = lies[["qw", "qx", "qy", "qz"]].to_numpy(dtype=float)
        shapes, forms = lies["label"].tolist(), lies["form"].tolist()
        blocks = {name: torch.from_numpy(self._rows(name, first, rows)).to(self._device) for name in ARRAYS}
        return {
            first + row: Item(
                blocks["waves"][k],
                blocks["targets"][k],
                blocks["masks"][k],
                blocks["thickness"][k],
                class_index(classes[row]),
                float(energies[row]),
                float(diameters[row]),
                _quaternion(turns[row]),
                facet_ratio(shapes[row], forms[row]),
            )
            for k, row in enumerate(rows)
        }

    def _rows(self, name: str, first: int, rows: list[int]) -> np.ndarray:
        array = self._arrays[name]
        if len(rows) == self.store.shard_size:
            return array[first : first + len(rows)]
        return array.oindex[np.asarray(rows) + first]  # no other specimen's bytes are read


def simulated(truth: Truth, k: int, specimen: Specimen) -> Item:
    """The specimen that is number `k` of those in `truth`."""
    row: Row = specimen.particles[0] if specimen.particles else {}
    nan = float("nan")
    return Item(
        torch.view_as_real(truth.waves[k]).movedim(-1, 0),
        truth.targets[k],
        truth.masks[k],
        truth.thickness[k],
        class_index(specimen.label),
        specimen.energy,
        float(row.get("diameter", nan)) * (1 + float(specimen.parameters["calibration"])),
        _quaternion(float(row.get(name, nan)) for name in ("qw", "qx", "qy", "qz")),
        facet_ratio(row.get("label"), row.get("form")),
    )


def facet_ratio(label: object, form: object) -> float:
    """d{100} / d{111} of a particle, by its class and form in the table of particles: how far the cube's faces are from
    the centre, in units of how far the octahedron's are. It tells the cubic classes apart; NaN for the others."""
    return float(json.loads(str(form))["ratio"]) if label in CUBIC_CLASSES else float("nan")


def class_index(label: str) -> int:
    """The index of a class in `SHAPES`, -1 for what is none of them."""
    return SHAPES.index(label) if label in SHAPES else -1


def _quaternion(values: Iterable[float]) -> Quaternion:
    w, x, y, z = (float(value) for value in values)
    return w, x, y, z
