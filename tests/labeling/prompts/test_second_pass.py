"""A second pass: a detector tells where to look, and SAM and the person's boxes where what it found ends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edgeloop.labeling.candidates.prompts import Prompts
from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.job import label_frames
from edgeloop.labeling.prompts import DetectorPrompter, PropagatePrompter, open_prompters
from edgeloop.models.boxes import iou_matrix
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError, UsageError
from tests.blocks import CONFIDENCE, block_box, block_finder, draw_block
from tests.calls import Outcome
from tests.labeling.footage import break_off

SPECK = 5  # px to the right of the block's corner and below it
COUNT, DRAWN = 24, range(0, 24, 6)


def frame(index: int) -> NDArray[np.uint8]:
    """The white block and a blue speck beside it, which the detector takes for a part of it."""
    image = draw_block(index)
    _, _, x, y = block_box(index)
    image[y + SPECK : y + SPECK + 2, x + SPECK : x + SPECK + 2] = (255, 40, 40)
    noise = np.random.default_rng(index).integers(-15, 15, image.shape)
    return np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("second") / "frames"
    folder.mkdir()
    for index in range(COUNT):
        cv2.imwrite(str(folder / f"{index:03d}.png"), frame(index))
    return folder


@pytest.fixture(scope="module")
def exemplars(frames: Path) -> Path:
    """A person boxes the block without the speck."""
    boxes = {index: block_box(index) for index in DRAWN}
    coco = {
        "images": [{"id": index, "file_name": f"{index:03d}.png"} for index in boxes],
        "categories": [{"id": 1, "name": "block"}],
        "annotations": [
            {"image_id": index, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            for index, (x1, y1, x2, y2) in boxes.items()
        ],
    }
    path = frames.parent / "exemplars.json"
    path.write_text(json.dumps(coco))
    return path


def iou(xyxy: NDArray[np.float32], index: int) -> float:
    return float(iou_matrix(xyxy[None], np.array([block_box(index)], np.float32))[0, 0])


@pytest.mark.slow
def test_what_the_detector_finds_is_labeled_and_ends_where_a_person_would_end_it(
    frames: Path, exemplars: Path, block_model: Path, tmp_path: Path, edgeloop: Callable[..., Outcome]
) -> None:
    options = "--prompts", "detector", "--detector", block_model, "--gap-share", 0
    done = edgeloop("label", frames, "-e", exemplars, "-o", tmp_path / "out", *options)
    assert done.code == 0, done.err
    assert "Learning" not in done.err, "nothing is learned in steps"
    coco = json.loads((tmp_path / "out" / "instances.json").read_text())
    assert coco["info"]["detector"] == block_model.name
    assert coco["info"]["detector_digest"] == hashlib.sha256(block_model.read_bytes()).hexdigest()
    prompter = DetectorPrompter(block_model, ["block"])
    asked, labeled = [], []
    for image in coco["images"]:
        index = image["frame_index"]
        (label,) = (a for a in coco["annotations"] if a["image_id"] == image["id"])
        if index not in DRAWN:
            (prompts,) = prompter.propose(frame(index))
            x, y, w, h = label["bbox"]
            asked.append(iou(prompts.coords[0], index))
            labeled.append(iou(np.array([x, y, x + w, y + h], np.float32), index))
            assert (label["prompt"], label["mask_from"]) == ("detector", "sam")
    assert len(labeled) == COUNT - len(DRAWN)
    assert np.mean(asked) < 0.8
    assert np.mean(labeled) > 0.85


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.slow
def test_interrupted_job_goes_on_with_the_same_detector_only(
    frames: Path, exemplars: Path, block_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "mine.onnx"
    bundle.write_bytes(block_model.read_bytes())

    def plan(out: str) -> LabelPlan:
        return LabelPlan(frames, exemplars, tmp_path / out, prompts=("detector",), detector=bundle)

    label_frames(plan("whole"))
    break_off(plan("broken"), monkeypatch, after=7)
    onnx.save(block_finder(side=96), str(bundle))
    with pytest.raises(DataError, match="unfinished work with other detector"):
        label_frames(plan("broken"))
    bundle.write_bytes(block_model.read_bytes())
    assert label_frames(plan("broken")).resumed == 7
    assert tree(tmp_path / "broken") == tree(tmp_path / "whole")


@pytest.mark.slow
def test_interrupted_job_carries_boxes_on(
    frames: Path, exemplars: Path, block_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is taken up, what the frame before showed is looked up again."""

    def plan(out: str) -> LabelPlan:
        return LabelPlan(
            frames, exemplars, tmp_path / out, prompts=("detector", "propagate"), detector=block_model
        )

    carried: list[int] = []
    propose = PropagatePrompter.propose

    def counted(prompter: PropagatePrompter, image: NDArray[np.uint8]) -> tuple[Prompts, ...]:
        (prompts,) = propose(prompter, image)
        carried.append(len(prompts))
        return (prompts,)

    monkeypatch.setattr(PropagatePrompter, "propose", counted)
    label_frames(plan("whole"))
    assert carried == [1] * (COUNT - len(DRAWN)), "a person's boxes are carried on like others"
    break_off(plan("broken"), monkeypatch, after=15)
    assert 0 < label_frames(plan("broken")).resumed < 15
    assert tree(tmp_path / "broken") == tree(tmp_path / "whole")


