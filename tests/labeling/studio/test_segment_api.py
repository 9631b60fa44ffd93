"""Answers behind a click: masks, snapped boxes, and a cache that serves whoever waits first."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.edge.synth import open_scene
from edgeloop.labeling.studio.segmenting.encoded_frames import EncodedFrame, EncodedFrames
from edgeloop.labeling.studio.segmenting.outline import find_outline
from edgeloop.labeling.studio.segmenting.snap_box import snap_box
from edgeloop.models.boxes import iou_matrix
from tests.labeling.studio.serving import Serving


@pytest.fixture
def part() -> NDArray[np.float32]:
    """Box of the largest part on frame 2."""
    boxes = open_scene("conveyor", seed=3, size=(320, 240)).truth(60).xyxy
    return np.asarray(boxes[np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).argmax()])


def test_a_click_gives_masks_of_what_is_under_it(studio: Serving, part: NDArray[np.float32]) -> None:
    studio.api("POST", "frames/2/encode")
    middle = [float(value) for value in (part[:2] + part[2:]) / 2]
    masks = studio.api("POST", "frames/2/masks", {"points": [middle], "labels": [1]})["masks"]
    assert 1 <= len(masks) <= 3
    for x1, y1, x2, y2 in (mask["xyxy"] for mask in masks):
        assert x1 < middle[0] < x2
        assert y1 < middle[1] < y2
    assert [mask["score"] for mask in masks] == sorted((mask["score"] for mask in masks), reverse=True)
    for mask in masks:
        base = studio.api("GET", "frames/2/boxes")["base"]
        box = {"name": "part", "xyxy": mask["xyxy"], "polygons": mask["polygons"]}
        studio.api("PUT", "frames/2/boxes", {"base": base, "boxes": [box]})


def test_a_rough_box_snaps_to_the_object(studio: Serving, part: NDArray[np.float32]) -> None:
    rough = (part + np.array([-4, -3, 5, 4])).clip(0, [320, 240, 320, 240]).astype(np.float32)
    snapped = studio.api("POST", "frames/2/snap", {"xyxy": rough.tolist()})
    assert snapped["score"] > 0.5
    found = np.array([snapped["xyxy"]], np.float32)
    assert iou_matrix(part[None], found)[0, 0] > iou_matrix(part[None], rough[None])[0, 0]


class Sees:
    """A segmenter that gives one mask, whatever it is asked."""

    crop_side_px = None

    def __init__(self, score: float, *xyxy: int) -> None:
        self.score, (self.x1, self.y1, self.x2, self.y2) = score, xyxy

    def masks(self, **_: object) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        mask = np.zeros((1, 100, 100), bool)
        mask[0, self.y1 : self.y2, self.x1 : self.x2] = True
        return mask, np.array([self.score], np.float32)


@pytest.mark.parametrize(
    ("sees", "moved"),
    [
        pytest.param(Sees(0.9, 22, 21, 61, 58), True, id="object in the box"),
        pytest.param(Sees(0.2, 22, 21, 61, 58), False, id="doubtful"),
        pytest.param(Sees(0.9, 0, 0, 0, 0), False, id="nothing"),
        pytest.param(Sees(0.9, 22, 21, 35, 35), False, id="a part"),
        pytest.param(Sees(0.9, 50, 50, 99, 99), False, id="a neighbor"),
    ],
)
def test_only_a_fitting_mask_moves_a_box(sees: Sees, moved: bool) -> None:
    frame = EncodedFrame(sees, np.zeros((100, 100, 3), np.uint8))  # type: ignore[arg-type]
    found = snap_box(frame, np.array([20, 20, 60, 60], np.float32))
    assert (found is not None) == moved
    if found:
        assert found.xyxy == pytest.approx((21.8, 20.8, 61.2, 58.2), abs=0.5)


def test_a_side_that_a_mask_misses_stays_almost() -> None:
    half = EncodedFrame(Sees(0.9, 20, 20, 46, 60), np.zeros((100, 100, 3), np.uint8))  # type: ignore[arg-type]
    found = snap_box(half, np.array([20, 20, 60, 60], np.float32))
    assert found is not None
    assert found.xyxy[2] > 55


def test_boxes_of_the_class_help_a_click(studio: Serving) -> None:
    """Parts are of one size: after two boxes, a click on a third gives a box of that size."""
    boxes = open_scene("conveyor", seed=3, size=(320, 240)).truth(60).xyxy.tolist()
    drawn = [{"name": "part", "xyxy": [max(0, x) for x in box]} for box in boxes[:2]]
    studio.api("PUT", "frames/2/boxes", {"boxes": drawn})
    x1, y1, x2, y2 = boxes[0]
    click = {"points": [[(x1 + x2) / 2, (y1 + y2) / 2]], "labels": [1], "name": "part"}
    masks = studio.api("POST", "frames/2/masks", click)["masks"]
    found = np.array([mask["xyxy"] for mask in masks], np.float32)
    assert iou_matrix(np.array([boxes[0]], np.float32), found).max() > 0.6


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        pytest.param("frames/0/masks", {"points": [], "labels": []}, 422, id="no point"),
        pytest.param("frames/0/masks", {"points": [[1, 2]], "labels": []}, 422, id="no label"),
        pytest.param("frames/0/masks", {"points": [[1, 2]], "labels": [3]}, 422, id="no such label"),
        pytest.param("frames/0/masks", {"points": [[1, -2]], "labels": [1]}, 422, id="outside"),
        pytest.param("frames/0/masks", b'{"points": [[1, NaN]], "labels": [1]}', 422, id="not a number"),
        pytest.param("frames/0/snap", {"xyxy": [5, 5, 5, 9]}, 422, id="no area"),
        pytest.param("frames/0/snap", {"xyxy": [1, 1, 400, 9]}, 422, id="beyond the frame"),
        pytest.param("frames/6/snap", {"xyxy": [1, 1, 4, 9]}, 422, id="broken frame"),
        pytest.param("frames/99/encode", None, 404, id="no such frame"),
    ],
)
def test_wrong_requests_are_refused(studio: Serving, path: str, body: object, status: int) -> None:
    got, _, said = studio.ask("POST", f"api/{path}", body)
    assert got == status, said
    assert json.loads(said)["detail"]


class Slow:
    """A segmenter whose encoding of frames waits for `go`."""

    def __init__(self) -> None:
        self.go, self.begun = threading.Semaphore(0), threading.Semaphore(0)
        self.order: list[int] = []

    def with_image(self, image: NDArray[np.uint8]) -> Slow:
        self.order.append(int(image[0, 0, 0]))
        self.begun.release()
        assert self.go.acquire(timeout=10)
        return self


def test_a_click_waits_for_one_encoding_only() -> None:
    slow = Slow()
    frames = EncodedFrames(lambda: slow, lambda number: np.full((1, 1, 3), number, np.uint8))  # type: ignore[arg-type,return-value]
    ahead = [threading.Thread(target=frames.prefetch, args=(number,)) for number in (1, 2, 3, 4, 5)]
    ahead[0].start()
    assert slow.begun.acquire(timeout=10)
    for thread in ahead[1:]:
        thread.start()
    click = threading.Thread(target=frames.get, args=(9,))
    click.start()
    while frames._urgent == 0:
        pass
    for _ in range(5):
        slow.go.release()
    for thread in (*ahead, click):
        thread.join(timeout=10)
    assert slow.order[:2] == [1, 9]
    assert sorted(slow.order[2:]) == [3, 4, 5]


def test_old_frames_are_forgotten_and_errors_free_the_way() -> None:
    slow = Slow()

    def image(number: int) -> NDArray[np.uint8]:
        if number == 13:
            raise ValueError("13")
        return np.full((1, 1, 3), number, np.uint8)

    frames = EncodedFrames(lambda: slow, image)  # type: ignore[arg-type,return-value]
    for _ in range(30):
        slow.go.release()
    with pytest.raises(ValueError, match="13"):
        frames.get(13)
    for number in (*range(9), 8, 0):
        frames.get(number)
    assert slow.order == [*range(9), 0]


def test_outlines_keep_parts_and_leave_specks_out() -> None:
    mask = np.zeros((60, 80), bool)
    mask[10:30, 5:25] = mask[10:30, 40:60] = True
    mask[15:20, 10:15] = False  # holes are filled
    mask[50:52, 70:72] = True
    outline = find_outline(mask)
    assert outline is not None
    assert outline.xyxy == (5, 10, 60, 30)
    assert len(outline.polygons) == 2
    assert all(len(part) <= 16 for part in outline.polygons)
    clicked = find_outline(mask, points=np.array([[15, 20]], np.float32))
    assert clicked is not None
    assert clicked.xyxy == (5, 10, 25, 30)
    both = find_outline(mask, points=np.array([[15, 20], [50, 20]], np.float32))
    assert both == outline
    noise = find_outline(np.random.default_rng(0).random((700, 900)) > 0.3)
    assert noise is not None
    assert len(noise.polygons) <= 50
    assert max(map(len, noise.polygons)) <= 4000
    assert find_outline(np.zeros((5, 5), bool)) is None


def test_it_needs_no_torch(frames: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom tests.labeling.studio.serving import serve\n"
        f"with serve(Path({str(frames)!r})) as studio:\n"
        "    studio.api('POST', 'frames/0/snap', {'xyxy': [1, 2, 30, 40]})\n"
        "assert not {'torch', 'segment_anything'} & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
