import numpy as np
import pytest
import torch

from facetem.core.errors import InputError
from facetem.learn.calibration import cross_fitted, fit_spread_scale, fit_temperature


def test_temperature_recovers_the_factor_that_made_the_logits_overconfident() -> None:
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(20000, 8, generator=generator) * 1.5
    labels = torch.multinomial(torch.softmax(honest, 1), 1, generator=generator)[:, 0]
    assert fit_temperature(3.0 * honest, labels) == pytest.approx(3.0, rel=0.05)
    assert fit_temperature(honest, labels) == pytest.approx(1.0, rel=0.05)


def test_cross_fitted_probabilities_do_not_know_their_own_labels() -> None:
    """With one label turned over, the answer of its own image stays the same to rounding, others move."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(60, 4, generator=generator)
    labels = torch.multinomial(torch.softmax(logits / 2, 1), 1, generator=generator)[:, 0]
    before = cross_fitted(logits, labels)
    assert before.sum(1).numpy() == pytest.approx(np.ones(60), abs=1e-5)
    assert (before.argmax(1) == logits.argmax(1)).all()
    turned = labels.clone()
    turned[7] = logits[7].argmin()
    after = cross_fitted(logits, turned)
    torch.testing.assert_close(after[7], before[7])
    assert ((after - before).abs().amax(1) > 1e-3).sum() >= 45  # all but those of its own part


def test_spread_scale_recovers_how_much_too_small_the_spread_was() -> None:
    rng = np.random.default_rng(3)
    sigma = rng.uniform(0.01, 0.3, (4, 100, 100))
    assert fit_spread_scale(sigma / 7, sigma * rng.normal(size=sigma.shape)) == pytest.approx(7, rel=0.03)


@pytest.mark.parametrize(
    "spread", [np.zeros((2, 3)), np.full((2, 3), np.nan), np.ones((3, 2)), np.zeros((0, 3))]
)
def test_spread_scale_refuses_what_fixes_no_factor(spread: np.ndarray) -> None:
    with pytest.raises(InputError, match="spread"):
        fit_spread_scale(spread, np.ones((0, 3)) if spread.size == 0 else np.ones((2, 3)))
