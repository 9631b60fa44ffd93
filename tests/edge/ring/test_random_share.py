"""The random share is a fair sample: in time, by weight, and after every change of its threshold."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
from scipy.stats import chisquare

from edgeloop.edge.ring.frame_choice import Choice, FrameChoice
from edgeloop.edge.ring.ring_budget import RingBudget
from edgeloop.edge.ring.ring_database import read_ring
from edgeloop.edge.ring.ring_keeper import RingKeeper
from edgeloop.edge.ring.shares import RandomShare
from tests.edge.ring.ring_frames import candidate, folder_bytes, judged, noise

FLAT = np.zeros((16, 16, 3), np.uint8)
DAY_S = 86400.0


class Clock:
    """Clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def opened(folder: Path, megabytes: float = 1.5, clock: Clock | None = None, days: float = 30) -> RingKeeper:
    """Ring that is all random share, with some 0.9 MB of images."""
    budget = RingBudget(megabytes, days, random_share=1.0)
    keeper = RingKeeper(folder, budget, keep_free_mb=0, clock=clock or Clock())
    keeper.table.database.execute("PRAGMA synchronous=OFF")  # thousands of frames would wait for the disk
    return keeper


def play(keeper: RingKeeper, frames: range, seed: int, side: int = 64) -> None:
    """Draw a frame of each second; its picture is one of a few, so that there is nothing to compute."""
    random = Random(seed)
    pictures = [noise(number, side) for number in range(8)]
    for index in frames:
        draw = random.random()
        if draw < keeper.random.threshold:
            frame = judged(index, time_s=float(index), image=pictures[index % 8])
            keeper.add(Choice(candidate(frame), draw, keeper.random.threshold))


def test_one_frame_of_each_second_is_drawn_and_each_alike() -> None:
    choice, places = FrameChoice(Random(5), slot_frames=30), Counter[int]()
    for index in range(40_000):
        frame = candidate(judged(index, time_s=index / 8, image=FLAT))
        for found in choice.look(frame, draw_limit=1.0, gain_floor=2.0):
            places[found.candidate.entry.index % 8] += 1
    assert sum(places.values()) == 4999  # the last second is not over yet
    assert chisquare([places[place] for place in range(8)]).pvalue > 0.01


def test_a_second_of_many_frames_counts_as_one_of_few() -> None:
    choice, seconds = FrameChoice(Random(5), slot_frames=30), Counter[bool]()
    times = [number / 30 for number in range(300)] + [10 + number / 2 for number in range(20)]
    for index, time_s in enumerate(times):
        for found in choice.look(
            candidate(judged(index, time_s=time_s, image=FLAT)), draw_limit=1.0, gain_floor=2.0
        ):
            seconds[found.candidate.judged.time_s < 10] += 1
    seconds[False] += len([*choice.end()])
    assert seconds == {True: 10, False: 10}


@pytest.mark.parametrize(("slot_frames", "expected"), [(30, 4), (1, 100)], ids=["footage", "pictures"])
def test_without_times_thirty_frames_are_a_second_and_each_picture_is_one(
    slot_frames: int, expected: int
) -> None:
    choice = FrameChoice(Random(5), slot_frames=slot_frames)
    found = [
        each
        for index in range(100)
        for each in choice.look(candidate(judged(index, image=FLAT)), draw_limit=1.0, gain_floor=2.0)
    ]
    assert len([*found, *choice.end()]) == expected


