"""The shape library: every shape's planes, ideal member and how widely its members vary, in one table.

The first eight are the classes of the classifier. Of the others, some are members of a class under a name of their
own (`label` says which), and some belong to none: examples of what the classifier has to answer with "none of these".
docs/shapes.md shows them all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from facetem.atoms import facets as planes_of
from facetem.atoms.facets import Facets, Form
from facetem.core.errors import InputError

SHAPES: tuple[str, ...] = (
    "truncated_octahedron",
    "cuboctahedron",
    "octahedron",
    "cube",
    "tetrahedron",
    "icosahedron",
    "decahedron",
    "twin",
)
NONE = "none"  # the label of what belongs to no class


@dataclass(frozen=True)
class Family:
    """A shape of the library.

    Parameters
    ----------
    planes : Form -> Facets
    ideal : Form
        The symmetric member; as many of the lattice's origins as `n_origins`, from the first, have its symmetry.
    label : str
        The class that members belong to, or `NONE`.
    ratios, cuts : (low, high)
        Ranges of `Form.ratio` (log-uniform where `logarithmic`) and `Form.cut`, which the part `uncut` of the members
        have 0.
    shift : (across, along)
        Most that the centre lies off the twin axis or plane: off z, and along z.
    most_cut : float
        Cuts below this are possible.
    disorder : str
        "" for sites of a lattice, or what to fill the outline with instead: "grains", "glass" or one of
        `crystals.SETS`.
    more : generator -> fields of the form that only this family has
    """

    planes: Callable[[Form], Facets]
    ideal: Form
    label: str
    about: str
    source: str
    ratios: tuple[float, float] = (1.0, 1.0)
    logarithmic: bool = False
    cuts: tuple[float, float] = (0.0, 0.0)
    uncut: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    n_origins: int = 1
    most_cut: float = 0.5
    disorder: str = ""
    more: Callable[[np.random.Generator], dict[str, tuple]] | None = None


def _drawn_energies(rng: np.random.Generator) -> dict[str, tuple]:
    energies = rng.uniform([1.0, 0.9, 1.0, 1.0], [1.0, 1.3, 1.15, 1.15])
    faces = ((1, 1, 1), (1, 0, 0), (1, 1, 0), (3, 1, 1))
    return {"energies": tuple((*hkl, float(e)) for hkl, e in zip(faces, energies, strict=True))}


def _drawn_substrate(rng: np.random.Generator) -> dict[str, tuple]:
    return {
        **_drawn_energies(rng),
        "substrate": ((1.0, 1.0, 1.0), (1.0, 0.0, 0.0), (1.0, 1.0, 0.0))[rng.integers(3)],
    }


def _drawn_halves(rng: np.random.Generator) -> dict[str, tuple]:
    """Halves of truncated octahedra, or more or less than halves, alike or as one truncated octahedron gives them."""
    kind, alike, turned = rng.random(), float(rng.uniform(-0.3, 0.4)), float(rng.uniform(-0.3, 0.3))
    return {"centres": (0.0, 0.0) if kind < 0.35 else (alike, alike) if kind < 0.7 else (turned, -turned)}


def _drawn_twins(rng: np.random.Generator) -> dict[str, tuple]:
    """Two to five twin planes, 2 to 5 layers apart."""
    layers = np.cumsum(rng.integers(2, 6, rng.integers(2, 6)))
    return {"flips": tuple((layers - round(layers.mean())).tolist())}


_TO = Form(ratio=2 / math.sqrt(3))  # the truncated octahedron with regular hexagons
_GOLD = ((1.0, 1.0, 1.0, 1.0), (1.0, 0.0, 0.0, 1.15), (1.0, 1.0, 0.0, 1.18))

# d{100} / d{111}: 1 / sqrt(3) is the cube, sqrt(3) / 2 the cuboctahedron, 2 / sqrt(3) the truncated octahedron with
# regular hexagons, sqrt(3) the octahedron. The four classes tile the whole range. They meet where the truncated cube
# has regular octagons (0.72), and where the shorter edge of the hexagons is 0.37 of the longer (1.00 and 1.36).
BORDERS = (1 / math.sqrt(3), 0.72, 1.00, 1.36, math.sqrt(3))
CUBIC_CLASSES = ("cube", "cuboctahedron", "truncated_octahedron", "octahedron")
LONGEST_DECAHEDRON = 2.0  # half-height per radius
THICKEST_PLATE = 0.65  # thickness per width, of twinned {111} plates; thicker ones are bipyramids

LIBRARY: dict[str, Family] = {
    "truncated_octahedron": Family(
        planes_of.cubic, _TO, "truncated_octahedron", "{111} hexagons, {100} squares",
        "Wulff 1901; Marks, Rep. Prog. Phys. 57 (1994) 603", ratios=BORDERS[2:4], n_origins=2,
    ),
    "cuboctahedron": Family(
        planes_of.cubic, Form(ratio=math.sqrt(3) / 2), "cuboctahedron", "{111} triangles, {100} squares",
        "van Hardeveld and Hartog, Surf. Sci. 15 (1969) 189", ratios=BORDERS[1:3], n_origins=2,
    ),
    "octahedron": Family(
        planes_of.cubic, Form(ratio=math.sqrt(3)), "octahedron", "{111}, corners sharp or cut",
        "Xia et al., Angew. Chem. Int. Ed. 48 (2009) 60", ratios=BORDERS[3:5], n_origins=2,
    ),
    "cube": Family(
        planes_of.cubic, Form(ratio=1 / math.sqrt(3)), "cube", "{100}, corners sharp or cut",
        "Sun and Xia, Science 298 (2002) 2176", ratios=BORDERS[0:2], n_origins=2,
    ),
    "tetrahedron": Family(
        planes_of.tetrahedron, Form(ratio=0.15), "tetrahedron", "{111}, tips and edges sharp or cut",
        "Xia et al., Angew. Chem. Int. Ed. 48 (2009) 60",
        ratios=(0.03, 1 / 3), cuts=(0.0, 0.14), uncut=0.4, n_origins=4,
    ),
    "icosahedron": Family(
        planes_of.icosahedron, Form(ratio=1.0), "icosahedron", "20 twinned tetrahedra, {111}",
        "Mackay, Acta Cryst. 15 (1962) 916",
        cuts=(0.0, 0.22), uncut=0.4, shift=(0.12, 0.12),
    ),
    "decahedron": Family(
        planes_of.decahedron, Form(ratio=0.9, cut=0.2), "decahedron", "5 twinned tetrahedra, {111} and {100}, notches",
        "Ino, J. Phys. Soc. Jpn. 27 (1969) 941; Marks, J. Cryst. Growth 61 (1983) 556",
        ratios=(0.5, 1.8), logarithmic=True, cuts=(0.03, 0.45), uncut=0.3, shift=(0.35, 0.0), n_origins=2,
    ),
    "twin": Family(
        planes_of.twinned, replace(_TO, flips=(0,)), "twin", "{100} and {111}, with one twin plane",
        "Marks, Rep. Prog. Phys. 57 (1994) 603", ratios=(0.62, 1.7), shift=(0.0, 0.25), n_origins=3, more=_drawn_halves,
    ),
    "ino_decahedron": Family(
        planes_of.decahedron, Form(ratio=1.0), "decahedron", "decahedron with {100} sides and no notches",
        "Ino, J. Phys. Soc. Jpn. 27 (1969) 941",
        ratios=(0.7, 1.8), logarithmic=True, shift=(0.35, 0.0), n_origins=2,
    ),
    "marks_decahedron": Family(
        planes_of.decahedron, Form(ratio=0.85, cut=0.25), "decahedron", "decahedron with re-entrant {111} notches",
        "Marks, J. Cryst. Growth 61 (1983) 556",
        ratios=(0.55, 1.5), logarithmic=True, cuts=(0.08, 0.45), shift=(0.35, 0.0), n_origins=2,
    ),
    "pentagonal_bipyramid": Family(
        planes_of.decahedron, Form(ratio=0.5), "decahedron", "decahedron of {111} only, no {100} sides",
        "Ino, J. Phys. Soc. Jpn. 27 (1969) 941",
        ratios=(0.5, 0.58), cuts=(0.0, 0.1), uncut=0.5, shift=(0.2, 0.0), n_origins=2,
    ),
    "truncated_icosahedron": Family(
        planes_of.icosahedron, Form(ratio=1.0, cut=0.15), "icosahedron", "icosahedron with its 12 vertices cut off",
        "Ino, J. Phys. Soc. Jpn. 27 (1969) 941", cuts=(0.08, 0.22), shift=(0.12, 0.12),
    ),
    "triangular_bipyramid": Family(
        planes_of.plate, Form(ratio=1.4, cut=0.1, flips=(0,)), "twin", "two tetrahedra with a face in common, tips cut",
        "El koraychy et al., Nanoscale Horiz. 7 (2022), doi:10.1039/d1nh00599e",
        ratios=(0.8, 1.6), cuts=(0.03, 0.33), shift=(0.0, 0.15), n_origins=3,
    ),
    "penta_twinned_rod": Family(
        planes_of.decahedron, Form(ratio=2.5, cut=0.1), NONE, "long decahedron: five-fold twinned {100} rod",
        "Johnson et al., J. Mater. Chem. 12 (2002) 1765",
        ratios=(2.2, 4.0), logarithmic=True, cuts=(0.03, 0.2), uncut=0.4, shift=(0.2, 0.0), n_origins=2,
    ),
    "rhombic_dodecahedron": Family(
        planes_of.rhombic_dodecahedron, Form(ratio=math.sqrt(2)), NONE, "12 {110} rhombs",
        "Niu et al., J. Am. Chem. Soc. 131 (2009) 697", ratios=(1.27, math.sqrt(2)), n_origins=2,
    ),
    "wulff": Family(
        planes_of.wulff, Form(ratio=1.0, energies=_GOLD), NONE, "equilibrium crystal of given surface energies",
        "Wulff, Z. Kristallogr. 34 (1901) 449", n_origins=2, more=_drawn_energies,
    ),
    "winterbottom": Family(
        planes_of.winterbottom, Form(ratio=1.0, cut=0.3, energies=_GOLD), NONE, "Wulff shape cut by its substrate",
        "Winterbottom, Acta Metall. 15 (1967) 303", cuts=(0.15, 0.65), most_cut=0.95, more=_drawn_substrate,
    ),
    "triangular_plate": Family(
        planes_of.plate, Form(ratio=0.35, cut=0.05, flips=(0,)), NONE, "{111} plate with a twin plane, triangle",
        "Lofton and Sigmund, Adv. Funct. Mater. 15 (2005) 1197",
        ratios=(0.25, 0.5), cuts=(0.03, 0.2), shift=(0.0, 0.08), n_origins=3,
    ),
    "hexagonal_plate": Family(
        planes_of.plate, Form(ratio=0.35, cut=1 / 3, flips=(0,)), NONE, "{111} plate with a twin plane, hexagon",
        "Lofton and Sigmund, Adv. Funct. Mater. 15 (2005) 1197",
        ratios=(0.25, 0.5), cuts=(0.28, 0.36), shift=(0.0, 0.08), n_origins=3,
    ),
    "parallel_twins": Family(
        planes_of.twinned, replace(_TO, flips=(-3, 3)), NONE, "truncated octahedron with parallel twin planes",
        "Marks, Rep. Prog. Phys. 57 (1994) 603", ratios=(0.92, 1.5), shift=(0.0, 0.2), more=_drawn_twins,
    ),
    "stacking_fault": Family(
        planes_of.faulted, replace(_TO, flips=(0, 1)), NONE, "truncated octahedron with an intrinsic stacking fault",
        "Hirth and Lothe, Theory of Dislocations, 2nd ed. (1982)", ratios=(0.92, 1.5), shift=(0.0, 0.3),
    ),
    "hcp_bipyramid": Family(
        planes_of.hcp_bipyramid, Form(ratio=1.1, cut=0.1), NONE, "hexagonal close-packed truncated bipyramid",
        "Marks and Peng, J. Phys. Condens. Matter 28 (2016) 053001", ratios=(0.8, 1.6), cuts=(0.0, 0.2),
    ),
    "sphere": Family(
        planes_of.ball, Form(ratio=1.0), NONE, "a crystal without facets",
        "Marks, Rep. Prog. Phys. 57 (1994) 603", n_origins=2,
    ),
    "polycrystal": Family(
        planes_of.ball, Form(ratio=0.5), NONE, "grains in random orientations (Voronoi cells)",
        "Voronoi, J. Reine Angew. Math. 134 (1908) 198", ratios=(0.35, 0.6), disorder="grains",
    ),
    "amorphous": Family(
        planes_of.ball, Form(ratio=1.0), NONE, "dense random packing, no crystal",
        "Bernal, Nature 183 (1959) 141", disorder="glass",
    ),
    "other_crystal": Family(
        planes_of.ball, Form(ratio=1.0), NONE, "bcc, diamond, rutile, hexagonal or triclinic crystal",
        "Wyckoff, Crystal Structures, 2nd ed. (1963)", disorder="crystal",
    ),
    "foreign_crystal": Family(
        planes_of.ball, Form(ratio=1.0), NONE, "rocksalt, wurtzite, fluorite or anatase crystal",
        "Wyckoff, Crystal Structures, 2nd ed. (1963)", disorder="foreign crystal",
    ),
}  # fmt: skip
OPEN_SET: tuple[str, ...] = tuple(name for name, kind in LIBRARY.items() if kind.label == NONE)


def family(shape: str) -> Family:
    """The family of a named shape; `InputError` that lists the names if there is none."""
    if shape not in LIBRARY:
        raise InputError(f"shape: expected one of {', '.join(LIBRARY)}; got {shape!r}")
    return LIBRARY[shape]


def facets(shape: str, form: Form) -> Facets:
    """The planes of `shape` with the form's proportions, offset, elongation and jitter applied.

    Raises
    ------
    InputError
        If the shape is unknown, the form's cut or jitter does not suit it, or a plane would lie on the wrong side of
        the centre.
    """
    kind = family(shape)
    most = kind.most_cut if max(kind.cuts) > 0 or kind.ideal.cut > 0 else 0.0
    if form.cut > 0 and form.cut >= most:
        expected = f"0 <= cut < {most:g}" if most else "0"
        raise InputError(f"form cut: expected {expected} for {shape}, got {form.cut!r}")
    if bool(form.energies) != bool(kind.ideal.energies):
        raise InputError(f"form energies: expected {'some' if kind.ideal.energies else 'none'} for {shape}")
    if form.flips != kind.ideal.flips and kind.more is not _drawn_twins:
        raise InputError(f"form flips: expected {kind.ideal.flips} for {shape}, got {form.flips}")
    if any(form.centres) and kind.more is not _drawn_halves:
        raise InputError(f"form centres: expected (0.0, 0.0) for {shape}, got {form.centres}")
    return planes_of.varied(kind.planes(form), form)


def class_of(shape: str, form: Form) -> str:
    """The class that a member of a family belongs to by its proportions, or `NONE`.

    A cubic crystal of {100} and {111} goes by the ratio of their distances, whatever it was called; a five-fold
    twinned particle is a decahedron up to a ratio of 2 and a rod beyond; a twinned {111} plate thicker than 0.65 of
    its width is a bipyramid; a tetrahedron loses less than a third of its edges at each tip.
    """
    kind, ratio = family(shape), form.ratio
    if kind.planes is planes_of.wulff and {tuple(sorted(map(abs, row[:3]))) for row in form.energies} == {
        (0, 0, 1),
        (1, 1, 1),
    }:
        distance = {sum(map(abs, row[:3])): row[3] for row in form.energies}
        ratio = float(np.clip(distance[1] / distance[3], BORDERS[0], BORDERS[-1]))
    elif kind.planes is planes_of.decahedron:
        return "decahedron" if ratio < LONGEST_DECAHEDRON else NONE
    elif kind.planes is planes_of.plate:
        return NONE if ratio < THICKEST_PLATE else "twin"
    elif kind.planes is planes_of.tetrahedron:
        return kind.label if ratio <= 1 / 3 else NONE
    elif kind.planes is not planes_of.cubic:
        return kind.label
    return CUBIC_CLASSES[int(np.searchsorted(BORDERS[1:-1], ratio, side="right"))]


def draw_form(shape: str, rng: np.random.Generator) -> Form:
    """A random member of the family of `shape`.

    The proportions are drawn from the family's ranges. Facet distances vary independently by 0.5 to 5 % (rms), one or
    two faces of a third of the members grow up to 15 % less; both leave the mean distance of equivalent faces, and so
    the class, as it was. The centre lies off the five-fold axis or the twin plane, the cut is elongated by up to
    20 %, edges are rounded for 60 % of the members, all surfaces are rough (0.2 to 3.5 % of the radius) and half have
    missing and additional atoms; the lattice is strained by up to 1.2 %.

    Raises
    ------
    InputError
        If the shape is unknown.
    """
    kind = family(shape)
    low, high = kind.ratios
    ratio = (
        float(math.exp(rng.uniform(math.log(low), math.log(high))))
        if kind.logarithmic
        else rng.uniform(low, high)
    )
    cut = float(rng.uniform(*kind.cuts)) if rng.random() >= kind.uncut else 0.0
    azimuth, reach = rng.uniform(0, 2 * math.pi), kind.shift[0] * math.sqrt(rng.random())
    offset = (reach * math.cos(azimuth), reach * math.sin(azimuth), float(rng.uniform(-1, 1)) * kind.shift[1])
    proportions = replace(kind.ideal, ratio=float(ratio), cut=cut, **(kind.more(rng) if kind.more else {}))
    direction = rng.normal(size=3)
    elongation = min(abs(rng.normal()) * 0.075, 0.2)
    strain = np.concatenate(
        [rng.uniform(-0.009, 0.009) + rng.uniform(-0.003, 0.003, 3), rng.uniform(-0.002, 0.002, 3)]
    )
    return replace(
        proportions,
        offset=offset,
        jitter=tuple(_drawn_jitter(kind.planes(proportions), rng).tolist()),
        aspect=tuple((elongation * direction / np.linalg.norm(direction)).tolist()),
        rounding=float(np.exp(rng.uniform(*np.log([12, 80])))) if rng.random() < 0.6 else math.inf,
        roughness=float(np.exp(rng.uniform(*np.log([0.002, 0.035])))),
        grain=float(rng.uniform(0.0, 0.25)) if rng.random() < 0.5 else 0.0,
        strain=tuple(strain.tolist()),
    )


def _drawn_jitter(planes: Facets, rng: np.random.Generator) -> np.ndarray:
    """Relative changes (plane,) of the distances, of mean 0 over the planes that were equally far."""
    n = len(planes.distances)
    jitter = np.clip(rng.normal(size=n), -2, 2) * rng.uniform(0.005, 0.05)
    if rng.random() < 1 / 3:
        jitter[rng.integers(n, size=rng.integers(1, 3))] -= rng.uniform(0.03, 0.15)
    # Faces that meet in a twin plane move together, but for a step of about one layer.
    jitter = jitter[planes.partners] + 0.3 * (jitter - jitter[planes.partners])
    kinds = np.unique(np.round(planes.distances, 6), return_inverse=True)[1]
    mean = np.bincount(kinds, jitter) / np.bincount(kinds)
    # A plane without equivalents, such as a substrate, keeps its change.
    return jitter - np.where(np.bincount(kinds) > 1, mean, 0.0)[kinds]
