"""Particles: found, separated and measured as geometry says."""

import math

import numpy as np
import pytest

from facetem.analysis.particles import find_particles

SAMPLING = 0.4  # Å/px


def disc(shape: tuple[int, int], y: float, x: float, radius: float) -> np.ndarray:
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    return (np.hypot(yy - y, xx - x) <= radius).astype(np.float32)


def polygon(n: int, radius: float, turn: float = 0.1) -> np.ndarray:
    """A filled regular polygon in the middle of 300 x 300 px."""
    yy, xx = np.mgrid[:300, :300] - 150.0
    angle = np.mod(np.arctan2(yy, xx) - turn, 2 * math.pi / n) - math.pi / n
    return (np.hypot(yy, xx) * np.cos(angle) <= radius * math.cos(math.pi / n)).astype(np.float32)


def test_a_disc_is_measured() -> None:
    (found,) = find_particles(disc((260, 300), 120, 170, 60), sampling=SAMPLING)
    assert found.centroid == pytest.approx((120, 170), abs=0.05)
    assert found.equivalent_diameter == pytest.approx(48, rel=0.01)
    assert found.area == pytest.approx(math.pi * 24**2, rel=0.01)
    assert found.feret == pytest.approx(48.2, rel=0.015)
    assert found.circularity > 0.97
    assert found.bbox == (60, 110, 181, 231)
    seen = np.zeros((260, 300), dtype=np.float32)
    seen[found.box] = found.inside
    assert np.array_equal(seen, disc((260, 300), 120, 170, 60))
    assert not found.cut_by_edge
    radii = np.hypot(*(found.contour - found.centroid).T)
    assert radii.min() > 59
    assert radii.max() < 61


@pytest.mark.parametrize("turn", [0.0, 0.1, 0.4, 0.7])
def test_a_square_has_the_measures_of_a_square(turn: float) -> None:
    (found,) = find_particles(polygon(4, 80, turn), sampling=SAMPLING)
    assert found.feret == pytest.approx(64, rel=0.02)
    assert found.equivalent_diameter == pytest.approx(2 * 32 * math.sqrt(2 / math.pi), rel=0.015)
    # Crofton with four directions errs by up to a twentieth in the perimeter, most for sides along the pixels.
    assert found.circularity == pytest.approx(math.pi / 4, rel=0.1)


def test_labels_are_in_reading_order() -> None:
    mask = disc((300, 300), 60, 220, 30) + disc((300, 300), 200, 60, 40) + disc((300, 300), 210, 200, 35)
    found = find_particles(mask, sampling=SAMPLING)
    assert [o.label for o in found] == [1, 2, 3]
    assert [o.equivalent_diameter for o in found] == pytest.approx([24, 32, 28], rel=0.02)


def test_specks_are_dropped_and_holes_filled() -> None:
    mask = disc((300, 300), 150, 150, 50) - disc((300, 300), 160, 150, 15) + disc((300, 300), 40, 40, 10)
    (found,) = find_particles(mask, sampling=SAMPLING)
    assert found.equivalent_diameter == pytest.approx(40, rel=0.01)
    assert len(find_particles(mask, sampling=SAMPLING, min_diameter=5)) == 2


def test_a_ring_of_particles_keeps_the_substrate_in_its_middle() -> None:
    angles = np.linspace(0, 2 * math.pi, 8, endpoint=False)
    ring = sum(disc((400, 400), 200 + 100 * math.sin(a), 200 + 100 * math.cos(a), 40) for a in angles)
    found = find_particles(ring, sampling=SAMPLING)
    assert len(found) == 8
    assert sum(o.area for o in found) == pytest.approx((ring > 0).sum() * SAMPLING**2, rel=1e-6)


@pytest.mark.parametrize("radii", [(45, 45), (50, 35), (60, 30)])
@pytest.mark.parametrize("overlap", [0.02, 0.1])
def test_touching_particles_are_separated(radii: tuple[int, int], overlap: float) -> None:
    a, b = radii
    apart = a + b - overlap * 2 * min(radii)
    mask = np.maximum(disc((300, 400), 150, 120, a), disc((300, 400), 150, 120 + apart, b))
    found = sorted(find_particles(mask, sampling=SAMPLING), key=lambda o: -o.area)
    assert [o.equivalent_diameter / 0.8 for o in found] == pytest.approx([a, b], rel=0.05)
    centres = sorted(o.centroid[1] for o in found)
    assert centres == pytest.approx([120, 120 + apart], abs=5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [3, 4, 5, 6])
def test_one_particle_stays_one(n: int, seed: int) -> None:
    """Polygons with an outline as rough as a network draws it."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((300, 300)), 5)
    soft = gaussian_filter(polygon(n, 100, 0.3 * seed), 6) + 0.12 * noise / noise.std()
    assert len(find_particles(soft, sampling=SAMPLING)) == 1


def test_a_rod_stays_one() -> None:
    yy, xx = np.mgrid[:400, :400]
    along, across = (xx + yy - 400) / math.sqrt(2), (xx - yy) / math.sqrt(2)
    rod = (np.abs(across + 6 * np.sin(along / 15)) < 35) & (np.abs(along) < 190)
    assert len(find_particles(rod, sampling=SAMPLING)) == 1


def test_shallow_necks_part_nothing() -> None:
    """Three discs whose necks are three quarters as wide as they: the outline of one rough rod."""
    chain = np.max([disc((120, 230), 60, x, 40) for x in (60, 112, 164)], axis=0)
    assert len(find_particles(chain, sampling=SAMPLING)) == 1


def test_particles_at_the_edge_are_marked() -> None:
    mask = disc((300, 300), 20, 150, 50) + disc((300, 300), 240, 240, 40)
    cut, whole = find_particles(mask, sampling=SAMPLING)
    assert cut.cut_by_edge
    assert not whole.cut_by_edge
    assert np.allclose(cut.contour[0], cut.contour[-1])  # the outline is closed along the edge


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_nothing_and_everything(level: float) -> None:
    assert len(find_particles(np.full((200, 200), level), sampling=SAMPLING)) == int(level)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"finite and \(y, x\)"):
        find_particles(np.full((80, 80), np.nan), sampling=SAMPLING)
    with pytest.raises(ValueError, match="sampling must be > 0"):
        find_particles(np.zeros((80, 80)), sampling=0)


def test_blur_finds_in_a_noisy_map_what_a_threshold_alone_shatters() -> None:
    """Each pixel is wrong three times in ten; the particle and nothing else is found."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:300, :300]
    truth = (y - 140) ** 2 + (x - 160) ** 2 < 70**2
    noisy = np.where(rng.random(truth.shape) < 0.3, ~truth, truth).astype(np.float32)
    assert len(find_particles(noisy, sampling=0.4, blur=4.0, min_diameter=20)) == 1
    (outline,) = find_particles(noisy, sampling=0.4, blur=4.0, min_diameter=20)
    assert outline.equivalent_diameter == pytest.approx(2 * 70 * 0.4, rel=0.05)
    plain = find_particles(noisy, sampling=0.4, min_diameter=20)
    assert len(plain) != 1 or plain[0].circularity < 0.8 * outline.circularity


def test_negative_blur_is_refused() -> None:
    with pytest.raises(ValueError, match="blur"):
        find_particles(np.zeros((80, 80)), sampling=0.4, blur=-1.0)
