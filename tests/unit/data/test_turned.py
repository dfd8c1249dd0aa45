"""The lattice of a target follows the recorded image; its outline does not."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from facetem.data.draw import draw_specimen
from facetem.data.recipe import Recipe
from facetem.data.specimens import TARGET_OPTICS, WAVE_BAND, truth_of
from facetem.data.turned import as_recorded
from facetem.hrtem.optics import clean_images

SIDE, PIXEL = 128, 0.4


def crystal(sign: float) -> tuple[Tensor, Tensor]:
    """A dark disc with fringes of 2.35 Å, and the disc alone."""
    y, x = torch.meshgrid(torch.arange(SIDE) - 64.0, torch.arange(SIDE) - 64.0, indexing="ij")
    disc = torch.hypot(y, x) < 35
    fringes = torch.cos(2 * math.pi * PIXEL * (0.8 * x + 0.6 * y) / 2.35)
    return 1 - 0.2 * disc + sign * 0.3 * disc * fringes, disc


def test_fringes_are_turned_over_and_the_outline_is_not() -> None:
    (target, disc), (other, _) = crystal(1.0), crystal(-1.0)
    both = as_recorded(torch.stack([target, target]), torch.stack([0.5 + 0.2 * target, 3 + 2 * other]))
    torch.testing.assert_close(both[0], target)
    inner = disc & disc.roll(12, 0) & disc.roll(-12, 0) & disc.roll(12, 1) & disc.roll(-12, 1)
    torch.testing.assert_close(both[1][inner], other[inner], rtol=0, atol=0.06)
    assert float(both[1][inner].mean()) == pytest.approx(float(target[inner].mean()), abs=0.02)


def test_what_is_wider_is_turned_over_as_far_as_the_gaussian_leaves_it() -> None:
    """L + H becomes L - H: of a wave of 10.24 Å a Gaussian of 3 Å leaves L = exp(-2 (pi 3 / 10.24)^2) = 0.18."""
    wave = torch.cos(2 * math.pi * torch.arange(256) / 25.6).expand(1, 256, 256)
    left = math.exp(-2 * (math.pi * 3 / 10.24) ** 2)
    turned = as_recorded(1 + wave, 1 - wave)
    torch.testing.assert_close(turned, 1 + (2 * left - 1) * wave, atol=1e-4, rtol=0)


def test_as_much_overfocus_shows_what_is_claimed_of_it(small_recipe: Recipe) -> None:
    """The images of a specimen at the same distance on both sides of focus: one stands for the other."""
    for index in range(3):
        specimen = draw_specimen(small_recipe, "train", index)
        truth = truth_of([specimen], small_recipe, "cpu")
        middle = float(specimen.atoms.cell.lengths()[2]) - specimen.atoms.info["particle_z"][0]
        under, over = clean_images(
            truth.waves.expand(2, -1, -1),
            truth.grid,
            energies=[specimen.energy] * 2,
            optics=[TARGET_OPTICS.at(middle + d) for d in (80.0, -80.0)],
            shape=truth.targets.shape[-2:],
            band=WAVE_BAND,
        )
        inside = truth.masks[0] > 0
        turned = as_recorded(under[None], over[None])[0]
        alike = {
            name: float(np.corrcoef(image[inside], over[inside])[0, 1])
            for name, image in (("as it was", under), ("turned", turned))
        }
        assert alike["turned"] > max(0.5, alike["as it was"] + 0.5), alike
