"""An independent test set: facetem's classifier asked about images that none of facetem's code has made.

    python benchmarks/other_hands.py make --n 10 --seed 0 -o FOLDER    # 8 x n images, resumable image by image
    python benchmarks/other_hands.py sheet FOLDER -o sheet.png         # look at them
    python benchmarks/other_hands.py score FOLDER                      # classify them and print the figures

A network that is tested with the simulator that trained it may have learnt that simulator. Here the particles come
from ASE's cluster builders, or from half-space cuts written below where ASE has none; the carbon is a random
network, relaxed until most atoms have three bonds; the images come from abTEM (Kirkland's potentials, its
multislice and CTF), with the focal spread as an explicit sum over foci rather than as an envelope. Nothing of
facetem is used but `facetem.classify`. Lengths are in Å, energies in eV, doses in e/Å2.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.cluster import Decahedron, FaceCenteredCubic, Icosahedron, Octahedron
from scipy.spatial import KDTree

SHAPES = (
    "truncated_octahedron",
    "cuboctahedron",
    "octahedron",
    "cube",
    "tetrahedron",
    "icosahedron",
    "decahedron",
    "twin",
)
PIXEL, FIELD = 0.4, 256  # what the classifier takes
# (field in pixels of 0.4 Å, grid points of the multislice): at most 0.25 Å a point, factors that FFTs like
BOXES = ((256, 432), (288, 480), (320, 512))
LATTICE = 4.078  # gold
VIBRATIONS = {"Au": 0.088, "C": 0.075}  # rms displacement along one axis at room temperature
# d(100) / d(111), facet distances from the centre: 1.732 is the sharp octahedron, 1.155 the truncated octahedron
# with equal edges, 0.866 the cuboctahedron, 0.577 the sharp cube
RATIOS = {
    "truncated_octahedron": (1.06, 1.28),
    "cuboctahedron": (0.81, 0.92),
    "octahedron": (1.48, 1.73),
    "cube": (0.585, 0.66),
    "twin": (1.06, 1.28),
}
F100 = np.concatenate([np.eye(3, dtype=int), -np.eye(3, dtype=int)])
F111 = np.array([(x, y, z) for x in (1, -1) for y in (1, -1) for z in (1, -1)])


class BadInputError(ValueError):
    """One line that says what was wrong and what to do."""


# ---------------------------------------------------------------------------------------------------- particles


def diameter_of(n_atoms: int) -> float:
    """Volume-equivalent diameter of `n_atoms` gold atoms [Å]."""
    return float((6 / np.pi * n_atoms * LATTICE**3 / 4) ** (1 / 3))


def cut(points: np.ndarray, normals: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """The `points` (n, 3) that lie behind all planes; `normals` (m, 3) of any length, `distances` (m,) [Å]."""
    units = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    return points[np.all(points @ units.T <= distances + 1e-6, axis=1)]


def fcc_points(radius: float) -> np.ndarray:
    """Gold's lattice points (n, 3) in a cube of half-edge `radius` [Å], an atom at the origin."""
    steps = np.arange(-int(radius / LATTICE) - 2, int(radius / LATTICE) + 3)
    cells = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    basis = np.array([(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)])
    return (cells + basis).reshape(-1, 3) * LATTICE


def fit(build: Callable[[float], np.ndarray], diameter: float) -> np.ndarray:
    """Positions of the `build(scale)`, among a few corrections of the scale, whose size is nearest to `diameter`."""
    scale, best, error = diameter / 2, np.empty((0, 3)), np.inf
    for _ in range(4):
        positions = build(scale)
        actual = diameter_of(len(positions))
        if abs(actual - diameter) < error:
            best, error = positions, abs(actual - diameter)
        scale *= diameter / actual
    return best


