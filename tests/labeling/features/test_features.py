"""Features are extracted from sizes that the network takes, on the cores that are left for it."""

from __future__ import annotations

import numpy as np

from edgeloop.edge.host.hardware import limited_cores
from edgeloop.labeling.features.backbone import open_backbone, working_size


def test_working_size_is_what_the_network_takes() -> None:
    assert working_size(np.zeros((432, 768, 3), np.uint8), 2.0) == (1536, 864)
    assert working_size(np.zeros((50, 10, 3), np.uint8), 1.0) == (32, 64)


def test_one_of_several_threads_has_the_backbone_on_one_core() -> None:
    with limited_cores(1):
        assert open_backbone().threads == 1
