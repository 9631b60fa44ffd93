"""Hashes are compared in blocks, with the result of comparing each with all."""

from __future__ import annotations

import numpy as np

from edgeloop.labeling.frames.perceptual_hash import HASH_BITS, bits_apart, nearest_hashes


def test_the_closest_of_many_hashes_is_found_for_each() -> None:
    random = np.random.default_rng(0)
    others = random.random((300, HASH_BITS)) < 0.5
    codes = np.concatenate((random.random((600, HASH_BITS)) < 0.5, others[[7, 7, 299]]))
    codes[-1, :3] ^= True
    apart = (codes[:, None] != others[None]).sum(axis=2)
    rows, bits = nearest_hashes(codes, others)
    np.testing.assert_array_equal(bits_apart(codes, others), apart)
    np.testing.assert_array_equal(rows, apart.argmin(axis=1))
    np.testing.assert_array_equal(bits, apart.min(axis=1))
    assert (rows[-3:].tolist(), bits[-3:].tolist()) == ([7, 7, 299], [0, 0, 3])
    none = np.empty((0, HASH_BITS), np.bool_)
    assert [len(found) for found in nearest_hashes(none, others)] == [0, 0]
