"""The ranked share keeps what is expected to gain most, within bytes and days."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest

from edgeloop.edge.ring.frame_choice import Choice, FrameChoice
from edgeloop.edge.ring.novelty import expected_gain, thumbnail
from edgeloop.edge.ring.ring_budget import RingBudget
from edgeloop.edge.ring.ring_database import read_ring
from edgeloop.edge.ring.ring_keeper import RingKeeper
from tests.edge.ring.ring_frames import candidate, folder_bytes, judged, noise

FLAT = np.zeros((16, 16, 3), np.uint8)


def opened(folder: Path, megabytes: float, *, random_share: float = 0.0) -> RingKeeper:
    return RingKeeper(folder, RingBudget(megabytes, 30, random_share), keep_free_mb=0)


def test_the_frame_in_most_doubt_of_ten_seconds_is_offered() -> None:
    choice = FrameChoice(Random(1), slot_frames=30)
    found = [
        each.candidate.entry.index
        for index in range(120)
        for each in choice.look(
            candidate(judged(index, doubt=index % 50 / 50, time_s=index / 4, image=FLAT)),
            draw_limit=0.0,
            gain_floor=0.0,
        )
    ]
    found += [each.candidate.entry.index for each in choice.end()]
    assert found == [39, 49, 99]


def test_frames_without_doubt_are_not_offered() -> None:
    choice = FrameChoice(Random(1), slot_frames=1)
    for index in range(5):
        assert not [
            *choice.look(candidate(judged(index, image=FLAT)), draw_limit=0.0, gain_floor=0.0),
            *choice.end(),
        ]


def test_the_least_valuable_leaves_first_and_not_the_oldest(tmp_path: Path) -> None:
    keeper = opened(tmp_path, 1.0)
    keeper.table.database.execute("PRAGMA synchronous=OFF")
    doubts = [0.9, 0.2, 0.8, 0.1, 0.7, 0.3] * 20
    added = [keeper.add(Choice(candidate(judged(index, doubt=doubt)))) for index, doubt in enumerate(doubts)]
    keeper.close()
    kept = {entry.frame.index: entry.doubt for entry in read_ring(tmp_path).entries}
    assert 10 < len(kept) < 30, "the budget is for a part of them"
    assert 0 in kept, "the oldest is among the best"
    assert min(kept.values()) == 0.9
    assert not all(added)
    assert folder_bytes(tmp_path) <= 1_000_000


def test_what_resembles_kept_frames_gains_less() -> None:
    kept = [thumbnail(noise(seed)) for seed in range(5)]
    assert expected_gain(0.8, thumbnail(noise(9)), []) == 0.8
    assert expected_gain(0.8, kept[2], kept) == pytest.approx(0.4)
    assert 0.6 < expected_gain(0.8, thumbnail(noise(9)), kept) <= 0.8
    brighter = np.clip(noise(3).astype(int) // 2 + 60, 0, 255).astype(np.uint8)
    darker = np.clip(noise(3).astype(int) // 2 + 10, 0, 255).astype(np.uint8)
    others = [thumbnail(noise(seed)) for seed in range(20, 24)]
    assert expected_gain(0.8, thumbnail(brighter), [thumbnail(darker), *others]) < 0.45, "light changes"


def test_the_same_picture_leaves_before_a_new_one_of_equal_doubt(tmp_path: Path) -> None:
    keeper = opened(tmp_path, 5.0)
    for index in range(6):
        keeper.add(Choice(candidate(judged(index, doubt=0.8))))
    keeper.add(Choice(candidate(judged(6, doubt=0.8, image=noise(2)))))
    lowest = keeper.table.database.execute("SELECT file FROM gain ORDER BY value LIMIT 1").fetchone()
    keeper.close()
    assert lowest == ("gate-0_000006.jpg",)


def test_another_camera_is_not_compared_with(tmp_path: Path) -> None:
    keeper = opened(tmp_path, 5.0)
    for index, source in enumerate(("gate", "yard")):
        keeper.add(Choice(candidate(judged(index, doubt=0.8, image=noise(2)), source)))
    gains = {gain for (gain,) in keeper.table.database.execute("SELECT value FROM gain")}
    keeper.close()
    assert gains == {0.8}


def test_a_frame_of_both_shares_is_stored_once_and_stays_when_its_draw_leaves(tmp_path: Path) -> None:
    keeper = opened(tmp_path, 1.4, random_share=0.4)
    both = candidate(judged(0, doubt=0.9))
    keeper.add(Choice(both, 0.99))
    keeper.add(Choice(both))
    assert [entry.share for entry in read_ring(tmp_path).entries] == ["random"]
    for index in range(1, 80):
        keeper.add(Choice(candidate(judged(index)), index / 100))
    keeper.close()
    (first, *others) = sorted(read_ring(tmp_path).entries, key=lambda entry: entry.frame.index)
    assert (first.frame.index, first.share, first.inclusion) == (0, "ranked", 1.0)
    assert {entry.share for entry in others} == {"random"}


def test_a_frame_in_doubt_that_is_drawn_later_counts_as_drawn(tmp_path: Path) -> None:
    keeper = opened(tmp_path, 2, random_share=0.5)
    both = candidate(judged(0, doubt=0.9))
    keeper.add(Choice(both))
    keeper.add(Choice(both, 0.3, 0.5))
    used = keeper.table.used("random"), keeper.table.used("ranked")
    keeper.close()
    (entry,) = read_ring(tmp_path).entries
    assert (entry.share, entry.inclusion) == ("random", 0.5)
    assert used == (entry.bytes, 0)


@pytest.mark.slow
def test_the_budget_is_kept_after_every_frame(tmp_path: Path) -> None:
    random, keeper = Random(7), opened(tmp_path, 2.0, random_share=0.25)
    for index in range(400):
        frame = judged(index, doubt=random.random(), image=noise(index, random.choice((24, 48, 96))))
        keeper.add(Choice(candidate(frame), random.random()) if index % 2 else Choice(candidate(frame)))
        assert folder_bytes(tmp_path) <= 2_000_000
        assert keeper.table.used("random") <= 0.25 * 2_000_000
    keeper.close()
    entries = read_ring(tmp_path).entries
    assert {entry.share for entry in entries} == {"random", "ranked"}
    assert sum(entry.bytes for entry in entries) > 700_000, "what the database leaves is used"
    assert {path.name for path in (tmp_path / "images").iterdir()} == {entry.frame.file for entry in entries}


def test_frames_that_are_too_old_leave(tmp_path: Path) -> None:
    times = [1e6]
    keeper = RingKeeper(tmp_path, RingBudget(5, 2, 0.5), keep_free_mb=0, clock=lambda: times[-1])
    keeper.add(Choice(candidate(judged(0, doubt=0.9))))
    times.append(1e6 + 86400)
    keeper.add(Choice(candidate(judged(1)), 0.4))
    times.append(1e6 + 2 * 86400 + 1)
    keeper.tend()
    assert [entry.frame.index for entry in read_ring(tmp_path).entries] == [1]
    keeper.close()
    assert len([*(tmp_path / "images").iterdir()]) == 1


@pytest.mark.parametrize(("days_off", "kept"), [(1, 3), (60, 0)])
def test_frames_that_grew_too_old_while_the_device_was_off_leave_at_the_start(
    days_off: int, kept: int, tmp_path: Path
) -> None:
    times = [1e9]
    for now in (1e9, 1e9 + days_off * 86400):
        times.append(now)
        keeper = RingKeeper(tmp_path, RingBudget(5, 30, 0.5), keep_free_mb=0, clock=lambda: times[-1])
        if now == 1e9:
            for index in range(3):
                keeper.add(Choice(candidate(judged(index)), 0.1 * index))
        keeper.close()
    assert len(read_ring(tmp_path).entries) == len([*(tmp_path / "images").iterdir()]) == kept


def test_the_same_footage_again_is_kept_beside_what_is_there(tmp_path: Path) -> None:
    for _ in range(2):
        keeper = opened(tmp_path, 5)
        keeper.add(Choice(candidate(judged(0, doubt=0.5))))
        keeper.close()
    files = [entry.frame.file for entry in read_ring(tmp_path).entries]
    assert files == ["gate-0_000000.jpg", "gate-0_000000-2.jpg"]
