"""Crops: the image around the centre, continued as its mirror image beyond the edges."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from facetem.core.errors import InputError
from facetem.data.crop import crop


def test_a_crop_is_the_image_around_its_centre() -> None:
    image = np.arange(400 * 500, dtype=np.float32).reshape(400, 500)
    cut = crop(image, (200.2, 250.4), 64)
    assert_array_equal(cut, image[168:232, 218:282])
    assert cut[32, 32] == image[200, 250]


def test_a_crop_beyond_the_edge_continues_as_a_mirror() -> None:
    image = np.random.default_rng(0).normal(size=(100, 90)).astype(np.float32)
    assert_array_equal(crop(image, (0, 89), 40), np.pad(image, 20, mode="symmetric")[:40, 89:129])
    # a field smaller than the crop is mirrored again and again
    assert_array_equal(crop(image, (50, 45), 256), np.pad(image, 300, mode="symmetric")[222:478, 217:473])


def test_a_stack_is_refused() -> None:
    with pytest.raises(InputError, match="expected"):
        crop(np.zeros((2, 80, 80)), (40, 40))
