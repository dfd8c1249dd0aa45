"""Small specimens that the tests of the physics share."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from facetem.core.structure import Structure

DrawCluster = Callable[..., Structure]


@pytest.fixture(scope="session")
def draw_cluster() -> DrawCluster:
    """draw_cluster(n, box, numbers, seed, margin): n atoms at random in a box [Å], at 64-bit precision."""

    def draw(
        n: int = 40,
        box: tuple[float, float, float] = (24.0, 24.0, 20.0),
        numbers: tuple[int, ...] = (6, 79),
        seed: int = 0,
        margin: float = 0.0,
    ) -> Structure:
        rng = np.random.default_rng(seed)
        low, high = np.array([margin, margin, 1.0]), np.array(box) - [margin, margin, 1.0]
        return Structure(
            positions=torch.as_tensor(rng.uniform(low, high, (n, 3))),
            numbers=torch.as_tensor(rng.choice(numbers, n)),
            batch=torch.zeros(n, dtype=torch.int64),
            cell=torch.tensor([box], dtype=torch.float64),
        )

    return draw
