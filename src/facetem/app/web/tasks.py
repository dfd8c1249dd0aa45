"""What the page has computed of micrographs, in processes beside the server."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facetem.analysis.analyze import Progress
from facetem.app.web import results
from facetem.core.errors import InputError
from facetem.core.pixels import FIELD, PIXEL

_WIDEST = 3000  # px of a picture of the field
TWIN_FIELD = 102.4  # Å of the pictures of a particle
DEFOCUS = 60.0  # Å: of a particle's simulated image
FINEST = 1.25  # Å: what the edge of a spectrum's picture stands for


def analyse(
    progress: Progress, path: Path, folder: Path, sampling: float | None, device: str, strange: bool
) -> int:
    """Write the report of a micrograph, and what the page needs beside it, into a new folder; the number of particles.

    A `strange` file is not trusted.
    """
    from facetem.analysis.analyze import analyze
    from facetem.analysis.report import save_analysis
    from facetem.app.web.contained import check_contained
    from facetem.data.micrograph import save_image
    from facetem.figures import grey_png

    try:
        if strange:
            check_contained(path)
        progress("loading the networks", 0, 1)
        shapes, contrast = _networks(device)
        found = analyze(path, sampling=sampling, classifier=shapes, restorer=contrast, progress=progress)
        progress("writing the report", 0, 1)
        # Where the server keeps its files is nobody's affair.
        found = replace(found, provenance=found.provenance | {"file": path.name})
        folder.mkdir(parents=True)
        save_image(folder / results.FIELD, found.field, found.sampling)
        for name, image in zip(results.PICTURES, (found.field, found.restored, found.denoised), strict=True):
            (folder / name).write_bytes(grey_png(image, widest=_WIDEST))
        save_analysis(found, folder)
    except InputError as error:
        raise InputError(str(error).replace(f"{path.parent}/", "")) from None
    except OSError as error:
        raise InputError(f"{path.name}: {error.strerror or type(error).__name__}") from None
    return len(found.particles)


@lru_cache(maxsize=1)
def _networks(device: str) -> tuple[Any, Any]:
    from facetem.learn.predictor import load_classifier
    from facetem.learn.restoration import load_restorer

    return load_classifier(device=device), load_restorer(device=device)


def particle_pictures(progress: Progress, folder: Path, index: int) -> dict[str, bytes]:
    """PNGs of one particle of a report: `crop`, `restored` and `spectrum`."""
    from facetem.figures import grey_png

    noisy, restored = (_crop(folder, index, name) for name in (results.FIELD, results.RESTORED))
    return {"crop": grey_png(noisy), "restored": grey_png(restored), "spectrum": spectrum_png(noisy, PIXEL)}


def saliency_picture(progress: Progress, folder: Path, index: int, device: str) -> bytes:
    """PNG of a particle's crop, tinted where the network found its answer."""
    shape = _particle(folder, index)[1]["shape"]
    noisy = _crop(folder, index, results.FIELD)
    return tinted_png(noisy, _networks(device)[0].saliency(noisy, shape))


def twin_picture(
    progress: Progress, shape: str, diameter: float, quaternion: tuple[float, ...], energy: float
) -> bytes:
    """PNG of the simulated image of a shape's ideal member as it was found to lie, without film and noise.

    `diameter` [Å], `quaternion` (w, x, y, z), `energy` [eV]
    """
    from facetem.atoms.build import build
    from facetem.figures import grey_png
    from facetem.hrtem.aberrations import Aberrations
    from facetem.hrtem.optics import Optics
    from facetem.hrtem.simulate import simulate

    size = min(max(diameter, 10.0), 120.0)
    atoms = build(shape, diameter=size, orientation=rotation_of(quaternion), film="none", ideal=True)
    optics = Optics(Aberrations(defocus=DEFOCUS))
    image = simulate(atoms, energy=energy, sampling=PIXEL, optics=optics, accuracy="draft", device="cpu")
    middle = [
        (n - FIELD) // 2 for n in image.shape
    ]  # a particle that is larger than the field has one of its own
    return grey_png(image[middle[0] : middle[0] + FIELD, middle[1] : middle[1] + FIELD])


def rotation_of(quaternion: tuple[float, ...]) -> NDArray[np.float64]:
    """The matrix (3, 3) of (w, x, y, z)."""
    from scipy.spatial.transform import Rotation

    w, x, y, z = quaternion
    return Rotation.from_quat([x, y, z, w]).as_matrix()


def _particle(folder: Path, index: int) -> tuple[results.Result, dict[str, Any]]:
    result = results.load_result(folder)
    particle = None if result is None else result.particle(index)
    if result is None or particle is None:
        raise InputError(f"particle {index}: expected one of the report, got none")
    return result, particle


def _crop(folder: Path, index: int, name: str) -> NDArray[np.float32]:
    """What the classifier saw (256, 256), of one of the report's images."""
    import tifffile

    from facetem.data.crop import crop

    result, particle = _particle(folder, index)
    return crop(tifffile.imread(folder / name), result.centroid(particle), FIELD)


def spectrum_png(image: NDArray[np.float32], sampling: float) -> bytes:
    """PNG of the logarithm of an image's power spectrum, up to 1 / `FINEST` at its edges, zero in the middle."""
    from facetem.figures import grey_png

    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])
    power = np.abs(np.fft.fftshift(np.fft.fft2((image - image.mean()) * window))) ** 2
    half = int(min(image.shape) * sampling / FINEST)
    y, x = (n // 2 for n in image.shape)
    part = np.log(power[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1] + 1e-12)
    low, high = np.percentile(part, (20, 99.9))
    return grey_png(part, (float(low), float(max(high, low + 1e-6))))


def tinted_png(image: NDArray[np.float32], weight: NDArray[np.float32]) -> bytes:
    """PNG of an image in grey with the pixels of most weight in orange."""
    from imageio.v3 import imwrite

    from facetem.figures import PALETTE, display_range

    low, high = display_range(image)
    grey = np.clip((image - low) / (high - low), 0, 1)[..., None] * 255
    colour = np.array([int(PALETTE[5][i : i + 2], 16) for i in (1, 3, 5)], dtype=float)
    cover = 0.75 * np.clip(weight / max(float(np.percentile(weight, 99.5)), 1e-12), 0, 1)[..., None]
    return imwrite("<bytes>", ((1 - cover) * grey + cover * colour).astype(np.uint8), extension=".png")
