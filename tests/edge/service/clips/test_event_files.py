"""Names of files of events, and the list of the newest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgeloop.edge.service.clips.event_files import OWN_NAME, event_name, list_events
from edgeloop.edge.service.service_part import ServiceEvent

NOON = 1_790_000_000.25


def event(number: int, wall_time: float = NOON, camera: str = "gate") -> ServiceEvent:
    return ServiceEvent(
        id=f"5f3a-{number:08x}",
        camera=camera,
        kind="enter",
        place="yard",
        class_name="block",
        tracker_id=number,
        wall_time=wall_time,
        captured_at=1.0,
        dwell_s=None,
        direction=None,
        confidence=0.9,
        xyxy=(1.0, 2.0, 3.0, 4.0),
        image=np.zeros((8, 8, 3), np.uint8),
    )


def save(folder: Path, saved: ServiceEvent, **values: object) -> str:
    name = event_name(saved)
    (folder / f"{name}.json").write_text(json.dumps({**saved.as_dict(), **values}))
    return name


def test_names_sort_by_time_and_then_by_camera() -> None:
    names = [event_name(event(2)), event_name(event(1, NOON + 0.001)), event_name(event(0, NOON, "yard"))]
    assert sorted(names) == [names[0], names[2], names[1]]
    assert names[0] == "20260921-141320-250_gate_enter_00000002"
    assert all(OWN_NAME.fullmatch(f"{name}.json") for name in names)


def test_the_newest_events_come_first_with_the_files_that_are_there(tmp_path: Path) -> None:
    clip = f"{event_name(event(0))}.mp4"
    (tmp_path / clip).write_bytes(b"clip")
    for number in range(5):
        save(tmp_path, event(number, NOON + number), clip=clip, picture="gone.jpg")
    name = save(tmp_path, event(9, NOON + 9))
    (tmp_path / f"{name}.jpg").write_bytes(b"jpeg")
    save(tmp_path, event(9, NOON + 9), picture=f"{name}.jpg", clip=f"{clip}.partial")
    first, second = list_events(tmp_path, 2)
    assert (first.picture, first.clip) == (tmp_path / f"{name}.jpg", None)
    assert (second.picture, second.clip) == (None, tmp_path / clip)
    assert second.values["tracker_id"] == 4


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"clip": 3}', b'{"clip": "../../x.mp4"}'])
def test_a_broken_file_shows_no_file_of_another_place(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"{event_name(event(1))}.json").write_bytes(content)
    assert [each.clip for each in list_events(tmp_path, 9)] in ([], [None])


def test_a_folder_that_is_not_there_has_no_events(tmp_path: Path) -> None:
    assert list_events(tmp_path / "none", 9) == []
