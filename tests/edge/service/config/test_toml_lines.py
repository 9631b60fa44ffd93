"""Lines of keys: those of every key that tomllib finds, in whatever way the file is written."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.edge.service.config.toml_lines import KeyPath, key_lines, line_of

EVERYTHING = '''\
# [not.a.table]
state = "/var # [no] \\" comment" # comment
dates = [1979-05-27 07:32:00, 1979-05-27]  # a ]
"quoted key" = 1
a.'literal # key'."dotted \\u00e9" = 2
text = """
[inside]
key = 3 \\"""
"""""
raw = \'\'\'
x = "
\'\'\'
nested = [ [1, 2], # comment ]
  [ { deep = 4, "x.y" = { z = 5 } },
  ], ]
[cameras.door] # [x]
source = 'rtsp://x#y'
classes = [
  "bolt", # comment
  "nut",
]
[ models . "p q" ]
file = ""
[[webhooks]]
url = "one"
[[webhooks]]
url = "two"
[webhooks.headers]
A = "b"
[[webhooks.parts]]
x = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("state",), 2),
        (("dates", 1), 3),
        (("quoted key",), 4),
        (("a", "literal # key", "dotted é"), 5),
        (("text",), 6),
        (("raw",), 10),
        (("nested", 0, 1), 13),
        (("nested", 1, 0, "deep"), 14),
        (("nested", 1, 0, "x.y", "z"), 14),
        (("cameras", "door"), 16),
        (("cameras", "door", "classes", 1), 20),
        (("cameras", "door", "missing"), 16),
        (("models", "p q", "file"), 23),
        (("webhooks", 1), 26),
        (("webhooks", 1, "url"), 27),
        (("webhooks", 1, "headers", "A"), 29),
        (("webhooks", 1, "parts", 0, "x"), 31),
        (("nothing",), 1),
        ((), 1),
    ],
)
def test_a_key_has_its_line_and_a_missing_one_that_of_its_table(path: KeyPath, line: int) -> None:
    for text in (EVERYTHING, EVERYTHING.replace("\n", "\r\n")):
        assert line_of(key_lines(text), path) == line


def test_every_key_is_found() -> None:
    assert set(key_lines(EVERYTHING)) == set(_paths(tomllib.loads(EVERYTHING)))


KEYS = st.one_of(
    st.sampled_from(["a", "b-c", "3", "with space", 'quo"te', "apo's", "#", "[x]", "a.b", "=", "é", ""]),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=4),
)
TREES = st.recursive(
    st.sampled_from(["number", "string"]),
    lambda inner: st.one_of(
        st.dictionaries(KEYS, inner, max_size=3),
        st.lists(inner, max_size=3),
        st.lists(st.dictionaries(KEYS, inner, min_size=1, max_size=2), min_size=1, max_size=2),
    ),
    max_leaves=12,
)


@settings(max_examples=50, deadline=None)
@given(tree=st.dictionaries(KEYS, TREES, max_size=4), data=st.data())
def test_lines_are_those_of_the_values_in_any_file(tree: dict[str, Any], data: st.DataObject) -> None:
    text = _Writer(data).document(tree)
    lines = key_lines(text)
    values = tomllib.loads(text)
    assert set(lines) == set(_paths(values))
    for path in lines:
        value = _at(values, path)
        if isinstance(value, int):  # each number is in the text once
            assert str(value) in text.splitlines()[lines[path] - 1]


@settings(max_examples=50, deadline=None)
@given(text=st.text("[]{}\"'=.,#\\ \nab1", max_size=30))
def test_any_text_that_is_toml_is_understood(text: str) -> None:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with suppress(ValueError):
            key_lines(text)  # ends
        return
    assert set(key_lines(text)) == set(_paths(values))


def _paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield (*path, key)
        yield from _paths(each, (*path, key))


def _at(value: Any, path: KeyPath) -> Any:
    for key in path:
        value = value[key]
    return value


class _Writer:
    """Writes a tree as TOML, in a form that is drawn: headers, dotted keys, inline tables, comments."""

    def __init__(self, data: st.DataObject) -> None:
        self._draw = data.draw
        self._count = 1000

    def document(self, tree: dict[str, Any]) -> str:
        return "".join(self._table(tree, []))

    def _table(self, tree: dict[str, Any], path: list[str]) -> Iterator[str]:
        headed = []
        for key, value in tree.items():
            if self._is_table(value) and self._either():
                headed.append((key, value))
            elif isinstance(value, dict) and value and self._either():
                for inner, each in value.items():
                    yield f"{self._key(key)} . {self._key(inner)}\t= {self._value(each)}{self._end()}"
            else:
                yield f"  {self._key(key)}={self._value(value)}{self._end()}"
        for key, value in headed:
            name = " . ".join(map(self._key, [*path, key]))
            for each in [value] if isinstance(value, dict) else value:
                yield (f"[{name}]" if isinstance(value, dict) else f"[[{name}]]") + self._end()
                yield from self._table(each, [*path, key])

    def _is_table(self, value: Any) -> bool:
        return isinstance(value, dict) or (
            isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)
        )

    def _value(self, value: Any) -> str:
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{self._key(k)} = {self._inline(v)}" for k, v in value.items()) + " }"
        if isinstance(value, list):
            space = self._draw(st.sampled_from(["", " ", "\n", " # ], }\n"]))
            return "[" + ",".join(space + self._value(each) + space for each in value) + space + "]"
        if value == "number":
            self._count += 1
            return str(self._count)
        return str(
            self._draw(
                st.sampled_from(
                    [
                        '"# ] \\" }"',
                        "'\\'",
                        '"""\n[a]\n\\"""b = 1\n"""""',
                        "'''\n]'' = '''",
                        "1979-05-27 07:32:00",
                    ]
                )
            )
        )

    def _inline(self, value: Any) -> str:
        return self._value(value)

    def _key(self, key: str) -> str:
        if re.fullmatch(r"[A-Za-z0-9_-]+", key) and self._either():
            return key
        if "'" not in key and self._either():
            return f"'{key}'"
        return json.dumps(key, ensure_ascii=self._either() and key.isascii())

    def _end(self) -> str:
        return str(self._draw(st.sampled_from(["\n", " # = [x]\n", "\n\n", "\r\n"])))

    def _either(self) -> bool:
        return bool(self._draw(st.booleans()))
