import math

import torch

from facetem.learn.views import TURNS, left_handed, views


def test_a_mirror_changes_the_hand_of_an_image_and_a_turn_does_not() -> None:
    images = torch.randn(40, 32, 32, generator=torch.Generator().manual_seed(0))
    hand = left_handed(images)
    assert 10 < hand.sum() < 30  # both kinds are there
    for turn in range(1, 4):
        assert torch.equal(left_handed(torch.rot90(images, turn, (1, 2))), hand)
    for mirror in (images.flip(2), images.flip(1), images.transpose(1, 2)):
        assert torch.equal(left_handed(mirror), ~hand)


def test_however_an_image_lies_its_views_are_the_same() -> None:
    # In double precision: places between pixels are rounded, on every processor otherwise.
    image = torch.randn(1, 1, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    turns = [torch.rot90(one, turn, (2, 3)) for one in (image, image.flip(3)) for turn in range(4)]
    seen = [views(one, left_handed(one[:, 0])) for one in turns]
    assert len(seen[0]) == TURNS
    for other in seen[1:]:
        apart = (other[:, None] - seen[0][None]).abs().flatten(2).amax(2)
        for which, near in (
            (slice(0, None, 2), 0.0),
            (slice(1, None, 2), 1e-13),
        ):  # those between are interpolated
            again = apart[which, which] <= near
            assert torch.equal(again.sum(0), torch.ones(TURNS // 2, dtype=torch.long))  # each of them, once


def test_a_pattern_is_turned_by_an_eighth_from_view_to_view() -> None:
    """Off-centre spots, from where they lie in the first view; `torch.rot90` turns from y to x."""
    y, x = torch.meshgrid(*2 * [torch.arange(64) - 31.5], indexing="ij")
    places = {6.0: (14.0, 5.0), 3.0: (-9.0, 11.0)}  # height: x, y

    def picture(angle: float) -> torch.Tensor:
        c, s = math.cos(angle), math.sin(angle)
        return sum(
            height * torch.exp(-((x - c * u - s * v) ** 2 + (y + s * u - c * v) ** 2) / (2 * 3.0**2))
            for height, (u, v) in places.items()
        )

    image = picture(0.0)[None, None]
    for turn, view in enumerate(views(image, torch.tensor([False]))):
        apart = (view[0] - picture(turn * math.pi / 4)).abs()
        assert apart[x**2 + y**2 < 31**2].max() < 0.02 * max(places)  # beyond, corners are turned in and out