@pytest.mark.parametrize(
    ("options", "prompts"),
    [
        pytest.param((), ("similar",), id="one pass"),
        pytest.param(("--detector", "x.onnx"), ("similar", "detector"), id="a detector is asked too"),
        pytest.param(("--detector", "x.onnx", "--prompts", "detector"), ("detector",), id="it alone"),
        pytest.param(
            ("--prompts", "similar,carried", "--looks", "lite0"), ("similar", "propagate"), id="old spellings"
        ),
    ],
)
def test_who_is_asked(
    edgeloop: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    prompts: tuple[str, ...],
) -> None:
    plans = []

    def refuse(plan: LabelPlan, **_: object) -> None:
        plans.append(plan)
        raise UsageError("not now")

    monkeypatch.setattr("edgeloop.labeling.job.label_frames", refuse)
    assert edgeloop("label", "frames", "-e", "x.json", "-o", "out", *options).code == 2
    assert [plan.prompts for plan in plans] == [prompts]


class Torn:
    """A detector that finds one thing twice, once as each class, and another thing elsewhere."""

    names = ("car", "tram")

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def detect(self, _: NDArray[np.uint8]) -> Detections:
        xyxy = np.array([[10, 10, 50, 50], [11, 10, 51, 50], [100, 10, 140, 50]], np.float32)
        return Detections(xyxy, np.array([0.5, 0.4, 0.3], np.float32), np.array([0, 1, 1]))


def test_one_place_is_asked_once_with_the_scores_of_all_classes(
    block_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scores are in the order of the exemplars' classes, whatever that of the bundle."""
    monkeypatch.setattr("edgeloop.labeling.prompts.from_detector.Detector", Torn)
    (prompts,) = DetectorPrompter(block_model, ["tram", "car"]).propose(frame(0))
    assert prompts.coords.tolist() == [[10, 10, 50, 50], [100, 10, 140, 50]]
    assert prompts.class_scores is not None
    np.testing.assert_allclose(prompts.class_scores, [[0.4, 0.5], [0.3, 0]])


def test_doubt_is_held_out_and_not_proposed(block_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the exemplar frames it teaches the class model what is mistaken for an object."""
    prompter = DetectorPrompter(block_model, ["block"])
    monkeypatch.setattr("edgeloop.labeling.prompts.from_detector._LEAST_CONFIDENCE", CONFIDENCE + 0.01)
    (nothing,) = prompter.propose(frame(3))
    (unseen,) = prompter.propose_held_out(frame(3), 0)
    assert (len(nothing), len(unseen)) == (0, 1)
    assert nothing.class_scores is not None
    assert unseen.class_scores is not None
    assert nothing.class_scores.shape == (0, 1)
    assert unseen.class_scores.tolist() == [[pytest.approx(CONFIDENCE)]]


def test_no_detector_at_hand() -> None:
    with pytest.raises(UsageError, match="needs a bundle"):
        open_prompters(["detector"], [], 1)
