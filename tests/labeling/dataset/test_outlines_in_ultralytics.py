"""Ultralytics' own loader reads the outlines of a dataset, and draws the masks that they were traced from."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle

from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.labeling.dataset.split import Split
from edgeloop.labeling.dataset.write import LabeledFrame, write_dataset
from edgeloop.labeling.frames.frame_store import FolderStore
from edgeloop.labeling.ledger import FrameResult, Label

SIZE = 640


def shapes() -> list[np.ndarray]:
    """A disk, a ring, a slanted bar and an object in two parts, uint8 (SIZE, SIZE)."""
    drawn = [np.zeros((SIZE, SIZE), np.uint8) for _ in range(4)]
    cv2.circle(drawn[0], (150, 150), 90, 1, -1)
    cv2.circle(drawn[1], (460, 160), 120, 1, 50)
    cv2.fillPoly(drawn[2], [np.array([(60, 420), (110, 380), (270, 560), (220, 600)])], 1)
    drawn[3][380:600, 380:450] = drawn[3][380:600, 480:600] = 1
    return drawn


def labels() -> list[Label]:
    made = []
    for number, mask in enumerate(shapes()):
        runs = rle.encode(np.asfortranarray(mask))
        x, y, w, h = rle.toBbox(runs).tolist()
        counts = runs["counts"].decode("ascii")
        xyxy = (x, y, x + w, y + h)
        made.append(
            Label(xyxy=xyxy, class_id=number % 2, score=1, counts=counts, prompt="detector", sam_score=1)
        )
    return made


@pytest.mark.slow
def test_masks_are_those_of_the_labels(tmp_path: Path) -> None:
    pytest.importorskip("ultralytics")
    data = pytest.importorskip("ultralytics.data")
    utils = pytest.importorskip("ultralytics.data.utils")
    cfg = pytest.importorskip("ultralytics.cfg")
    frames = tmp_path / "frames"
    frames.mkdir()
    cv2.imwrite(str(frames / "0.png"), np.full((SIZE, SIZE, 3), 90, np.uint8))
    result = FrameResult(file="0.png", width=SIZE, height=SIZE, labels=tuple(labels()))
    frame = LabeledFrame(FrameEntry(file="0.png", source="a", index=0), Split.TRAIN, result)
    write_dataset(tmp_path / "data", ["disk", "bar"], [frame], FolderStore(frames), {}, task="segment")
    loaded = data.YOLODataset(
        img_path=str(tmp_path / "data" / "images" / "train"),
        data=utils.check_det_dataset(str(tmp_path / "data" / "data.yaml")),
        task="segment",
        imgsz=SIZE,
        augment=False,
        hyp=cfg.get_cfg(overrides={"mask_ratio": 1, "overlap_mask": False}),
    )
    sample = loaded[0]
    told = utils.load_dataset_cache_file(tmp_path / "data" / "labels" / "train.cache")
    assert told["msgs"] == []
    assert told["results"] == (1, 0, 0, 0, 1)  # found; none missing, empty or corrupt
    assert sample["cls"].ravel().tolist() == [0, 1, 0, 1]
    for drawn, mask in zip(sample["masks"].numpy().astype(bool), shapes(), strict=True):
        own = mask.astype(bool)
        assert np.count_nonzero(drawn & own) / np.count_nonzero(drawn | own) > 0.95
