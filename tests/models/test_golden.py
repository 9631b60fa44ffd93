from __future__ import annotations

import numpy as np

from models.golden import array_digest, golden_image


def test_the_golden_image_is_the_same_everywhere() -> None:
    image = golden_image((64, 48))
    assert (image.shape, image.dtype) == ((48, 64, 3), "uint8")
    assert array_digest(image) == "5b36d2bcbf6d42fb416b7a1818b38b6bd5ff83d69b5ad98c125f06fdd60686b3"


def test_the_golden_image_has_contrast_in_every_channel() -> None:
    assert golden_image((320, 320)).std(axis=(0, 1)).min() > 50


def test_a_digest_tells_values_shapes_and_types_apart() -> None:
    zeros = np.zeros((2, 3), np.float32)
    others = [zeros + 1, zeros.T, zeros.astype(np.int32), zeros.reshape(6)]
    assert len({array_digest(array) for array in (zeros, *others)}) == 5
    assert array_digest(np.asfortranarray(zeros)) == array_digest(zeros)
