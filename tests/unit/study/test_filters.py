"""Filters and scores on a lattice that is known without noise."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from facetem.study.filters import installed_filters, lattice_fidelity, noise_level, restoration_scores

SIDE, PIXEL = 128, 0.4


def crystal(turn: float = 0.0) -> tuple[Tensor, Tensor]:
    """A disc with crossed fringes of 2.35 Å, turned [rad], on a plain ground, and its mask."""
    y, x = torch.meshgrid(torch.arange(SIDE) - 64.0, torch.arange(SIDE) - 64.0, indexing="ij")
    inside = torch.hypot(y, x) < 40
    fringes = sum(
        torch.cos(2 * torch.pi * PIXEL * (x * math.cos(a) + y * math.sin(a)) / 2.35)
        for a in (turn + 0.3, turn + 1.5)
    )
    ground = 0.02 * torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(round(100 * turn)))
    return 1 + ground + inside * (0.1 * fringes - 0.05), inside


def test_scores_of_the_target_itself_and_of_others() -> None:
    target, inside = (part[None] for part in crystal())
    perfect = restoration_scores(7 * target + 3, target, inside)  # any scale of the camera
    assert perfect.psnr > 60
    assert perfect.ssim == pytest.approx(1, abs=1e-4)
    assert perfect.contrast_ratio == pytest.approx(1, abs=1e-4)
    assert perfect.lattice == pytest.approx(1, abs=1e-4)
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(1))
    worse = [restoration_scores(target + level * noise, target, inside) for level in (0.05, 0.2, 1.0)]
    for name in ("psnr", "ssim", "contrast", "lattice"):
        values = [getattr(perfect, name), *(getattr(score, name) for score in worse)]
        assert values == sorted(values, reverse=True), name
    assert worse[-1].contrast_ratio < 0.5


def test_a_lattice_turned_over_is_the_opposite_and_another_is_unrelated() -> None:
    target = crystal()[0][None]
    assert float(lattice_fidelity(2 - target, target)) == pytest.approx(-1, abs=1e-4)
    others = [float(lattice_fidelity(crystal(turn)[0][None], target)) for turn in np.linspace(0.3, 2.8, 12)]
    assert abs(np.mean(others)) < 0.15  # near 0 each, of no sign
    shifted = target.roll(3, -1)  # 1.2 Å: half a period of the fringes along x, a third of the others
    assert float(lattice_fidelity(shifted, target)) < 0.3
    plain = torch.ones_like(target)
    assert torch.isnan(lattice_fidelity(target, plain)).all()


def test_filters_clean_a_noisy_lattice() -> None:
    target, inside = (part[None] for part in crystal())
    noise = 0.15 * torch.randn(target.shape, generator=torch.Generator().manual_seed(2))
    noisy = target + noise
    assert noise_level(noisy[0].numpy()) == pytest.approx(0.15, rel=0.2)
    raw = restoration_scores(noisy, target, inside)
    filters = installed_filters()
    assert "non-local means" in filters
    for name, run in filters.items():
        cleaned = torch.as_tensor(run(noisy[0].numpy(), PIXEL)).float()[None]
        score = restoration_scores(cleaned, target, inside)
        assert score.psnr > raw.psnr + 0.5, name
        assert score.lattice > 0.8, name
