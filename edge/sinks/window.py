"""Results in a window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import cv2

from edgeloop.edge.draw.annotate import annotate
from edgeloop.edge.host.opencv import has_screen
from edgeloop.edge.result import Sink
from edgeloop.models.errors import UnavailableError

if TYPE_CHECKING:
    from edgeloop.edge.result import Result
    from edgeloop.edge.tracking import ZoneCounter

__all__ = ["Window"]

QUIT_KEYS = (ord("q"), 27)
"""Keys that end the run: q and Escape."""

MAX_WIDTH, MAX_HEIGHT = 1280, 720
"""Largest size in pixels with which a window opens; its user may change it."""


class Window(Sink):
    """Shows each annotated frame; q, Escape and the close button of the window end the run."""

    def __init__(
        self,
        title: str,
        names: Sequence[str],
        *,
        on_quit: Callable[[], None],
        zones: ZoneCounter | None = None,
    ) -> None:
        """Open the window.

        Args:
            title: Text of the title bar.
            names: The model's class names.
            on_quit: Called when the user closes the window.
            zones: Zones and lines to draw; None for none.

        Raises:
            UnavailableError: There is no screen, or this OpenCV was built without windows.
        """
        if not has_screen():
            raise UnavailableError(
                "--show: no window can be opened here (no screen, or opencv-python-headless); "
                "write a file with --video instead"
            )
        self._title = title
        self._names = names
        self._on_quit = on_quit
        self._zones = zones
        self._sized = False
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)

    def write(self, result: Result) -> None:
        """Show the annotated frame."""
        if not self._sized:
            height, width = result.frame.image.shape[:2]
            scale = min(1.0, MAX_WIDTH / width, MAX_HEIGHT / height)
            cv2.resizeWindow(self._title, round(width * scale), round(height * scale))
            self._sized = True
        image = annotate(result.frame.image, result.detections, self._names, zones=self._zones)
        cv2.imshow(self._title, image)
        pressed = cv2.waitKey(1) & 0xFF
        if pressed in QUIT_KEYS or cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1:
            self._on_quit()

    def close(self) -> None:
        """Close the window."""
        with suppress(cv2.error):  # its user may have closed it
            cv2.destroyWindow(self._title)
