"""Scenes that know their truth: the truth has to hold against the pixels, in any order, in any process."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.edge.synth import SCENES, Truth, layout, open_scene, truth
from edgeloop.edge.synth.conveyor import ConveyorScene
from edgeloop.edge.synth.parts import PARTS
from edgeloop.edge.synth.truth import Placed, visible_truth
from edgeloop.models.errors import UsageError

SMALL = (320, 240)
FRAMES = range(0, 5400, 90)  # three minutes of scene time


@pytest.fixture(scope="module")
def scene() -> ConveyorScene:
    return ConveyorScene(1, SMALL)


@pytest.fixture(scope="module")
def truths(scene: ConveyorScene) -> list[Truth]:
    return [scene.truth(index) for index in FRAMES]


def digest(image: NDArray[np.uint8]) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


# Determinism


def test_frames_come_out_the_same_in_any_order(scene: ConveyorScene) -> None:
    indices = [0, 1, 2, 300, 7000, 2_000_000]
    forward = {index: digest(scene.render(index)) for index in indices}
    other = open_scene("conveyor", seed=1, size=SMALL)
    backward = {index: digest(other.render(index)) for index in reversed(indices)}
    again = {index: digest(scene.render(index)) for index in indices}
    assert forward == backward == again
    assert len(set(forward.values())) == len(indices)


@pytest.mark.slow
def test_another_process_renders_the_same_bytes(scene: ConveyorScene) -> None:
    code = (
        "import hashlib; from edgeloop.edge.synth import open_scene;"
        f"scene = open_scene('conveyor', seed=1, size={SMALL});"
        "print(hashlib.sha256(scene.render(123).tobytes() + scene.truth(123).masks.tobytes()).hexdigest())"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = hashlib.sha256(scene.render(123).tobytes() + scene.truth(123).masks.tobytes()).hexdigest()
    assert answer.stdout.strip() == here


@pytest.mark.slow
def test_truth_does_not_depend_on_what_was_asked_before(scene: ConveyorScene) -> None:
    first = scene.truth(450)
    for index in range(0, 9000, 700):  # more parts than the scene keeps sprites
        scene.truth(index)
    second = scene.truth(450)
    np.testing.assert_array_equal(first.masks, second.masks)
    np.testing.assert_array_equal(first.track_id, second.track_id)


def test_a_frame_belongs_to_the_caller(scene: ConveyorScene) -> None:
    image = scene.render(10)
    assert (image.shape, image.dtype) == ((240, 320, 3), np.uint8)
    assert image.flags["C_CONTIGUOUS"]
    before = digest(image)
    image[:] = 0
    assert digest(scene.render(10)) == before


@pytest.mark.slow
def test_seeds_differ_in_look_and_layout_but_not_in_classes() -> None:
    scenes = [open_scene("conveyor", seed=seed, size=SMALL) for seed in (1, 2, 3)]
    assert len({scene.classes for scene in scenes}) == 1
    pictures = [scene.render(200).astype(np.float32) for scene in scenes]
    layouts = [scene.truth(200).xyxy.tolist() for scene in scenes]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(pictures[i] - pictures[j]).mean() > 10
        assert layouts[i] != layouts[j]


def test_another_size_shows_the_same_parts() -> None:
    small = open_scene("conveyor", seed=4, size=SMALL).truth(400)
    large = open_scene("conveyor", seed=4, size=(640, 480)).truth(400)
    np.testing.assert_array_equal(small.track_id, large.track_id)
    np.testing.assert_array_equal(small.class_id, large.class_id)
    np.testing.assert_allclose(2 * small.xyxy, large.xyxy, atol=4)


# Truth against pixels


@pytest.fixture
def parts_only(monkeypatch: pytest.MonkeyPatch) -> ConveyorScene:
    """A belt without litter, and a truth that leaves nothing out, so that truth explains every change."""
    monkeypatch.setattr(layout, "_density", lambda *_: (0.8, 0.0))
    monkeypatch.setattr(truth, "MIN_VISIBILITY", 0.0)
    monkeypatch.setattr(truth, "MIN_VISIBLE_PX", 1)
    return ConveyorScene(7, SMALL)


def test_masks_are_where_the_picture_differs_from_the_empty_belt(parts_only: ConveyorScene) -> None:
    for index in range(0, 2000, 250):
        change = parts_only.render(index).astype(np.int16) - parts_only.background(index)
        masks = parts_only.truth(index).masks
        assert len(masks) > 0
        covered = masks.any(axis=0)
        changed, brighter = np.abs(change).max(axis=2) > 8, change.max(axis=2) > 8
        assert changed[covered].mean() > 0.99
        # Beside parts the belt is only darker, by their shadows. Blurred edges reach two pixels further,
        # also into the picture from a part that has just left it.
        near = cv2.dilate(covered.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
        assert not (brighter & ~near)[:, 2:-2].any()


def test_litter_is_painted_and_never_labeled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_density", lambda *_: (0.0, 0.9))
    littered = ConveyorScene(1, SMALL)
    for index in (100, 500, 900):
        assert len(littered.truth(index)) == 0
        change = np.abs(littered.render(index).astype(np.int16) - littered.background(index)).max(axis=2)
        assert (change > 30).mean() > 0.005


def test_litter_lies_between_the_parts_and_only_parts_have_tracks(
    scene: ConveyorScene, truths: list[Truth]
) -> None:
    kinds = {}
    for number in range(int(max(t.track_id.max(initial=0) for t in truths)) + 1):
        item = layout.item_at(1, number, belt_width=368.0)
        if item is not None:
            kinds[number] = item.kind
    assert set(kinds.values()) - set(PARTS) == {"leaf", "paper", "oil", "cable tie"}
    for seen in truths:
        for track_id, class_id in zip(seen.track_id, seen.class_id, strict=True):
            assert kinds[int(track_id)] == scene.classes[class_id]


def test_boxes_are_tight_and_masks_apart(truths: list[Truth]) -> None:
    for seen in truths:
        assert seen.masks.sum(axis=0).max(initial=0) <= 1
        assert (np.diff(seen.track_id) > 0).all()
        assert ((seen.visibility >= truth.MIN_VISIBILITY) & (seen.visibility <= 1)).all()
        for mask, (x1, y1, x2, y2) in zip(seen.masks, seen.xyxy.astype(int), strict=True):
            assert mask.sum() >= truth.MIN_VISIBLE_PX
            inside = mask[y1:y2, x1:x2]
            assert inside.sum() == mask.sum()
            assert all(side.any() for side in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def test_truth_arrays_have_their_types_even_when_nothing_is_there() -> None:
    empty = visible_truth([], (8, 6))
    shapes = [(a.shape, a.dtype.name) for a in (empty.xyxy, empty.masks, empty.class_id, empty.visibility)]
    assert shapes == [((0, 4), "float32"), ((0, 6, 8), "bool"), ((0,), "int64"), ((0,), "float32")]


def square(left: int, top: int, *, track: int, label: int | None = 0, side: int = 10) -> Placed:
    return Placed(np.ones((side, side), dtype=bool), left, top, label, track)


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        pytest.param([square(5, 5, track=1)], {1: ((5, 5, 15, 15), 1.0)}, id="alone"),
        pytest.param(
            [square(5, 5, track=2), square(9, 5, track=1)],
            {1: ((9, 5, 19, 15), 1.0), 2: ((5, 5, 9, 15), 0.4)},
            id="half under a later part",
        ),
        pytest.param(
            [square(5, 5, track=1), square(5, 10, track=2, label=None)],
            {1: ((5, 5, 15, 10), 0.5)},
            id="half under litter",
        ),
        pytest.param(
            [square(5, 5, track=1), square(6, 5, track=2)],
            {2: ((6, 5, 16, 15), 1.0)},
            id="too little visible",
        ),
        pytest.param([square(-7, 5, track=1)], {1: ((0, 5, 3, 15), 0.3)}, id="leaving the picture"),
        pytest.param([square(-9, 5, track=1)], {}, id="as good as gone"),
        pytest.param([square(40, 5, track=1)], {}, id="not in the picture"),
        pytest.param([square(5, 5, track=1, side=3)], {}, id="too few pixels"),
    ],
)
def test_visible_truth(
    stack: list[Placed], expected: dict[int, tuple[tuple[int, int, int, int], float]]
) -> None:
    seen = visible_truth(stack, (40, 30))
    assert seen.track_id.tolist() == list(expected)
    assert [tuple(box) for box in seen.xyxy.astype(int).tolist()] == [box for box, _ in expected.values()]
    np.testing.assert_allclose(seen.visibility, [share for _, share in expected.values()])


# What happens on the belt


def test_parts_and_belt_move_together_and_cross_in_5_to_8_seconds(scene: ConveyorScene) -> None:
    start, steps = 300, 12
    before, after = scene.truth(start), scene.truth(start + steps)
    moves = []
    for track_id, box, share in zip(before.track_id, before.xyxy, before.visibility, strict=True):
        later = np.flatnonzero(after.track_id == track_id)
        if share == 1 and len(later) and after.visibility[later[0]] == 1:
            moves.append(after.xyxy[later[0]] - box)
    assert len(moves) >= 3
    assert {tuple(move.tolist()) for move in moves} == {(moves[0][0], 0.0, moves[0][0], 0.0)}
    assert 5 < SMALL[0] / (moves[0][0] / steps) / 30 < 8

    move = int(moves[0][0])
    first, last = (scene.background(i)[60:180].astype(np.int16) for i in (start, start + steps))
    unlike = [np.abs(last[:, by:] - first[:, : SMALL[0] - by]).mean() for by in range(1, 60)]
    assert 1 + int(np.argmin(unlike)) == move


def test_all_classes_pass_by_and_some_frames_are_empty(scene: ConveyorScene, truths: list[Truth]) -> None:
    counts = np.array([len(seen) for seen in truths])
    assert 4 <= np.median(counts) <= 8
    assert 0 < (counts == 0).mean() < 0.2
    per_class = np.bincount(np.concatenate([seen.class_id for seen in truths]))
    assert len(per_class) == len(scene.classes) >= 3
    assert per_class.min() > 0.2 * per_class.sum()


def test_parts_measure_40_to_130_units(truths: list[Truth]) -> None:
    scale = 480 / SMALL[1]
    whole = [seen.xyxy[seen.visibility == 1] for seen in truths]
    sides = np.concatenate([(boxes[:, 2:] - boxes[:, :2]).max(axis=1) for boxes in whole]) * scale
    assert 40 <= sides.min() <= sides.max() <= 132
    assert sides.max() > 1.7 * sides.min()


@pytest.mark.slow
def test_light_drifts_slowly(scene: ConveyorScene) -> None:
    rails = [float(scene.render(index)[:20].mean()) for index in range(0, 3000, 100)]
    assert max(rails) > 1.05 * min(rails)
    assert abs(float(scene.render(1)[:20].mean()) - rails[0]) < 0.01 * rails[0]


# Change


@pytest.fixture(scope="module")
def changing() -> ConveyorScene:
    return ConveyorScene(1, SMALL, change=300)


def test_until_the_change_the_scene_is_the_same(scene: ConveyorScene, changing: ConveyorScene) -> None:
    for index in (0, 150, 299):
        assert digest(changing.render(index)) == digest(scene.render(index))
        assert changing.truth(index).class_id.tolist() == scene.truth(index).class_id.tolist()


def test_with_the_change_the_light_is_another(scene: ConveyorScene, changing: ConveyorScene) -> None:
    before, after = changing.background(299).astype(float), changing.background(300).astype(float)
    assert after.mean() < 0.75 * before.mean()
    assert digest(changing.render(300)) == digest(ConveyorScene(1, SMALL, change=300).render(300))
    np.testing.assert_array_equal(changing.truth(300).xyxy, scene.truth(300).xyxy)


def test_a_fourth_class_comes_into_view_after_the_change(
    scene: ConveyorScene, changing: ConveyorScene
) -> None:
    assert scene.classes == tuple(PARTS)
    assert changing.classes == (*PARTS, "nut")
    nut = changing.classes.index("nut")
    truths = {index: changing.truth(index) for index in range(0, 3000, 30)}
    first = min(index for index, seen in truths.items() if nut in seen.class_id)
    assert 300 < first < 900
    late = np.concatenate([seen.class_id for index, seen in truths.items() if index >= 900])
    assert 0.15 < (late == nut).mean() < 0.45


# Opening


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param({"name": "street"}, "conveyor", id="unknown scene names the known ones"),
        pytest.param({"name": "conveyor", "seed": -1}, "seed must be 0 or more", id="negative seed"),
        pytest.param({"name": "conveyor", "change": -1}, "change must be a frame", id="negative change"),
        pytest.param({"name": "conveyor", "size": (80, 60)}, "160x120 to 1920x1080", id="too small"),
        pytest.param({"name": "conveyor", "size": (3840, 2160)}, "160x120 to 1920x1080", id="too large"),
        pytest.param({"name": "conveyor", "size": (240, 480)}, "times the height", id="upright"),
        pytest.param({"name": "conveyor", "size": (1920, 200)}, "times the height", id="a strip"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        open_scene(**arguments)


def test_negative_index_is_refused(scene: ConveyorScene) -> None:
    with pytest.raises(UsageError, match="index must be 0 or more, got -1"):
        scene.render(-1)
    with pytest.raises(UsageError, match="index must be 0 or more, got -1"):
        scene.truth(-1)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(160, 120), (300, 300), (500, 200)], ids=["smallest", "square", "widest"])
def test_every_scene_opens_at_unusual_sizes(size: tuple[int, int]) -> None:
    for name in SCENES:
        scene = open_scene(name, size=size)
        assert (scene.name, scene.size) == (name, size)
        assert scene.render(77).shape == (size[1], size[0], 3)
        assert scene.truth(77).masks.shape[1:] == (size[1], size[0])
