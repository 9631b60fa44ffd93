"""Errors of a configuration: file, line, key, expected and got, and what to do."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from edgeloop.edge.service.config.toml_lines import KeyPath, key_lines, line_of
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.source_name import shown_name

__all__ = ["config_lines", "misplaced_flags", "validation_problems"]

MAX_LINES = 10
MAX_SHOWN = 60

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_FORMS = {
    "^[A-Za-z0-9_-]{1,40}$": "a name of at most 40 letters, digits, _ and -",
    "^[A-Za-z0-9_/-]{1,100}$": "at most 100 letters, digits, _, - and /",
    "^[A-Za-z0-9_/-]{0,100}$": "at most 100 letters, digits, _, - and /",
}
_EXPECTED = {
    "missing": "missing",
    "model_type": "expected a table",
    "dict_type": "expected a table",
    "tuple_type": "expected an array",
    "path_type": "expected a path in quotes",
    "string_type": "expected text in quotes",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "too_short": "expected at least one",
}


def config_lines(path: Path, text: str, problems: Iterable[tuple[KeyPath, str]]) -> list[str]:
    """Write problems of a configuration as lines, in the order of the file.

    Args:
        path: The file.
        text: Its content.
        problems: Path of a key, and a message.

    Returns:
        Lines such as "edgeloop.toml:7: cameras.door.sorce: unknown key; did you mean source?", at most ten,
        and the number of the others.
    """
    lines = key_lines(text)
    placed = sorted((line_of(lines, key), _dotted(key), message) for key, message in problems)
    shown = [f"{path}:{line}: {key}: {message}" for line, key, message in placed[:MAX_LINES]]
    return shown if len(placed) <= MAX_LINES else [*shown, f"{path}: and {len(placed) - MAX_LINES} more"]


def validation_problems(error: ValidationError, values: dict[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Describe all errors of a validation in our words, without the values of secrets.

    Args:
        error: Error of the validation of a `ServiceConfig`.
        values: The content of the file, with `${NAME}` as it is written.

    Yields:
        Path of a key, and a message.
    """
    found = error.errors(include_url=False)
    meant = {
        (*each["loc"][:-1], _nearest(each["loc"])) for each in found if each["type"] == "extra_forbidden"
    }
    for each in found:
        if each["type"] == "missing" and each["loc"] in meant:  # is there, but misspelled
            continue
        key = tuple(part for part in each["loc"] if part != "[key]")
        yield key, _message(each, values)


def misplaced_flags(value: Any, key: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Find true and false in place of a number, which pydantic takes for 1 and 0.

    Args:
        value: The content of the file, or a part of it.
        key: Path of that part.

    Yields:
        Path of a key, and a message.
    """
    if isinstance(value, dict):
        for name, each in value.items():
            yield from misplaced_flags(each, (*key, name))
    elif isinstance(value, bool) and _schema(key).get("type") in ("number", "integer"):
        yield key, f"expected a number, got {str(value).lower()}"


def _message(error: ErrorDetails, values: dict[str, Any]) -> str:
    kind, key = error["type"], error["loc"]
    if kind == "extra_forbidden":
        near, known = _nearest(key), ", ".join(_properties(key[:-1]))
        return f"unknown key; did you mean {near}?" if near else f"unknown key; expected one of {known}"
    if kind == "value_error":
        return error["msg"].removeprefix("Value error, ")
    if kind == "missing":
        about = str(_schema(key).get("description", "")).rstrip(".")
        return f"missing ({about})" if about else "missing"
    if kind == "string_pattern_mismatch":
        pattern = str(error.get("ctx", {}).get("pattern"))
        expected = f"expected {_FORMS.get(pattern, pattern)}"
    else:
        said = error["msg"].partition(", unable to")[0]
        expected = _EXPECTED.get(kind) or said.replace("Input should be", "expected")
    return expected if key[-1] == "[key]" else f"{expected}{_got(key, values)}"


def _got(key: KeyPath, values: dict[str, Any]) -> str:
    """Describe the value of a key; texts are shown only if their form is known, as that of no secret is."""
    value: Any = values
    try:
        for part in key:
            value = value[part]
    except (KeyError, IndexError, TypeError):
        return ""
    if isinstance(value, dict):
        return ", got a table"
    if isinstance(value, list):
        return ", got an array"
    node = _schema(key)
    if "writeOnly" in node or (isinstance(value, str) and not _is_plain(node)):
        return ", got text" if isinstance(value, str) else ", got something else"
    shown = json.dumps(
        shown_name(value) if isinstance(value, str) else value, ensure_ascii=False, default=str
    )
    return f", got {shown if len(shown) <= MAX_SHOWN else shown[:MAX_SHOWN] + ' ...'}"


def _is_plain(node: dict[str, Any]) -> bool:
    """True for a value with a known form, which no secret has: a number, a flag, a choice, a name."""
    return node.get("type") in ("number", "integer", "boolean") or "enum" in node or "pattern" in node


def _nearest(key: KeyPath) -> str:
    """Known key that an unknown one is most like; "" if none is."""
    return next(iter(difflib.get_close_matches(str(key[-1]), _properties(key[:-1]), n=1)), "")


def _properties(key: KeyPath) -> list[str]:
    return list(_schema(key).get("properties", ()))


def _schema(key: KeyPath) -> dict[str, Any]:
    """JSON schema of a key; {} if it is not known."""
    node = _resolved(_whole_schema())
    for part in key:
        tables = [*node.get("patternProperties", {}).values(), node.get("additionalProperties")]
        inner = node.get("properties", {}).get(part) or node.get("items" if isinstance(part, int) else "")
        node = _resolved(inner or next((each for each in tables if isinstance(each, dict)), {}))
    return node


def _resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Follow references, and the first choice of several; null, which TOML has not, is the last."""
    while "$ref" in node or "anyOf" in node:
        inner = (
            _whole_schema()["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node["anyOf"][0]
        )
        node = (
            {key: value for key, value in node.items() if key not in ("$ref", "anyOf")}
            | inner
            | ({"description": node["description"]} if "description" in node else {})
        )
    return node


@cache
def _whole_schema() -> dict[str, Any]:
    return ServiceConfig.model_json_schema()


def _dotted(key: KeyPath) -> str:
    """Write a path as in TOML, with positions of arrays in brackets."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{_quoted(part)}" for part in key)
    return "".join(parts).lstrip(".") or "file"


def _quoted(key: str) -> str:
    return key if _BARE.fullmatch(key) else json.dumps(key)
