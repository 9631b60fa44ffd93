"""Damaged JSON files, described in one line with the place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError, field_validator

from edgeloop.models.errors import DataError, describe_damage
from edgeloop.models.json_file import read_json


class Inner(BaseModel):
    sides: tuple[int, int]


class File(BaseModel, extra="forbid"):
    inner: Inner | None = None
    name: str = ""

    @field_validator("name")
    @classmethod
    def _check(cls, value: str) -> str:
        if value == "bad":
            raise ValueError("expected another name")
        return value


@pytest.mark.parametrize(
    ("content", "line", "told"),
    [
        pytest.param(b"", None, "f:1:0: no JSON (EOF while parsing a value)", id="empty"),
        pytest.param(b'{\n "name": x}', None, "f:2:10: no JSON (expected value)", id="no value"),
        pytest.param(b'{"name": "a"', None, "f:1:12: no JSON (EOF while parsing an object)", id="cut off"),
        pytest.param(b'{"name": "a"', 7, "f:7:12: no JSON (EOF while parsing an object)", id="of a line"),
        pytest.param(b"[]", None, "f: Input should be an object", id="a list"),
        pytest.param(b"[]", 7, "f:7: Input should be an object", id="a list in a line"),
        pytest.param(
            b'{"inner": {"sides": [1, ""]}}', None, "f: inner.sides.1: Input should be", id="a field"
        ),
        pytest.param(b'{"inner": {}}', 7, "f:7: inner.sides: Field required", id="missing in a line"),
        pytest.param(b'{"names": 1}', None, "f: names: unknown field", id="unknown field"),
        pytest.param(b'{"name": "bad"}', None, "f: name: expected another name", id="a check of ours"),
    ],
)
def test_the_place_is_named(content: bytes, line: int | None, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        File.model_validate_json(content)
    said = describe_damage("f", caught.value, line=line)
    assert said.startswith(told)
    assert "\n" not in said


def test_a_file_is_read_and_none_is_none(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    assert read_json(path, File, "remove it") is None
    path.write_text('{"name": "good"}')
    assert read_json(path, File, "remove it") == File(name="good")
    assert read_json(path / "run.json", File, "remove it") is None


@pytest.mark.parametrize(
    ("write", "told"),
    [
        pytest.param(lambda path: path.mkdir(), ": cannot be read (Is a directory)", id="a folder"),
        pytest.param(
            lambda path: path.write_text("{"),
            ":1:1: no JSON (EOF while parsing an object); remove it",
            id="cut off",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, write: Callable[[Path], object], told: str) -> None:
    path = tmp_path / "f.json"
    write(path)
    with pytest.raises(DataError) as refused:
        read_json(path, File, "remove it")
    assert str(refused.value) == f"{path}{told}"
