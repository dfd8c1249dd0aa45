"""What a training begins with."""

import pytest
import torch

from facetem.app.command import Network
from facetem.app.train import _task
from facetem.learn.growth import Size


@pytest.mark.parametrize("which", [Network.classifier, Network.restorer])
def test_a_seed_decides_the_first_weights(which: Network) -> None:
    """Whatever else has drawn from PyTorch's generator before, which every process starts anew."""
    begun = []
    for before, seed in ((1, 5), (2, 5), (1, 6)):
        torch.manual_seed(before)
        begun.append(_task(None, Size(), seed, which).model.state_dict())
        assert torch.initial_seed() == before  # and leaves it as it was
    one, again, other = begun
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
