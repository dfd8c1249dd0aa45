"""Ragged batches of atoms, and their way from and to ASE."""

import numpy as np
import pytest
import torch
from ase import Atoms

from facetem.core.structure import Structure, from_ase, to_ase


@pytest.fixture
def specimens() -> list[Atoms]:
    rng = np.random.default_rng(0)
    return [
        Atoms(
            numbers=[79] * n, positions=rng.random((n, 3)) * 9, cell=(10, 12, height), pbc=(True, True, False)
        )
        for n, height in ((3, 20.0), (5, 30.0), (1, 10.0))
    ]


def test_there_and_back(specimens: list[Atoms]) -> None:
    returned = to_ase(from_ase(specimens, dtype=torch.float64))
    for before, after in zip(specimens, returned, strict=True):
        np.testing.assert_allclose(after.positions, before.positions)
        np.testing.assert_array_equal(after.numbers, before.numbers)
        np.testing.assert_allclose(after.cell, before.cell)
        assert after.pbc.tolist() == [True, True, False]


def test_select_is_the_structure_of_the_selected(specimens: list[Atoms]) -> None:
    part, alone = from_ase(specimens).select(1, 3), from_ase(specimens[1:3])
    for name in ("positions", "numbers", "batch", "cell"):
        assert torch.equal(getattr(part, name), getattr(alone, name)), name


def test_take_is_the_structure_of_those_taken(specimens: list[Atoms]) -> None:
    part, alone = from_ase(specimens).take([2, 0]), from_ase([specimens[2], specimens[0]])
    for name in ("positions", "numbers", "batch", "cell"):
        assert torch.equal(getattr(part, name), getattr(alone, name)), name


def test_to_changes_the_floats_alone(specimens: list[Atoms]) -> None:
    double = from_ase(specimens).to("cpu", torch.float64)
    assert double.positions.dtype == double.cell.dtype == torch.float64
    assert double.numbers.dtype == double.batch.dtype == torch.int64


def test_what_cannot_be_a_specimen_is_named() -> None:
    atom = Atoms("Au", positions=[[1, 1, 1]], cell=(10, 10, 10))
    with pytest.raises(ValueError, match="specimen 1 has no atoms"):
        from_ase([atom, Atoms(cell=(10, 10, 10))])
    with pytest.raises(ValueError, match="specimen 0 needs an orthogonal cell"):
        from_ase([Atoms("Au", positions=[[1, 1, 1]], cell=[[10, 0, 0], [3, 10, 0], [0, 0, 10]])])
    with pytest.raises(ValueError, match="specimen 0 needs an orthogonal cell"):
        from_ase([Atoms("Au", positions=[[1, 1, 1]])])
    with pytest.raises(ValueError, match="specimen 0 needs an orthogonal cell"):
        from_ase([Atoms("Au", positions=[[1, 1, 1]], cell=(10, 10, 0))])


@pytest.mark.parametrize("wrong", ["positions", "numbers", "batch", "cell"])
def test_fields_that_do_not_fit_are_named(wrong: str) -> None:
    fields = {
        "positions": torch.zeros(4, 3),
        "numbers": torch.full((4,), 79),
        "batch": torch.zeros(4, dtype=torch.int64),
        "cell": torch.ones(1, 3),
    }
    fields[wrong] = torch.zeros(2, 2)
    with pytest.raises(ValueError, match=wrong):
        Structure(**fields)
