import math

import pytest
import torch

from facetem.learn.reflections import SIDE, log_power


@pytest.mark.parametrize(("d", "degrees"), [(2.35, 0.0), (2.04, 30.0), (1.8, -60.0), (2.35, 89.0)])
def test_fringes_of_a_spacing_and_direction_are_a_spot_in_their_place(d: float, degrees: float) -> None:
    n, pixel = 256, 0.4
    y, x = torch.meshgrid(*(pixel * torch.arange(n),) * 2, indexing="ij")
    kx, ky = (trig(math.radians(degrees)) / d for trig in (math.cos, math.sin))
    spectrum = log_power(torch.cos(2 * math.pi * (kx * x + ky * y))[None, None])[0, 0]
    assert spectrum.shape == (SIDE, SIDE // 2)
    row, column = divmod(int(spectrum.argmax()), SIDE // 2)
    found = torch.tensor([row - SIDE // 2, column]) / (n * pixel)
    assert torch.dist(found, torch.tensor([ky, kx])) < 1 / (n * pixel)


def test_the_spectrum_is_the_same_wherever_the_fringes_are() -> None:
    image = torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    moved = image.roll((64, 32), (-2, -1))
    apart = (log_power(image) - log_power(moved)).abs().mean()
    other = torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(1))
    assert apart < (log_power(image) - log_power(other)).abs().mean()
