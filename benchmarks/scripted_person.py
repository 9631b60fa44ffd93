"""A scripted person who draws boxes on the page of the studio, with a hand that is not exact.

The person aims at ground truth and misses by a normal error in screen pixels. A box below an IoU of 0.85 gets
one corrective drag of the side that helps most. Objects are drawn from nearest to nearest, starting at the
corner that is nearest to the mouse. Classes are chosen by number key, and proposals settled by key, which
costs no mouse.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page

from edgeloop.models.boxes import iou_matrix

GOOD_IOU = 0.85
TAKEN_IOU = 0.7  # of the mask under the pointer; below it, the person drags a box
_SIDES = {0: (-1, 0), 1: (0, -1), 2: (1, 0), 3: (0, 1)}  # place in xyxy: direction outward
_SETTLED_MS = 30
_PREVIEW_MS = 120
_SAVED_MS = 500
# The proposal that keys act on, or null.
_PROPOSAL = """(() => {
  const shapes = document.querySelector('frame-view').shapes;
  const shape = shapes.find(({dashed, selected, xyxy}) => dashed && selected && xyxy);
  return shape ? {xyxy: shape.xyxy, name: shape.label.replace(/ [^ ]*$/, '')} : null;
})()"""
# Box of the mask that the pointer shows, or null.
_SHOWN = """(() => {
  const flat = document.querySelector('frame-view').shapes.findLast(({dashed}) => dashed)?.polygons?.flat();
  if (!flat) return null;
  const xs = flat.filter((_, at) => at % 2 === 0), ys = flat.filter((_, at) => at % 2);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
})()"""


@dataclass
class Person:
    """Mouse of a person.

    Attributes:
        page: Page with an open frame.
        error_px: Standard deviation of where a press or release ends up, screen px.
        rng: Random errors.
        travel_px: Way of the mouse so far, screen px.
        presses: Presses of a mouse button so far.
        corrections: Corrective drags so far.
        keys: Keys pressed so far, without modifiers.
    """

    page: Page
    error_px: float
    rng: np.random.Generator
    travel_px: float = 0.0
    presses: int = 0
    corrections: int = 0
    keys: int = 0
    _at: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))

    def start(self) -> None:
        """Put the mouse in the middle of the frame; that way is not counted."""
        self._at = self._on_page(np.array(self._size()) / 2)
        self.page.mouse.move(*self._at)

    def nearest(self, boxes: NDArray[np.float32]) -> int:
        """Index of the box that is nearest to the mouse."""
        middles = np.array([self._on_page((box[:2] + box[2:]) / 2) for box in boxes])
        return int(np.linalg.norm(middles - self._at, axis=1).argmin())

    def drag(self, box: NDArray[np.float32], *, error: float = 0.0) -> NDArray[np.float32]:
        """Drag a box from its nearest corner to the opposite one; the box that comes of it.

        A hurried hand misses by `error` of the box's sides, if that is more than its `error_px`.
        """
        x1, y1, x2, y2 = box
        corners = [((x1, y1), (x2, y2)), ((x2, y2), (x1, y1)), ((x1, y2), (x2, y1)), ((x2, y1), (x1, y2))]
        ends = [tuple(self._on_page(np.array(corner)) for corner in pair) for pair in corners]
        begin, end = min(ends, key=lambda pair: float(np.linalg.norm(pair[0] - self._at)))
        errors_px = np.maximum(self.error_px, error * np.abs(end - begin))
        self._press(self._missed(begin, errors_px), anew=True)
        self._move(self._missed(end, errors_px))
        return self._release()

    def click(self, box: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Point at the middle of a box, and click if the mask shown there is good enough; None if not."""
        before = len(self.boxes())
        self.page.keyboard.down("Control")  # an object inside another box, too
        self._move(self._missed(self._on_page((box[:2] + box[2:]) / 2), self.error_px))
        self.page.wait_for_timeout(_PREVIEW_MS)
        wait_until(self.page, "!window.asking")
        shown = self.page.evaluate(_SHOWN)
        good = shown is not None and iou(box, np.array(shown)) >= TAKEN_IOU
        if not good:
            self.page.keyboard.up("Control")
            return None
        self._press(self._at, anew=True)
        made = self._release()
        return made if len(self.boxes()) > before else None

    def move_to(self, box: NDArray[np.float32]) -> None:
        """Move to the middle of a box, and count a press without making it."""
        self._move(self._on_page((box[:2] + box[2:]) / 2))
        self.presses += 1

    def correct(self, box: NDArray[np.float32], drawn: NDArray[np.float32]) -> NDArray[np.float32]:
        """Drag the side whose place costs most, if the box is not good; the box that comes of it."""
        if iou(box, drawn) >= GOOD_IOU:
            return drawn
        self.corrections += 1

        def gain(side: int) -> float:
            moved = drawn.copy()
            moved[side] = box[side]
            return iou(box, moved)

        side = max(_SIDES, key=gain)
        middle = (drawn[:2] + drawn[2:]) / 2
        begin = middle.copy()
        begin[side % 2] = drawn[side]
        end = begin.copy()
        end[side % 2] = box[side]
        self._press(self._on_page(begin), anew=False)
        self._move(self._missed(self._on_page(end), self.error_px))
        self._release()
        return max(self.boxes(), key=lambda drawn: iou(box, drawn))

    def choose(self, number: int) -> None:
        """Choose a class while no box is selected."""
        self.page.keyboard.press("Escape")
        self.page.keyboard.press(str(number))
        self.keys += 1

    def settle(self, boxes: NDArray[np.float32], names: Sequence[str]) -> dict[int, NDArray[np.float32]]:
        """Accept proposals that are right, and reject the others, by one key each.

        Args:
            boxes: Objects of the frame, float32 (N, 4) XYXY in pixels of the image.
            names: Class names of the objects.

        Returns:
            Accepted boxes by index of their object.
        """
        accepted: dict[int, NDArray[np.float32]] = {}
        while (proposal := self.page.evaluate(_PROPOSAL)) is not None:
            box = np.array(proposal["xyxy"], dtype=np.float32)
            overlaps = [iou(box, truth) if name == proposal["name"] else 0.0
                        for truth, name in zip(boxes, names, strict=True)]  # fmt: skip
            best = int(np.argmax(overlaps))
            right = overlaps[best] >= TAKEN_IOU and best not in accepted
            if right:
                accepted[best] = box
            self.page.keyboard.press("y" if right else "x")
            self.keys += 1
            self.page.wait_for_timeout(_SETTLED_MS)
        return accepted

    def complete(self) -> None:
        """Say that the frame is complete, and let it be saved."""
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Enter")
        self.keys += 1
        self.page.wait_for_timeout(_SAVED_MS)

    def boxes(self) -> NDArray[np.float32]:
        """Boxes of the open frame (N, 4)."""
        drawn = self.page.evaluate("document.querySelector('studio-draw').boxes.map(({xyxy}) => xyxy)")
        return np.array(drawn, dtype=np.float32).reshape(-1, 4)

    def _press(self, at: NDArray[np.float64], *, anew: bool) -> None:
        self._move(at)
        if anew:
            self.page.keyboard.down("Control")  # a new box, whatever is below
        self.page.mouse.down()
        self.presses += 1

    def _release(self) -> NDArray[np.float32]:
        """Release, wait for the answer of the server, and give the box that was touched last."""
        self.page.mouse.up()
        self.page.keyboard.up("Control")
        self.page.wait_for_timeout(_SETTLED_MS)
        wait_until(self.page, "!window.asking")
        self.page.wait_for_timeout(_SETTLED_MS)
        boxes = self.boxes()
        return boxes[-1] if len(boxes) else np.zeros(4, dtype=np.float32)

    def _move(self, to: NDArray[np.float64]) -> None:
        self.travel_px += float(np.linalg.norm(to - self._at))
        self._at = to
        self.page.mouse.move(*to.tolist(), steps=3)

    def _missed(self, at: NDArray[np.float64], error_px: float | NDArray[np.float64]) -> NDArray[np.float64]:
        return at + self.rng.normal(scale=error_px, size=2)

    def _on_page(self, point: NDArray[np.floating]) -> NDArray[np.float64]:
        script = "(at) => document.querySelector('frame-view').toPage(at)"
        return np.array(self.page.evaluate(script, point.tolist()))

    def _size(self) -> list[float]:
        size: list[float] = self.page.evaluate(
            "(({width, height}) => [width, height])(document.querySelector('frame-view'))"
        )
        return size


def iou(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """IoU of two boxes (4,)."""
    return float(iou_matrix(one[None].astype(np.float32), other[None].astype(np.float32))[0, 0])


def wait_until(page: Page, condition: str, *, limit_s: float = 60) -> None:
    """Wait for a condition of the page, for some time; its security policy forbids `wait_for_function`."""
    end = time.monotonic() + limit_s
    while not page.evaluate(condition) and time.monotonic() < end:
        page.wait_for_timeout(5)
