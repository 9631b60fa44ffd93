"""Prompts that follow the previous frame's labels, by template matching with normalized cross-correlation."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeloop.labeling.candidates.prompts import Prompts
from edgeloop.labeling.ledger import Label
from edgeloop.models.boxes import clip_boxes

__all__ = ["PropagatePrompter"]

_REACH = 1.5  # sides of the box that it may move from one frame to the next
_MARGIN = 0.1  # sides of the box; what has one color is known by where it ends
_LEAST_CORRELATION = 0.8
_LONG_SIDE_PX = 64  # of what is looked for; larger things are looked for in smaller pictures
_LEAST_SPREAD = 3.0  # of gray values, standard deviation; in what is smoother there is nothing to find


class PropagatePrompter:
    """Boxes followed from the previous frame, with their scores."""

    name = "propagate"

    def __init__(self, classes: int) -> None:
        """Start without a previous frame."""
        self._classes = classes
        self.forget()

    def forget(self) -> None:
        """Forget the previous frame."""
        self._before: NDArray[np.uint8] | None = None
        self._xyxy = np.empty((0, 4), np.float32)
        self._scores = np.empty((0, self._classes), np.float32)

    def remember(self, image: NDArray[np.uint8], labels: Sequence[Label]) -> None:
        """Remember the previous frame, HxWx3 uint8 BGR, and its labels."""
        self._before = _gray(image)
        self._xyxy = np.array([label.xyxy for label in labels], np.float32).reshape(-1, 4)
        self._scores = np.zeros((len(labels), self._classes), np.float32)
        self._scores[np.arange(len(labels)), [label.class_id for label in labels]] = [
            label.score for label in labels
        ]

    def propose(self, image: NDArray[np.uint8]) -> tuple[Prompts, ...]:
        """See `Prompter.propose`: nothing where no frame came before, or one of another size."""
        height, width = image.shape[:2]
        rows: list[int] = []
        boxes: list[NDArray[np.float32]] = []
        if self._before is not None and self._before.shape == (height, width):
            after = _gray(image)
            for row, box in enumerate(self._xyxy):
                moved = _followed(self._before, after, box)
                if moved is not None:
                    rows.append(row)
                    boxes.append(moved)
        found = clip_boxes(np.array(boxes, np.float32).reshape(-1, 4), width, height)
        inside = (found[:, 2:] - found[:, :2]).min(axis=1, initial=np.inf) >= 1
        return (Prompts(self.name, found[inside], self._scores[rows][inside]),)

    def propose_held_out(self, image: NDArray[np.uint8], frame: int) -> tuple[Prompts, ...]:
        """See `Prompter.propose_held_out`: before an exemplar frame nothing has been labeled yet."""
        del image, frame
        nothing = np.empty((0, self._classes), np.float32)
        return (Prompts(self.name, np.empty((0, 4), np.float32), nothing),)


def _gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)


def _followed(
    before: NDArray[np.uint8], after: NDArray[np.uint8], box: NDArray[np.float32]
) -> NDArray[np.float32] | None:
    """Follow a box by template matching; None if nothing around its place matches."""
    shrink = min(1.0, _LONG_SIDE_PX / float((box[2:] - box[:2]).max()))
    shown, around = _grown(box, _MARGIN, before), _grown(box, _REACH, before)
    wanted, searched = _part(before, shown, shrink), _part(after, around, shrink)
    if wanted.std() < _LEAST_SPREAD:
        return None
    _, correlation, _, corner = cv2.minMaxLoc(cv2.matchTemplate(searched, wanted, cv2.TM_CCOEFF_NORMED))
    if correlation < _LEAST_CORRELATION:
        return None
    shift = around[:2] + np.array(corner) / shrink - shown[:2]
    return np.asarray(box + np.tile(shift, 2), np.float32)


def _grown(box: NDArray[np.float32], share: float, image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """A box with a share of its sides added on each side, in whole pixels and inside the image."""
    added = share * np.tile(box[2:] - box[:2], 2) * np.array([-1, -1, 1, 1])
    inside = clip_boxes((box + added).astype(np.float32)[None], image.shape[1], image.shape[0])[0]
    return np.concatenate((np.floor(inside[:2]), np.ceil(inside[2:]))).astype(np.int64)


def _part(image: NDArray[np.uint8], xyxy: NDArray[np.int64], scale: float) -> NDArray[np.uint8]:
    left, top, right, bottom = xyxy.tolist()
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    return np.asarray(cv2.resize(image[top:bottom, left:right], size, interpolation=cv2.INTER_AREA), np.uint8)
