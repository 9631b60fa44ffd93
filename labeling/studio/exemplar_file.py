"""A person's boxes, kept in one COCO json that `edgeloop label -e` takes; saved after every change."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le, Len
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, model_validator

from edgeloop.edge.host.durable_file import replace_file
from edgeloop.edge.labels.coco_json import object_box, parse_coco
from edgeloop.models.errors import DataError

__all__ = ["MAX_NUMBERS", "ClassName", "ConflictError", "DrawnBox", "DrawnFrame", "ExemplarFile"]

MAX_NUMBERS = 4000
"""Largest number of coordinates of a part's outline."""

_DECIMALS = 3  # of a pixel, so that a box is the same after it was saved as x, y, width, height
_Pixel = Annotated[float, Ge(0), Le(1 << 20), AfterValidator(lambda value: round(value, _DECIMALS))]
ClassName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Name of a class, one line."""


class DrawnBox(BaseModel):
    """Box that a person drew.

    Attributes:
        xyxy: Corners in pixels of the frame, inside it.
        name: Class name; "_ignore" for an object that must not be labeled.
        polygons: Outline of the object's parts, each x, y, x, y, ... in pixels of the frame; empty if only
            the box is known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    xyxy: tuple[_Pixel, _Pixel, _Pixel, _Pixel]
    name: ClassName
    polygons: Annotated[tuple[Annotated[tuple[_Pixel, ...], Len(6, MAX_NUMBERS)], ...], Len(0, 50)] = ()

    @model_validator(mode="after")
    def _has_area(self) -> DrawnBox:
        x1, y1, x2, y2 = self.xyxy
        if x2 <= x1 or y2 <= y1:
            raise ValueError(f"xyxy: expected x1 < x2 and y1 < y2, got {self.xyxy}")
        if any(len(polygon) % 2 for polygon in self.polygons):
            raise ValueError("polygons: expected pairs of x and y")
        return self


class DrawnFrame(BaseModel):
    """Boxes of one frame.

    Attributes:
        boxes: The boxes.
        complete: True if every object of interest has a box, so that the rest is background and the frame
            can be learned from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    boxes: Annotated[tuple[DrawnBox, ...], Len(0, 2000)] = ()
    complete: bool = True

    @property
    def revision(self) -> str:
        """Digest of the content, by which a second page notices that it changed."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


_UNDRAWN = DrawnFrame(complete=False)


class ConflictError(Exception):
    """Change of a frame that another page changed meanwhile.

    Attributes:
        current: The frame as it is now.
    """

    def __init__(self, current: DrawnFrame) -> None:
        super().__init__("another page changed this frame; its boxes were loaded again")
        self.current = current


