"""The 3D shape of nanoparticles, with a confidence, from one high-resolution TEM image.

Lengths are in Å, energies in eV, doses in e/Å2; images are (y, x) arrays. The names below load what they need
when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facetem.analysis.analyze import analyze
    from facetem.analysis.single import classify
    from facetem.atoms.build import build
    from facetem.atoms.shapes import SHAPES
    from facetem.data.recipe import Recipe
    from facetem.data.recipe_file import load_recipe
    from facetem.hrtem.aberrations import Aberrations
    from facetem.hrtem.camera import Camera
    from facetem.hrtem.optics import Optics
    from facetem.hrtem.simulate import simulate
    from facetem.learn.predictor import Prediction
    from facetem.learn.restoration import restore

__version__ = "0.1.0"

__all__ = [
    "SHAPES",
    "Aberrations",
    "Camera",
    "Optics",
    "Prediction",
    "Recipe",
    "__version__",
    "analyze",
    "build",
    "classify",
    "load_recipe",
    "restore",
    "simulate",
]

_HOMES = {
    "SHAPES": "facetem.atoms.shapes",
    "Aberrations": "facetem.hrtem.aberrations",
    "Camera": "facetem.hrtem.camera",
    "Optics": "facetem.hrtem.optics",
    "Prediction": "facetem.learn.predictor",
    "Recipe": "facetem.data.recipe",
    "analyze": "facetem.analysis.analyze",
    "build": "facetem.atoms.build",
    "classify": "facetem.analysis.single",
    "load_recipe": "facetem.data.recipe_file",
    "restore": "facetem.learn.restoration",
    "simulate": "facetem.hrtem.simulate",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # found directly the next time
    return value


def __dir__() -> list[str]:
    return __all__
