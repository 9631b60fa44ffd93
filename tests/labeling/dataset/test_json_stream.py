from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from edgeloop.labeling.dataset import json_stream as open_json_stream
from edgeloop.labeling.dataset.json_stream import read_entries

DOCUMENT: dict[str, Any] = {
    "info": {"digest": "x", "nested": [[1, 2], {"a": "]}"}]},
    "images": [{"id": 1, "name": 'a "quoted" [name], {braces}'}, {"id": 22222, "size": [640, 480]}],
    "empty": [],
    "numbers": [1, -22, 3.5, 4e5, 6666666],
    "ünïcode": "straße",
    "last": 1234567,
}
ENTRIES = [
    (("info",), DOCUMENT["info"]),
    (("images",), []),
    *((("images", number), entry) for number, entry in enumerate(DOCUMENT["images"])),
    (("empty",), []),
    (("numbers",), []),
    *((("numbers", number), entry) for number, entry in enumerate(DOCUMENT["numbers"])),
    (("ünïcode",), "straße"),
    (("last",), 1234567),
]


@pytest.mark.parametrize("characters", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("indent", [None, 0, 3])
def test_reads_what_json_reads_wherever_the_parts_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, characters: int, indent: int | None
) -> None:
    monkeypatch.setattr(open_json_stream, "_CHUNK", characters)
    path = tmp_path / "x.json"
    path.write_text(json.dumps(DOCUMENT, indent=indent, ensure_ascii=False), encoding="utf-8")
    assert list(read_entries(path)) == ENTRIES


def test_an_empty_object(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(" { } \n")
    assert list(read_entries(path)) == []


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="nothing"),
        pytest.param("[]", id="a list"),
        pytest.param("7", id="a number"),
        pytest.param("{", id="no key"),
        pytest.param('{"a"', id="no colon"),
        pytest.param('{"a":', id="no value"),
        pytest.param('{"a": 1', id="no end"),
        pytest.param('{"a": [', id="no entry"),
        pytest.param('{"a": [1', id="no end of the list"),
        pytest.param('{"a": [1,]}', id="comma after the last entry"),
        pytest.param('{"a": 1,}', id="comma after the last key"),
        pytest.param('{"a": [1 2]}', id="no comma"),
        pytest.param('{"a": [1x]}', id="no number"),
        pytest.param('{"a": nil}', id="a word"),
        pytest.param('{"a": "b', id="text without end"),
        pytest.param("{1: 2}", id="a key that is no text"),
        pytest.param('{"a": 1} 2', id="more after its end"),
        pytest.param('{"a": [' + "[" * 100_000, id="nested without end"),
        pytest.param('{"a": ' + "9" * 5000 + "}", id="a number without end"),
    ],
)
def test_what_is_no_object_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(ValueError):
        list(read_entries(path))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ValueError):
        list(read_entries(path))


def test_memory_does_not_grow_with_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_json_stream, "_CHUNK", 10_000)
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"list": ["x" * 100] * 20_000}))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_entries(path)) == 20_001
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 10
