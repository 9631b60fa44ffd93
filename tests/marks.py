"""Marks for tests that need optional software."""

from __future__ import annotations

import pytest

from edgeloop.edge.engines.open_engine import installed_engines

needs_openvino = pytest.mark.skipif(
    not installed_engines()["openvino"], reason="openvino is not installed: pip install 'edgeloop[openvino]'"
)
