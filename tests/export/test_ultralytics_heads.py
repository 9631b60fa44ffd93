"""Ultralytics' heads cut off: distributions of 16 bins (DFL), and plain distances."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgeloop.export.ultralytics.build_detector import build_detector
from edgeloop.export.ultralytics.load_checkpoint import export_form
from tests.export.heads import NAMES, check_cut


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "bins"), [("yolov8n", 16), ("yolo11n", 16), ("yolo12n", 16), ("yolo26n", 1)]
)
def test_the_host_decodes_what_the_graph_decoded(name: str, bins: int) -> None:
    detector = build_detector(name, "none", NAMES, seed=0)
    head = detector.model[-1]
    assert head.reg_max == bins
    branches = [head.cv2, head.cv3, *(getattr(head, each) for each in ("one2one_cv2", "one2one_cv3")
                                      if getattr(head, each, None) is not None)]  # fmt: skip
    torch.manual_seed(1)
    for branch in branches:  # as they start, all distributions are flat and all scores alike
        for scale in branch:
            nn.init.normal_(scale[-1].weight, std=0.5)
    model = export_form(detector, end2end=False if name == "yolo26n" else None)
    check_cut(model, (160, 96), bins=bins)
