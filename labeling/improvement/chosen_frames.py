"""Frames of a device's ring that come home: some of the random share, and those that teach most."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from edgeloop.edge.frames.folder import FRAME_LIST, FrameEntry, FrameWriter, read_frames
from edgeloop.edge.host.durable_file import replace_file
from edgeloop.edge.host.opencv import read_image
from edgeloop.edge.ring.ring_database import Ring
from edgeloop.edge.ring.ring_entry import RingEntry
from edgeloop.models.json_file import read_json

__all__ = ["Chosen", "Copied", "Rank", "choose_frames", "copy_frames", "read_chosen", "write_chosen"]

_LOOKED_AT = 3  # frames of each share that are looked at, times the number that is wanted

Rank = Callable[[Ring], tuple[Sequence[RingEntry], float | None]]
"""Ranks the entries of a ring, those that teach most first; with the estimated recall of the device."""


class Chosen(BaseModel):
    """Choice of frames from a ring, GENERATION/from_ring.json: a copy that was interrupted goes on with it.

    Attributes:
        files: Names of the images in the ring.
        random: How many of them are of the random share, drawn at random.
        known: Frames of the ring that the loop had already, with those that it has as exemplars.
        recall: Estimated recall of the device on the random share; None if unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    files: tuple[str, ...]
    random: int
    known: int
    recall: float | None


@dataclass(frozen=True, slots=True)
class Copied:
    """Count of copied frames, and of those that the device removed meanwhile or that cannot be read."""

    copied: int
    vanished: int


def choose_frames(
    ring: Ring, frames: Path, most: int, rank: Rank, *, seed: int, drawn_on: Collection[str] = ()
) -> Chosen:
    """Choose frames that a loop does not have yet.

    Half of them are drawn from the random share, so that figures stay those of what the device sees. The
    others are of both shares, in turn the best ranked and those in most doubt: a teacher cannot rank what it
    does not know, such as a new kind of object. A share that is too small leaves its room to the other.

    Args:
        ring: The ring.
        frames: Folder of the frames of the loop; it need not exist.
        most: Maximum number of frames.
        rank: Ranks the frames; it is given at most three times `most` of each share.
        seed: Random seed.
        drawn_on: Names of images in the exemplars, which stay out: the teacher knows them by heart, and
            another file of such a name leaves it open which of both the boxes are on.
    """
    known = {_identity(entry) for entry in _listed(frames)}
    new = [
        entry
        for entry in ring.entries
        if _identity(entry.frame) not in known and entry.frame.file not in drawn_on
    ]
    drawn = [entry for entry in new if entry.share == "random"]
    random.Random(seed).shuffle(drawn)
    doubtful = sorted((entry for entry in new if entry.share == "ranked"), key=lambda entry: -entry.doubt)
    looked_at = {entry.frame.file for entry in (*drawn[: _LOOKED_AT * most], *doubtful[: _LOOKED_AT * most])}
    some = replace(ring, entries=tuple(entry for entry in new if entry.frame.file in looked_at))
    if not some.entries:
        return Chosen(files=(), random=0, known=len(ring.entries) - len(new), recall=None)
    ranked, recall = rank(some)
    by_chance = drawn[: math.ceil(most / 2)]
    chosen = dict.fromkeys(entry.frame.file for entry in by_chance)
    doubted = sorted(some.entries, key=lambda entry: -entry.doubt)
    in_turn = (entry for both in zip_longest(ranked, doubted) for entry in both if entry is not None)
    for entry in (*in_turn, *drawn):
        if len(chosen) < most:
            chosen.setdefault(entry.frame.file)
    if any(entry.share == "random" and _identity(entry.frame) in known for entry in ring.entries):
        recall = None  # what is left of the random share is no fair sample any more
    return Chosen(
        files=tuple(chosen),
        random=len(by_chance),
        known=len(ring.entries) - len(new),
        recall=recall,
    )


def copy_frames(ring: Ring, chosen: Chosen, frames: Path) -> Copied:
    """Copy chosen frames into the folder of a loop, in the order of cameras and times; none of them twice.

    Raises:
        UnavailableError: They cannot be written.
    """
    wanted, known = set(chosen.files), {_identity(entry) for entry in _listed(frames)}
    entries = [entry for entry in ring.entries if entry.frame.file in wanted]
    entries.sort(key=lambda entry: _time(entry.frame))
    copied = 0
    with FrameWriter(frames, append=True) as writer:
        for entry in entries:
            if _identity(entry.frame) in known:  # by the copy that was interrupted
                copied += 1
                continue
            path = ring.path(entry)
            if path.is_file() and read_image(path) is not None:
                writer.add_encoded(path.read_bytes(), entry.frame)
                copied += 1
    return Copied(copied, len(chosen.files) - copied)


def write_chosen(path: Path, chosen: Chosen) -> None:
    """Write a choice, on disk when this returns."""
    replace_file(path, (chosen.model_dump_json(indent=1) + "\n").encode())


def read_chosen(path: Path) -> Chosen | None:
    """Read a choice; None if there is none.

    Raises:
        DataError: It is malformed.
    """
    return read_json(path, Chosen, "remove it to choose anew")


def _listed(frames: Path) -> tuple[FrameEntry, ...]:
    return read_frames(frames) if (frames / FRAME_LIST).is_file() else ()


def _identity(entry: FrameEntry) -> tuple[str, int, float | None, float | None]:
    """Identity of a frame whose file may have been renamed."""
    return entry.source, entry.index, entry.time_s, entry.wall_time


def _time(entry: FrameEntry) -> tuple[str, float, int]:
    known = entry.wall_time if entry.wall_time is not None else entry.time_s
    return entry.source, -math.inf if known is None else known, entry.index
