"""Damaged JSON files, described in one line with the place."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError, field_validator

from edgeloop.models.errors import describe_damage


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