class ExemplarFile:
    """Thread-safe store of the drawn frames of one folder.

    A frame without boxes that is not complete is not in the file. One with boxes that is not complete is
    marked `"complete": false`, and `edgeloop label` leaves it out. So is one that is gone, with
    `"missing": true`, until it is there again.

    Attributes:
        path: The COCO json.
        size_of: Gives width and height of a frame by its name, in pixels; DataError if it cannot be read.
    """

    def __init__(
        self,
        path: Path,
        size_of: Callable[[str], tuple[int, int]],
        is_there: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """Open the file, or begin one with the first change.

        Args:
            path: The COCO json.
            size_of: See the attribute.
            is_there: True if there is a frame of this name.

        Raises:
            DataError: The file is not one that this class wrote.
            UnavailableError: Frames are gone or came back, and the file cannot be written.
        """
        self.path = path
        self.size_of = size_of
        self._is_there = is_there
        self._lock = threading.Lock()
        self._frames: dict[str, DrawnFrame] = {}
        self._names: list[str] = []
        self._sizes: dict[str, tuple[int, int]] = {}  # as saved, also of frames that are gone
        if path.exists():
            self._names, self._frames, self._sizes, missing = _read(path)
            if missing != self._missing(self._frames):
                self._save(self._names, self._frames)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, in the order of the number keys."""
        return tuple(self._names)

    def drawn(self) -> Mapping[str, DrawnFrame]:
        """Frames with boxes, and complete ones without, by name."""
        with self._lock:
            return dict(self._frames)

    def frame(self, name: str) -> DrawnFrame:
        """Boxes of a frame; none if nobody drew any."""
        return self._frames.get(name, _UNDRAWN)

    def put(self, name: str, drawn: DrawnFrame, *, revision: str | None = None) -> DrawnFrame:
        """Replace the boxes of a frame; they are saved when this returns.

        Args:
            name: The frame.
            drawn: Its boxes. Classes that are new are added.
            revision: Revision that the change is based on; None to replace whatever is there.

        Raises:
            ConflictError: The frame has another revision.
            DataError: A box is outside the frame.
            UnavailableError: The file cannot be written.
        """
        self.put_all({name: drawn}, revision=revision)
        return drawn

    def put_all(self, drawn: Mapping[str, DrawnFrame], *, revision: str | None = None) -> None:
        """Replace the boxes of frames, all at once; see `put`."""
        # A frame that cannot be read anymore can be cleared, which needs no size.
        sizes = {name: self.size_of(name) for name, frame in drawn.items() if frame != _UNDRAWN}
        for name, (width, height) in sizes.items():
            for box in drawn[name].boxes:
                if box.xyxy[2] > width or box.xyxy[3] > height:
                    raise DataError(f"{name}: box {box.xyxy} is outside the frame of {width}x{height}")
        with self._lock:
            for name in drawn if revision is not None else ():
                current = self._frames.get(name, _UNDRAWN)
                if revision != current.revision:
                    raise ConflictError(current)
            self._sizes |= sizes
            frames = {name: frame for name, frame in {**self._frames, **drawn}.items() if frame != _UNDRAWN}
            used = (box.name for frame in drawn.values() for box in frame.boxes)
            self._save(_with(self._names, used), frames)

    def set_names(self, names: Sequence[str]) -> None:
        """Replace the class names and their order; classes with boxes must stay.

        Raises:
            DataError: A class that has boxes is missing, or a name is there twice.
            UnavailableError: The file cannot be written.
        """
        with self._lock:
            used = {box.name for frame in self._frames.values() for box in frame.boxes}
            if missing := sorted(used - set(names)):
                raise DataError(f"{missing[0]}: has boxes; delete them or give them another class first")
            if len(set(names)) < len(names):
                raise DataError("every class may be there only once")
            self._save(list(names), self._frames)

    def rename(self, name: str, to: str) -> None:
        """Rename a class, and its boxes with it; if `to` exists, both become one.

        Raises:
            DataError: There is no class of that name.
            UnavailableError: The file cannot be written.
        """
        with self._lock:
            if name not in self._names:
                raise DataError(f"{name}: no such class")
            names = [to if own == name else own for own in self._names]
            frames = {
                file: frame.model_copy(
                    update={
                        "boxes": tuple(
                            box.model_copy(update={"name": to}) if box.name == name else box
                            for box in frame.boxes
                        )
                    }
                )
                for file, frame in self._frames.items()
            }
            self._save([*dict.fromkeys(names)], frames)

    def _missing(self, frames: Iterable[str]) -> set[str]:
        return {name for name in frames if not self._is_there(name)}

    def _save(self, names: list[str], frames: dict[str, DrawnFrame]) -> None:
        sizes = {file: self._sizes.get(file) or self.size_of(file) for file in frames}
        text = json.dumps(_coco(names, frames, sizes, self._missing(frames)), ensure_ascii=False, indent=1)
        replace_file(self.path, text.encode())
        self._names, self._frames, self._sizes = names, frames, sizes


def _with(names: Sequence[str], more: Iterable[str]) -> list[str]:
    return [*dict.fromkeys((*names, *more))]


def _coco(
    names: Sequence[str],
    frames: Mapping[str, DrawnFrame],
    sizes: Mapping[str, tuple[int, int]],
    missing: Collection[str],
) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (file, frame) in enumerate(sorted(frames.items()), start=1):
        width, height = sizes[file]
        image = {"id": image_id, "file_name": file, "width": width, "height": height}
        if file in missing:
            image |= {"complete": False, "missing": True, "was_complete": frame.complete}
        elif not frame.complete:
            image["complete"] = False
        images.append(image)
        for box in frame.boxes:
            x1, y1, x2, y2 = box.xyxy
            annotation: dict[str, Any] = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": names.index(box.name) + 1,
                "bbox": [x1, y1, round(x2 - x1, _DECIMALS), round(y2 - y1, _DECIMALS)],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": 0,
            }
            if box.polygons:
                annotation["segmentation"] = [list(polygon) for polygon in box.polygons]
            annotations.append(annotation)
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    return {
        "info": {"description": "drawn in edgeloop studio"},
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }


def _read(path: Path) -> tuple[list[str], dict[str, DrawnFrame], dict[str, tuple[int, int]], set[str]]:
    """Read classes, frames, their sizes, and names of those that were gone."""
    coco = parse_coco(path)
    names = {category.id: category.name for category in coco.categories}
    boxes: dict[str, list[DrawnBox]] = {image.id: [] for image in coco.images}
    try:
        for annotation in coco.annotations:
            x, y, width, height = object_box(annotation.bbox, annotation.segmentation)
            box = DrawnBox(
                xyxy=(x, y, x + width, y + height),
                name=names[annotation.category_id],
                polygons=tuple(map(tuple, annotation.segmentation or ())),
            )
            boxes[annotation.image_id].append(box)
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"{path}: not a file of edgeloop studio; move it away, and open it with -e"
        ) from error
    frames = {
        image.file_name: DrawnFrame(
            boxes=tuple(boxes[image.id]), complete=image.was_complete if image.missing else image.complete
        )
        for image in coco.images
    }
    sizes = {
        image.file_name: (image.width, image.height) for image in coco.images if image.width and image.height
    }
    missing = {image.file_name for image in coco.images if image.missing}
    return list(names.values()), frames, sizes, missing
