"""Loop of a source: made from a person's boxes, or opened again with the same ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgeloop.edge.demo.scene_truth import scene_coco
from edgeloop.edge.host.durable_file import make_folder, replace_file
from edgeloop.edge.host.folder_lock import locked_folder
from edgeloop.edge.host.opencv import encode_image
from edgeloop.edge.labels.coco_json import parse_coco
from edgeloop.edge.source_name import shown_name
from edgeloop.edge.synth import Scene
from edgeloop.labeling.inputs.exemplars import IGNORE, Exemplars, read_exemplars
from edgeloop.labeling.lineage.loop_folder import LOOP_FILE, LoopFolder, LoopSettings
from edgeloop.models.boxes import xyxy_to_xywh
from edgeloop.models.errors import DataError, UsageError
from edgeloop.models.task import Task

__all__ = ["draw_scene", "loop_exemplars", "open_loop", "teaching_lock"]

_IMAGES = "images"
_DRAWN = 5  # frames of a scene
_DRAWN_FROM, _DRAWN_OF, _DRAWN_STEP = 500_000, 120, 20  # long before or after what a run shows of a scene


def open_loop(
    root: Path,
    source: str,
    exemplars: Path | None,
    frames: Path | None,
    scene: Scene | None,
    *,
    seed: int,
    task: Task | None = None,
) -> LoopFolder:
    """Open the loop in a folder, or make one there.

    Args:
        root: Its folder.
        source: Source as the person names it.
        exemplars: The person's boxes, as of `read_exemplars`; None for those of the loop, or of the scene.
        frames: Folder of the images of the boxes; None for the one beside the boxes.
        scene: Scene of the source, which can draw boxes by itself; None for other sources.
        seed: Random seed of a new loop.
        task: Task of a new loop, and the one that an old loop must have; None for "detect", or any.

    Raises:
        NoInputError: There are no such boxes.
        DataError: They cannot be used, or the folder holds something else, or a loop with other boxes or of
            another task.
        UsageError: Neither boxes nor a loop are there.
    """
    exists = (root / LOOP_FILE).is_file()
    if exists and task not in (None, has := LoopFolder.open(root).settings.task):
        raise DataError(
            f"{root}: a loop whose task is {has}, expected {task}; take another folder, or leave out --task"
        )
    if exemplars is not None:
        folder = exemplars if exemplars.is_dir() else exemplars.parent
        given = read_exemplars(exemplars, frames or folder)
        if given.crops or not given.frames:
            raise DataError(f"{exemplars}: expected boxes on frames; draw all objects on a few frames")
    elif exists and (scene is None or LoopFolder.open(root).exemplars.is_file()):
        return LoopFolder.open(root)
    elif scene is None:
        raise UsageError(
            f"-e is missing: {root} is no loop yet; expected boxes around all objects on a few frames, as "
            "`edgeloop studio` or another tool draws them"
        )
    settings = LoopSettings(
        source=shown_name(source),
        task=task or "detect",
        seed=seed,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    loop = LoopFolder.open(root) if exists else LoopFolder.create(root, settings)
    coco, images = _of_scene(scene) if exemplars is None and scene else _of_person(given)
    _check_same(loop, coco, images)
    if not loop.exemplars.is_file():  # it was killed before they were stored
        _store(loop, coco, images)
    return loop


def loop_exemplars(loop: LoopFolder) -> Exemplars:
    """Read the person's boxes of a loop.

    Raises:
        NoInputError: There are none.
        DataError: They are damaged.
    """
    return read_exemplars(loop.exemplars, loop.exemplars.parent / _IMAGES)


def teaching_lock(loop: LoopFolder) -> AbstractContextManager[None]:
    """Hold the lock by which one process at a time, and the one that learns for it, teaches on a loop.

    Raises:
        DataError: Another process holds it.
    """
    refusal = f"{loop.root}: another process teaches on this loop; stop it first"
    return locked_folder(loop.root, refusal, wait_s=1.0)  # the studio tries it for a moment


def draw_scene(scene: Scene) -> list[int]:
    """Choose the frames of a scene that a person would draw on: spread in time, with many objects."""
    indices = range(_DRAWN_FROM, _DRAWN_FROM + _DRAWN_OF * _DRAWN_STEP, _DRAWN_STEP)
    size = len(indices) // _DRAWN
    parts = [indices[start : start + size] for start in range(0, len(indices), size)]
    return [max(part, key=lambda index: len(scene.truth(index))) for part in parts]


Images = dict[str, bytes]


def _of_scene(scene: Scene) -> tuple[dict[str, Any], Images]:
    chosen = [(f"drawn_{index}.png", index) for index in draw_scene(scene)]
    images = {name: encode_image(".png", scene.render(index)) for name, index in chosen}
    return scene_coco(scene, chosen), images


def _of_person(exemplars: Exemplars) -> tuple[dict[str, Any], Images]:
    """COCO of the boxes, with the images by name; names that occur twice get a number."""
    images: Images = {}
    coco: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": number, "name": name} for number, name in enumerate(exemplars.names)],
    }
    if any((frame.class_id < 0).any() for frame in exemplars.frames):
        coco["categories"].append({"id": len(exemplars.names), "name": IGNORE})
    for number, frame in enumerate(exemplars.frames):
        name = frame.path.name if frame.path.name not in images else f"{number}-{frame.path.name}"
        images[name] = frame.path.read_bytes()
        height, width = frame.image().shape[:2]
        coco["images"].append({"id": number, "file_name": name, "width": width, "height": height})
        rows = zip(xyxy_to_xywh(frame.xyxy).tolist(), frame.class_id.tolist(), strict=True)
        for row, (box, class_id) in enumerate(rows):
            annotation = {
                "id": len(coco["annotations"]) + 1,
                "image_id": number,
                "category_id": class_id if class_id >= 0 else len(exemplars.names),
                "bbox": [round(side, 3) for side in box],
                "area": round(box[2] * box[3], 3),
                "iscrowd": 0,
            }
            if row in frame.masks:
                annotation["segmentation"] = {"size": [height, width], "counts": frame.masks[row]}
            coco["annotations"].append(annotation)
    return coco, images


def _store(loop: LoopFolder, coco: dict[str, Any], images: Images) -> None:
    """Write the images, then the boxes."""
    folder = loop.exemplars.parent / _IMAGES
    make_folder(folder)
    for name, content in images.items():
        replace_file(folder / name, content)
    replace_file(loop.exemplars, json.dumps(coco, indent=1).encode())


def _check_same(loop: LoopFolder, coco: dict[str, Any], images: Images) -> None:
    """Refuse other boxes than those that the loop learns from."""
    if not loop.exemplars.is_file():
        return
    parse_coco(loop.exemplars)  # names what is damaged
    same = json.loads(loop.exemplars.read_bytes()) == json.loads(json.dumps(coco))
    folder = loop.exemplars.parent / _IMAGES
    if not same or set(_digests(images)) != {
        (path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in folder.glob("*")
    }:
        raise DataError(
            f"{loop.root}: holds a loop with other boxes; leave out -e to go on with it, or name another "
            "folder with -o"
        )


def _digests(images: Images) -> Iterator[tuple[str, str]]:
    return ((name, hashlib.sha256(content).hexdigest()) for name, content in images.items())
