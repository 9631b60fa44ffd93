"""The frames that features are extracted from have sizes that the network takes."""

from __future__ import annotations

import numpy as np

from edgeloop.labeling.features.backbone import working_size


def test_working_size_is_what_the_network_takes() -> None:
    assert working_size(np.zeros((432, 768, 3), np.uint8), 2.0) == (1536, 864)
    assert working_size(np.zeros((50, 10, 3), np.uint8), 1.0) == (32, 64)
