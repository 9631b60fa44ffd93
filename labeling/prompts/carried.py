"""Prompts where the labels of the frame before have gone to, as its pixels tell.

The flow of points inside each box, there and back again, as in Median Flow (Kalal et al., 2010); where enough
of them agree on a shift and a size, the box goes with them.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.ledger import Label
from labeling.prompts.prompt import Prompts
from models.boxes import clip_boxes

__all__ = ["CarriedPrompter"]

_GRID = 10  # points along each side of a box
_WINDOW_PX, _LEVELS = 21, 4  # of the pyramid: things may move by some hundred pixels
_RETURN_PX = 1.0  # how close to where it began a point must come back
_LEAST_AGREEING = 0.3  # of a box's points
_RESIZED = 1.5  # at most, up or down


class CarriedPrompter:
    """Boxes carried over from the frame before, with the scores that they had there."""

    name = "carried"

    def __init__(self, classes: int) -> None:
        """Args:
        classes: Number of classes to label.
        """
        self._classes = classes
        self.forget()

    def forget(self) -> None:
        """The next frame has none before it."""
        self._before: NDArray[np.uint8] | None = None
        self._xyxy = np.empty((0, 4), np.float32)
        self._scores = np.empty((0, self._classes), np.float32)

    def remember(self, image: NDArray[np.uint8], labels: Sequence[Label]) -> None:
        """Look at the frame before the next one.

        Args:
            image: HxWx3 uint8 BGR.
            labels: Of that frame.
        """
        self._before = _grey(image)
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
            after = _grey(image)
            for row, box in enumerate(self._xyxy):
                moved = _followed(self._before, after, box)
                if moved is not None:
                    rows.append(row)
                    boxes.append(moved)
        found = clip_boxes(np.array(boxes, np.float32).reshape(-1, 4), width, height)
        inside = (found[:, 2:] - found[:, :2]).min(axis=1, initial=np.inf) >= 1
        return (Prompts(self.name, found[inside], self._scores[rows][inside]),)

    def rehearse(self, image: NDArray[np.uint8], frame: int) -> tuple[Prompts, ...]:
        """See `Prompter.rehearse`: before an exemplar frame nothing has been labelled yet."""
        nothing = np.empty((0, self._classes), np.float32)
        return (Prompts(self.name, np.empty((0, 4), np.float32), nothing),)


def _grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)


def _followed(
    before: NDArray[np.uint8], after: NDArray[np.uint8], box: NDArray[np.float32]
) -> NDArray[np.float32] | None:
    """Where a box has gone; None where its points do not agree."""
    share = (np.arange(_GRID) + 0.5) / _GRID
    grid = np.stack(np.meshgrid(share, share), axis=-1).reshape(-1, 2)
    start = (box[:2] + grid * (box[2:] - box[:2])).astype(np.float32)
    there = _flow(before, after, start)
    back = _flow(after, before, there)
    steady = np.linalg.norm(back - start, axis=1) < _RETURN_PX
    if steady.sum() < _LEAST_AGREEING * len(start):
        return None
    cv2.setRNGSeed(0)  # of the sample consensus
    matrix, agreeing = cv2.estimateAffinePartial2D(
        start[steady], there[steady], method=cv2.RANSAC, ransacReprojThreshold=2.0
    )
    if matrix is None or agreeing.sum() < _LEAST_AGREEING * len(start):
        return None
    size = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if not 1 / _RESIZED < size < _RESIZED:
        return None
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * size
    centre = matrix[:, :2] @ centre + matrix[:, 2]
    return np.concatenate((centre - half, centre + half)).astype(np.float32)


def _flow(a: NDArray[np.uint8], b: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where points (N, 2) of one image are in another; far away where they are not found."""
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        a, b, points[:, None], None, winSize=(_WINDOW_PX, _WINDOW_PX), maxLevel=_LEVELS
    )
    return np.where(found.reshape(-1, 1) == 1, moved.reshape(-1, 2), np.float32(-1e6))
