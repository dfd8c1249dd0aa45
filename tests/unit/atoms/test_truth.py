"""Facets, areas, diameters and rotations: against WulffPack, closed formulas and the atoms themselves."""

import math

import numpy as np
import pytest
from ase.build import bulk
from scipy.spatial import KDTree

from facetem.atoms.library import LIBRARY, draw_form, family
from facetem.atoms.shapes import Form, build_particle, lattice_constant
from facetem.atoms.truth import (
    _enclosing_radius,
    coordination_histogram,
    group_name,
    miller_indices,
    polygons,
    rotation_group,
    truth,
)

A = lattice_constant("Au")
ENERGIES = {(1, 1, 1): 1.0, (1, 0, 0): 1.15, (1, 1, 0): 1.18}
ROWS = tuple((*(float(i) for i in hkl), energy) for hkl, energy in ENERGIES.items())
GROUPS = {
    **dict.fromkeys(("truncated_octahedron", "cuboctahedron", "octahedron", "cube", "wulff", "sphere"), "O"),
    **dict.fromkeys(("rhombic_dodecahedron",), "O"),
    **dict.fromkeys(("icosahedron", "truncated_icosahedron"), "I"),
    **dict.fromkeys(("decahedron", "ino_decahedron", "marks_decahedron", "pentagonal_bipyramid"), "D5"),
    **dict.fromkeys(("twin", "triangular_bipyramid", "triangular_plate", "hexagonal_plate"), "D3"),
    **dict.fromkeys(("parallel_twins", "stacking_fault"), "D3"),
    **dict.fromkeys(("polycrystal", "amorphous", "other_crystal", "foreign_crystal"), "C1"),
    "tetrahedron": "T", "penta_twinned_rod": "D5", "hcp_bipyramid": "D3", "winterbottom": "C3",
}  # fmt: skip


def of_volume(volume: float) -> float:
    return (6 / math.pi * volume) ** (1 / 3)


def shares(areas: dict[str, float]) -> dict[str, float]:
    return {name: area / sum(areas.values()) for name, area in areas.items()}


# spglib, beneath WulffPack, warns of its own future.
SPGLIB = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING")


@SPGLIB
def test_wulff_shape_is_that_of_wulffpack():
    from wulffpack import SingleCrystal

    theirs = SingleCrystal(ENERGIES, primitive_structure=bulk("Au", a=A), natoms=3000)
    ours = truth(
        "wulff", Form(ratio=1.0, energies=ROWS), diameter=of_volume(theirs.volume), lattice_constant=A
    )
    assert sum(ours.areas().values()) == pytest.approx(theirs.area, rel=1e-9)
    for hkl, share in theirs.facet_fractions.items():
        assert shares(ours.areas())["".join(map(str, hkl))] == pytest.approx(share, rel=1e-9)
    particle = build_particle("wulff", diameter=ours.diameter, form=Form(ratio=1.0, energies=ROWS))
    # Whole layers: WulffPack takes what lies inside, we the nearest number that keeps the symmetry.
    assert len(particle) == pytest.approx(len(theirs.atoms), rel=0.12)


@SPGLIB
@pytest.mark.parametrize("interface", [0.5, 0.1])
def test_winterbottom_shape_is_that_of_wulffpack(interface):
    from wulffpack import Winterbottom

    theirs = Winterbottom(ENERGIES, (1, 1, 1), interface, primitive_structure=bulk("Au", a=A), natoms=3000)
    # {111} at 1 above the centre; the substrate at `interface` below it.
    form = Form(ratio=1.0, energies=ROWS, cut=(1 - interface) / 2)
    ours = truth("winterbottom", form, diameter=of_volume(theirs.volume), lattice_constant=A)
    areas = shares(ours.areas())
    fractions = theirs.facet_fractions
    assert sum(ours.areas().values()) == pytest.approx(theirs.area, rel=1e-6)
    assert areas["100"] == pytest.approx(fractions[1, 0, 0], rel=1e-6)
    assert areas["111"] == pytest.approx(fractions[1, 1, 1] + fractions["interface"], rel=1e-6)


def test_two_winterbottom_shapes_make_a_wulff_shape():
    """What a substrate takes away at `cut` is what it leaves at 1 - cut, turned over: also beyond the equator."""
    area, volume = 0.0, 0.0
    for cut in (0.35, 0.65):
        form = Form(ratio=1.0, energies=ROWS, cut=cut)
        part = truth("winterbottom", form, diameter=of_volume(1.0), lattice_constant=1e-6)
        (interface,) = (f.area for f in part.facets if f.normal @ np.ones(3) < -1.732)
        area += (sum(part.areas().values()) - interface) / interface
        volume += interface**-1.5
    whole = truth("wulff", Form(ratio=1.0, energies=ROWS), diameter=of_volume(volume), lattice_constant=1e-6)
    assert area == pytest.approx(sum(whole.areas().values()), rel=1e-6)


