"""What `edgeloop collect` keeps of a source, and what is left when it is interrupted."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeloop.edge.frame import Frame, Source
from edgeloop.edge.frames.folder import read_frames
from edgeloop.labeling.frames.selection import (
    CollectPlan,
    FrameSelector,
    Verdict,
    collect_frames,
    collect_source,
)
from edgeloop.models.errors import DataError, NoInputError
from tests.calls import Outcome

Image = NDArray[np.uint8]


def picture(seed: int) -> Image:
    """A picture with structure of its own."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_NEAREST), np.uint8)


def blurred(image: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 6), np.uint8)


class Recorded(Source):
    """Pictures as a source; ends with an interruption where one is asked for."""

    live = False
    dropped = skipped = 0

    def __init__(self, images: Sequence[Image], *, interrupted: bool = False) -> None:
        self.name, self.fps, self.length = "clips/door.mp4", 10.0, len(images)
        self._images, self._interrupted = images, interrupted

    def __iter__(self) -> Iterator[Frame]:
        for index, image in enumerate(self._images):
            yield Frame(image, index, time.monotonic(), time.time(), self.name)
        if self._interrupted:
            raise KeyboardInterrupt

    def stop(self) -> None: ...

    def close(self) -> None: ...


A, B, C = (picture(seed) for seed in range(3))


@pytest.mark.parametrize(
    ("images", "verdicts"),
    [
        pytest.param([A, B, C], "kept kept kept", id="all different"),
        pytest.param([A, A, A], "kept repeated repeated", id="a still picture"),
        pytest.param([A, B, A], "kept kept repeated", id="back to an earlier picture"),
        pytest.param([A, B, blurred(C), C], "kept kept blurred kept", id="one blurred"),
        pytest.param([blurred(A), blurred(B)], "kept kept", id="a soft lens: all alike"),
    ],
)
def test_selector(images: list[Image], verdicts: str) -> None:
    selector = FrameSelector(min_sharpness=0.5, min_difference=12)
    assert " ".join(selector.offer(image).value for image in images) == verdicts


def test_sensor_noise_makes_no_new_frame() -> None:
    selector, rng = FrameSelector(min_sharpness=0.5, min_difference=12), np.random.default_rng(0)
    noisy = [np.clip(A + rng.normal(0, 3, A.shape), 0, 255).astype(np.uint8) for _ in range(5)]
    assert [selector.offer(image) for image in noisy][1:] == [Verdict.REPEATED] * 4


def test_zero_limits_keep_everything() -> None:
    selector = FrameSelector(min_sharpness=0, min_difference=0)
    assert {selector.offer(image) for image in (A, A, blurred(A))} == {Verdict.KEPT}


def test_frames_and_their_lines(tmp_path: Path) -> None:
    report = collect_frames(Recorded([A, A, B, C]), tmp_path / "frames", CollectPlan())
    assert (report.read, report.kept, report.repeated, report.blurred) == (4, 3, 1, 0)
    entries = read_frames(tmp_path / "frames")
    assert [(entry.index, entry.time_s) for entry in entries] == [(0, 0.0), (2, 0.2), (3, 0.3)]
    assert re.fullmatch(r"door-[0-9a-f]{8}_000002\.jpg", entries[1].file)
    assert entries[1].source == "clips/door.mp4"
    stored = cv2.imread(str(tmp_path / "frames" / entries[1].file))
    assert np.abs(stored.astype(int) - B).mean() < 6


@pytest.mark.parametrize(
    ("plan", "indices"),
    [
        pytest.param(CollectPlan(count=2), [0, 1], id="count"),
        pytest.param(CollectPlan(stride=3), [0, 3], id="stride"),
        pytest.param(CollectPlan(every_s=0.2), [0, 2, 4], id="seconds"),
    ],
)
def test_plan(tmp_path: Path, plan: CollectPlan, indices: list[int]) -> None:
    collect_frames(Recorded([picture(seed) for seed in range(6)]), tmp_path / "frames", plan)
    assert [entry.index for entry in read_frames(tmp_path / "frames")] == indices


