from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from edgeloop.models.errors import DataError, ModelError, NoInputError
from edgeloop.models.facts.metadata_text import MAX_CLASSES, parse_literal, parse_names, read_names, shorten


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("{0: 'car', 1: \"tram\"}", {0: "car", 1: "tram"}, id="Python dict"),
        pytest.param('{"0": "car", "a": [true, null, 1.5]}', {"0": "car", "a": [True, None, 1.5]}, id="JSON"),
        pytest.param("[320, 416]", [320, 416], id="list"),
        pytest.param("(320,416)", (320, 416), id="tuple"),
        pytest.param("-1.5e-3", -0.0015, id="number"),
        pytest.param(" True\n", True, id="white space"),
        pytest.param(r"'it\'s'", "it's", id="escaped quote"),
        pytest.param(r"'\d'", r"\d", id="stray backslash"),
    ],
)
def test_reads_literals(text: str, value: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse_literal(text, "x") == value


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("__import__('os').system('true')", id="a call"),
        pytest.param("1 + 1", id="an operator"),
        pytest.param("-" * 100_000 + "1", id="a tower of signs"),
        pytest.param("[" * 100_000, id="a tower of brackets"),
        pytest.param("[[[[[[[1]]]]]]]", id="seven levels"),
        pytest.param("[1", id="not closed"),
        pytest.param("[1](2)", id="a call on a list"),
        pytest.param("'a' 'b' 3", id="two values"),
        pytest.param("9" * 5000, id="a giant number"),
        pytest.param("'" + "x" * (1 << 20) + "'", id="a giant text"),
        pytest.param("f'{1}'", id="a format string"),
        pytest.param("[x for x in [1]]", id="a comprehension"),
        pytest.param("\x1b[31m", id="terminal control"),
        pytest.param("{[]: 1}", id="a key that cannot be one"),
    ],
)
def test_refuses_anything_else(text: str) -> None:
    with pytest.raises(ModelError, match=r"^metadata 'names': ") as refused:
        parse_literal(text, "names")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("{0: 'car', 1: 'tram'}", ("car", "tram"), id="as Ultralytics writes"),
        pytest.param('{"1": "tram", "0": "car"}', ("car", "tram"), id="JSON, out of order"),
        pytest.param("['car', 'tram']", ("car", "tram"), id="list"),
        pytest.param(
            "{0: '\u06a9\u062a\u0627\u0628\u200c\u0647\u0627'}",
            ("\u06a9\u062a\u0627\u0628\u200c\u0647\u0627",),
            id="Persian with a joiner",
        ),
    ],
)
def test_reads_names(text: str, names: tuple[str, ...]) -> None:
    assert parse_names(text) == names


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{0: 'car', 2: 'tram'}", id="a gap"),
        pytest.param("{-1: 'car', 0: 'tram'}", id="a negative number"),
        pytest.param("{0: 'car', '0': 'tram'}", id="a number twice"),
        pytest.param("{}", id="none"),
        pytest.param("'car'", id="text"),
        pytest.param("{0: 5}", id="a number for a name"),
        pytest.param("{0: ''}", id="an empty name"),
        pytest.param("{0: 'a\\x1b[2J'}", id="terminal control"),
        pytest.param("{0: 'a\\u202eb'}", id="reversed text"),
        pytest.param("{0: '" + "x" * 201 + "'}", id="a name too long"),
        pytest.param(str(["x"] * (MAX_CLASSES + 1)), id="too many"),
    ],
)
def test_refuses_names(text: str) -> None:
    with pytest.raises(ModelError, match=r"^metadata 'names': ") as refused:
        parse_names(text)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("content", "names"),
    [
        pytest.param(b"car\ntram\n", ("car", "tram"), id="lines"),
        pytest.param(b"\xef\xbb\xbfcar\r\ntram\r\n\r\n", ("car", "tram"), id="from Windows"),
        pytest.param("Fußgänger".encode(), ("Fußgänger",), id="UTF-8"),
    ],
)
def test_reads_a_file_of_names(tmp_path: Path, content: bytes, names: tuple[str, ...]) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    assert read_names(path) == names


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"car\n\ntram\n", id="a line without a name"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
        pytest.param(b"x" * (1 << 20) + b"x", id="too long"),
    ],
)
def test_refuses_a_file_of_names(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"names.txt: "):
        read_names(path)


def test_a_missing_file_of_names(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"no.txt: cannot read the class names"):
        read_names(tmp_path / "no.txt")


def test_shorten() -> None:
    assert shorten("car") == "car"
    assert len(shorten("x" * 500)) == 60
    assert shorten("a\x1bb") == r"'a\x1bb'"
