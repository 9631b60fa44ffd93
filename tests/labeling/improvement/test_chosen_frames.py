"""Frames of a ring come into the loop: half by chance, half by rank, none twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeloop.edge.frames.folder import read_frames
from edgeloop.edge.ring.ring_database import IMAGES, Ring, read_ring
from edgeloop.edge.ring.ring_entry import RingEntry
from edgeloop.labeling.improvement.chosen_frames import choose_frames, copy_frames, read_chosen, write_chosen
from tests.labeling.improvement.rings import picture, write_ring


def by_doubt(ring: Ring) -> tuple[Sequence[RingEntry], float | None]:
    return sorted(ring.entries, key=lambda entry: -entry.doubt), 0.8


def test_half_of_the_frames_are_drawn_and_half_are_the_best_ranked(tmp_path: Path) -> None:
    write_ring(tmp_path / "ring", [picture(number) for number in range(20)])
    chosen = choose_frames(read_ring(tmp_path / "ring"), tmp_path / "frames", 6, by_doubt, seed=0)
    assert (len(chosen.files), chosen.random, chosen.known, chosen.recall) == (6, 3, 0, 0.8)
    drawn = {entry.frame.file for entry in read_ring(tmp_path / "ring").entries if entry.share == "random"}
    assert set(chosen.files[:3]) <= drawn
    assert chosen.files[3] in ("gate_000019.jpg", "gate_000018.jpg")


def test_the_best_ranked_and_those_in_most_doubt_come_in_turn(tmp_path: Path) -> None:
    """The least doubtful is the best ranked."""
    files = write_ring(tmp_path / "ring", [picture(number) for number in range(20)], shares=["ranked"])

    def rank(ring: Ring) -> tuple[Sequence[RingEntry], float | None]:
        return sorted(ring.entries, key=lambda entry: entry.doubt), 0.8

    chosen = choose_frames(read_ring(tmp_path / "ring"), tmp_path / "frames", 4, rank, seed=0)
    assert chosen.files == (files[8], files[19], files[9], files[18])  # of the twelve that are looked at


def test_the_recall_of_what_is_left_of_a_sample_is_not_told(tmp_path: Path) -> None:
    write_ring(tmp_path / "ring", [picture(number) for number in range(8)], shares=["random"])
    ring = read_ring(tmp_path / "ring")
    first = choose_frames(ring, tmp_path / "frames", 4, by_doubt, seed=0)
    assert first.recall == 0.8
    copy_frames(ring, first, tmp_path / "frames")
    assert choose_frames(ring, tmp_path / "frames", 4, by_doubt, seed=0).recall is None


def test_a_share_that_is_too_small_leaves_its_room_to_the_other(tmp_path: Path) -> None:
    write_ring(tmp_path / "ring", [picture(number) for number in range(8)], shares=["random"])
    chosen = choose_frames(read_ring(tmp_path / "ring"), tmp_path / "frames", 6, by_doubt, seed=0)
    assert len(set(chosen.files)) == 6


def test_no_frame_comes_twice(tmp_path: Path) -> None:
    write_ring(tmp_path / "ring", [picture(number) for number in range(4)])
    ring = read_ring(tmp_path / "ring")
    copy_frames(ring, choose_frames(ring, tmp_path / "frames", 9, by_doubt, seed=0), tmp_path / "frames")
    write_ring(tmp_path / "ring", [picture(9)], first=9)
    ring = read_ring(tmp_path / "ring")
    chosen = choose_frames(ring, tmp_path / "frames", 9, by_doubt, seed=0)
    assert (chosen.files, chosen.known) == (("gate_000009.jpg",), 4)
    assert copy_frames(ring, chosen, tmp_path / "frames").copied == 1
    entries = read_frames(tmp_path / "frames")
    assert [entry.index for entry in entries] == [0, 900, 1800, 2700, 8100]
    assert choose_frames(ring, tmp_path / "frames", 9, by_doubt, seed=0).files == ()


def test_frames_that_a_person_drew_on_stay_out(tmp_path: Path) -> None:
    files = write_ring(tmp_path / "ring", [picture(number) for number in range(4)])
    ring = read_ring(tmp_path / "ring")
    chosen = choose_frames(ring, tmp_path / "frames", 9, by_doubt, seed=0, drawn_on={files[2]})
    assert {*chosen.files} == {*files} - {files[2]}


def test_an_interrupted_copy_goes_on_with_its_choice(tmp_path: Path) -> None:
    files = write_ring(tmp_path / "ring", [picture(number) for number in range(6)])
    ring = read_ring(tmp_path / "ring")
    chosen = choose_frames(ring, tmp_path / "frames", 4, by_doubt, seed=0)
    write_chosen(tmp_path / "from_ring.json", chosen)
    part = chosen.model_copy(update={"files": chosen.files[:2]})
    copy_frames(ring, part, tmp_path / "frames")
    again = read_chosen(tmp_path / "from_ring.json")
    assert again == chosen
    (tmp_path / "ring" / IMAGES / chosen.files[3]).unlink()  # evicted meanwhile
    copied = copy_frames(ring, chosen, tmp_path / "frames")
    assert (copied.copied, copied.vanished) == (3, 1)
    assert len(read_frames(tmp_path / "frames")) == 3
    assert set(files) > {entry.file for entry in read_frames(tmp_path / "frames")}
