"""Regions in which nothing is reported, as pictures and as polygons."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeloop.edge.tracking import IgnoreMask
from edgeloop.models.detections import Detections
from edgeloop.models.errors import DataError, EdgeloopError, NoInputError
from tests.calls import Outcome
from tests.masked import masked

NAMES = ("car", "tram")
SIZE = (200, 100)


def boxes(*xyxy: tuple[float, float, float, float]) -> Detections:
    count = len(xyxy)
    return Detections(
        np.array(xyxy, np.float32).reshape(count, 4),
        np.full(count, 0.5, np.float32),
        np.arange(count, dtype=np.int64) % 2,
    )


LEFT, RIGHT = (10.0, 10.0, 50.0, 50.0), (120.0, 10.0, 160.0, 50.0)


def picture(path: Path, size: tuple[int, int] = SIZE) -> Path:
    """Write a mask whose right half is white."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[:, size[0] // 2 :] = 255
    cv2.imwrite(str(path), image)
    return path


def polygon(path: Path, share: bool = False, **more: object) -> Path:
    """Write a zone file that is the same mask."""
    w, h = (1, 1) if share else SIZE
    zone = {"name": "right", "polygon": [[w / 2, 0], [w, 0], [w, h], [w / 2, h]], **more}
    path.write_text(json.dumps({"zones": [zone], "units": "shares" if share else "pixels"}))
    return path


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda folder: picture(folder / "m.png"), id="a picture"),
        pytest.param(lambda folder: picture(folder / "m.png", (400, 200)), id="a larger picture"),
        pytest.param(lambda folder: polygon(folder / "m.json"), id="pixels"),
        pytest.param(lambda folder: polygon(folder / "m.json", share=True), id="shares"),
    ],
)
def test_what_is_mostly_in_the_region_is_dropped(make: Callable[[Path], Path], tmp_path: Path) -> None:
    mask = IgnoreMask(make(tmp_path), NAMES)
    mostly_out, mostly_in = (60.0, 10.0, 130.0, 50.0), (80.0, 10.0, 180.0, 50.0)
    found = mask.drop(boxes(LEFT, RIGHT, mostly_out, mostly_in, (199, 99, 200, 100)), SIZE)
    assert found.xyxy.tolist() == [list(LEFT), list(mostly_out)]
    assert len(mask.drop(Detections.empty(), SIZE)) == 0
    # Frames of another size and the same shape.
    twice = boxes((20, 20, 100, 100), (240, 20, 320, 100))
    assert mask.drop(twice, (400, 200)).xyxy.tolist() == [[20, 20, 100, 100]]


def test_a_zone_may_be_for_some_classes(tmp_path: Path) -> None:
    mask = IgnoreMask(polygon(tmp_path / "m.json", classes=["tram"]), NAMES)
    assert mask.drop(boxes(RIGHT, RIGHT), SIZE).class_id.tolist() == [0]


def test_a_mask_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="made for frames of 200x100, these are 100x100"):
        IgnoreMask(picture(tmp_path / "m.png"), NAMES).drop(boxes(LEFT), (100, 100))
    drawn = IgnoreMask(polygon(tmp_path / "m.json"), NAMES)
    with pytest.raises(DataError, match=r"reaches \(200, 0\), but the frames are 100x100"):
        drawn.drop(boxes(LEFT), (100, 100))
    assert len(drawn.drop(boxes(LEFT), SIZE)) == 1
    with pytest.raises(DataError, match="made for frames of 200x100, these are 100x200"):
        drawn.drop(boxes(LEFT), (100, 200))
    assert len(IgnoreMask(polygon(tmp_path / "m.json", share=True), NAMES).drop(boxes(LEFT), (77, 300))) == 1


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        pytest.param(
            "m.json", b'{"lines": [{"name": "a", "from": [0, 9], "to": [9, 9]}]}', "no area", id="line"
        ),
        pytest.param("m.json", b'{"zones": []}', r"ignore .*m\.json: .*at least one zone", id="no zone"),
        pytest.param("m.json", b"\xff\xfe\xff", r"ignore .*m\.json: ", id="bytes"),
        pytest.param("m.png", b"\x89PNG", "m.png", id="a cut picture"),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        IgnoreMask(tmp_path / name, NAMES)


