"""Folder of a mined ring: frames, their labels for the studio, and the figures.

MINED/mined.json              figures and counts
MINED/frames/                 copies of the frames, with frames.jsonl
MINED/frames.studio/dataset/  labels of the teacher, and where the device disagrees: `edgeloop studio
                              MINED/frames` shows them
MINED/ledger-*.sqlite3        what the teacher found, so that it looks at each frame once
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from edgeloop.edge.frames.folder import FRAME_LIST, FrameEntry, read_frames
from edgeloop.edge.host.durable_file import make_folder, replace_file
from edgeloop.labeling.audit.answers import ANSWERS
from edgeloop.labeling.dataset.apply_decisions import decisions_digest, keep_original
from edgeloop.labeling.dataset.decisions import Decision, by_frame, decide
from edgeloop.labeling.dataset.device_doubts import DeviceBox, DeviceDoubts, write_device_doubts
from edgeloop.labeling.dataset.split import Split
from edgeloop.labeling.dataset.write import LabeledFrame, write_dataset
from edgeloop.labeling.frames.frame_store import FolderStore, FrameStore
from edgeloop.labeling.labeler import UNSURE_SHARE
from edgeloop.labeling.ledger import FrameResult
from edgeloop.labeling.mining.mined_frame import MinedFrame
from edgeloop.models.errors import DataError, UnavailableError

__all__ = ["MinedFolder"]

_MINED, _FRAMES, _STUDIO, _TEACHERS = "mined.json", "frames", "frames.studio", "teacher"
_ALONE = 0.2  # probability that an object is at a box of the device where the teacher finds none


@dataclass(frozen=True, slots=True)
class MinedFolder:
    """Folder of a mined ring.

    Attributes:
        root: The folder.
    """

    root: Path

    @classmethod
    def create(cls, root: Path) -> MinedFolder:
        """Open a folder of a mined ring, or begin one.

        Raises:
            DataError: The folder holds something else.
            UnavailableError: It cannot be created.
        """
        if root.exists() and not (root.is_dir() and _is_ours({path.name for path in root.iterdir()})):
            raise DataError(f"{root}: expected a new or empty folder, or one of a mined ring; name another")
        make_folder(root)
        return cls(root)

    @property
    def frames(self) -> Path:
        """Copies of the frames."""
        return self.root / _FRAMES

    @property
    def studio(self) -> Path:
        """Folder of the studio's project of these frames."""
        return self.root / _STUDIO

    @property
    def teachers(self) -> Path:
        """Folder of all that teachers learned, if the ring is in no loop."""
        return self.root / _TEACHERS

    @property
    def figures(self) -> Path:
        """File of the figures."""
        return self.root / _MINED

    def ledger(self, digest: str) -> Path:
        """Ledger of a teacher; those of others are removed by `forget_teachers`."""
        return self.root / f"ledger-{digest}.sqlite3"

    def forget_teachers(self, digest: str) -> None:
        """Remove the ledgers of other teachers, and what they learned."""
        for path in self.root.glob("ledger-*.sqlite3*"):
            if not path.name.startswith(f"ledger-{digest}."):
                path.unlink(missing_ok=True)
        for path in self.teachers.glob("*"):
            if path.name != digest:
                shutil.rmtree(path)

    def copied(self) -> tuple[FrameEntry, ...]:
        """Frames that were copied earlier."""
        return read_frames(self.frames) if (self.frames / FRAME_LIST).is_file() else ()

    def copy_frames(self, entries: Sequence[FrameEntry], store: FrameStore) -> list[FrameEntry]:
        """Copy the images of frames, and remove all others.

        Args:
            entries: The frames.
            store: Where their images are.

        Returns:
            Those whose image was still there.

        Raises:
            UnavailableError: The folder cannot be written.
        """
        make_folder(self.frames)
        kept = []
        for entry in entries:
            path = self.frames / entry.file
            if not path.is_file():
                try:
                    content = store.read(entry.file)
                except FileNotFoundError:
                    continue
                replace_file(path, content)
            kept.append(entry)
        lines = "".join(json.dumps(asdict(entry)) + "\n" for entry in kept)
        replace_file(self.frames / FRAME_LIST, lines.encode())
        names = {FRAME_LIST, *(entry.file for entry in kept)}
        for path in self.frames.iterdir():
            if path.name not in names:
                path.unlink(missing_ok=True)
        return kept

    def write_labels(
        self,
        names: Sequence[str],
        entries: Sequence[FrameEntry],
        results: Mapping[str, FrameResult],
        frames: Sequence[MinedFrame],
        decisions: Sequence[Decision],
        confidence: float,
        info: Mapping[str, Any],
    ) -> None:
        """Write the labels of frames as a dataset, with the decisions that were made on them.

        A person's answers of an audit of the labels before are kept with it.

        Args:
            names: Class names.
            entries: Frames that were copied.
            results: What the teacher found, by name of the frame.
            frames: Where the device disagrees.
            decisions: Decisions of a person.
            confidence: Minimum label score.
            info: Settings of the job.

        Raises:
            UnavailableError: The folder cannot be written.
        """
        made = self.studio / "dataset.new"
        if made.exists():
            shutil.rmtree(made)
        make_folder(made)
        shown = [_shown(results[entry.name], confidence) for entry in entries]
        decided = decide(shown, by_frame(decisions), names, partial(keep_original, made))
        labeled = (
            LabeledFrame(entry, Split.TRAIN, result, 0)
            for entry, result in zip(entries, decided, strict=True)
        )
        told = dict(info)
        if decisions:
            told["decisions"] = decisions_digest(decisions)
        write_dataset(made, names, labeled, FolderStore(self.frames), told)
        for answers in (self.studio / "dataset").glob(ANSWERS):
            shutil.copyfile(answers, made / answers.name)
        there = {entry.file for entry in entries}
        mined = [frame for frame in frames if frame.entry.frame.file in there]
        write_device_doubts(made, _device_doubts(mined, results, names, confidence))
        try:
            if (self.studio / "dataset").exists():
                shutil.rmtree(self.studio / "dataset")
            made.replace(self.studio / "dataset")
        except OSError as error:
            raise UnavailableError(f"{self.studio}: cannot be written ({error.strerror})") from error

    def write_figures(self, figures: Mapping[str, Any]) -> None:
        """Write mined.json.

        Raises:
            UnavailableError: It cannot be written.
        """
        replace_file(self.figures, (json.dumps(figures, indent=1) + "\n").encode())


