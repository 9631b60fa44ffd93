"""Project of the studio: a folder of frames, and the folder that holds whatever is made from them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle
from pydantic import ValidationError

from edgeloop.edge.frames.folder import FrameEntry, read_frames
from edgeloop.edge.host.folder_lock import locked_folder
from edgeloop.edge.host.opencv import require_image
from edgeloop.edge.labels.label_problems import LabelProblems
from edgeloop.edge.web.page_events import Events
from edgeloop.export.targets import TARGETS
from edgeloop.labeling.candidates.mask_outline import trace_outline
from edgeloop.labeling.inputs.exemplars import read_boxes
from edgeloop.labeling.lineage.loop_folder import LOOP_FILE, MINED
from edgeloop.labeling.studio.exemplar_file import MAX_NUMBERS, DrawnBox, DrawnFrame, ExemplarFile
from edgeloop.models.errors import DataError, NoInputError, UnavailableError, first_validation_error

__all__ = ["Project", "open_project", "work_folder"]

_DECISIONS = "decisions.jsonl"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Project:
    """Everything that the tabs share.

    Attributes:
        frames: Folder of frames, which is only read.
        entries: The frames, in the order in which they were taken.
        work: Folder of everything that the studio makes.
        drawn: The person's boxes, WORK/exemplars.json.
        events: Events for open pages.
    """

    frames: Path
    entries: tuple[FrameEntry, ...]
    work: Path
    drawn: ExemplarFile
    events: Events

    @property
    def exemplars(self) -> Path:
        """COCO json of the person's boxes, for `edgeloop label -e`."""
        return self.drawn.path

    @property
    def dataset(self) -> Path:
        """Dataset that `edgeloop label` makes."""
        return self.work / "dataset"

    @property
    def run(self) -> Path:
        """Training run that `edgeloop train` makes."""
        return self.work / "run"

    @property
    def bundle(self) -> Path:
        """Model that `edgeloop export` makes, as ONNX; the files of other engines differ in their suffix."""
        return self.work / "detector.onnx"

    @property
    def possible_bundles(self) -> list[Path]:
        """Models that `edgeloop export` may make, of all engines; the ONNX file is the first."""
        suffixes = dict.fromkeys((self.bundle.suffix, *(target.suffix for target in TARGETS.values())))
        return [self.bundle.with_suffix(suffix) for suffix in suffixes]

    @property
    def bundles(self) -> list[Path]:
        """Models that `edgeloop export` made, of all engines; the ONNX file is the first."""
        return [path for path in self.possible_bundles if path.is_file()]

    @property
    def decisions(self) -> Path:
        """Journal of the person's decisions: that of the loop, if these are its mined frames."""
        mined = self.work.resolve().parent
        loop = mined.parent
        return (loop if (loop / LOOP_FILE).is_file() and mined.name == MINED else self.work) / _DECISIONS

    @property
    def loop(self) -> Path:
        """Loop that `edgeloop teach` makes."""
        return self.work / "loop"

    @property
    def zones(self) -> Path:
        """Zone file for `edgeloop run --zones`."""
        return self.work / "zones.json"

    def entry(self, number: int) -> FrameEntry:
        """Frame by its place, from 0.

        Raises:
            NoInputError: There is no such frame.
        """
        if not 0 <= number < len(self.entries):
            raise NoInputError(f"frame {number}: there are {len(self.entries)} frames, counted from 0")
        return self.entries[number]

    def path(self, number: int) -> Path:
        """Image of a frame."""
        return self.frames / self.entry(number).file

    def image(self, number: int) -> NDArray[np.uint8]:
        """Decode a frame, HxWx3 uint8 BGR.

        Raises:
            NoInputError: There is no such frame.
            DataError: It cannot be read.
        """
        return require_image(self.path(number))


def work_folder(frames: Path) -> Path:
    """Default folder of a project: beside the frames, with `.studio` after their name."""
    frames = frames.resolve()
    return frames.with_name(f"{frames.name}.studio")


