"""Lines of the keys of a TOML file, which Python's parser does not tell."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import count

__all__ = ["KeyPath", "key_lines", "line_of"]

KeyPath = tuple[str | int, ...]
"""Keys from the root of a file, and positions in arrays: ("webhooks", 0, "url")."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[ \t]*(?:([A-Za-z0-9_-]+)|("(?:\\.|[^"\\])*"|'[^']*'))[ \t]*""")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})|'
    r"'''.*?'''(?:'{0,2})|"
    r'"(?:\\.|[^"\\])*"|'
    r"'[^']*'",
    re.DOTALL,
)
_BARE = re.compile(r"[^,\]}#\n]*")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Find the line of every key, table and array element.

    Args:
        text: TOML that `tomllib` accepts.

    Returns:
        Numbers of lines from 1 by path. A table that several headers or dotted keys define has the first.

    Raises:
        ValueError: The text is no TOML.
    """
    return _Scanner(text).scan()


def line_of(lines: dict[KeyPath, int], path: Sequence[str | int]) -> int:
    """Line of a path, or of the nearest table around it; 1 if there is none."""
    return next((lines[key] for end in range(len(path), 0, -1) if (key := tuple(path[:end])) in lines), 1)


class _Scanner:
    """Walks through a text that is known to be TOML."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._line_ends = [found.start() for found in re.finditer("\n", text)]
        self._lines: dict[KeyPath, int] = {}
        self._newest: dict[KeyPath, int] = {}  # position of the newest element of each array of tables

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while self._peek():
            if self._take("[["):
                table = self._header(self._keys(), is_array=True)
                self._expect("]]")
            elif self._take("["):
                table = self._header(self._keys(), is_array=False)
                self._expect("]")
            else:
                self._pair(table)
        return self._lines

    def _header(self, keys: list[str], *, is_array: bool) -> KeyPath:
        path: KeyPath = ()
        for number, key in enumerate(keys, 1):
            path = (*path, key)
            self._note(path)
            if is_array and number == len(keys):
                self._newest[path] = self._newest.get(path, -1) + 1
            if path in self._newest:
                path = (*path, self._newest[path])
                self._note(path)
        return path

    def _pair(self, table: KeyPath) -> None:
        for key in self._keys():
            table = (*table, key)
            self._note(table)
        self._expect("=")
        self._value(table)

    def _value(self, path: KeyPath) -> None:
        self._peek()
        if self._take("["):
            for number in self._elements("]"):
                self._note((*path, number))
                self._value((*path, number))
        elif self._take("{"):
            for _ in self._elements("}"):
                self._pair(path)
        else:
            found = _STRING.match(self._text, self._at) or _BARE.match(self._text, self._at)
            self._at = found.end() if found else len(self._text)

    def _elements(self, end: str) -> Iterator[int]:
        """Number the elements of an array or inline table until its end."""
        for number in count():
            if self._peek() == end:
                break
            yield number
            self._peek()
            if not self._take(","):
                break
        self._expect(end)

    def _keys(self) -> list[str]:
        """Read a dotted key."""
        keys: list[str] = []
        while found := _KEY.match(self._text, self._at):
            self._at = found.end()
            bare, quoted = found.groups()
            keys.append(bare if bare is not None else tomllib.loads(f"key = {quoted}")["key"])
            if not self._take("."):
                break
        return keys

    def _peek(self) -> str:
        """Skip blanks and comments. Returns the next character; "" at the end."""
        if blank := _BLANK.match(self._text, self._at):
            self._at = blank.end()
        return self._text[self._at : self._at + 1]

    def _take(self, token: str) -> bool:
        found = self._text.startswith(token, self._at)
        self._at += len(token) * found
        return found

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise ValueError(f"expected {token} at {self._at}")

    def _note(self, path: KeyPath) -> None:
        self._lines.setdefault(path, bisect_left(self._line_ends, self._at) + 1)
