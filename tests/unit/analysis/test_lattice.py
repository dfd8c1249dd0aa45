"""Lattice spacings of particles, and pixel sizes that are wrong."""

import numpy as np
import pytest

import facetem
from facetem.analysis.lattice import LatticeScale, lattice_scale, lattice_spots
from facetem.core.errors import InputError
from facetem.data.micrograph import resample

GOLD = 4.08
PIXEL = 0.4


@pytest.fixture(scope="module")
def views() -> list[tuple[np.ndarray, np.ndarray]]:
    """Noisy images of particles along zone axes, and where the particle is."""
    made = []
    for axis, seed in (((1, 1, 0), 1), ((1, 0, 0), 2), ((1, 1, 2), 3)):
        scene = facetem.build(
            "octahedron", diameter=50.0, film_thickness=10.0, orientation=axis, seed=seed, ideal=True
        )
        image = facetem.simulate(
            scene,
            energy=300e3,
            sampling=PIXEL,
            optics=facetem.Optics(facetem.Aberrations(defocus=60.0)),
            camera=facetem.Camera(dose=3000.0),
            seed=seed,
        )
        y, x = np.indices(image.shape)
        atoms = scene.positions[scene.get_tags() > 0]
        apart = np.hypot(x * PIXEL - atoms[:, 0].mean(), y * PIXEL - atoms[:, 1].mean())
        made.append((np.asarray(image, dtype=float), apart < 22))
    return made


