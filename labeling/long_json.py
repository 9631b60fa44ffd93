"""A JSON object of long lists, written entry by entry: memory does not grow with their length."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

__all__ = ["LongJson", "long_json"]


class LongJson:
    """Lists that grow on disk, and become one JSON file in the end."""

    def __init__(self, path: Path, lists: Mapping[str, IO[str]]) -> None:
        """Args:
        path: The file.
        lists: By its key, an empty file for each list to grow in.
        """
        self._path = path
        self._lists = lists
        self._counts = dict.fromkeys(lists, 0)

    def count(self, key: str) -> int:
        """Entries of a list so far."""
        return self._counts[key]

    def add(self, key: str, entry: Mapping[str, Any]) -> None:
        """Append an entry to a list; it takes a line of the file."""
        self._lists[key].write((",\n" if self._counts[key] else "\n") + json.dumps(entry))
        self._counts[key] += 1

    def write(self, **rest: object) -> None:
        """Write the file.

        Args:
            rest: What else belongs to the object, before the lists.
        """
        with self._path.open("w", encoding="utf-8") as file:
            opening = "{"
            for key, value in rest.items():
                file.write(f"{opening}{json.dumps(key)}: {json.dumps(value)}")
                opening = ",\n"
            for key, entries in self._lists.items():
                file.write(f"{opening}{json.dumps(key)}: [")
                entries.seek(0)
                shutil.copyfileobj(entries, file)
                file.write("]")
                opening = ",\n"
            file.write("}\n")


@contextmanager
def long_json(path: Path, lists: Sequence[str]) -> Iterator[LongJson]:
    """Begin a file.

    Args:
        path: The file; its lists grow in the same folder, in files without a name: a crash leaves none.
        lists: Keys of the lists, in their order.

    Yields:
        What takes the entries; the file is there when its `write` was called.
    """
    with ExitStack() as opened:
        growing = {
            key: opened.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", dir=path.parent))
            for key in lists
        }
        yield LongJson(path, growing)