def test_interrupted_source_loses_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        collect_frames(Recorded([A, B], interrupted=True), tmp_path / "frames", CollectPlan())
    assert len(read_frames(tmp_path / "frames")) == 2


def recorded_in(folder: Path, seeds: Sequence[int]) -> Path:
    """Write a recording as every camera names its own."""
    folder.mkdir()
    path = folder / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, A.shape[1::-1])
    for seed in seeds:
        writer.write(picture(seed))
    writer.release()
    return path


def test_frames_of_two_recordings_never_share_a_name(tmp_path: Path) -> None:
    plan = CollectPlan()
    for camera in ("north", "south"):
        collect_source(str(recorded_in(tmp_path / camera, [1, 2])), tmp_path / f"{camera}-frames", plan)
    north, south = (read_frames(tmp_path / f"{camera}-frames") for camera in ("north", "south"))
    assert not {entry.file for entry in north} & {entry.file for entry in south}
    for camera in ("north", "south"):
        collect_source(str(tmp_path / camera / "clip.avi"), tmp_path / "all", plan)
    assert read_frames(tmp_path / "all") == (*north, *south)
    collect_source(str(tmp_path / "north/clip.avi"), tmp_path / "all", plan)  # the same frames again
    assert read_frames(tmp_path / "all") == (*north, *south)


def test_of_a_folder_that_grew_only_the_new_images_are_added(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / "photos" / f"{number}.png"), picture(number))
        collect_source(str(tmp_path / "photos"), tmp_path / "frames", CollectPlan())
        assert len(read_frames(tmp_path / "frames")) == number + 1
    cv2.imwrite(str(tmp_path / "photos" / "0.png"), picture(9))  # its name is taken, its picture is new
    collect_source(str(tmp_path / "photos" / ".." / "photos"), tmp_path / "frames", CollectPlan())
    assert len(read_frames(tmp_path / "frames")) == 4


def test_a_live_source_names_each_recording_of_its_own(tmp_path: Path) -> None:
    files = []
    for run in ("1", "2"):
        collect_source("synth:conveyor?fps=30&size=160x120", tmp_path / run, CollectPlan(count=1))
        files += [entry.file for entry in read_frames(tmp_path / run)]
    assert len(set(files)) == 2


def test_images_that_the_list_lacks_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    collect_frames(Recorded([A]), tmp_path / "frames", CollectPlan())
    cv2.imwrite(str(tmp_path / "frames/copied.jpg"), B)
    assert len(read_frames(tmp_path / "frames")) == 1
    assert "1 images are not in frames.jsonl and are left out, such as copied.jpg" in caplog.text


def test_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(DataError, match="expected a new or empty folder"):
        collect_frames(Recorded([A]), tmp_path, CollectPlan())
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_source_without_frames(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match="ended without a frame"):
        collect_frames(Recorded([]), tmp_path / "frames", CollectPlan())


def test_belt_in_slow_motion_is_thinned_and_not_thrown_away(
    tmp_path: Path, edgeloop: Callable[..., Outcome]
) -> None:
    done = edgeloop("collect", "synth:conveyor?frames=40&size=320x240", "-o", tmp_path / "frames", "--json")
    assert done.code == 0
    figures = json.loads(done.out)
    assert figures["read"] == 40
    assert 5 <= figures["kept"] <= 39
    assert len(read_frames(tmp_path / "frames")) == figures["kept"]


def test_keep_all(tmp_path: Path, edgeloop: Callable[..., Outcome]) -> None:
    done = edgeloop(
        "collect", "synth:conveyor?frames=10&size=160x120", "-o", tmp_path / "f", "--keep-all", "--json"
    )
    assert json.loads(done.out)["kept"] == 10


def test_missing_source_leaves_no_folder(tmp_path: Path, edgeloop: Callable[..., Outcome]) -> None:
    done = edgeloop("collect", tmp_path / "nothing.mp4", "-o", tmp_path / "frames")
    assert done.code == 66
    assert "no such file" in done.err
    assert not (tmp_path / "frames").exists()
