"""A JSON object of long lists, written and read entry by entry: memory does not grow with their length."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

__all__ = ["JsonStreamWriter", "open_json_stream", "read_entries"]

_CHUNK = 1 << 20  # characters read at a time
_SPACE = " \t\r\n"
_AFTER_VALUE = frozenset(",]}:" + _SPACE)
_DECODER = json.JSONDecoder()


class JsonStreamWriter:
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
def open_json_stream(path: Path, lists: Sequence[str]) -> Iterator[JsonStreamWriter]:
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
        yield JsonStreamWriter(path, growing)


def read_entries(path: Path) -> Iterator[tuple[tuple[str] | tuple[str, int], object]]:
    """Read a JSON object, the entries of its lists one by one.

    Args:
        path: The file; it may be written in any way that JSON allows, not only as `JsonStreamWriter` does.

    Yields:
        Where something stands, and what: `(key,)` with the value of a key, and where that is a list with an
        empty one, after which `(key, 0)`, `(key, 1)`, ... come with its entries.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no JSON object.
    """
    with path.open(encoding="utf-8") as file:
        text = _Text(file)
        text.expect("{")
        if text.next() == "}":
            text.expect("}")
        else:
            yield from _members(text)
        if text.next():
            raise ValueError("there is more after its end")


def _members(text: _Text) -> Iterator[tuple[tuple[str] | tuple[str, int], object]]:
    """What `read_entries` yields, from the first key on to the closing brace."""
    while True:
        key = text.value() if text.next() == '"' else None
        if not isinstance(key, str):
            raise ValueError("expected a key")
        text.expect(":")
        if text.next() == "[":
            yield (key,), []
            for number, entry in enumerate(_entries(text)):
                yield (key, number), entry
        else:
            yield (key,), text.value()
        if text.expect(",}") == "}":
            return


def _entries(text: _Text) -> Iterator[object]:
    text.expect("[")
    if text.next() == "]":
        text.expect("]")
        return
    while True:
        yield text.value()
        if text.expect(",]") == "]":
            return


class _Text:
    """A text of which only the part around the place that is read is in memory."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._part = ""
        self._at = 0

    def next(self) -> str:
        """The next character that is no space, which stays where it is; nothing at the end."""
        while True:
            while self._at < len(self._part):
                if self._part[self._at] not in _SPACE:
                    return self._part[self._at]
                self._at += 1
            if not self._read_on():
                return ""

    def expect(self, characters: str) -> str:
        """Take the next character, which has to be one of these."""
        found = self.next()
        if not found or found not in characters:
            raise ValueError(f"expected {' or '.join(characters)}, got {found or 'the end of the file'}")
        self._at += 1
        return found

    def value(self) -> object:
        """Take the next value, all of it."""
        self.next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._part, self._at)
            except json.JSONDecodeError as error:
                if not self._read_on():
                    raise ValueError(error.msg) from error
            except RecursionError as error:
                raise ValueError("nested too deeply") from error
            else:
                length = end - self._at
                # A number that the end of the part cuts is a number as well.
                if self._part[end : end + 1] in _AFTER_VALUE or not self._read_on():
                    self._at += length
                    return value

    def _read_on(self) -> bool:
        """Read more, and twice as much each time that a value is still not whole."""
        rest = self._part[self._at :]
        more = self._file.read(max(_CHUNK, len(rest)))
        self._part, self._at = rest + more, 0
        return bool(more)
