import pytest
import torch
from torch import nn

from facetem.learn.classifier import ShapeClassifier
from facetem.learn.muon import LENGTH, NARROW, Muon, optimizers, orthogonal


@pytest.mark.parametrize("shape", [(24, 24), (24, 100), (100, 24)])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-3), (torch.bfloat16, 0.1)])
def test_a_matrix_is_made_orthogonal_and_keeps_its_directions(
    shape: tuple[int, int], dtype: torch.dtype, near: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    left = torch.linalg.qr(torch.randn(shape[0], 24, generator=generator))[0]
    right = torch.linalg.qr(torch.randn(shape[1], 24, generator=generator))[0]
    strengths = torch.logspace(-2, 0, 24)
    got = orthogonal((left * strengths @ right.T)[None].to(dtype))[0].float()
    along = left.T @ got @ right
    assert along.diagonal().min() > 0.6
    assert along.diagonal().max() < 1.3
    torch.testing.assert_close(along, along.diagonal().diag(), atol=near, rtol=0)
    torch.testing.assert_close(got, left @ along @ right.T, atol=near, rtol=0)  # nothing beside them


def test_a_step_is_as_long_as_one_of_adamw_however_steep_the_slope() -> None:
    generator = torch.Generator().manual_seed(1)
    for scale in (1e-4, 1e4):
        weight = nn.Parameter(torch.zeros(32, 16, 3, 3))
        weight.grad = scale * torch.randn(weight.shape, generator=generator)
        Muon([weight], lr=0.1, weight_decay=0.0).step()
        assert float(weight.detach().square().mean().sqrt()) == pytest.approx(0.1 * LENGTH, rel=0.3)
        assert (weight * weight.grad).sum() < 0  # downwards


def test_weights_move_alike_alone_and_with_others_and_those_without_a_slope_do_not() -> None:
    generator = torch.Generator().manual_seed(2)
    start = [
        torch.randn(shape, generator=generator) for shape in ((20, 30), (20, 30), (16, 2, 3, 3), (20, 30))
    ]
    slopes = [torch.randn(one.shape, generator=generator) for one in start]

    def moved(which: list[int]) -> dict[int, torch.Tensor]:
        weights = {i: nn.Parameter(start[i].clone()) for i in which}
        optimizer = Muon(weights.values(), lr=0.01, weight_decay=0.1)
        for _ in range(3):
            for i, weight in weights.items():
                weight.grad = None if i == 3 else slopes[i]
            optimizer.step()
        return {i: weight.detach() for i, weight in weights.items()}

    together = moved([0, 1, 2, 3])
    for i in range(3):
        torch.testing.assert_close(together[i], moved([i])[i])
        assert not torch.equal(together[i], start[i])
    assert torch.equal(together[3], start[3])


def test_directions_that_a_loss_hardly_depends_on_are_learnt_as_fast() -> None:
    """Least squares with inputs of very unlike strengths: what Muon is for."""
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(200, 20, generator=generator) * torch.logspace(-1, 0, 20)
    true = torch.randn(20, 20, generator=generator)

    def missing(make, rate: float) -> float:
        weight = nn.Parameter(torch.zeros(20, 20))
        optimizer = make([weight], lr=rate, weight_decay=0.0)
        for step in range(200):
            for group in optimizer.param_groups:
                group["lr"] = rate * (1 - step / 200)
            weight.grad = inputs.T @ (inputs @ (weight.detach() - true)) / len(inputs)
            optimizer.step()
        return float((weight.detach() - true).square().mean())

    assert missing(Muon, 0.2) < 0.01 * missing(torch.optim.SGD, 0.5)  # near the rate at which it diverges


def test_every_weight_of_a_network_is_moved_by_one_of_the_two() -> None:
    model = ShapeClassifier()
    muon, adamw = optimizers(model, rate=1e-3, decay=0.02)
    mine, others = ({id(p) for group in o.param_groups for p in group["params"]} for o in (muon, adamw))
    assert mine.isdisjoint(others)
    assert mine | others == {id(weight) for weight in model.parameters()}
    assert isinstance(muon, Muon)
    assert all(min(len(p), p[0].numel()) >= NARROW for group in muon.param_groups for p in group["params"])
    assert id(model.head.weight) in others  # eight answers are not directions of one space
    assert id(model.features[0].weight) in mine


def test_a_network_of_vectors_alone_has_no_matrices_to_move() -> None:
    (only,) = optimizers(nn.Linear(4, 4), rate=1e-3, decay=0.0)
    assert isinstance(only, torch.optim.AdamW)


def test_what_was_saved_goes_on_as_what_was_not() -> None:
    generator = torch.Generator().manual_seed(4)
    slopes = [torch.randn(20, 20, generator=generator) for _ in range(6)]
    weight = nn.Parameter(torch.zeros(20, 20))
    optimizer = Muon([weight], lr=0.1, weight_decay=0.01)
    for step, slope in enumerate(slopes):
        if step == 3:
            state, weight = optimizer.state_dict(), nn.Parameter(weight.detach().clone())
            optimizer = Muon([weight], lr=7.0, weight_decay=0.7)
            optimizer.load_state_dict(state)
        weight.grad = slope
        optimizer.step()
    straight = nn.Parameter(torch.zeros(20, 20))
    other = Muon([straight], lr=0.1, weight_decay=0.01)
    for slope in slopes:
        straight.grad = slope
        other.step()
    torch.testing.assert_close(weight, straight)
