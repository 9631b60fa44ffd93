"""Marks for tests that need optional software."""

from __future__ import annotations

import onnxruntime as ort
import pytest

from edgeloop.edge.engines.providers import PROVIDERS

needs_openvino = pytest.mark.skipif(
    PROVIDERS["openvino"] not in ort.get_available_providers(),
    reason="no OpenVINO in this onnxruntime: `make test-openvino` runs these",
)
