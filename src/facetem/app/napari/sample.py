"""Sample data: a field of known particles, simulated when it is asked for."""

from __future__ import annotations

from facetem.app.demo import DEFOCUS, DOSE, ENERGY, SAMPLING, draw_field
from facetem.app.napari.reader import Layer, image_layer
from facetem.data.formats import RawImage
from facetem.hrtem.aberrations import Aberrations
from facetem.hrtem.camera import Camera
from facetem.hrtem.optics import Optics
from facetem.hrtem.simulate import simulate

SHAPES = ("icosahedron", "cube", "decahedron", "truncated_octahedron")
WIDTH = 240.0  # Å
SEED = 1


def make_sample() -> list[Layer]:
    """The field as an image layer, with the particles that are in it in the layer's metadata."""
    field, truths = draw_field(SEED, shapes=SHAPES, width=WIDTH)
    image = simulate(
        field,
        energy=ENERGY,
        sampling=SAMPLING,
        optics=Optics(Aberrations(defocus=DEFOCUS)),
        camera=Camera(dose=DOSE),
        seed=SEED,
    )
    told = {
        "beam_energy_kev": ENERGY / 1e3,
        "truth": [
            {"shape": t.shape, "x_nm": t.x / 10, "y_nm": t.y / 10, "diameter_nm": t.diameter / 10}
            for t in truths
        ],
    }
    return [image_layer(RawImage(image, SAMPLING, told), "gold on carbon, simulated")]
