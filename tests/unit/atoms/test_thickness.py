import numpy as np
import pytest

from facetem.atoms.scene import assemble, thickness_map
from facetem.atoms.shapes import build_particle


def test_thickness_adds_up_to_the_particle_s_volume_and_is_its_height_in_the_middle() -> None:
    particle = build_particle("cube", diameter=40.0)  # cubic axes along the box: as thick everywhere
    atoms = assemble([particle], None, extent=(80.0, 80.0))
    thickness = thickness_map(atoms, (200, 200), 0.4)
    volume = np.pi / 6 * particle.info["diameter"] ** 3
    assert thickness.sum() * 0.4**2 == pytest.approx(volume, rel=1e-3)
    layers = (
        np.ptp(particle.positions[:, 2]) + 4.078 / 2
    )  # each of the layers stands for half a lattice constant
    assert thickness[95:105, 95:105].mean() == pytest.approx(layers, rel=0.03)
    assert thickness[:20, :20].max() == 0
