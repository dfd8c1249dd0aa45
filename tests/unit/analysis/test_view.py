"""How a particle stands out of its surroundings."""

import numpy as np
import pytest

from facetem.analysis.view import contrast_around


def test_contrast_does_not_depend_on_the_intensity_scale() -> None:
    image = np.random.default_rng(0).normal(1, 0.1, (60, 60)).astype(np.float32)
    inside = np.hypot(*(np.mgrid[:60, :60] - 30)) < 12
    image[inside] -= 0.3
    wanted = contrast_around(image, inside.astype(np.float32), inside)
    for scale in (1e-18, 1e-12, 1e12):
        found = contrast_around(np.float32(scale) * image, inside.astype(np.float32), inside)
        assert found == pytest.approx(wanted, rel=1e-4)
    image[~inside] = 0
    assert contrast_around(image, inside.astype(np.float32), inside) is None