@pytest.mark.slow
def test_spacings_are_those_of_the_zone_axis(views: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """[110] shows {111} twice and {200}; [100] shows {200} twice."""
    for (image, inside), wanted in zip(views[:2], ([3, 3, 4], [4, 4]), strict=True):
        found = lattice_spots(image, inside, sampling=PIXEL)[:, 0]
        for reflection in set(wanted):
            near = np.abs(found / (GOLD / np.sqrt(reflection)) - 1) < 0.015
            assert near.sum() == wanted.count(reflection), (found, reflection)


@pytest.mark.parametrize("scale", [1e-25, 1e-12, 1e12])
def test_spacings_do_not_depend_on_the_intensity_scale(
    views: list[tuple[np.ndarray, np.ndarray]], scale: float
) -> None:
    image, inside = views[0]
    wanted = lattice_spots(image, inside, sampling=PIXEL)
    found = lattice_spots(scale * image.astype(np.float64), inside, sampling=PIXEL)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_noise_has_no_lattice() -> None:
    rng = np.random.default_rng(0)
    inside = np.hypot(*(np.indices((256, 256)) - 128)) < 60
    found = [len(lattice_spots(rng.normal(1, 0.2, (256, 256)), inside, sampling=PIXEL)) for _ in range(20)]
    assert sum(found) <= 1


def test_what_is_wider_than_a_metals_lattice_is_no_spacing() -> None:
    """Bent contours, moirés and the edge of a particle: 6 Å is none of a crystal's."""
    y, x = np.indices((256, 256)) * PIXEL
    noise = np.random.default_rng(0).normal(1, 0.05, x.shape)
    inside = np.hypot(y - 51, x - 51) < 35
    assert len(lattice_spots(noise + 0.3 * np.cos(2 * np.pi * x / 6), inside, sampling=PIXEL)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [1.0, 1.02, 1.08, 0.9])
def test_a_wrong_pixel_size_is_found(views: list[tuple[np.ndarray, np.ndarray]], wrong: float) -> None:
    spots = [lattice_spots(image, inside, sampling=PIXEL * wrong) for image, inside in views]
    scale = lattice_scale(spots)
    assert scale is not None
    assert scale.ratio == pytest.approx(1 / wrong, abs=0.012)
    assert scale.disagrees == (abs(1 / wrong - 1) > 0.05)


@pytest.mark.slow
def test_what_coarse_pixels_did_not_hold_is_not_looked_for(
    views: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    """A micrograph of 1 Å pixels, on those of the networks, has no noise beyond 0.5 / Å that a spot could stand out
    of."""
    image, inside = views[0]
    coarse = resample(resample(image, PIXEL, 1.0), 1.0, PIXEL, shape=image.shape)
    found = lattice_spots(coarse, inside, sampling=PIXEL, finest=2.2)[:, 0]
    assert found.min() >= 2.2
    assert np.abs(found / (GOLD / np.sqrt(3)) - 1).max() < 0.015  # the two {111}
    assert len(found) == 2


def clear(*spacings: float) -> np.ndarray:
    """Spots of these spacings [Å], as clear as each other."""
    return np.column_stack([spacings, np.full(len(spacings), 2000.0)])


def scale_of(*spots: np.ndarray, elements: tuple[str, ...] = ("Au",)) -> LatticeScale:
    scale = lattice_scale(spots, elements)
    assert scale is not None
    return scale


def test_another_lattice_is_not_gold_at_another_pixel_size() -> None:
    """CdSe of 0.0578 nm/px, as it was measured."""
    rod = (
        clear(3.66, 3.58, 3.57, 1.85),
        clear(3.72, 3.54, 3.51, 2.07),
        clear(3.70, 3.68, 3.52, 2.15, 2.06, 1.82, 1.81, 1.79, 1.41),
    )
    scale = scale_of(*rod)
    assert not scale.disagrees
    assert not scale.agrees


@pytest.mark.parametrize(
    ("spacing", "ratio", "words"),
    [
        (
            2.583,
            0.912,
            "measures 0.2583 nm, where gold has 0.2354 nm if that is 10 % too large (0.0401 nm is right)",
        ),
        (1.8, 1.133, "measures 0.1800 nm, where gold has 0.2039 nm if that is 12 % too small"),
    ],
)
def test_one_clear_spot_that_gold_does_not_have_is_reason_to_doubt(
    spacing: float, ratio: float, words: str
) -> None:
    scale = scale_of(clear(spacing))
    assert scale.disagrees
    assert scale.ratio == pytest.approx(ratio, abs=0.003)
    assert words in scale.doubt(0.44)


def test_where_one_spot_fits_two_pixel_sizes_both_are_said() -> None:
    """{111} of pixels that are 10 % too small lies at 2.12 Å: {200} of pixels that are 4 % too large."""
    scale = scale_of(clear(2.116))
    assert scale.disagrees
    assert [round(ratio, 2) for ratio in (scale.ratio, *scale.others)] == [0.96, 1.11]
    assert "0.2039 nm if that is 4 % too large" in scale.doubt(0.36)
    assert "or 0.2354 nm if that is 10 % too small" in scale.doubt(0.36)
    assert "--sampling-nm" not in scale.doubt(0.36)


def test_one_clear_spot_of_gold_agrees() -> None:
    for spacing in (2.36, 2.04, 1.44):
        assert scale_of(clear(spacing)).agrees


def faint(*spacings: float) -> np.ndarray:
    """Spots a hundred times the noise: far from a zone axis, such may lie 5 % from their place."""
    return np.column_stack([spacings, np.full(len(spacings), 100.0)])


def test_faint_spots_count_where_several_of_two_kinds_agree() -> None:
    """An icosahedron at 0.044 nm/px, of 0.04 nm, and fewer of its spots."""
    seen = (2.661, 2.630, 2.289, 2.236, 1.631, 1.337)
    assert scale_of(faint(2.63, 2.62, 2.29, 2.27, 1.61)).disagrees
    assert not scale_of(faint(*seen[:2], 2.5, 2.0, 1.7)).disagrees
    assert not scale_of(faint(2.60, 2.59, 2.58, 2.58)).disagrees  # of one kind
    assert lattice_scale([faint(2.583)]) is None


def test_one_kind_of_spot_gives_no_reason_to_doubt() -> None:
    """{200} alone could be {111} of pixels that are 15 % larger."""
    assert not scale_of(clear(2.04, 2.04), clear(2.05), clear(2.03)).disagrees


def test_a_learnt_metal_whose_lattice_it_is_leaves_the_pixel_size_alone() -> None:
    """Copper's spots are gold's of pixels that are 13 % larger, unless copper is what was learnt."""
    copper = [clear(*(3.615 / np.sqrt(reflection) for reflection in (3, 4, 8)))] * 3
    for learnt, element, disagrees in (
        (("Au",), "Au", True),
        (("Au", "Cu"), "Cu", False),
        (("Cu",), "Cu", False),
    ):
        scale = scale_of(*copper, elements=learnt)
        assert (scale.element, scale.disagrees) == (element, disagrees)


def test_few_spots_say_nothing_and_iron_is_refused() -> None:
    assert lattice_scale([]) is None
    assert lattice_scale([faint(2.35, 2.35), faint(), faint(2.04)]) is None
    with pytest.raises(InputError, match="expected an fcc metal"):
        lattice_scale([clear(2.0, 2.0)], ["Au", "Fe"])
