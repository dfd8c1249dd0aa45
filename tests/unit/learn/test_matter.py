import pytest

from facetem.core.errors import InputError
from facetem.data.recipe import Particles, Recipe
from facetem.learn.matter import Matter


def test_what_was_learnt_is_told_in_words_and_kept_in_a_header() -> None:
    recipe = Recipe(particles=Particles(elements={"Pt": 2.0, "Cu": 0.0, "Pd": 1.0}, diameter=(20.0, 45.0)))
    matter = Matter.of(recipe)
    assert matter.metal == "platinum or palladium"
    assert matter.size == "2 to 4.5 nm"
    assert Matter.read(matter.as_dict()) == matter
    assert Matter.read(None).metal == "gold"


def test_the_widest_spacing_is_that_of_the_widest_lattice() -> None:
    assert Matter.read(None).widest == pytest.approx(2.354, abs=1e-3)
    assert Matter(("Cu", "Pb", "Au")).widest == pytest.approx(2.858, abs=1e-3)
    with pytest.raises(InputError, match="expected an fcc metal"):
        _ = Matter(("Fe",)).widest


def test_projections_of_what_was_learnt_are_within_it() -> None:
    matter = Matter(diameter=(40.0, 80.0))
    assert matter.holds(40.0)
    assert matter.holds(95.0)  # a tetrahedron of 80 Å lying on its face
    assert not matter.holds(30.0)
    assert not matter.holds(120.0)