def test_a_mask_that_ignores_nothing_or_everything_is_refused(tmp_path: Path) -> None:
    for value, message in ((0, "without white"), (255, "all white")):
        cv2.imwrite(str(tmp_path / "m.png"), np.full((10, 10), value, np.uint8))
        with pytest.raises(DataError, match=message):
            IgnoreMask(tmp_path / "m.png", NAMES)
    with pytest.raises(NoInputError):
        IgnoreMask(tmp_path / "none.png", NAMES)
    whole = polygon(tmp_path / "m.json", polygon=[[0, 0], [200, 0], [200, 100], [0, 100]])
    with pytest.raises(DataError, match="zones cover the whole picture, so everything would be ignored"):
        IgnoreMask(whole, NAMES).drop(boxes(LEFT), SIZE)


def test_a_photo_is_no_mask_but_soft_edges_are(tmp_path: Path) -> None:
    shades = np.tile(np.linspace(0, 255, 200).astype(np.uint8), (100, 1))
    cv2.imwrite(str(tmp_path / "photo.jpg"), shades)
    with pytest.raises(DataError, match=r"photo\.jpg: is no mask but a picture in shades \(68% of it"):
        IgnoreMask(tmp_path / "photo.jpg", NAMES)
    image = cv2.blur(cv2.imread(str(picture(tmp_path / "m.png"))), (15, 15))
    cv2.imwrite(str(tmp_path / "soft.jpg"), image)
    assert len(IgnoreMask(tmp_path / "soft.jpg", NAMES).drop(boxes(LEFT, RIGHT), SIZE)) == 1


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["m.json", "m.png"]),
    st.binary(max_size=60),
    st.tuples(st.integers(1, 999), st.integers(1, 999)),
)
def test_any_file_is_read_or_refused(tmp_path: Path, name: str, data: bytes, size: tuple[int, int]) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(EdgeloopError):
        IgnoreMask(tmp_path / name, NAMES).drop(boxes(LEFT), size)


def test_run_reports_nothing_in_the_mask(
    edgeloop: Callable[..., Outcome], block_model: Path, clip: Path, tmp_path: Path
) -> None:
    mask = picture(tmp_path / "m.png", (160, 120))
    said = edgeloop("run", block_model, clip, "--ignore", mask, "--json")
    assert said.code == 0, said.err
    counts = [len(json.loads(line)["detections"]) for line in said.out.splitlines()]
    # The block's center passes the middle at frame 25.
    assert counts[:24] == [1] * 24
    assert counts[27:] == [0] * 13
    assert edgeloop("run", block_model, clip, clip, "--ignore", mask).code == 2


@pytest.mark.parametrize(
    "make", [lambda folder: picture(folder / "m.png"), lambda folder: polygon(folder / "m.json")]
)
def test_of_a_mask_the_pixels_count(make: Callable[[Path], Path], tmp_path: Path) -> None:
    left_of_it, in_it, beside_it, nothing = (np.zeros(SIZE[::-1], np.bool_) for _ in range(4))
    left_of_it[10:90, 60:75] = left_of_it[80:90, 60:180] = True  # an L: most of the box is ignored
    in_it[10:90, 130:145] = in_it[80:90, 20:145] = in_it[10:20, 100:180] = True
    beside_it[10:50, 10:50] = True
    box = np.array([[60, 10, 180, 90], [20, 10, 180, 90], [10, 10, 50, 50], [80, 10, 180, 50]], np.float32)
    found = masked(left_of_it, in_it, beside_it, nothing, boxes=box)
    assert left_of_it[:, :100].sum() > left_of_it[:, 100:].sum()
    assert in_it[:, :100].sum() < in_it[:, 100:].sum()
    mask = IgnoreMask(make(tmp_path), ("a", "b", "c", "d"))
    kept = mask.drop(found, SIZE)
    assert kept.class_id.tolist() == [0, 2]
    assert kept.masks is not None
    assert kept.masks.area.tolist() == [int(left_of_it.sum()), 1600]
    assert mask.drop(replace(found, masks=None), SIZE).class_id.tolist() == [1, 2]
