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
    image = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    turns = [torch.rot90(one, turn, (2, 3)) for one in (image, image.flip(3)) for turn in range(4)]
    seen = [views(one, left_handed(one[:, 0])) for one in turns]
    assert len(seen[0]) == TURNS
    for other in seen[1:]:
        again = (other[:, None] == seen[0][None]).flatten(2).all(2)
        assert torch.equal(again.sum(0), torch.ones(TURNS, dtype=torch.long))  # each of them, once
