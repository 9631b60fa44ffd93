"""Looks of the teacher at the ring of a student, a frame now and then: in most doubt, and by chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from edgeloop.edge.host.opencv import read_image
from edgeloop.edge.ring.ring_database import Ring, read_ring
from edgeloop.edge.ring.ring_entry import RingEntry
from edgeloop.labeling.improvement.loop_teacher import open_teacher
from edgeloop.labeling.lineage.loop_folder import LoopFolder
from edgeloop.labeling.mining.estimate_recall import TeacherErrors
from edgeloop.labeling.mining.mine import Teacher, compare_ring
from edgeloop.models.detections import Detections
from edgeloop.models.errors import EdgeloopError, NoInputError

__all__ = ["RingWatch", "next_look"]

_PER_LIST = 20  # looks between two readings of the ring
_TELL_LOOKS = 40
_LIKELY = 0.5  # expected misses from which a frame counts as one with a miss


@dataclass
class RingWatch:
    """Teacher that looks at the frames of a ring.

    Attributes:
        loop: The loop, with a ring or without one yet.
        rest: Waits until the next look.
        tell: Called with lines for the person.
    """

    loop: LoopFolder
    rest: Callable[[], None]
    tell: Callable[[str], None]
    _looked: dict[str, Detections] = field(default_factory=dict)
    _gone: set[str] = field(default_factory=set)
    _told: int = 0

    def run(self) -> None:
        """Look for ever."""
        teacher, names = open_teacher(self.loop)
        while True:
            self.rest()
            try:
                ring = read_ring(self.loop.ring)
            except NoInputError:
                continue  # nothing is kept yet
            except EdgeloopError as error:
                self.tell(f"the ring cannot be looked at: {error}")
                return
            self.look(ring, teacher, names)

    def look(self, ring: Ring, teacher: Teacher, names: Sequence[str]) -> None:
        """Look at some frames of a ring as it is, and tell what that says of the student now and then."""
        present = {entry.frame.file for entry in ring.entries}
        self._looked = {file: found for file, found in self._looked.items() if file in present}
        self._gone &= present
        for _ in range(_PER_LIST):
            entry = next_look(
                ring.entries, self._looked.keys() | self._gone, by_chance=len(self._looked) % 2 == 1
            )
            if entry is None:
                break
            image = read_image(ring.path(entry))
            if image is None:
                self._gone.add(entry.frame.file)
                continue
            self._looked[entry.frame.file] = teacher.detect(image)
            self.rest()
        if len(self._looked) - self._told >= _TELL_LOOKS:
            self._told = len(self._looked)
            self.tell(self._summary(ring, teacher, names))
        self._told = min(self._told, len(self._looked))

    def _summary(self, ring: Ring, teacher: Teacher, names: Sequence[str]) -> str:
        entries = [entry for entry in ring.entries if entry.frame.file in self._looked]
        errors = TeacherErrors(teacher.calibration.spread, teacher.coverage)
        frames, estimate = compare_ring(ring, entries, self._looked, names, errors, seed=0)
        missed = sum(frame.expected_misses >= _LIKELY for frame in frames)
        recall = estimate.whole.recall
        said = (
            "too few frames to estimate the student's recall"
            if recall.value is None
            else f"the student's recall is some {recall.value:.2f} ({recall.low:.2f} to {recall.high:.2f})"
        )
        return f"The teacher looked at {len(frames)} frames of the ring: {said}; a miss is likely on {missed}"


def next_look(entries: Sequence[RingEntry], looked: set[str], *, by_chance: bool) -> RingEntry | None:
    """Choose the frame to look at next: the one in most doubt, or one of the random share.

    Args:
        entries: Frames of a ring.
        looked: Files that were looked at.
        by_chance: Prefer the random share, on which estimates rest.

    Returns:
        The frame; None if all were looked at.
    """
    left = [entry for entry in entries if entry.frame.file not in looked]
    drawn = [entry for entry in left if entry.share == "random"]
    ranked = [entry for entry in left if entry.share == "ranked"]
    if drawn and (by_chance or not ranked):  # in no order that depends on what they show
        return min(drawn, key=lambda entry: sha256(entry.frame.file.encode()).digest())
    return max(ranked, key=lambda entry: entry.doubt, default=None)