@pytest.mark.slow
def test_what_is_kept_is_spread_evenly_over_time_and_weighs_what_there_was(tmp_path: Path) -> None:
    seconds, bins = 6000, Counter[int]()
    estimates = []
    for seed in range(6):
        keeper = opened(tmp_path / str(seed))
        play(keeper, range(seconds), seed)
        keeper.close()
        entries = read_ring(tmp_path / str(seed)).entries
        assert {entry.inclusion for entry in entries} == {keeper.random.threshold}
        assert len(entries) > 50
        bins.update(entry.frame.index * 10 // seconds for entry in entries)
        estimates.append(sum(1 / entry.inclusion for entry in entries))
    assert chisquare([bins[part] for part in range(10)]).pvalue > 0.01
    # Each estimate of 80 frames has a standard error of 11 %, so their mean has 4.5 %.
    assert np.mean(estimates) == pytest.approx(seconds, rel=0.12)


@pytest.mark.slow
def test_frames_of_any_size_weigh_what_there_was(tmp_path: Path) -> None:
    """Large pictures fill the share faster, but are neither more nor less likely to stay."""
    random, small, large = Random(3), noise(1, 32), noise(2, 96)
    weights = {True: 0.0, False: 0.0}
    for run in range(12):
        keeper = opened(tmp_path / str(run))
        for index in range(1500):
            is_large, draw = index % 3 == 0, random.random()
            if draw < keeper.random.threshold:
                frame = judged(index, time_s=float(index), image=large if is_large else small)
                keeper.add(Choice(candidate(frame), draw, keeper.random.threshold))
        keeper.close()
        for entry in read_ring(tmp_path / str(run)).entries:
            weights[entry.size == (96, 96)] += 1 / entry.inclusion
    assert weights[True] / 12 == pytest.approx(500, rel=0.15)
    assert weights[False] / 12 == pytest.approx(1000, rel=0.15)


def test_the_threshold_outlives_the_process(tmp_path: Path) -> None:
    keeper = opened(tmp_path)
    play(keeper, range(600), seed=1)
    threshold = keeper.random.threshold
    keeper.close()
    assert threshold < 0.5
    again = opened(tmp_path)
    assert again.random.threshold == threshold
    again.close()


def test_a_threshold_rises_again_when_half_is_free_and_frames_keep_their_probability(tmp_path: Path) -> None:
    clock = Clock()
    keeper = opened(tmp_path, clock=clock, days=10)
    play(keeper, range(1000), seed=1)
    low = keeper.random.threshold
    clock.now += 5 * DAY_S
    play(keeper, range(1000, 1030), seed=2)
    fell = keeper.random.threshold
    clock.now += 5.5 * DAY_S  # the first thousand are too old now
    keeper.tend()
    assert keeper.random.threshold == min(1.0, 2 * fell)
    keeper.tend()
    assert keeper.random.threshold == min(1.0, 2 * fell), "not twice a day"
    play(keeper, range(2000, 2060), seed=3)
    keeper.close()
    entries = read_ring(tmp_path).entries
    assert low >= fell
    assert {entry.inclusion for entry in entries if entry.frame.index < 1030} <= {fell}
    assert {entry.inclusion for entry in entries if entry.frame.index >= 2000} == {2 * fell}
    assert not [entry for entry in entries if entry.frame.index < 1000]


@pytest.mark.parametrize("years", [56, -56], ids=["1970 until the network is there", "a leap back"])
def test_a_clock_that_is_set_makes_no_frame_too_old(
    years: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And not too young either: they are removed when their days are over by the new clock."""
    clock = Clock()
    clock.now = 60 * 365 * DAY_S
    keeper = opened(tmp_path, clock=clock, days=10)
    play(keeper, range(20), seed=1)
    clock.now += years * 365 * DAY_S
    play(keeper, range(20, 30), seed=2)
    keeper.tend()
    assert keeper.table.entries == 30
    (told,) = caplog.messages
    assert told.startswith(f"ring: the clock was set by {365 * years:+} days; 20 frames keep their age")
    keeper.close()
    clock.now -= years * 365 * DAY_S  # as after a start
    keeper = opened(tmp_path, clock=clock, days=10)
    assert keeper.table.entries == 30
    clock.now += 11 * DAY_S
    keeper.tend()
    assert keeper.table.entries == 0
    keeper.close()


def test_a_smaller_budget_lowers_the_threshold(tmp_path: Path) -> None:
    keeper = opened(tmp_path, 3)
    play(keeper, range(200), seed=1)
    keeper.close()
    before = keeper.random.threshold
    smaller = opened(tmp_path, 1.5)
    smaller.close()
    assert smaller.random.threshold < before
    assert {entry.inclusion for entry in read_ring(tmp_path).entries} == {smaller.random.threshold}
    assert folder_bytes(tmp_path) <= 1_500_000


def test_a_share_smaller_than_a_frame_says_that_there_is_no_room(tmp_path: Path) -> None:
    keeper = opened(tmp_path, 0.6)
    with pytest.raises(OSError, match="No space left"):
        keeper.add(Choice(candidate(judged(0, time_s=0.0, image=noise(1, 256))), 0.1))
    assert RandomShare(keeper.table).threshold == 1.0
    keeper.close()


def test_a_share_of_nothing_takes_nothing_and_is_no_loss(tmp_path: Path) -> None:
    for share, draw in ((0.0, 0.1), (1.0, None)):
        keeper = RingKeeper(tmp_path / str(share), RingBudget(10, 30, share), keep_free_mb=0)
        assert not keeper.add(Choice(candidate(judged(0, doubt=0.5, time_s=0.0)), draw))
        keeper.close()
