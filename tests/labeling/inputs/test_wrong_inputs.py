"""What a new user gets wrong with `collect`, `label`, `stats` and `audit`: one clear line, its exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.calls import Outcome
from tests.labeling.audits import write_audited

USAGE, DATA, INPUT, UNAVAILABLE = 2, 65, 66, 69
BOX = {"image_id": 1, "category_id": 1, "bbox": [4, 4, 20, 20]}

Edgeloop = Callable[..., Outcome]


def write_exemplars(path: Path, **changes: object) -> None:
    coco: dict[str, object] = {
        "images": [{"id": 1, "file_name": "1.png"}],
        "categories": [{"id": 1, "name": "part"}],
        "annotations": [BOX],
    }
    path.write_text(json.dumps(coco | changes))


def edit_dataset(folder: Path, **changes: object) -> None:
    """A dataset whose instances.json says something else; a change of `split` is one of each image."""
    path = write_audited(folder) / "instances.json"
    coco: dict[str, Any] = json.loads(path.read_text())
    if "split" in changes:
        changes = {"images": [image | changes for image in coco["images"]]}
    path.write_text(json.dumps(coco | changes))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, block_model: Path) -> Path:
    """A folder of things to get wrong."""
    place = tmp_path_factory.mktemp("wrong")
    for name in ("empty", "half", "frames"):
        (place / name).mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (64, 80, 3), np.uint8)
    cv2.imwrite(str(place / "frames" / "1.png"), noise)
    cv2.imwrite(str(place / "half" / "1.jpg"), noise)
    half = place / "half" / "1.jpg"
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    (place / "file.mp4").write_text("no video")
    (place / "broken.json").write_text("{")
    (place / "broken.onnx").write_bytes(block_model.read_bytes()[:2000])
    (place / "block.onnx").write_bytes(block_model.read_bytes())
    write_exemplars(place / "good.json")
    write_exemplars(place / "zero.json", annotations=[])
    write_exemplars(place / "outside.json", annotations=[BOX | {"bbox": [90, 4, 20, 20]}])
    write_exemplars(place / "strange.json", images=[{"id": 1, "file_name": "2.png"}])
    (place / "torn").mkdir()
    (place / "torn" / "instances.json").write_text("{")
    write_audited(place / "dataset")
    edit_dataset(place / "no-images", images=[], annotations=[])
    edit_dataset(place / "test-split", split="test")
    edit_dataset(place / "no-categories", categories=[])
    write_audited(place / "lost-image")
    write_audited(place / "half-image")
    (place / "lost-image/images/train/003.png").unlink()
    (place / "half-image/images/train/003.png").write_bytes(b"\x89PNG half")
    write_audited(place / "drawn", human=12)
    return place


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "code", "told"),
    [
        pytest.param("collect nothing.mp4 -o {out}", INPUT, "no such file", id="collect: no file"),
        pytest.param("collect empty -o {out}", INPUT, "holds no image", id="collect: empty folder"),
        pytest.param("collect half -o {out}", DATA, "cut off", id="collect: half a JPEG"),
        pytest.param("collect file.mp4 -o {out}", DATA, "neither an image nor a video", id="collect: text"),
        pytest.param("collect *.nothing -o {out}", INPUT, "matches no image", id="collect: empty glob"),
        pytest.param("collect synth:nope -o {out}", USAGE, "no scene 'nope'", id="collect: no such scene"),
        pytest.param("collect frames -o half", DATA, "new or empty folder", id="collect: into a full folder"),
        pytest.param(
            "collect frames -o file.mp4/x",
            UNAVAILABLE,
            "no frames can be written there",
            id="collect: into a file",
        ),
        pytest.param(
            "collect frames -o {out} --min-sharpness 9",
            INPUT,
            "not one of 1 frames",
            id="collect: all blurred",
        ),
        pytest.param(
            "collect frames -o {out} --every nan",
            USAGE,
            "not a finite number",
            id="collect: every nan seconds",
        ),
        pytest.param(
            "collect frames -o {out} --min-sharpness inf",
            USAGE,
            "not a finite",
            id="collect: endless sharpness",
        ),
        pytest.param("label frames -o {out}", USAGE, "what is to be labeled?", id="label: nothing shown"),
        pytest.param(
            "label frames --classes car,,van -o {out}", USAGE, "expected different names", id="label: no name"
        ),
        pytest.param("label nothing -e good.json -o {out}", INPUT, "no such folder", id="label: no frames"),
        pytest.param("label empty -e good.json -o {out}", INPUT, "no frame in it", id="label: empty folder"),
        pytest.param("label frames -e no.json -o {out}", INPUT, "cannot be read", id="label: no exemplars"),
        pytest.param(
            "label frames -e broken.json -o {out}", DATA, "not a COCO json", id="label: half a json"
        ),
        pytest.param("label frames -e zero.json -o {out}", DATA, "no box of a class", id="label: zero boxes"),
        pytest.param(
            "label frames -e zero.json -o {out} --prompts grid", DATA, "no effect", id="label: former option"
        ),
        pytest.param(
            "label frames -e outside.json -o {out}", DATA, "outside the image", id="label: box outside"
        ),
        pytest.param(
            "label frames -e strange.json -o {out}", DATA, "2.png is neither", id="label: other image"
        ),
        pytest.param(
            "label frames -e empty -o {out}", INPUT, "has no classes.txt", id="label: empty exemplars"
        ),
        pytest.param(
            "label frames -e good.json -o dataset", DATA, "exists already", id="label: into a dataset"
        ),
        pytest.param(
            "label frames -e good.json -o {out} --sam vit_x", USAGE, "vit_x", id="label: no such segmenter"
        ),
        pytest.param(
            "label frames -e good.json -o {out} --confidence nan", USAGE, "not a finite", id="label: nan"
        ),
        pytest.param(
            "label frames -e good.json -o {out} --classifier ViT-B-32:weights.pt",
            USAGE,
            "name objects by themselves",
            id="label: classifier for the detector",
        ),
        pytest.param(
            "label frames -e good.json -o {out} --weights no.safetensors",
            INPUT,
            "no.safetensors",
            id="label: no start weights",
        ),
        pytest.param("stats nothing", INPUT, "expected a dataset", id="stats: no dataset"),
        pytest.param("stats empty", INPUT, "expected a dataset", id="stats: empty folder"),
        pytest.param("stats file.mp4", DATA, "not a COCO json of boxes", id="stats: a file"),
        pytest.param(
            "stats outside.json --images frames", DATA, "outside the image", id="stats: box outside"
        ),
        pytest.param("stats zero.json --images frames", DATA, "no label", id="stats: no label"),
        pytest.param("stats good.json", DATA, "1.png is not beside", id="stats: no image"),
        pytest.param("stats torn", DATA, "not the instances.json of a dataset", id="stats: half a json"),
        pytest.param("stats no-images", DATA, "no image in it", id="stats: no images"),
        pytest.param("stats test-split", DATA, "images.0.split: Input should be", id="stats: other split"),
        pytest.param("stats no-categories", DATA, "annotations[0]: of an image or", id="stats: no category"),
        pytest.param("stats dataset --limit nan", USAGE, "not a finite number", id="stats: limit of nan"),
        pytest.param("audit nothing --sheet {out}.png", INPUT, "expected a dataset", id="audit: no dataset"),
        pytest.param("audit empty --sheet {out}.png", INPUT, "expected a dataset", id="audit: empty folder"),
        pytest.param("audit torn --sheet {out}.png", DATA, "not the instances.json", id="audit: half a json"),
        pytest.param(
            "audit lost-image --sheet {out}.png", INPUT, "003.png: no such file", id="audit: no image"
        ),
        pytest.param(
            "audit half-image --sheet {out}.png", DATA, "003.png: not an image", id="audit: half image"
        ),
        pytest.param("audit drawn --sheet {out}.png", DATA, "nothing to audit", id="audit: all by a person"),
        pytest.param("audit dataset --sheet {out}.txt", USAGE, "ends in .png", id="audit: sheet of text"),
        pytest.param(
            "audit dataset --sheet {out}.png --json", USAGE, "asks nothing", id="audit: sheet as JSON"
        ),
        pytest.param("audit dataset --boxes 0", USAGE, "not in the range", id="audit: no boxes"),
    ],
)
def test_one_clear_line(
    place: Path,
    tmp_path: Path,
    edgeloop: Edgeloop,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    code: int,
    told: str,
) -> None:
    monkeypatch.chdir(place)
    done = edgeloop(*call.format(out=tmp_path / "out").split())
    assert done.code == code
    assert told in done.err
    assert "Traceback" not in done.err
    assert len([line for line in done.err.splitlines() if "rror: " in line]) == 1
    assert not list(tmp_path.glob("out*"))


def test_folder_given_for_frames_stays_empty_and_can_be_given_again(
    place: Path, tmp_path: Path, edgeloop: Edgeloop
) -> None:
    (tmp_path / "mine").mkdir()
    assert edgeloop("collect", place / "half", "-o", tmp_path / "mine").code == DATA
    assert list((tmp_path / "mine").iterdir()) == []
    assert edgeloop("collect", place / "frames", "-o", tmp_path / "mine").code == 0


def test_dataset_without_validation_frames_is_told(place: Path, edgeloop: Edgeloop) -> None:
    done = edgeloop("stats", place / "dataset", "--json")
    assert done.code == 0
    assert "No validation frame" in done.err
    assert json.loads(done.out)["images"] == {"train": 12}
