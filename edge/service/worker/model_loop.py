"""Loop of one model and its cameras, in a thread that does not die unnoticed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from edgeloop.edge.loop.pipeline import run_streams
from edgeloop.edge.loop.stream import Stream
from edgeloop.edge.runtime.frame_detector import FrameDetector
from edgeloop.models.errors import EdgeloopError

__all__ = ["ModelLoop"]

log = logging.getLogger(__name__)


class ModelLoop(threading.Thread):
    """Loop of one model and its cameras.

    Attributes:
        failure: What ended it, or its last camera; None if it ended in order, or has not.
    """

    def __init__(self, model: str, streams: Sequence[Stream], detector: FrameDetector) -> None:
        """Prepare the loop; `start` runs it."""
        super().__init__(name=f"loop {model}", daemon=True)
        self._model, self._streams, self._detector = model, streams, detector
        self.failure: EdgeloopError | None = None

    def run(self) -> None:
        """Run until all cameras end or are told to stop."""
        try:
            run_streams(self._streams, self._detector)
        except BaseException as error:  # also what a plug-in raises to end the process
            self.failure = EdgeloopError(
                f"the loop of model {self._model} ended: {type(error).__name__}: {error}"
            )
            log.critical("%s", self.failure, exc_info=True)
        errors = [stream.error for stream in self._streams if stream.error is not None]
        if self.failure is None and errors:
            self.failure = EdgeloopError(
                f"the loop of model {self._model} ended with its last camera: {errors[0]}"
            )