@contextmanager
def open_project(frames: Path, work: Path, exemplars: Path | None) -> Iterator[Project]:
    """Open a project, or begin one; no second process can open it meanwhile.

    Args:
        frames: Folder of frames.
        work: Folder of the project; created if it is missing.
        exemplars: Boxes to begin with, as of `read_exemplars`; they are copied into a new project.

    Raises:
        NoInputError: There are no frames or no such exemplars.
        DataError: The frames or exemplars are malformed, `exemplars` are given though the project has boxes,
            or another process has it open.
        UnavailableError: The folder cannot be written.
    """
    entries = read_frames(frames)
    refusal = f"{work}: is open in another studio; end it first, or name another with -o"
    with ExitStack() as held:
        try:
            work.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked_folder(work, refusal))
        except OSError as error:
            raise UnavailableError(
                f"{work}: cannot be opened ({error.strerror}); name another folder with -o"
            ) from error
        sizes = _Sizes(frames, entries)
        drawn = ExemplarFile(work / "exemplars.json", sizes, sizes.is_known)
        if gone := [name for name in drawn.drawn() if not sizes.is_known(name)]:
            log.warning("%s: %d drawn frames are gone and are left out, such as %s", work, len(gone), gone[0])
        if exemplars is not None:
            _import(exemplars, frames, entries, drawn)
        yield Project(frames, entries, work, drawn, Events())


class _Sizes:
    """Width and height of frames by name, in pixels, each read once."""

    def __init__(self, frames: Path, entries: tuple[FrameEntry, ...]) -> None:
        self._paths = {entry.name: frames / entry.file for entry in entries}
        self._known: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def is_known(self, name: str) -> bool:
        return name in self._paths

    def __call__(self, name: str) -> tuple[int, int]:
        if name not in self._known:
            if name not in self._paths:
                raise DataError(f"{name}: is not among the frames; was another folder opened?")
            height, width = require_image(self._paths[name]).shape[:2]
            with self._lock:
                self._known[name] = width, height
        return self._known[name]


def _import(exemplars: Path, frames: Path, entries: tuple[FrameEntry, ...], drawn: ExemplarFile) -> None:
    if drawn.drawn():
        raise DataError(
            f"{drawn.path}: has boxes already; leave -e out to go on with them, or name another -o"
        )
    problems = LabelProblems()
    names, found = read_boxes(exemplars, frames, problems)
    problems.warn(str(exemplars))
    by_path = {(frames / entry.file).resolve(): entry.name for entry in entries}
    for frame in found:
        if frame.path.resolve() not in by_path:
            raise DataError(f"{exemplars}: {frame.path} is not among the frames in {frames}")
    imported: dict[str, DrawnFrame] = {}
    for frame in found:
        name = by_path[frame.path.resolve()]
        if name in imported:
            raise DataError(f"{exemplars}: {name} is given twice; all boxes of a frame belong to one image")
        rows = enumerate(zip(frame.xyxy.tolist(), frame.class_id.tolist(), strict=True))
        try:
            boxes = tuple(
                DrawnBox(
                    xyxy=tuple(box),
                    name=names[number],
                    polygons=_polygons(frame.masks.get(row), drawn.size_of(name)),
                )
                for row, (box, number) in rows
            )
            imported[name] = DrawnFrame(boxes=boxes)
        except ValidationError as error:
            raise DataError(f"{exemplars}: {name}: {first_validation_error(error, 'boxes')}") from error
    drawn.put_all(imported)  # all or none: a part of them would be taken for all


def _polygons(counts: str | None, size: tuple[int, int]) -> tuple[tuple[float, ...], ...]:
    """Outline of a mask in a frame of this width and height, for `DrawnBox.polygons`."""
    if counts is None:
        return ()
    width, height = size
    mask = rle.decode({"size": [height, width], "counts": counts.encode("ascii")})
    polygon, tolerance = trace_outline(mask.astype(np.bool_)), 1.0
    while polygon.size > MAX_NUMBERS:
        tolerance *= 2
        polygon = cv2.approxPolyDP(polygon.astype(np.float32), tolerance, closed=True).reshape(-1, 2)
    return (tuple(polygon.ravel().tolist()),)
