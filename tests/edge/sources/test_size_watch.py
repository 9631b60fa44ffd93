"""Footage that changes its size in the middle: pictures in their true shape, and one warning."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeloop.edge.sources import open_source

SIZES = ((320, 180), (160, 120), (320, 180))


def circle(size: tuple[int, int]) -> np.ndarray:
    """A white disc of 60 pixels on gray."""
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    return cv2.circle(image, (size[0] // 2, size[1] // 2), 30, (255, 255, 255), -1)


def write(path: Path, size: tuple[int, int], frames: int = 10) -> bytes:
    if path.suffix == ".mjpeg":
        return cv2.imencode(".jpg", circle(size))[1].tobytes() * frames
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 10, size)
    for _ in range(frames):
        writer.write(circle(size))
    writer.release()
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [".ts", ".mjpeg"])
def test_pictures_keep_their_shape_when_the_size_changes(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"all{suffix}"
    path.write_bytes(b"".join(write(tmp_path / f"part{suffix}", size) for size in SIZES))
    with open_source(str(path)) as source:
        images = [frame.image for frame in source]
    assert [image.shape[1::-1] for image in images] == [size for size in SIZES for _ in range(10)]
    for image in images:
        *_, width, height = cv2.boundingRect((image[..., 0] > 170).astype(np.uint8))
        assert (width, height) == (pytest.approx(61, abs=4), pytest.approx(61, abs=4))
    (said,) = caplog.messages
    assert said == f"source {path}: the pictures change from 320x180 to 160x120 after 10 frames"


@pytest.mark.parametrize("suffix", [".ts", ".mjpeg", ".mkv", ".avi"])
def test_footage_of_one_size_is_left_as_it_is(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"one{suffix}"
    path.write_bytes(write(path, (160, 120), frames=30))
    with open_source(str(path)) as source:
        assert {frame.image.shape for frame in source} == {(120, 160, 3)}
    assert not caplog.messages
