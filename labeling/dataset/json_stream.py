"""A JSON object of long lists, written and read entry by entry in bounded memory."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import ijson

__all__ = ["JsonStreamWriter", "check_lists", "open_json_stream", "read_entries"]

_MAX_DEPTH = 100  # ijson keeps the path of every level, so its memory grows with the square of the depth
_DEPTH = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}


class JsonStreamWriter:
    """Lists that grow on disk and become one JSON file in the end."""

    def __init__(self, path: Path, lists: Mapping[str, IO[str]]) -> None:
        """Start with an empty temporary file for each list, by its key."""
        self._path = path
        self._lists = lists
        self._counts = dict.fromkeys(lists, 0)

    def count(self, key: str) -> int:
        """Count the entries of a list so far."""
        return self._counts[key]

    def add(self, key: str, entry: Mapping[str, Any]) -> None:
        """Append an entry to a list, as one line of the file."""
        self._lists[key].write((",\n" if self._counts[key] else "\n") + json.dumps(entry))
        self._counts[key] += 1

    def write(self, **rest: object) -> None:
        """Write the file: further members of the object, then the lists."""
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
def open_json_stream(path: Path, lists: Sequence[str]) -> Iterator[JsonStreamWriter]:
    """Open a file for writing; it appears when the writer's `write` is called.

    Its lists grow in unnamed files of the same folder, so a crash leaves none.
    """
    with ExitStack() as opened:
        growing = {
            key: opened.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", dir=path.parent))
            for key in lists
        }
        yield JsonStreamWriter(path, growing)


def check_lists(path: Path, keys: Sequence[str]) -> None:
    """Parse a whole file before any of it is used; its members `keys` must be lists.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not a JSON object with these lists, or is nested too deeply. One line with place.
    """
    kinds: dict[str, str] = {}
    key, entry, depth = "", -1, 0
    try:
        with path.open("rb") as file:
            for event, value in ijson.basic_parse(file, use_float=True):
                if depth == 1 and event == "map_key":
                    key, entry = value, -1
                    if key in kinds and key in keys:
                        raise ValueError(f"{key}: given twice")
                    if key.startswith(tuple(f"{wanted}." for wanted in keys)):
                        raise ValueError(f"{key}: unexpected field")  # its entries would count as the list's
                elif depth == 1:
                    kinds.setdefault(key, event)
                elif depth == 2 and event != "map_key":
                    entry += not event.startswith("end_")
                elif depth == 0 and event != "start_map":
                    raise ValueError("no JSON object")
                depth += _DEPTH.get(event, 0)
                if depth > _MAX_DEPTH:
                    raise ValueError(f"{key}: nested too deeply")
    except ijson.JSONError as error:
        place = f"{key}[{entry}]" if entry >= 0 else key or "beginning"
        raise ValueError(f"no JSON object: {place}: {_in_one_line(error)}") from error
    for wanted in keys:
        if wanted not in kinds:
            raise ValueError(f"{wanted}: Field required")
        if kinds[wanted] != "start_array":
            raise ValueError(f"{wanted}: expected a list")


def read_entries(path: Path, key: str) -> Iterator[object]:
    """Read a list of a file that has passed `check_lists`, entry by entry.

    Raises:
        OSError: The file cannot be read.
        ValueError: It has been changed, and is no JSON.
    """
    try:
        with path.open("rb") as file:
            yield from ijson.items(file, f"{key}.item", use_float=True)
    except ijson.JSONError as error:
        raise ValueError(f"no JSON object: {_in_one_line(error)}") from error


def _in_one_line(error: Exception) -> str:
    """Cut the drawing of the place that yajl adds, which may be quoted as bytes."""
    return re.split(r"\n|\\n", str(error).removeprefix("b'"))[0]
