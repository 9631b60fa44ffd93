"""Journal of a person's decisions, on disk before the page is told that they are saved."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from edgeloop.edge.host.durable_file import append_to_file
from edgeloop.labeling.dataset.decisions import Decision, UndoLine, active_decisions, parse_journal
from edgeloop.models.errors import DataError

__all__ = ["Journal"]


class Journal:
    """Thread-safe, append-only file of decisions; `label --decisions` reads it."""

    def __init__(self, path: Path) -> None:
        """Open the journal, or begin one with the first decision.

        Raises:
            DataError: It cannot be read, or a line is malformed.
        """
        self.path = path
        self._lock = threading.Lock()
        try:
            content = path.read_bytes() if path.exists() else b""
            self._lines, length = parse_journal(content, path)
            if length < len(content):
                os.truncate(path, length)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error

    def decisions(self) -> list[Decision]:
        """Decisions that hold, in the order in which they were made."""
        with self._lock:
            return active_decisions(self._lines)

    def next_batch(self) -> int:
        """Number of a new batch."""
        return max((line.batch for line in self._lines), default=0) + 1

    def add(self, decisions: Sequence[Decision | UndoLine]) -> None:
        """Append lines, which are on disk when this returns.

        Raises:
            UnavailableError: The file cannot be written.
        """
        text = b"".join(line.model_dump_json().encode() + b"\n" for line in decisions)
        with self._lock:
            append_to_file(self.path, text)
            self._lines += decisions

    def undo(self) -> list[Decision]:
        """Take back the last batch that holds; its decisions, or none if there is no batch.

        Raises:
            UnavailableError: The file cannot be written.
        """
        holding = self.decisions()
        if not holding:
            return []
        last = max(decision.batch for decision in holding)
        self.add([UndoLine(batch=self.next_batch(), undone=last)])
        return [decision for decision in holding if decision.batch == last]
