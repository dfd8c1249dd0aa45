"""Sample data: a field of known particles, simulated when it is asked for."""

from __future__ import annotations

from facetem.app.demo import ENERGY, SAMPLING, SEED, draw_field, recorded
from facetem.app.napari.reader import Layer, image_layer
from facetem.data.formats import RawImage

SHAPES = ("icosahedron", "cube", "decahedron", "truncated_octahedron")
WIDTH = 240.0  # Å


def make_sample() -> list[Layer]:
    """The field as an image layer, with the particles that are in it in the layer's metadata."""
    field, truths = draw_field(SEED, shapes=SHAPES, width=WIDTH)
    told = {
        "beam_energy_kev": ENERGY / 1e3,
        "truth": [
            {"shape": t.shape, "x_nm": t.x / 10, "y_nm": t.y / 10, "diameter_nm": t.diameter / 10}
            for t in truths
        ],
    }
    return [image_layer(RawImage(recorded(field), SAMPLING, told), "gold on carbon, simulated")]
