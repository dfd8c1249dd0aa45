"""What physics demands of the studies, on quick tables of the standard test's specimens."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facetem.data.recipe_file import shipped_recipe
from facetem.study.axes import STUDIES, Setting
from facetem.study.bench import Bench
from facetem.study.bootstrap import difference_of
from facetem.study.jobs import Crew
from facetem.study.orientation_map import ELSEWHERE, with_places
from facetem.study.sweeps import Sweep, run_sweep

pytestmark = pytest.mark.slow
Run = Callable[..., Sweep]


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An axis at a few values, with so many specimens of each shape: two, where one is too few to see what is there."""
    recipe = shipped_recipe("au-4-8nm-test").model_copy(update={"accuracy": "draft"})
    bench = Bench(tmp_path_factory.mktemp("measured"), recipe=recipe)

    def run(study: str, name: str, *values: Setting, per_shape: int = 1) -> Sweep:
        axis, crew = STUDIES[study][name], Crew(replace(bench, per_shape=per_shape))
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(STUDIES[study], name, replace(axis, quick=values))
            return run_sweep(crew, study, name, quick=True)

    return run


def same_specimens(sweep: Sweep) -> Sweep:
    """The sweep, if the same specimens are seen all along."""
    first, *others = (sweep.at(value) for value in sweep.values)
    for other in others:
        for column in ("shape", "beam_x", "beam_y", "beam_z", "diameter"):
            assert other[column].tolist() == first[column].tolist()
    return sweep


def test_less_dose_tells_less(moved: Run) -> None:
    sweep = same_specimens(moved("dose", "dose", 20, 5000, per_shape=2))
    assert sweep.difference("chance", 5000, 20).high < 0
    assert sweep.difference("right", 5000, 20).high < 0
    assert sweep.difference("psnr_raw", 5000, 20).high < 0


def test_a_thicker_film_tells_less(moved: Run) -> None:
    sweep = same_specimens(moved("carbon", "thickness", 0, 20, per_shape=4))
    assert sweep.difference("chance", 0, 20).high < 0
    assert sweep.difference("psnr_raw", 0, 20).high < 0


def test_small_particles_are_not_told(moved: Run) -> None:
    sweep = moved("size", "diameter", 2, 6)
    assert sweep.difference("chance", 6, 2).high < 0
    assert sweep.difference("right", 6, 2).high < 0


def test_restoring_flattens_the_dependence_on_focus(moved: Run) -> None:
    """The contrast of restored images is about the target's, whatever the focus; without it, it is not."""
    sweep = moved("focus", "defocus", -15, 10, 20, per_shape=2)
    raw, restored = (
        np.array([mean.mean for mean in sweep.means(name)]) for name in ("contrast_raw", "contrast_restored")
    )
    assert (np.abs(restored) < np.abs(raw)).all()
    assert np.abs(restored).max() < np.log(1.5)
    raw, restored = (sweep.means(name) for name in ("psnr_raw", "psnr_restored"))
    assert all(after.mean > before.mean for before, after in zip(raw, restored, strict=True))
    gain = difference_of(sweep.table["psnr_raw"].to_numpy(), sweep.table["psnr_restored"].to_numpy())
    assert gain.low > 0


def test_a_zone_axis_is_another_view(moved: Run) -> None:
    """Along a principal axis columns are resolved, and several shapes have the same outline."""
    sweep = moved("orientation", "tilt", 0, 20)
    along, tilted = (sweep.at(value) for value in (0, 20))
    assert np.abs(along["chance"].to_numpy() - tilted["chance"].to_numpy()).mean() > 0.02
    assert set(with_places(along).table["place"]).isdisjoint({ELSEWHERE})
    assert (with_places(tilted).table["place"] == ELSEWHERE).mean() > 0.5


def test_intervals_cover_the_mean_of_repeated_seeds(tmp_path: Path) -> None:
    """Of noise and optics drawn anew for the same kind of specimens: what an interval is to hold."""
    base = shipped_recipe("au-4-8nm-test")
    films = base.films.model_copy(update={"kinds": {"none": 1.0}})
    means = []
    for seed in range(3):
        recipe = base.model_copy(update={"seed": 900 + seed, "films": films, "accuracy": "draft"})
        axis = replace(STUDIES["dose"]["dose"], quick=(300,))
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(STUDIES["dose"], "dose", axis)
            sweep = run_sweep(Crew(Bench(tmp_path, recipe=recipe, per_shape=1)), "dose", "dose", quick=True)
        means.append({name: sweep.means(name)[0] for name in ("right", "psnr_raw", "confidence")})
    for name in ("right", "psnr_raw", "confidence"):
        everywhere = np.mean([seed[name].mean for seed in means])
        assert sum(seed[name].low <= everywhere <= seed[name].high for seed in means) >= 2
