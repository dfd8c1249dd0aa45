import numpy as np
import pytest

from facetem.analysis.result import ParticleResult
from facetem.app.demo import Truth, draw_field, match


def particle(index: int, x: float, y: float, shape: str = "cube") -> ParticleResult:
    return ParticleResult(
        index=index,
        x_nm=x / 10,
        y_nm=y / 10,
        diameter_nm=5.0,
        feret_nm=5.5,
        circularity=0.9,
        cut_by_edge=False,
        shape=shape,
        confidence=0.8,
        judged=True,
        known=True,
        probabilities={shape: 0.8},
        possible=(shape,),
        family="single crystal",
        volume_diameter_nm=5.0,
        quaternion=(1.0, 0.0, 0.0, 0.0),
        zone=None,
        zone_angle_deg=None,
    )


def test_field_holds_each_shape_once_at_its_place() -> None:
    shapes = ("cube", "icosahedron", "twin")
    field, truths = draw_field(4, shapes=shapes, width=240.0)
    assert [t.shape for t in truths] == list(shapes)
    assert field.cell.lengths()[:2] == pytest.approx([240.0, 240.0])
    for tag, truth in enumerate(truths, start=1):
        own = field.positions[field.get_tags() == tag]
        assert own[:, :2].mean(axis=0) == pytest.approx([truth.x, truth.y], abs=1e-6)
        volume = len(own) * 4.078**3 / 4
        assert truth.diameter == pytest.approx((6 * volume / np.pi) ** (1 / 3), rel=1e-6)
    assert (field.get_tags() == 0).any()


def test_field_depends_on_its_seed_alone() -> None:
    first, again, other = (draw_field(s, shapes=("cube", "twin"), width=230.0)[0] for s in (1, 1, 2))
    assert np.array_equal(first.positions, again.positions)
    assert len(first) != len(other) or not np.allclose(first.positions, other.positions)


def test_field_too_narrow_is_refused() -> None:
    with pytest.raises(ValueError, match="expected room for a cube"):
        draw_field(1, shapes=("cube", "twin"), width=90.0)


def test_match_is_by_place() -> None:
    truths = [Truth(100, 100, "cube", 50.0), Truth(300, 100, "twin", 50.0), Truth(100, 300, "twin", 50.0)]
    found = [particle(1, 295, 104), particle(2, 103, 98), particle(3, 200, 200)]
    assert match(truths, found) == [found[1], found[0], None]


def test_match_of_two_on_one_particle_takes_the_nearer() -> None:
    found = [particle(1, 110, 100), particle(2, 102, 100)]
    assert match([Truth(100, 100, "cube", 50.0)], found) == [found[1]]


def test_match_with_nothing_found() -> None:
    assert match([Truth(100, 100, "cube", 50.0)], []) == [None]