@SPGLIB
def test_icosahedron_is_that_of_wulffpack():
    """WulffPack's is strained along one axis of each sector, ours in all of it: 2 %."""
    from wulffpack import Icosahedron

    theirs = Icosahedron({(1, 1, 1): 1.0}, twin_energy=1e-4, primitive_structure=bulk("Au", a=A), natoms=3000)
    ours = truth("icosahedron", Form(ratio=1.0), diameter=of_volume(theirs.volume), lattice_constant=A)
    assert sum(ours.areas().values()) == pytest.approx(theirs.area, rel=0.02)
    assert len(ours.facets) == 20


@pytest.mark.parametrize(
    ("shape", "ratio", "area"),
    [  # of the solid of volume 1
        ("cube", 1 / math.sqrt(3), 6.0),
        ("octahedron", math.sqrt(3), 2 * math.sqrt(3) / (math.sqrt(2) / 3) ** (2 / 3)),
        ("cuboctahedron", math.sqrt(3) / 2, (6 + 2 * math.sqrt(3)) / (5 * math.sqrt(2) / 3) ** (2 / 3)),
        ("truncated_octahedron", 2 / math.sqrt(3), (6 + 12 * math.sqrt(3)) / (8 * math.sqrt(2)) ** (2 / 3)),
        ("rhombic_dodecahedron", math.sqrt(2), 8 * math.sqrt(2) / (16 * math.sqrt(3) / 9) ** (2 / 3)),
        ("icosahedron", 1.0, 5 * math.sqrt(3) / (5 * (3 + math.sqrt(5)) / 12) ** (2 / 3)),
    ],
)
def test_areas_are_those_of_the_regular_solids(shape, ratio, area):
    known = truth(shape, Form(ratio=ratio), diameter=of_volume(1.0) * 50, lattice_constant=A)
    assert known.volume == pytest.approx(50**3)
    assert sum(known.areas().values()) == pytest.approx(50**2 * area, rel=1e-3)


def test_circumscribed_diameters_are_those_of_the_regular_solids():
    side = 50.0  # of the cube of the same volume
    cube = truth("cube", LIBRARY["cube"].ideal, diameter=of_volume(side**3), lattice_constant=A)
    assert cube.circumscribed == pytest.approx(math.sqrt(3) * side, rel=1e-3)
    edge = (12 * side**3 / math.sqrt(2)) ** (1 / 3)
    form = Form(ratio=1e-6)
    tetrahedron = truth("tetrahedron", form, diameter=of_volume(side**3), lattice_constant=A)
    assert tetrahedron.circumscribed == pytest.approx(math.sqrt(3 / 2) * edge, rel=2e-3)


@pytest.mark.parametrize("shape", [name for name, kind in LIBRARY.items() if not kind.disorder])
def test_atoms_fill_the_polyhedron(shape):
    """The outermost atoms lie about half a layer inside of the polyhedron that has their volume."""
    form = LIBRARY[shape].ideal
    atoms = build_particle(shape, diameter=70)
    known = truth(shape, form, diameter=atoms.info["diameter"], lattice_constant=A)
    assert known.circumscribed - 8.5 < 2 * _enclosing_radius(atoms.positions) < known.circumscribed + 4.5


@pytest.mark.parametrize(
    "shape", ["twin", "parallel_twins", "decahedron", "hcp_bipyramid", "triangular_plate"]
)
def test_area_of_the_faces_agrees_with_the_surface_atoms(shape):
    """Each family's area over the area that an atom of it takes is the number of its atoms, edges apart."""
    atoms = build_particle(shape, diameter=90)
    known = truth(shape, LIBRARY[shape].ideal, diameter=atoms.info["diameter"], lattice_constant=A)
    surface = sum(coordination_histogram(atoms)[:12])
    dense = sum(known.areas().values()) / (A**2 * math.sqrt(3) / 4)  # the atoms of {111}, the densest
    assert 0.65 * dense < surface < 1.15 * dense


def test_volumes_of_the_parts_add_up():
    """Areas scale as the square of the size, also where layers between twin planes do not."""
    form = LIBRARY["twin"].ideal
    small, large = (truth("twin", form, diameter=d, lattice_constant=A) for d in (40.0, 80.0))
    assert large.areas()["111"] == pytest.approx(4 * small.areas()["111"], rel=1e-6)
    lamella = LIBRARY["parallel_twins"].ideal
    one, other = (truth("parallel_twins", lamella, diameter=d, lattice_constant=A) for d in (40.0, 80.0))
    assert other.areas()["111"] != pytest.approx(4 * one.areas()["111"], rel=1e-2)


