"""Steps replayed on a GPU are the steps that would have been taken without."""

import copy

import pytest
import torch
from torch import Tensor, nn

from facetem.learn.classifier import ClassifierConfig, ShapeClassifier
from facetem.learn.replay import replayed
from facetem.learn.restorer import ContrastRestorer, RestorerConfig

WIDTHS = (8, 8, 8, 8)


def small(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name == "classifier":
        layout = {"widths": WIDTHS, "depths": (1, 1, 1, 1), "reflections": 8, "dropout": 0.0}
        return ShapeClassifier(ClassifierConfig(**layout)).cuda()
    return ContrastRestorer(RestorerConfig(widths=WIDTHS, depths=(1, 1, 1, 1), up=WIDTHS)).cuda()


def total(answer: object) -> Tensor:
    """Something that depends on all that a network answers."""
    if isinstance(answer, Tensor):
        return answer.float().square().mean()
    assert isinstance(answer, tuple)
    return sum((total(part) for part in answer), torch.zeros((), device="cuda"))


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["classifier", "restorer"])
def test_a_replayed_step_is_the_step_itself(name: str) -> None:
    model = small(name)
    plain, start = copy.deepcopy(model).train(), copy.deepcopy(model.state_dict())
    graphed = replayed(model, torch.randn(4, 1, 256, 256, device="cuda"), "32-true")
    for key, value in graphed.state_dict().items():
        assert torch.equal(value, start[key]), key  # recording leaves no trace
    for seed in range(2):
        images = torch.randn(
            4, 1, 256, 256, generator=torch.Generator("cuda").manual_seed(seed), device="cuda"
        )
        losses, gradients = [], []
        for network in (plain, graphed):
            network.zero_grad()
            losses.append(total(network(images)))
            losses[-1].backward()
            # Copies: the memory of replayed gradients is used again by the next pass.
            gradients.append({key: value.grad.clone() for key, value in network.named_parameters()})
        torch.testing.assert_close(losses[1], losses[0], rtol=1e-4, atol=1e-5)
        for key, expected in gradients[0].items():
            scale = float(expected.abs().max())
            torch.testing.assert_close(gradients[1][key], expected, rtol=1e-2, atol=1e-3 * scale + 1e-6)
    for key, value in graphed.state_dict().items():  # the statistics too have moved alike
        torch.testing.assert_close(value.float(), plain.state_dict()[key].float(), rtol=1e-3, atol=1e-4)
