"""Contact sheet of the sample: numbered boxes, then frames with their labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeloop.edge.draw.annotate import color_of
from edgeloop.edge.draw.text import put_text, text_size
from edgeloop.edge.host.durable_file import replace_file
from edgeloop.edge.host.opencv import encode_image
from edgeloop.labeling.audit.pictures import render_box, render_frame
from edgeloop.labeling.audit.sample import Sample
from edgeloop.models.errors import DataError

__all__ = ["BOX", "FRAME", "Cells", "check_sheet", "draw_sheet", "write_sheet"]

_GROUND = (38, 34, 32)
_INK = (236, 236, 236)
_FAINT = (160, 160, 160)
_MARGIN_PX = 24
_TITLE_PX = 56
_CAPTION_PX = 30


@dataclass(frozen=True, slots=True)
class Cells:
    """Layout of equal cells in rows, each an image of `width` x `height` px under its caption."""

    columns: int
    width: int
    height: int

    def place(self, number: int) -> tuple[int, int]:
        """Compute left and top of image `number` (from 0), px from the corner of the first cell."""
        row, column = divmod(number, self.columns)
        return column * (self.width + _MARGIN_PX), row * (
            self.height + _CAPTION_PX + _MARGIN_PX
        ) + _CAPTION_PX

    def height_of(self, count: int) -> int:
        """Compute the height of `count` cells, px, with the margin below them."""
        return -(-count // self.columns) * (self.height + _CAPTION_PX + _MARGIN_PX)


BOX = Cells(columns=10, width=184, height=184)
FRAME = Cells(columns=3, width=677, height=508)
SHEET_WIDTH_PX = 2 * _MARGIN_PX + 10 * 184 + 9 * _MARGIN_PX


def check_sheet(path: Path) -> None:
    """Refuse the path of a sheet that exists.

    Raises:
        DataError: There is such a file already.
    """
    if path.exists():
        raise DataError(f"{path}: exists already; name another file with --sheet, or remove it")


def draw_sheet(sample: Sample) -> NDArray[np.uint8]:
    """Draw the sample: a title, the boxes from (24, 56) on, then the frames.

    Returns:
        HxWx3 uint8 BGR. Image n of the boxes is at `BOX.place(n)` from (24, 56), centered in its cell; the
        frames follow in cells of `FRAME`, below a title of their own.
    """
    frames_top = _TITLE_PX + BOX.height_of(len(sample.boxes)) + _TITLE_PX
    height = frames_top + FRAME.height_of(len(sample.frames))
    sheet = np.full((height, SHEET_WIDTH_PX, 3), _GROUND, np.uint8)
    title = f"{len(sample.boxes)} of {sample.labels} labels, seed {sample.seed}: is class and box right?"
    _write(sheet, title, (_MARGIN_PX, _TITLE_PX - 20), 0.8, _INK)
    for number, box in enumerate(sample.boxes):
        caption = f"{sample.names[box.class_id]} {box.score:.2f}"
        picture = render_box(box, BOX.width)
        _put(sheet, picture, BOX, number, _TITLE_PX, caption, color_of(box.class_id))
    title = f"{len(sample.frames)} of {sample.images} frames: which object has no right label?"
    _write(sheet, title, (_MARGIN_PX, frames_top - 20), 0.8, _INK)
    for number, frame in enumerate(sample.frames):
        picture = render_frame(frame, sample.names, side=_fitting(frame.width, frame.height))
        _put(sheet, picture, FRAME, number, frames_top, frame.path.name, _FAINT)
    return sheet


def write_sheet(sample: Sample, path: Path) -> None:
    """Write the sheet as a PNG, to a file that does not exist yet.

    Raises:
        DataError: There is such a file already.
        UnavailableError: It cannot be written.
    """
    check_sheet(path)
    replace_file(path, encode_image(".png", draw_sheet(sample)))


def _fitting(width: int, height: int) -> int:
    """Compute the longer side at which a frame fits its cell, px."""
    return int(max(width, height) * min(FRAME.width / width, FRAME.height / height))


def _put(
    sheet: NDArray[np.uint8],
    picture: NDArray[np.uint8],
    cells: Cells,
    number: int,
    top: int,
    caption: str,
    color: tuple[int, int, int],
) -> None:
    left, below = cells.place(number)
    height, width = picture.shape[:2]
    x, y = _MARGIN_PX + left + (cells.width - width) // 2, top + below + (cells.height - height) // 2
    sheet[y : y + height, x : x + width] = picture
    baseline = top + below - 9
    number_width = _write(sheet, f"{number + 1}", (_MARGIN_PX + left, baseline), 0.6, _INK)
    room = cells.width - number_width - 10
    _write(
        sheet, _shortened(caption, 0.5, room), (_MARGIN_PX + left + number_width + 10, baseline), 0.5, color
    )


def _shortened(text: str, scale: float, room: int) -> str:
    """Cut the middle of a text that is wider than `room` px; its end tells frames and scores apart."""
    shown, keep = text, len(text)
    while keep > 4 and text_size(shown, scale)[0][0] > room:
        keep -= 1
        shown = f"{text[: keep // 2]}..{text[len(text) - (keep - keep // 2) :]}"
    return shown


def _write(
    sheet: NDArray[np.uint8], text: str, at: tuple[int, int], scale: float, color: tuple[int, int, int]
) -> int:
    """Draw a text, and return its width, px."""
    put_text(sheet, text, at, scale, color)
    return text_size(text, scale)[0][0]