@pytest.mark.parametrize("shape", LIBRARY)
def test_rotation_group_is_the_one_that_the_atoms_have(shape):
    group = rotation_group(shape)
    assert group_name(group) == GROUPS[shape]
    np.testing.assert_allclose(group[0], np.eye(3), atol=1e-9)
    products = (group[:, None] @ group[None]).reshape(-1, 9)
    assert KDTree(group.reshape(-1, 9)).query(products)[0].max() < 1e-6  # closed
    if LIBRARY[shape].disorder:
        return
    positions = build_particle(shape, diameter=44).positions
    tree = KDTree(positions)
    assert max(tree.query(positions @ rotation.T)[0].max() for rotation in group) < 1e-3


def test_no_rotation_of_the_atoms_is_left_out():
    """Quarter turns of a cube, not of a tetrahedron or a twin; sixfold turns of none."""
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])

    def holds(shape: str, rotation: np.ndarray) -> bool:
        positions = build_particle(shape, diameter=40).positions
        return bool(KDTree(positions).query(positions @ rotation.T)[0].max() < 1e-3)

    for shape in ("cube", "tetrahedron"):
        listed = np.abs(rotation_group(shape) - quarter).max(axis=(1, 2)).min() < 1e-6
        assert listed == holds(shape, quarter) == (shape == "cube")


def test_drawn_members_have_no_symmetry():
    for shape in ("cube", "decahedron", "twin"):
        form = draw_form(shape, np.random.default_rng(3))
        assert len(rotation_group(shape, form)) == 1


@pytest.mark.parametrize(
    ("normal", "indices"),
    [
        ((1, 1, 1), (1, 1, 1)),
        ((0, 0, -2), (0, 0, -1)),
        ((3, 1, -1), (3, 1, -1)),
        ((2, 1, 0), (2, 1, 0)),
        ((4, 1, 1), (4, 1, 1)),  # and not (3, 1, 1), 6 degrees from it
        ((5, 1, 1), (5, 1, 1)),
    ],
)
def test_miller_indices_are_the_smallest_integers(normal, indices):
    assert miller_indices(np.array(normal) / np.linalg.norm(normal), np.eye(3) * 4.0) == indices


def test_hexagonal_faces_have_four_indices():
    form = LIBRARY["hcp_bipyramid"].ideal
    faces = truth("hcp_bipyramid", form, diameter=50.0, lattice_constant=A).facets
    assert all(sum(face.indices[:3]) == 0 for face in faces)
    assert {face.kind for face in faces} == {"10-11", "10-10", "0001"}
    assert sum(face.kind == "10-11" for face in faces) == 12


def test_faces_of_every_shape_are_those_of_its_table():
    expected = {"cube": {"100"}, "octahedron": {"111"}, "twin": {"111", "100"}, "rhombic_dodecahedron": {"110"},
                "pentagonal_bipyramid": {"111"}, "truncated_icosahedron": {"111", "110"},
                "stacking_fault": {"111", "100"}, "parallel_twins": {"111", "100"}}  # fmt: skip
    for shape, names in expected.items():
        assert set(truth(shape, LIBRARY[shape].ideal, diameter=60.0, lattice_constant=A).areas()) == names


@pytest.mark.parametrize("shape", sorted(LIBRARY))
def test_polygons_enclose_the_volume_and_have_the_areas_of_the_facets(shape: str) -> None:
    form = family(shape).ideal
    found = polygons(shape, form, diameter=50.0, lattice_constant=4.078)
    known = truth(shape, form, diameter=50.0, lattice_constant=4.078)
    areas = [0.5 * np.cross(c, np.roll(c, -1, axis=0)).sum(axis=0) for _, c in found]
    # By the divergence theorem, which holds if every polygon runs anticlockwise as seen from outside.
    enclosed = sum(float(a @ c[0]) for a, (_, c) in zip(areas, found, strict=True)) / 3
    assert enclosed == pytest.approx(known.volume, rel=1e-6)
    assert np.abs(np.sum(areas, axis=0)).max() < 1e-6 * known.volume ** (2 / 3)
    if known.facets:
        sums: dict[str, float] = {}
        for a, (kind, _) in zip(areas, found, strict=True):
            sums[kind] = sums.get(kind, 0.0) + float(np.linalg.norm(a))
        assert sums == pytest.approx(known.areas(), rel=1e-6)
