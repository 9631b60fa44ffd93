"""Generations of a loop with small files that belong together."""

from __future__ import annotations

import json

import cv2
import numpy as np

from edgeloop.export.data.yolo_dataset import open_dataset
from edgeloop.export.train.run_record import RunRecord, write_record
from edgeloop.labeling.inputs.exemplars import read_exemplars
from edgeloop.labeling.lineage.generation import Generation, HeldOutScores, Parents, Verdict
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.models.weights.digest import file_sha256


def scores(frames: int, parent: float | None, own: float) -> HeldOutScores:
    return HeldOutScores(frames=frames, parent=parent, own=own, parent_map50_95=None, own_map50_95=own / 2)


def draw_exemplars(loop: LoopFolder, *boxes: list[float]) -> None:
    """Exemplars of a loop: these boxes, xywh px, on one gray image."""
    (loop.exemplars.parent / "images").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(loop.exemplars.parent / "images" / "drawn.png"), np.full((32, 32, 3), 90, np.uint8))
    drawn = [{"image_id": 1, "category_id": 1, "bbox": box} for box in boxes]
    coco = {
        "images": [{"id": 1, "file_name": "drawn.png", "width": 32, "height": 32}],
        "annotations": [{"id": number, **each} for number, each in enumerate(drawn)],
        "categories": [{"id": 1, "name": "thing"}],
    }
    loop.exemplars.write_text(json.dumps(coco))


def add_generation(loop: LoopFolder, number: int, parent: Generation | None, verdict: Verdict) -> Generation:
    """Generation with small files that belong together."""
    if not loop.exemplars.is_file():
        draw_exemplars(loop, [4, 4, 10, 10])
    folder = loop.generation_folder(number)
    for part in ("images", "labels"):
        (folder / "dataset" / part / "train").mkdir(parents=True)
    image = np.full((32, 32, 3), number, np.uint8)
    cv2.imwrite(str(folder / "dataset" / "images" / "train" / "a.png"), image)
    (folder / "dataset" / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (folder / "dataset" / "data.yaml").write_text("train: images/train\nval:\nnames: [thing]\n")
    data = open_dataset(folder / "dataset")
    (folder / "run").mkdir()
    (folder / "run" / "best.safetensors").write_bytes(b"weights %d" % number)
    loop.bundle(number).write_bytes(b"bundle %d" % number)
    weights = file_sha256(folder / "run" / "best.safetensors")
    write_record(
        RunRecord(
            trainer="edgeloop", model="edgeloop-lite0", weights="edgeloop-lite0", names=("thing",),
            dataset="dataset", dataset_sha256=data.digest, weights_sha256=weights, imgsz=320, batch=1,
            freeze=0, seed=0, images=1, seconds=1.0, images_per_second=1.0, epochs=(), map50=None,
            map50_95=None, versions={},
        ),
        folder / "run",
    )  # fmt: skip
    generation = Generation(
        number=number,
        parent=None if parent is None else parent.number,
        created="2026-11-30T10:00:00+00:00",
        names=("thing",),
        digests=Parents(
            exemplars=read_exemplars(loop.exemplars, loop.frames).digest(),
            dataset=data.digest,
            weights=weights,
            bundle=file_sha256(loop.bundle(number)),
            start_weights=None if parent is None else parent.digests.weights,
            parent_bundle=None if parent is None else parent.digests.bundle,
        ),
        frames=40 * number,
        new_frames=40,
        by_person=5,
        old=None if parent is None else scores(8, 0.9, 0.91),
        new=scores(8, None if parent is None else 0.6, 0.8),
        recall=None if parent is None else 0.75,
        verdict=verdict,
        reason=f"reason {number}",
    )
    loop.write_generation(generation)
    return generation