def uneven(distances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Facet distances of a crystal that has not grown equally fast on all sides."""
    return distances * (1 + rng.uniform(-0.05, 0.05, distances.size))


def octahedral(shape: str, diameter: float, rng: np.random.Generator) -> np.ndarray:
    """Of ASE's octahedral class: a perfect magic cluster, or one with uneven facets and of any size."""
    low, high = RATIOS[shape]
    members = [
        (length, cutoff)
        for length in range(6, 48)
        for cutoff in range((length - 1) // 2 + 1)
        if low <= np.sqrt(3) * (1 - cutoff / (length - 1)) <= high + 0.01
    ]
    # the whole octahedron less six pyramids
    sizes = [diameter_of(n * (2 * n * n + 1) // 3 - m * (m + 1) * (2 * m + 1)) for n, m in members]
    near = np.flatnonzero(np.abs(np.array(sizes) - diameter) < 2)
    if near.size and rng.random() < 0.4:
        return Octahedron("Au", *members[rng.choice(near)], latticeconstant=LATTICE).positions
    d111 = uneven(np.ones(8), rng)
    d100 = uneven(np.full(6, rng.uniform(low, high)), rng)
    d100 = np.minimum(d100, 1.73)  # ASE fills no further than these
    centre = rng.random(3)

    def build(scale: float) -> np.ndarray:
        layers = scale * np.concatenate([d111 * np.sqrt(3), d100 * 2]) / LATTICE - 0.1  # ASE adds the 0.1
        return FaceCenteredCubic("Au", np.concatenate([F111, F100]), layers, LATTICE, centre).positions

    return fit(build, diameter)


def tetrahedron(diameter: float, rng: np.random.Generator) -> np.ndarray:
    """Four {111} facets (inradius 1), the tips (at 3) cut by the opposite four, the edges (at 1.73) by {100}."""
    faces = F111[F111.prod(axis=1) > 0]
    normals = np.concatenate([faces, -faces, F100])
    tips = rng.uniform(1.9, 2.6) + rng.uniform(-0.15, 0.15, 4)
    relative = np.concatenate([uneven(np.ones(4), rng), tips, rng.uniform(1.5, 1.75, 6)])
    shift = rng.random(3) * LATTICE
    return fit(lambda scale: cut(fcc_points(2 * scale) + shift, normals, relative * scale), diameter)


def twin(diameter: float, rng: np.random.Generator) -> np.ndarray:
    """A truncated octahedron whose part above one (111) plane, not always the middle one, is turned by half a turn."""
    axis = np.ones(3) / np.sqrt(3)
    half_turn = 2 * np.outer(axis, axis) - np.eye(3)
    normals = np.concatenate([F111, F100])
    relative = uneven(np.concatenate([np.ones(8), np.full(6, rng.uniform(*RATIOS["twin"]))]), rng)
    sideways = rng.uniform(-1, 1, 3) * LATTICE / 2
    offset = rng.uniform(0, 0.25)

    def build(scale: float) -> np.ndarray:
        points = fcc_points(2 * scale)
        height = points @ axis
        centre = sideways - axis * (sideways @ axis) - axis * offset * scale
        lower = cut(points[height < 0.1] - centre, normals, relative * scale)
        upper = cut(points[height > 0.1] @ half_turn - centre, normals @ half_turn, relative * scale)
        return np.concatenate([lower, upper])

    return fit(build, diameter)


def icosahedron(diameter: float, rng: np.random.Generator) -> np.ndarray:
    """Mackay's, with the outermost layer missing on some adjacent facets when its size lies between two shells."""
    shells = 5
    while diameter_of((10 * shells**3 - 15 * shells**2 + 11 * shells - 3) // 3) < diameter - 0.5:
        shells += 1
    positions = Icosahedron("Au", shells, latticeconstant=LATTICE).positions
    corners = positions[np.argsort(np.linalg.norm(positions, axis=1))[-12:]]
    corners /= np.linalg.norm(corners, axis=1, keepdims=True)
    triples = [(i, j, k) for i in range(12) for j in range(i) for k in range(j)]
    facets = [corners[list(t)].sum(axis=0) for t in triples]
    # the 20 whose three corners are neighbours
    facets = np.array([f / np.linalg.norm(f) for f in facets if np.linalg.norm(f) > 2.38])
    facets = facets[np.argsort(-(facets @ rng.normal(size=3)))]
    limit = (positions @ facets.T).max() - 1.2  # half a layer
    for facet in facets:
        fewer = positions[positions @ facet < limit]
        if diameter_of(len(fewer)) < diameter:
            break
        positions = fewer
    return positions


def decahedron(diameter: float, rng: np.random.Generator) -> np.ndarray:
    """Marks': ASE's Decahedron(p, q, r), at times with one or two sides grown less."""
    notch = int(rng.integers(1, 4))
    slender = rng.uniform(0.5, 1.3)
    sides = rng.choice(5, size=rng.integers(0, 3), replace=False)
    depths = rng.uniform(0.03, 0.15, sides.size)
    best = np.empty((0, 3))
    for p in range(2, 25):
        positions = Decahedron("Au", p, max(1, round(slender * p)), notch, latticeconstant=LATTICE).positions
        for side, depth in zip(sides, depths, strict=True):
            angle = np.pi / 2 + 2 * np.pi / 5 * (side + 0.5)  # the middle of a (100) side
            reach = positions @ (np.cos(angle), np.sin(angle), 0)
            positions = positions[reach <= reach.max() * (1 - depth) + 1e-6]
        if abs(diameter_of(len(positions)) - diameter) > abs(diameter_of(len(best)) - diameter):
            break
        best = positions
    return best


def draw_particle(shape: str, rng: np.random.Generator) -> np.ndarray:
    """Positions (n, 3) [Å] of a gold particle of 4-8 nm about its centroid, in a random orientation."""
    diameter = rng.uniform(40, 80)
    own = {"icosahedron": icosahedron, "decahedron": decahedron, "tetrahedron": tetrahedron, "twin": twin}
    positions = own[shape](diameter, rng) if shape in own else octahedral(shape, diameter, rng)
    if shape in ("icosahedron", "decahedron"):  # strained: ASE fixes the shortest bond, nature the mean one
        bonds = KDTree(positions).query(positions, k=13, distance_upper_bound=3.4)[0]
        positions = positions * (LATTICE / np.sqrt(2) / bonds[(bonds > 0) & np.isfinite(bonds)].mean())
    if rng.random() < 0.5:  # corners are the first to go
        neighbours = KDTree(positions).query_ball_point(positions, 3.4, return_length=True) - 1
        positions = positions[neighbours >= 6]
    q = rng.normal(size=4)
    w, x, y, z = q / np.linalg.norm(q)  # a uniform quaternion is a uniform rotation
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    return (positions - positions.mean(axis=0)) @ rotation.T


# ----------------------------------------------------------------------------------------------- film and scene


def draw_carbon(extent: float, thickness: float, density: float, rng: np.random.Generator) -> np.ndarray:
    """Positions (n, 3) [Å] of amorphous carbon of `density` [g/cm3], periodic in `extent`, `extent`, `thickness`.

    Random points; then each is drawn to 1.45 Å from its three nearest neighbours and pushed out of the 2.4 Å around
    all others, which leaves first neighbours near 1.45 Å and second ones near 2.5 Å.
    """
    box = np.array([extent, extent, thickness])
    xyz = rng.random((round(density * 0.602214 / 12.011 * box.prod()), 3)) * box
    xyz = xyz[np.lexsort((xyz // 4).T)]  # neighbours in space are neighbours in memory: twice as fast
    radius, pull, gain = (np.repeat(pair, (3, 6)) for pair in ((1.45, 2.4), (-0.5, 0.0), (0.33, 0.2)))
    for _ in range(10):
        xyz = np.minimum(xyz % box, box * (1 - 1e-12))  # a tiny negative number % box is the box itself
        nearest = np.asarray(KDTree(xyz, boxsize=box).query(xyz, k=10)[1])[:, 1:]
        for _ in range(3):
            away = (xyz[:, None] - xyz[nearest]).astype(np.float32)
            away -= box.astype(np.float32) * np.rint(away / box.astype(np.float32))
            distance = np.sqrt(np.einsum("nkd,nkd->nk", away, away)) + 1e-6
            push = gain * np.clip(radius - distance, pull, 0.7) / distance
            xyz = xyz + np.einsum("nk,nkd->nd", push, away)
    return xyz % box


def draw_scene(shape: str, rng: np.random.Generator) -> tuple[Atoms, dict[str, Any]]:
    """A particle on a film in a box that starts at the origin and continues periodically in x and y."""
    particle = draw_particle(shape, rng)
    reach = np.ptp(particle[:, :2], axis=0).max() + 12
    field = next((size for size, _ in BOXES if size * PIXEL >= reach), BOXES[-1][0])
    extent = field * PIXEL
    thickness, density = rng.uniform(10, 60), rng.uniform(1.8, 2.6)
    film = draw_carbon(extent, thickness, density, rng)
    side = str(rng.choice(["entrance", "exit"]))
    sunk = rng.uniform(-2, 2)  # the particle touches the film, or has sunk into it a little
    if side == "entrance":
        particle[:, 2] += sunk - particle[:, 2].max()
    else:
        particle[:, 2] += thickness - sunk - particle[:, 2].min()
    # about in the middle, as far as it has room to be elsewhere
    middle = (particle[:, :2].max(axis=0) + particle[:, :2].min(axis=0)) / 2
    room = np.clip((FIELD * PIXEL - np.ptp(particle[:, :2], axis=0)) / 2 - 2, 0, 6)
    particle[:, :2] += extent / 2 - middle + rng.uniform(-1, 1, 2) * room
    film = film[KDTree(particle).query(film, distance_upper_bound=2.6)[0] > 2.5]
    positions = np.concatenate([film, particle])
    positions[:, 2] += 3 - positions[:, 2].min()
    cell = (extent, extent, positions[:, 2].max() + 3)
    atoms = Atoms(["C"] * len(film) + ["Au"] * len(particle), positions, cell=cell, pbc=(True, True, False))
    facts = {
        "shape": shape,
        "n_atoms": len(particle),
        "diameter": diameter_of(len(particle)),
        "thickness": thickness,
        "density": density,
        "side": side,
        "field": field,
    }
    return atoms, facts


# -------------------------------------------------------------------------------------------------------- image


def draw_imaging(rng: np.random.Generator) -> dict[str, float]:
    """How the image is taken; defocus is positive for underfocus, from the exit plane of the box."""
    return {
        "energy": float(rng.choice([80e3, 200e3, 300e3])),
        "defocus": rng.uniform(-120, 120),
        "dose": float(np.exp(rng.uniform(np.log(500), np.log(10000)))),
        "focal_spread": rng.uniform(20, 45),  # standard deviation
        "angular_spread": rng.uniform(0.05, 0.2),  # mrad
        "Cs": rng.uniform(-1e5, 1e5),
        "C12": rng.uniform(0, 20),
        "phi12": rng.uniform(-np.pi, np.pi),
        "C21": rng.uniform(0, 300),
        "phi21": rng.uniform(-np.pi, np.pi),
        "image_spread": rng.uniform(0.1, 0.4),  # drift and vibration, standard deviation
    }


def crop_spectrum(image: np.ndarray, size: int, *, extent: float, blur: float) -> np.ndarray:
    """A periodic (n, n) image of `extent` [Å] at `size` < n pixels, blurred by a Gaussian of deviation `blur` [Å]."""
    n = image.shape[0]
    start = n // 2 - size // 2
    spectrum = np.fft.fftshift(np.fft.fft2(image))[start : start + size, start : start + size]
    k = np.arange(-(size // 2), size - size // 2) / extent
    transfer = np.exp(-2 * (np.pi * blur * k) ** 2)
    transfer[0] = 0  # the Nyquist row has lost its partner
    return np.fft.ifft2(np.fft.ifftshift(spectrum * transfer * transfer[:, None])).real * (size / n) ** 2


def take_image(atoms: Atoms, imaging: dict[str, float], field: int, rng: np.random.Generator) -> np.ndarray:
    """The (FIELD, FIELD) float32 image that abTEM and Poisson make of `atoms`; vacuum is 1."""
    import abtem
    from abtem.parametrizations import KirklandParametrization

    # estimated, not measured, FFT plans: the same on every run
    abtem.config.set({"dask.lazy": False, "fftw.threads": 1, "fftw.planning_effort": "FFTW_ESTIMATE"})
    abtem.config.set({"diagnostics.progress_bar": False})
    points = dict(BOXES)[field]
    potential = abtem.Potential(
        atoms,
        gpts=points,
        slice_thickness=2.0,
        projection="infinite",
        parametrization=KirklandParametrization(sigmas=VIBRATIONS),
    )
    wave = abtem.PlaneWave(energy=imaging["energy"]).multislice(potential)
    assert isinstance(wave, abtem.Waves)
    intensity = np.zeros((points, points))
    aberrations = {name: imaging[name] for name in ("Cs", "C12", "phi12", "C21", "phi21")}
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)  # of the Gaussian that the focus fluctuates by
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        lens = abtem.CTF(
            energy=imaging["energy"],
            angular_spread=imaging["angular_spread"],
            aberration_coefficients={
                "defocus": imaging["defocus"] + node * imaging["focal_spread"],
                **aberrations,
            },
        )
        intensity += weight * np.asarray(wave.apply_ctf(lens).intensity().array)
    # abTEM's arrays are (x, y)
    clean = crop_spectrum(intensity.T, field, extent=field * PIXEL, blur=imaging["image_spread"])
    start = (field - FIELD) // 2
    clean = clean[start : start + FIELD, start : start + FIELD]
    electrons = imaging["dose"] * PIXEL**2
    return (rng.poisson(np.maximum(clean, 0) * electrons) / electrons).astype(np.float32)


# ---------------------------------------------------------------------------------------------------------- set


def save(path: Path, **arrays: Any) -> None:
    """Write an npz that is there whole or not at all."""
    with open(path.with_suffix(".tmp"), "wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(path.with_suffix(".tmp"), path)


def make(folder: Path, *, n: int, seed: int) -> None:
    """Write `folder`/other_hands.npz with 8 x n images; what an earlier call with this seed has made is kept."""
    if n < 1 or seed < 0:
        raise BadInputError(f"n and seed: expected n >= 1 and seed >= 0, got {n} and {seed}")
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    note = folder / "settings.json"
    held = json.loads(note.read_text())["seed"] if note.exists() else seed
    if held != seed:
        raise BadInputError(f"{folder}: holds images of seed {held}, not {seed}; take another folder")
    note.write_text(json.dumps({"seed": seed, "sampling": PIXEL}))
    jobs = [(i, number, shape) for i in range(n) for number, shape in enumerate(SHAPES)]
    for done, (i, number, shape) in enumerate(jobs, start=1):
        path = parts / f"{shape}-{i:04d}.npz"
        if not path.exists():
            rng = np.random.default_rng([seed, number, i])  # its own, so that no image depends on the others
            atoms, facts = draw_scene(shape, rng)
            imaging = draw_imaging(rng)
            save(path, image=take_image(atoms, imaging, facts["field"], rng), **facts, **imaging)
            print(f"{done}/{len(jobs)} {path.stem}: {len(atoms)} atoms", flush=True)
    loaded = [dict(np.load(parts / f"{shape}-{i:04d}.npz")) for i, _, shape in jobs]
    columns = {name: np.stack([part[name] for part in loaded]) for name in loaded[0]}
    save(folder / "other_hands.npz", images=columns.pop("image"), labels=columns.pop("shape"), **columns)
    print(f"{len(jobs)} images in {folder / 'other_hands.npz'}")


def load(folder: Path) -> dict[str, np.ndarray]:
    """The arrays that `make` has written."""
    if not (folder / "other_hands.npz").is_file():
        raise BadInputError(
            f"{folder}: expected a folder that `make` has finished, found no other_hands.npz in it"
        )
    return dict(np.load(folder / "other_hands.npz"))


def sheet(folder: Path, output: Path, *, columns: int = 6) -> None:
    """Draw the first images of every shape, each with its conditions."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    data = load(folder)
    columns = min(columns, *(int(np.sum(data["labels"] == shape)) for shape in SHAPES))
    figure, axes = pyplot.subplots(
        len(SHAPES), columns, figsize=(2.9 * columns, 3.1 * len(SHAPES)), squeeze=False, layout="constrained"
    )
    for row, shape in zip(axes, SHAPES, strict=True):
        for axis, i in zip(row, np.flatnonzero(data["labels"] == shape), strict=False):
            image = data["images"][i]
            axis.imshow(image, cmap="gray", vmin=np.percentile(image, 0.5), vmax=np.percentile(image, 99.5))
            axis.set(xticks=[], yticks=[])
            d, t, f = (data[name][i] / 10 for name in ("diameter", "thickness", "defocus"))
            axis.set_title(
                f"{shape}, {d:.1f} nm, {data['side'][i]} of {t:.1f} nm film\n"
                f"{data['energy'][i] / 1e3:.0f} kV, {data['dose'][i]:.0f} e/Å2, focus {f:+.1f} nm",
                fontsize=7,
            )
    figure.savefig(output, dpi=80)
    print(output)


# -------------------------------------------------------------------------------------------------------- score

BINS = {
    "dose": ("dose [e/Å2]", 1, (500, 1000, 2000, 5000, 10000)),
    "defocus": ("defocus [nm]", 10, (-12, -6, -2, 2, 6, 12)),
    "thickness": ("film [nm]", 10, (1, 2, 3, 4, 5, 6)),
    "diameter": ("diameter [nm]", 10, (3.5, 5, 6, 7, 8.5)),
}


def macro_accuracy(truth: np.ndarray, right: np.ndarray) -> float:
    """Mean over the shapes of the share of `right` (n,) bool."""
    return float(np.mean([right[truth == shape].mean() for shape in SHAPES]))


def bootstrap(truth: np.ndarray, right: np.ndarray, *, draws: int = 5000) -> tuple[float, float]:
    """95 % interval of the macro-averaged accuracy; images are redrawn within each shape."""
    rng = np.random.default_rng(0)
    per_shape = [right[truth == shape] for shape in SHAPES]
    means = np.mean([rng.choice(r, (draws, r.size)).mean(axis=1) for r in per_shape], axis=0)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def calibration_error(confidence: np.ndarray, right: np.ndarray, *, bins: int = 10) -> float:
    """Expected calibration error: mean |share right - mean confidence| of equal bins, weighted by their counts."""
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    groups = [bin_of == b for b in range(bins) if np.any(bin_of == b)]
    return float(sum(abs(right[g].mean() - confidence[g].mean()) * g.mean() for g in groups))


def score(folder: Path) -> None:
    """Classify the set with facetem's released weights; print the figures and write them to `folder`/score.json."""
    import facetem

    data = load(folder)
    try:
        predictions = [facetem.classify(image, sampling=PIXEL) for image in data["images"]]
    except ValueError as error:  # facetem's own line about, for instance, weights that are not there
        raise BadInputError(str(error)) from error
    truth, answers = data["labels"], np.array([prediction.shape for prediction in predictions])
    confidence = np.array([prediction.confidence for prediction in predictions])
    # a prediction that knows "none of these" says so in `known`; its best shape is scored all the same
    known = np.array([getattr(prediction, "known", True) for prediction in predictions])
    right = answers == truth
    low, high = bootstrap(truth, right)
    error = calibration_error(confidence, right)
    accuracy = macro_accuracy(truth, right)
    print(f"macro-averaged accuracy  {accuracy:.3f}  (95 % {low:.3f} to {high:.3f}, {truth.size} images)")
    print(
        f"calibration error        {error:.3f}  (mean confidence {confidence.mean():.3f}, right {right.mean():.3f})"
    )
    print(
        f"called none of these     {1 - known.mean():.3f}  (right among the others {right[known].mean():.3f})"
    )
    certain = confidence >= 0.9
    if certain.any():
        print(
            f"confidence >= 0.9        {certain.mean():.3f} of the images, {right[certain].mean():.3f} of them right"
        )

    names = [*SHAPES, *sorted(set(answers) - set(SHAPES))]
    matrix = np.array([[np.sum((truth == t) & (answers == a)) for a in names] for t in SHAPES])
    print("\nconfusion: truth in rows, answers in columns")
    print(" " * 24 + "".join(f"{name[:6]:>7}" for name in names) + "   right")
    for shape, counts in zip(SHAPES, matrix, strict=True):
        share = counts[names.index(shape)] / counts.sum()
        print(f"{shape:<24}" + "".join(f"{c:>7}" for c in counts) + f"{share:>8.2f}")

    for key, (title, unit, edges) in BINS.items():
        print(f"\n{title:<24}{'right':>7}{'n':>6}")
        values = data[key] / unit
        for start, stop in pairwise(edges):
            chosen = (values >= start) & (values < stop)
            if chosen.any():
                print(f"{f'{start:g} to {stop:g}':<24}{right[chosen].mean():>7.2f}{chosen.sum():>6}")
    for key, title in (("energy", "energy [eV]"), ("side", "particle on the side of")):
        print(f"\n{title:<24}{'right':>7}{'n':>6}")
        for value in np.unique(data[key]):
            chosen = data[key] == value
            print(f"{value:<24}{right[chosen].mean():>7.2f}{chosen.sum():>6}")
    report = {
        "accuracy": accuracy,
        "interval": [low, high],
        "calibration_error": error,
        "known": float(known.mean()),
        "shapes": names,
        "confusion": matrix.tolist(),
        "answers": answers.tolist(),
        "confidence": confidence.tolist(),
    }
    (folder / "score.json").write_text(json.dumps(report, indent=1))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    sub = commands.add_parser("make", help="simulate the set")
    sub.add_argument("--n", type=int, default=10, help="images per shape")
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    sub = commands.add_parser("score", help="classify the set with facetem")
    sub.add_argument("folder", type=Path)
    sub = commands.add_parser("sheet", help="draw examples")
    sub.add_argument("folder", type=Path)
    sub.add_argument("-o", "--output", type=Path, required=True, metavar="PNG")
    options = parser.parse_args()
    try:
        if options.command == "make":
            make(options.output, n=options.n, seed=options.seed)
        elif options.command == "score":
            score(options.folder)
        else:
            sheet(options.folder, options.output)
    except (BadInputError, OSError) as error:
        print(f"other_hands: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
