import math

import numpy as np
import pytest
from scipy.spatial import KDTree

from facetem.atoms.alloys import Alloy
from facetem.atoms.shapes import build_particle, lattice_constant
from facetem.core.errors import InputError


def unlike(atoms, bond: float) -> np.ndarray:
    """Part of each inner atom's twelve neighbours that are of the other metal."""
    near = KDTree(atoms.positions).query_ball_point(atoms.positions, 1.2 * bond)
    return np.array(
        [np.mean(atoms.numbers[n] != atoms.numbers[i]) * 13 / 12 for i, n in enumerate(near) if len(n) == 13]
    )


def test_random_alloy_has_the_fraction_and_no_order():
    atoms = build_particle(
        "octahedron", diameter=50, alloy=Alloy("Ag", fraction=0.3), rng=np.random.default_rng(1)
    )
    assert np.mean(atoms.numbers == 47) == pytest.approx(0.3, abs=1e-3)
    a = 0.7 * lattice_constant("Au") + 0.3 * lattice_constant("Ag")  # Vegard
    assert atoms.info["lattice_constant"] == pytest.approx(a)
    # Of all pairs, 2 x 0.3 x 0.7 are unlike where the sites are taken independently.
    assert unlike(atoms, a / math.sqrt(2)).mean() == pytest.approx(0.42, abs=0.02)


@pytest.mark.parametrize("tetragonality", [1.0, 0.93])
def test_l10_has_eight_unlike_neighbours_and_alternating_layers(tetragonality):
    alloy = Alloy("Cu", order="L1_0", tetragonality=tetragonality)
    atoms = build_particle("truncated_octahedron", diameter=45, alloy=alloy)
    a = (lattice_constant("Au") + lattice_constant("Cu")) / 2
    assert np.allclose(unlike(atoms, a / math.sqrt(2)), 8 / 12)
    assert np.mean(atoms.numbers == 29) == pytest.approx(0.5, abs=0.06)
    c = np.diff(np.unique(np.round(atoms.positions[:, 2], 4))).mean() * 2
    across = np.diff(np.unique(np.round(atoms.positions[:, 0], 4))).mean() * 2
    assert c / across == pytest.approx(tetragonality, abs=1e-3)
    assert c * across**2 == pytest.approx(a**3, rel=1e-3)


@pytest.mark.parametrize(("shape", "layers"), [("icosahedron", 1), ("icosahedron", 3), ("decahedron", 2)])
def test_shell_covers_the_core_with_its_layers(shape, layers):
    atoms = build_particle(shape, diameter=45, alloy=Alloy("Ag", order="core-shell", shell=layers))
    core, shell = atoms.positions[atoms.numbers == 79], atoms.positions[atoms.numbers == 47]
    bond = atoms.info["lattice_constant"] / math.sqrt(2)
    near = np.asarray(KDTree(atoms.positions).query_ball_point(core, 1.2 * bond, return_length=True))
    assert (near == 13).all()  # no core atom at the surface
    if shape == "icosahedron":  # Mackay's magic numbers, 923 = 6 shells + centre ...
        n = [1, 13, 55, 147, 309, 561, 923, 1415, 2057, 2869]
        assert len(core) == n[n.index(len(atoms)) - layers]
    assert len(shell) > 0


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"second": "Ag", "order": "striped"}, "order"),
        ({"second": "Ag", "fraction": 1.5}, "fraction"),
        ({"second": "Ag", "shell": 0}, "shell"),
        ({"second": "Ag", "tetragonality": 3.0}, "tetragonality"),
    ],
)
def test_impossible_alloys_are_refused(values, word):
    with pytest.raises(InputError, match=word):
        Alloy(**values)


def test_alloys_that_cannot_be_built_are_refused():
    with pytest.raises(InputError, match="L1_0"):
        build_particle("decahedron", diameter=40, alloy=Alloy("Cu", order="L1_0"))
    with pytest.raises(InputError, match="element"):
        build_particle("cube", diameter=40, alloy=Alloy("Fe", order="core-shell"))
    with pytest.raises(InputError, match="rng"):
        build_particle("cube", diameter=40, alloy=Alloy("Ag"))
