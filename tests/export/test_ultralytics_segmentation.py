"""An export of ultralytics' YOLO11-seg, and its own masks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from ultralytics import YOLO

from edgeloop.edge.runtime.detector import Detector

SIDE = 160


@pytest.fixture(scope="module")
def exported(_slow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """YOLO11n-seg of random weights, whose boxes are small and whose scores are high enough to be found."""
    torch.manual_seed(0)
    yolo = YOLO("yolo11n-seg.yaml")
    for name, buffer in yolo.model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.02, 0.2)
    head = yolo.model.model[-1]
    with torch.no_grad():
        for box, score, mask in zip(head.cv2, head.cv3, head.cv4, strict=True):
            box[-1].bias.copy_(-0.3 * torch.arange(16.0).repeat(4))
            score[-1].bias.fill_(-3)
            mask[-1].weight.mul_(4)
    # Masks of random weights are noise, of which every way to interpolate makes another one.
    head.proto = torch.nn.Sequential(head.proto, torch.nn.AvgPool2d(9, 1, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("exported"))
        return Path(yolo.export(format="onnx", imgsz=SIDE, simplify=False, verbose=False)).absolute()


@pytest.mark.slow
@pytest.mark.parametrize("size", [(160, 160), (400, 400), (640, 360)])
def test_masks_are_those_of_ultralytics(exported: Path, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    image = cv2.resize(rng.integers(0, 255, (9, 9, 3), dtype=np.uint8), size, interpolation=cv2.INTER_CUBIC)
    found = Detector(exported, provider="cpu", confidence=0.3).detect(image)
    options = {"conf": 0.3, "imgsz": SIDE, "retina_masks": True, "verbose": False}
    (theirs,) = YOLO(exported, task="segment").predict(image, **options)
    # Ultralytics drops boxes without a pixel, so the rows are paired by box, score and class, which several
    # boxes that the image cuts may share.
    off = np.abs(found.xyxy[:, None] - theirs.boxes.xyxy.numpy()).max(axis=2)
    off += 1e3 * (found.class_id[:, None] != theirs.boxes.cls.numpy())
    off += 1e3 * np.abs(found.confidence[:, None] - theirs.boxes.conf.numpy())
    assert off.min(axis=0).max() < 0.01
    assert found.masks is not None
    large = theirs.masks.data.numpy().sum(axis=(1, 2)) > 100
    ours = found.masks.to_array().reshape(len(found), -1).astype(np.float32)
    expected = theirs.masks.data.numpy().reshape(len(large), -1)[large].astype(np.float32)
    shared = ours @ expected.T
    overlaps = shared / (ours.sum(axis=1)[:, None] + expected.sum(axis=1) - shared)
    iou = np.where(off[:, large] < 0.01, overlaps, 0).max(axis=0)
    assert len(iou) > 50
    # At the border of a letterbox, ultralytics leaves the prototypes of the padding out.
    assert np.median(iou) > 0.99
