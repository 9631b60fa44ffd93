"""Loop folder: exemplars, frames, ring, teacher and generations of one detector in one place.

    LOOP/loop.json                       settings
    LOOP/exemplars/                      instances.json and images/: the person's boxes
    LOOP/decisions.jsonl                 decisions of a person in the studio, if there are any
    LOOP/frames/                         frames that generations learn from or are judged on, as of `collect`
    LOOP/splits.json                     part of each frame, which never changes: "train", "val" or "gap"
    LOOP/teacher/                        what the labeling engine learned from the exemplars
    LOOP/ring/                           ring of the device
    LOOP/mined/                          what mining found in it
    LOOP/generations/0001/               dataset/ run/ model.onnx generation.json
    LOOP/current.json                    number of the generation in use

current.json and generation.json are replaced in one step, so a process that is killed at any moment leaves a
loop that works.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from edgeloop.edge.host.durable_file import replace_file
from edgeloop.labeling.lineage.generation import Generation
from edgeloop.models.errors import DataError, NoInputError
from edgeloop.models.json_file import read_json
from edgeloop.models.task import Task

__all__ = ["LOOP_FILE", "MINED", "LoopFolder", "LoopSettings"]

_Model = TypeVar("_Model", bound=BaseModel)

LOOP_FILE = "loop.json"
"""Name of the file of settings, by which a loop is known."""


MINED = "mined"
"""Name of the folder of what mining found in the ring."""


class LoopSettings(BaseModel):
    """Settings of a loop, LOOP/loop.json.

    Attributes:
        source: Source as it was named first, without secrets; "" if unknown.
        sam: Segmenter, as of `edgeloop label --sam`.
        device: Processor that labels and trains.
        confidence: Minimum label score; None for the default.
        task: Task of its students; "segment" gives them masks.
        seed: Random seed.
        created: Time, ISO 8601 in UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal[1] = 1
    source: str = ""
    sam: str = "nano"
    device: Literal["cpu", "cuda"] = "cpu"
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    task: Task = "detect"
    seed: Annotated[int, Field(ge=0)] = 0
    created: str


class _Current(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    generation: Annotated[int, Field(ge=1)]


@dataclass(frozen=True, slots=True)
class LoopFolder:
    """Loop on disk.

    Attributes:
        root: Its folder.
        settings: Its settings.
    """

    root: Path
    settings: LoopSettings

    @classmethod
    def open(cls, root: Path) -> Self:
        """Open a loop.

        Raises:
            NoInputError: There is none in the folder.
            DataError: Its settings are damaged, or of another version.
        """
        path = root / LOOP_FILE
        if not path.is_file():
            raise NoInputError(f"{root}: no loop; expected a folder that `edgeloop teach` made")
        return cls(root, _read(path, LoopSettings))

    @classmethod
    def create(cls, root: Path, settings: LoopSettings) -> Self:
        """Create a loop without exemplars and frames, in a new or empty folder.

        Raises:
            DataError: The folder holds something else.
        """
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise DataError(f"{root}: expected a new or empty folder for the loop; name another")
        root.mkdir(parents=True, exist_ok=True)
        replace_file(root / LOOP_FILE, settings.model_dump_json(indent=1).encode())
        return cls(root, settings)

    @property
    def exemplars(self) -> Path:
        """COCO json of the person's boxes."""
        return self.root / "exemplars" / "instances.json"

    @property
    def decisions(self) -> Path:
        """Decisions of a person in the studio; the file need not exist."""
        return self.root / "decisions.jsonl"

    @property
    def frames(self) -> Path:
        """Folder of the frames that generations learn from or are judged on; it need not exist."""
        return self.root / "frames"

    @property
    def splits(self) -> Path:
        """File of the part of each frame; it need not exist."""
        return self.root / "splits.json"

    @property
    def teacher(self) -> Path:
        """Folder of what the labeling engine learned; it need not exist."""
        return self.root / "teacher"

    @property
    def ring(self) -> Path:
        """Folder of the ring of the device; it need not exist."""
        return self.root / "ring"

    @property
    def mined(self) -> Path:
        """Folder of what mining found in the ring; it need not exist."""
        return self.root / MINED

    def generation_folder(self, number: int) -> Path:
        """Folder of a generation; it need not exist."""
        return self.root / "generations" / f"{number:04d}"

    def bundle(self, number: int) -> Path:
        """Bundle of a generation; it need not exist."""
        return self.generation_folder(number) / "model.onnx"

    def generations(self) -> tuple[Generation, ...]:
        """Read the finished generations, in order.

        Raises:
            DataError: A record is damaged.
        """
        paths = sorted((self.root / "generations").glob("[0-9]*/generation.json"))
        return tuple(_read(path, Generation) for path in paths)

    def current(self) -> Generation | None:
        """Read the generation in use; None before the first.

        Raises:
            DataError: A record is damaged.
        """
        path = self.root / "current.json"
        if not path.is_file():
            return None
        number = _read(path, _Current).generation
        return _read(self.generation_folder(number) / "generation.json", Generation)

    def write_generation(self, generation: Generation) -> None:
        """Write the record of a generation, which makes it a finished one; its other files are there."""
        path = self.generation_folder(generation.number) / "generation.json"
        replace_file(path, (generation.model_dump_json(indent=1) + "\n").encode())

    def promote(self, number: int) -> None:
        """Make a finished generation the one in use."""
        replace_file(self.root / "current.json", json.dumps({"generation": number}).encode())


def _read(path: Path, kind: type[_Model]) -> _Model:
    found = read_json(path, kind, "restore it from a copy")
    if found is None:
        raise DataError(f"{path}: is gone; restore it from a copy")
    return found
