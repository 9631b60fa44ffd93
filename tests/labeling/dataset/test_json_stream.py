"""A JSON object of long lists, written and read entry by entry."""

from __future__ import annotations

import json
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.labeling.dataset.json_stream import check_lists, open_json_stream, read_entries

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(1 - 2**63, 2**63 - 1)  # all that yajl takes
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ENTRIES = st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=5)


@pytest.mark.slow
@settings(derandomize=True, max_examples=50, deadline=None)
@given(images=ENTRIES, annotations=ENTRIES, info=VALUES)
def test_what_is_written_is_read(images: list[Any], annotations: list[Any], info: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.json")
        with open_json_stream(path, ("images", "annotations")) as stream:
            for image in images:
                stream.add("images", image)
            for annotation in annotations:
                stream.add("annotations", annotation)
            assert (stream.count("images"), stream.count("annotations")) == (len(images), len(annotations))
            stream.write(info=info)
        check_lists(path, ("images", "annotations"))
        assert list(read_entries(path, "images")) == images
        assert list(read_entries(path, "annotations")) == annotations
        whole = {"info": info, "images": images, "annotations": annotations}
        assert json.loads(path.read_text(encoding="utf-8")) == whole


@pytest.mark.parametrize("indent", [None, 3])
def test_json_of_other_programs_is_read(tmp_path: Path, indent: int | None) -> None:
    entries = [1, -22, 3.5, 4e5, "straße", [[]], {"a": "]}", "item": 2}]
    path = tmp_path / "x.json"
    document = {"item": {"list": [0]}, "list": entries, "after": {}}
    path.write_text(json.dumps(document, indent=indent, ensure_ascii=False), encoding="utf-8")
    check_lists(path, ["list"])
    assert list(read_entries(path, "list")) == entries


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param("", "beginning: parse error: premature EOF", id="nothing"),
        pytest.param("[]", "no JSON object", id="a list"),
        pytest.param("7", "no JSON object", id="a number"),
        pytest.param("{}", "list: Field required", id="no list"),
        pytest.param('{"list": {"item": 1}}', "list: expected a list", id="an object in its place"),
        pytest.param('{"list": [1], "list": [2]}', "list: given twice", id="the list twice"),
        pytest.param('{"list": [1], "list.item": 7}', "list.item: unexpected field", id="a dotted key"),
        pytest.param("{", "beginning: parse error: premature EOF", id="no key"),
        pytest.param('{"a"', "a: parse error: premature EOF", id="no colon"),
        pytest.param('{"a": 1', "a: parse error: premature EOF", id="no end"),
        pytest.param('{"list": [1', r"list\[0\]: parse error: premature EOF", id="no end of the list"),
        pytest.param('{"list": [1,]}', r"list\[0\]: parse error", id="comma after the last entry"),
        pytest.param('{"list": [1],}', r"list\[0\]: parse error: invalid object key", id="comma after all"),
        pytest.param('{"list": [1 2]}', r"list\[0\]: parse error: after array element", id="no comma"),
        pytest.param('{"list": [1, {"a": NaN}]}', r"list\[1\]: lexical error: invalid char", id="NaN"),
        pytest.param('{"a": nil}', "a: lexical error", id="a word"),
        pytest.param('{"a": "b', "a: parse error: premature EOF", id="text without end"),
        pytest.param("{1: 2}", "beginning: parse error: invalid object key", id="a key that is no text"),
        pytest.param('{"list": [1]} 2', r"list\[0\]: parse error: trailing garbage", id="more after its end"),
        pytest.param('{"list": ' + "[" * 100_000, "list: nested too deeply", id="nested without end"),
        pytest.param('{"a": ' + "9" * 5000 + "}", "a: parse error: integer overflow", id="a long number"),
        pytest.param(b'{"list": ["\xff"]}', "list: lexical error: invalid bytes in UTF8", id="no UTF-8"),
    ],
)
def test_what_is_no_object_with_the_list_is_refused(tmp_path: Path, content: str | bytes, told: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=told) as refused:
        check_lists(path, ["list"])
    assert "\n" not in str(refused.value)


def test_memory_does_not_grow_with_the_list(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"list": ["x" * 100] * 20_000}))
    tracemalloc.start()
    try:
        check_lists(path, ["list"])
        assert sum(1 for _ in read_entries(path, "list")) == 20_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 2
