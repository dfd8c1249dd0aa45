import pytest

from facetem.app.particle import AlloyOrder, Proportions, parse_energies, read_alloy
from facetem.atoms.library import LIBRARY, draw_form
from facetem.core.errors import InputError


@pytest.mark.parametrize("text", ["111:1.0,100:1.15", "111=1, 100=1.15"])
def test_energies_are_read(text: str) -> None:
    assert parse_energies(text) == ((1.0, 1.0, 1.0, 1.0), (1.0, 0.0, 0.0, 1.15))


@pytest.mark.parametrize("text", ["111", "11:1", "abc:1", "111:low", ""])
def test_bad_energies_are_named(text: str) -> None:
    with pytest.raises(InputError, match="--energies"):
        parse_energies(text)


def test_without_options_the_form_is_left_to_the_family() -> None:
    assert Proportions().form("cube", ideal=True, seed=0) is None


def test_options_change_the_member_that_the_seed_draws() -> None:
    import numpy as np

    form = Proportions(ratio=0.65).form("cube", ideal=False, seed=4)
    drawn = draw_form("cube", np.random.default_rng(4))
    assert form is not None
    assert form.ratio == 0.65
    assert (form.jitter, form.roughness) == (drawn.jitter, drawn.roughness)


def test_options_change_the_ideal_member() -> None:
    form = Proportions(flips="-2, 3", roughness=0.0).form("parallel_twins", ideal=True, seed=0)
    assert form is not None
    assert form.flips == (-2, 3)
    assert form.ratio == LIBRARY["parallel_twins"].ideal.ratio


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (Proportions(flips="a,b"), "--twin-layers"),
        (Proportions(substrate="up"), "--substrate"),
        (Proportions(ratio=-1.0), "ratio"),
        (Proportions(roughness=3.0), "roughness"),
    ],
)
def test_bad_options_are_named(options: Proportions, named: str) -> None:
    with pytest.raises(InputError, match=named):
        options.form("parallel_twins", ideal=True, seed=0)


def test_an_alloy_needs_a_second_metal() -> None:
    assert read_alloy(None, AlloyOrder.core_shell, 0.5, 2) is None
    alloy = read_alloy("Ag", AlloyOrder.core_shell, 0.5, 2)
    assert alloy is not None
    assert (alloy.second, alloy.order, alloy.shell) == ("Ag", "core-shell", 2)
