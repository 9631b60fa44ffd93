"""What moves before a fixed camera: the background, the prompts, and labels without any exemplar."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.labeling.inputs.plan import LabelPlan
from edgeloop.labeling.job import label_frames
from edgeloop.labeling.motion.background import Background, learn_background
from edgeloop.labeling.motion.motion_prompts import motion_prompts
from edgeloop.models.boxes import iou_matrix
from edgeloop.models.errors import DataError, NoInputError
from tests.calls import Outcome
from tests.labeling.footage import break_off

WIDTH, HEIGHT = 320, 240
LAMP = slice(10, 40), slice(260, 300)
COUNT = 24

Image = NDArray[np.uint8]


def place(index: int) -> tuple[int, int, int, int]:
    """Box of the disc, px: it goes through the picture in six columns and four rows."""
    row, column = divmod(index, 6)
    x, y = 10 + 45 * column, 43 + 45 * row
    return x, y, x + 60, y + 60


def wall() -> Image:
    """A textured picture in which nothing moves."""
    noise = np.random.default_rng(5).integers(60, 200, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    return np.asarray(cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)


def frame(index: int) -> Image:
    """The wall, a lamp that is on in every other frame, and a red disc at another place in each."""
    image = wall()
    if index % 2:
        image[LAMP] = 250
    x1, y1, x2, y2 = place(index)
    cv2.circle(image, ((x1 + x2) // 2, (y1 + y2) // 2), (x2 - x1) // 2, (30, 30, 230), -1, cv2.LINE_AA)
    return image


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("motion") / "frames"
    folder.mkdir()
    for index in range(COUNT):
        cv2.imwrite(str(folder / f"{index:03d}.png"), frame(index))
    return folder


@pytest.fixture(scope="module")
def background(frames: Path) -> Background:
    return learn_background(sorted(frames.iterdir()))


def swayed(image: Image) -> Image:
    return np.roll(image, (2, -6), axis=(0, 1))


def darker(image: Image) -> Image:
    return np.asarray(image * 0.8, np.uint8)


def same(image: Image) -> Image:
    return image


@pytest.mark.parametrize(
    ("seen", "shift"),
    [
        pytest.param(same, (0, 0), id="as always"),
        pytest.param(darker, (0, 0), id="camera meters anew"),
        pytest.param(swayed, (-6, 2), id="mount sways"),
    ],
)
def test_only_the_disc_is_no_background(
    background: Background, seen: Callable[[Image], Image], shift: tuple[int, int]
) -> None:
    """Neither the lamp, on or off, nor the wall."""
    for index in (6, 13):
        change = background.compare(seen(frame(index)))
        assert change.problem is None
        expected = np.zeros((HEIGHT, WIDTH), np.uint8)
        x1, y1, x2, y2 = np.array(place(index)) + np.tile(shift, 2)
        cv2.circle(expected, (int(x1 + x2) // 2, int(y1 + y2) // 2), 30, 1, -1)
        disc = expected > 0
        assert (change.mask & disc).sum() / (change.mask | disc).sum() >= 0.8


def test_shadow_is_background(background: Background) -> None:
    image = frame(3)
    image[170:230, 200:300] = (image[170:230, 200:300] * 0.75).astype(np.uint8)
    assert background.compare(image).mask[170:230, 200:300].mean() < 0.05
    image[170:230, 200:300] = (200, 40, 40)
    assert background.compare(image).mask[170:230, 200:300].mean() > 0.9


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        pytest.param(255 - wall(), "of it changed: the camera moved or the light switched", id="light"),
        pytest.param(np.rot90(wall(), 2).copy(), "of it changed: the camera moved", id="turned"),
        pytest.param(wall()[:200].copy(), "320x200 px, the camera's other frames are 320x240", id="size"),
    ],
)
def test_frame_that_changed_as_a_whole_says_nothing(
    background: Background, image: Image, reason: str
) -> None:
    change = background.compare(image)
    assert change.problem is not None
    assert reason in change.problem
    assert not change.mask.any()
    assert all(len(prompts) == 0 for prompts in motion_prompts(image, background))


@pytest.mark.slow
def test_comparison_depends_on_the_frame_alone(frames: Path) -> None:
    one, other = (learn_background(sorted(frames.iterdir())) for _ in range(2))
    assert one.digest == other.digest
    for index in (1, 9, 17):
        one.compare(frame(index))
    np.testing.assert_array_equal(one.compare(frame(4)).mask, other.compare(frame(4)).mask)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        pytest.param(lambda i: frame(i) if i < 7 else None, NoInputError, "8 or more frames", id="too few"),
        pytest.param(
            lambda i: frame(i)[: HEIGHT - (i == 3)],
            DataError,
            "different sizes .320x239, 320x240.",
            id="sizes",
        ),
        pytest.param(
            lambda i: np.random.default_rng(i).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8),
            DataError,
            "differ from the others as a whole .* expected a fixed camera",
            id="no fixed camera",
        ),
    ],
)
def test_frames_without_a_background(
    tmp_path: Path, change: Callable[[int], Image | None], kind: type[Exception], message: str
) -> None:
    for index in range(COUNT):
        image = change(index)
        if image is None:
            (tmp_path / f"{index:03d}.png").write_bytes(b"no image")
        else:
            cv2.imwrite(str(tmp_path / f"{index:03d}.png"), image)
    with pytest.raises(kind, match=message):
        learn_background(sorted(tmp_path.iterdir()))


def test_prompts_on_what_moves(background: Background) -> None:
    """One box around two discs that touch, and a point on each of them."""
    image = frame(8)
    x1, y1, x2, y2 = place(8)
    cv2.circle(image, (x2 + 26, y1 + 30), 30, (220, 40, 40), -1, cv2.LINE_AA)
    boxes, points = motion_prompts(image, background)
    assert {boxes.source, points.source} == {"motion"}
    assert iou_matrix(np.array([[x1, y1, x2 + 56, y2]], np.float32), boxes.coords).max() >= 0.85
    for center in ((x1 + 30, y1 + 30), (x2 + 26, y1 + 30)):
        assert np.hypot(*(points.coords - center).T).min() < 10


@pytest.mark.slow
def test_moving_things_are_labeled_without_exemplars(
    frames: Path, tmp_path: Path, edgeloop: Callable[..., Outcome]
) -> None:
    own = tmp_path / "frames"
    shutil.copytree(frames, own)
    cv2.imwrite(str(own / "500.png"), 255 - wall())
    done = edgeloop("label", own, "--classes", "moving", "-o", tmp_path / "out", "--gap-share", 0, "--json")
    assert done.code == 0, done.err
    assert "Learning" not in done.err, "nothing is learned in steps"
    assert json.loads(done.out)["set_aside"] == 1
    review = json.loads((tmp_path / "out" / "review.json").read_text())
    assert [entry["file"] for entry in review["set_aside"]] == ["500.png"]
    coco = json.loads((tmp_path / "out" / "instances.json").read_text())
    assert [category["name"] for category in coco["categories"]] == ["moving"]
    assert {annotation["prompt"] for annotation in coco["annotations"]} <= {"motion"}
    found = 0
    for image in coco["images"]:
        x1, y1, x2, y2 = place(image["frame_index"])
        boxes = [a["bbox"] for a in coco["annotations"] if a["image_id"] == image["id"]]
        xyxy = np.array([[x, y, x + w, y + h] for x, y, w, h in boxes], np.float32).reshape(-1, 4)
        found += iou_matrix(np.array([[x1, y1, x2, y2]], np.float32), xyxy).max(initial=0) >= 0.6
    assert found >= 0.8 * COUNT
    assert len(coco["annotations"]) <= 1.3 * COUNT


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.slow
def test_interrupted_job_goes_on_with_the_same_background_only(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "frames"
    shutil.copytree(frames, own)
    label_frames(LabelPlan(own, None, tmp_path / "whole"))
    plan = LabelPlan(own, None, tmp_path / "broken")
    break_off(plan, monkeypatch, after=7)
    cv2.imwrite(str(own / "012.png"), wall())
    with pytest.raises(DataError, match="unfinished work with other background"):
        label_frames(plan)
    cv2.imwrite(str(own / "012.png"), frame(12))
    assert label_frames(plan).resumed == 7
    assert tree(tmp_path / "broken") == tree(tmp_path / "whole")


def test_one_camera_at_a_time(frames: Path, tmp_path: Path) -> None:
    own = tmp_path / "frames"
    shutil.copytree(frames, own)
    lines = [{"file": f"{i:03d}.png", "source": f"camera {i % 2}", "index": i} for i in range(COUNT)]
    (own / "frames.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DataError, match="one fixed camera, got those of 2 sources"):
        label_frames(LabelPlan(own, None, tmp_path / "out"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param((), "expected one of --exemplars, --corrected or --classes", id="neither"),
        pytest.param(("--classes", "moving", "-e", "x.json"), "expected one of --exemplars", id="both"),
        pytest.param(("--classes", "moving", "--weights", "imagenet"), "without boxes on", id="weights"),
    ],
)
def test_what_is_to_be_labeled_must_be_said(
    frames: Path, tmp_path: Path, edgeloop: Callable[..., Outcome], options: tuple[str, ...], message: str
) -> None:
    done = edgeloop("label", frames, "-o", tmp_path / "out", *options)
    assert done.code == 2
    assert message in done.err
