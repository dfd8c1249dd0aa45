"""Outlines and thickness of many specimens, beside those of one."""

from typing import Any

import numpy as np
import pytest
import torch

from facetem.atoms.assembly import Scenes, assemble_many
from facetem.atoms.outlines import _filled, masks, thickness
from facetem.atoms.placement import Placements, Template, draw_rotations
from facetem.atoms.scene import particle_masks, thickness_map
from facetem.atoms.shapes import build_particle
from facetem.core.structure import to_ase

EXTENT = (80.0, 70.0)


def scenes(dtype: torch.dtype) -> Scenes:
    """Three specimens of two particles: apart; one above the other; cut by the border."""
    particles = [build_particle("octahedron", diameter=30), build_particle("icosahedron", diameter=24)]
    centre = [(20.0, 25.0), (60.0, 48.0), (25.0, 25.0), (52.0, 40.0), (2.0, 33.0), (71.0, 68.0)]
    placements = Placements(
        torch.arange(3).repeat_interleave(2),
        torch.tensor([0, 1, 1, 0, 0, 1]),
        draw_rotations(6, torch.Generator().manual_seed(2), dtype=dtype),
        torch.tensor(centre, dtype=dtype),
        torch.ones(3, dtype=dtype),
        torch.full((3,), 2.0, dtype=dtype),
    )
    return assemble_many(
        [Template.of(p, dtype=dtype) for p in particles], None, placements, extent=EXTENT, clip=True
    )


@pytest.mark.parametrize("sampling", [0.25, 0.4, 1.0])
def test_outlines_are_those_of_particle_masks(sampling):
    many = scenes(torch.float64)
    shape = round(EXTENT[1] / sampling), round(EXTENT[0] / sampling)
    outlines = masks(many, shape, sampling)
    assert outlines.shape == (6, *shape)
    for i, specimen in enumerate(to_ase(many.structure)):
        specimen.set_tags(many.tags[many.structure.batch == i].numpy())
        mine = (many.scene == i).nonzero()[:, 0]
        labelled = (outlines[mine].int() * torch.tensor([1, 2])[:, None, None]).sum(0)
        # The same pixels, all of them: both round atoms to pixels and disks to rows alike.
        np.testing.assert_array_equal(labelled.numpy(), particle_masks(specimen, shape, sampling))


def test_holes_are_filled_and_bays_are_not():
    ring = torch.zeros((2, 40, 40), dtype=torch.bool)
    ring[:, 5:35, 5:35] = True
    ring[:, 8:32, 8:32] = False
    ring[1, 5:8, 20] = False  # a door, behind which the room reaches farther than one sees
    ring[:, 15, 8:28] = True
    filled = _filled(ring)
    assert filled[0, 5:35, 5:35].all()
    assert torch.equal(filled[1], ring[1])


def test_single_precision_moves_hardly_a_pixel():
    shape, sampling = (175, 200), 0.4
    exact, single = (masks(scenes(dtype), shape, sampling) for dtype in (torch.float64, torch.float32))
    # An atom within 1e-5 Å of half way between two pixels may go to the other one.
    assert (exact != single).sum() <= 0.001 * exact.sum()


def test_thickness_is_that_of_thickness_map():
    many, shape, sampling = scenes(torch.float64), (175, 200), 0.4
    maps = thickness(many, shape, sampling)
    for i, specimen in enumerate(to_ase(many.structure)):
        specimen.set_tags(many.tags[many.structure.batch == i].numpy())
        np.testing.assert_allclose(maps[i].numpy(), thickness_map(specimen, shape, sampling), atol=1e-4)


@pytest.mark.gpu
def test_the_device_does_not_matter():
    many = scenes(torch.float64)
    fields: dict[str, Any] = vars(many) | {"structure": many.structure.to("cuda")}
    moved: dict[str, Any] = {k: v.cuda() if isinstance(v, torch.Tensor) else v for k, v in fields.items()}
    there = Scenes(**moved)
    assert torch.equal(masks(many, (175, 200), 0.4), masks(there, (175, 200), 0.4).cpu())
    torch.testing.assert_close(thickness(many, (175, 200), 0.4), thickness(there, (175, 200), 0.4).cpu())