def _is_ours(names: set[str]) -> bool:
    """True if a folder has a ledger, or nothing but what teachers learn before there is one."""
    return names <= {_TEACHERS} or any(fnmatch(name, "ledger-*.sqlite3") for name in names)


def _shown(result: FrameResult, confidence: float) -> FrameResult:
    """Result without what is too unlikely for a person's look."""
    least = UNSURE_SHARE * confidence
    return result.model_copy(update={"unsure": tuple(own for own in result.unsure if own.score >= least)})


def _device_doubts(
    frames: Sequence[MinedFrame], results: Mapping[str, FrameResult], names: Sequence[str], confidence: float
) -> DeviceDoubts:
    """Labels that the device lacks, and boxes of the device that the teacher lacks."""
    missed, alone = [], []
    for frame in frames:
        name = frame.entry.frame.name
        result = results[name]
        found = [*result.labels, *result.unsure]
        for label, is_missed in zip(found, frame.missed.tolist(), strict=True):
            if is_missed and label.score >= UNSURE_SHARE * confidence:
                missed.append(_box(name, names[label.class_id], label.xyxy, label.score))
        own = frame.device[frame.alone]
        for box, class_id in zip(own.xyxy.tolist(), own.class_id.tolist(), strict=True):
            alone.append(_box(name, names[class_id], tuple(box), _ALONE))
    return DeviceDoubts(missed=tuple(missed), alone=tuple(alone))


def _box(file: str, name: str, xyxy: tuple[float, ...], probability: float) -> DeviceBox:
    x1, y1, x2, y2 = (round(float(side), 2) for side in xyxy)
    return DeviceBox(file=file, name=name, xyxy=(x1, y1, x2, y2), probability=probability)
