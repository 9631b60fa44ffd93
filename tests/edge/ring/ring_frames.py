"""Frames for rings: tiny pictures of noise with a given doubt."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from edgeloop.edge.doubt.judged_frame import JudgedFrame
from edgeloop.edge.frame import Frame
from edgeloop.edge.frames.folder import FrameEntry
from edgeloop.edge.result import Result, Timings
from edgeloop.edge.ring.frame_choice import Candidate
from edgeloop.edge.ring.ring_entry import RingModel
from edgeloop.edge.ring.ring_writer import RingWriter
from edgeloop.models.detections import Detections

MODEL = RingModel("a" * 64, ("bolt", "nut"), 0.25)
SIDE = 64


def noise(seed: int, side: int = SIDE) -> np.ndarray:
    """Picture that looks like no other; its JPEG has some 9 kB at 64 px."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def judged(
    index: int, doubt: float = 0.0, *, time_s: float = math.nan, image: np.ndarray | None = None
) -> JudgedFrame:
    """Frame with one box, and a doubt."""
    found = Detections(
        np.array([[8, 8, 24, 24]], np.float32), np.array([0.75], np.float32), np.array([1], np.int64)
    )
    frame = Frame(noise(index) if image is None else image, index, 0.0, 0.0, "gate")
    return JudgedFrame(Result(frame, found, Timings(0.0, {})), time_s, doubt)


def entry_of(frame: JudgedFrame, source: str = "gate") -> FrameEntry:
    """Line of a frame as of frames.jsonl."""
    index = frame.result.frame.index
    time_s = None if math.isnan(frame.time_s) else frame.time_s
    return FrameEntry(f"{source}-0_{index:06d}.jpg", source, index, time_s)


def candidate(frame: JudgedFrame, source: str = "gate") -> Candidate:
    """Frame that may enter a ring."""
    return Candidate(frame, entry_of(frame, source), MODEL)


def feed(writer: RingWriter, frame: JudgedFrame, *, source: str = "gate", slot_frames: int = 30) -> None:
    """Hand a frame to a writer as soon as its queue has room: nothing is dropped."""
    while writer.figures.queue > 4:
        pass
    writer.add(frame, entry_of(frame, source), MODEL, slot_frames=slot_frames)


def folder_bytes(folder: Path) -> int:
    """Size of all files of a ring."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
