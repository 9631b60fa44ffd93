"""Loop whose labels are all a person's, so that its detectors learn in little time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from edgeloop.edge.frames.folder import FrameEntry, FrameWriter
from edgeloop.edge.synth import Scene, open_scene
from edgeloop.labeling.improvement.make_generation import GenerationOptions, make_generation
from edgeloop.labeling.lineage.loop_folder import LoopFolder, LoopSettings
from tests.labeling.improvement.rings import write_ring

SIZE = (320, 240)
FIRST = [number * 120 for number in range(24)]  # frames of the scene that the loop begins with
DRAWN = 8  # of these, with boxes from which the teacher learns; on the others a person has decided
LATER = [10_000 + number * 120 for number in range(10)]  # frames that the ring brings
QUICK = GenerationOptions(epochs=16, imgsz=224)


def boxes(scene: Scene, index: int) -> list[dict[str, Any]]:
    """True boxes of a frame as decisions have them."""
    truth = scene.truth(index)
    return [
        {"name": scene.classes[class_id], "xyxy": box}
        for box, class_id in zip(truth.xyxy.tolist(), truth.class_id.tolist(), strict=True)
    ]


def write_exemplars(loop: LoopFolder, scene: Scene, indices: Iterable[int]) -> None:
    coco: dict[str, Any] = {
        "images": [{"id": index, "file_name": f"first_{index}.jpg"} for index in indices],
        "categories": [{"id": number, "name": name} for number, name in enumerate(scene.classes)],
        "annotations": [],
    }
    for image in coco["images"]:
        truth = scene.truth(image["id"])
        for (x1, y1, x2, y2), number in zip(truth.xyxy.tolist(), truth.class_id.tolist(), strict=True):
            box = {"image_id": image["id"], "category_id": number, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            coco["annotations"].append(box)
    loop.exemplars.parent.mkdir(parents=True, exist_ok=True)
    loop.exemplars.write_text(json.dumps(coco))


def decide(loop: LoopFolder, scene: Scene, files: Iterable[tuple[str, int]]) -> None:
    """Decide on all boxes of frames of a scene, as a person does in the studio."""
    with loop.decisions.open("a") as journal:
        for batch, (file, index) in enumerate(files, start=1):
            line = {"batch": batch, "file": file, "verdict": "frame", "boxes": boxes(scene, index)}
            journal.write(json.dumps(line) + "\n")


@pytest.fixture(scope="module")
def scene() -> Scene:
    return open_scene("conveyor", seed=3, size=SIZE)


@pytest.fixture(scope="module")
def loop(_slow: None, scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> LoopFolder:
    """One generation, and a ring with frames that it has not seen, on which a person has decided."""
    made = LoopFolder.create(tmp_path_factory.mktemp("loops") / "loop", LoopSettings(created="2026-11-30"))
    with FrameWriter(made.frames) as writer:
        for index in FIRST:
            writer.add(scene.render(index), FrameEntry(f"first_{index}.jpg", "belt", index, index / 30))
    write_exemplars(made, scene, FIRST[:DRAWN])
    decide(made, scene, [(f"first_{index}.jpg", index) for index in FIRST[DRAWN:]])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("edgeloop.labeling.engine.members._MAX_STEPS", 4)
        first = make_generation(made, QUICK)
    assert first.verdict == "promoted", first.reason
    files = write_ring(made.ring, [scene.render(index) for index in LATER], names=scene.classes)
    decide(made, scene, zip(files, LATER, strict=True))
    return made
