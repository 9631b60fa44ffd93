"""Parser of untrusted text in the metadata of a model file.

Ultralytics stores Python literals (`{0: 'car'}`), other tools JSON. Both are read by one narrow grammar with
limits on size and nesting, so that no operator ever reaches an evaluator.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from edgeloop.models.errors import DataError, ModelError, NoInputError

__all__ = ["MAX_CLASSES", "checked_name", "parse_literal", "parse_names", "read_names", "shorten"]

MAX_TEXT = 1 << 20
MAX_DEPTH = 6
MAX_CLASSES = 20_000
MAX_NAME = 200
_LONG_NUMBER = 10  # digits; int() refuses thousands of them with an error of its own

_TOKEN = re.compile(
    r"""\s+ | [\[{(] | [\]})] | [,:]
    | '(?:[^'\\\n]|\\.)*' | "(?:[^"\\\n]|\\.)*"
    | -?\d+(?:\.\d*)?(?:[eE][-+]?\d+)? | True|False|None|true|false|null""",
    re.VERBOSE,
)
_JSON_WORDS = {"true": "True", "false": "False", "null": "None"}
_JOINERS = str.maketrans("", "", "\u200c\u200d")


def parse_literal(text: str, what: str) -> object:
    """Parse a Python or JSON literal.

    Args:
        text: The literal.
        what: Metadata key, for errors.

    Returns:
        Numbers, strings, True, False, None, and dicts, lists, tuples and sets of these.

    Raises:
        ModelError: The text is too long, nested too deeply or no literal.
    """
    if len(text) > MAX_TEXT:
        raise ModelError(f"metadata '{what}': {len(text)} characters, expected at most {MAX_TEXT}")
    tokens: list[str] = []
    position = depth = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ModelError(f"metadata '{what}': expected a literal, got {shorten(text)}")
        depth += (token[0] in "[{(") - (token[0] in "]})")
        if depth > MAX_DEPTH:
            raise ModelError(f"metadata '{what}': nested deeper than {MAX_DEPTH} levels")
        tokens.append(_JSON_WORDS.get(token[0], token[0]))
        position = token.end()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a stray backslash in a string
            value: object = ast.literal_eval("".join(tokens).strip())
    except (ValueError, SyntaxError, TypeError) as error:
        raise ModelError(f"metadata '{what}': expected a literal, got {shorten(text)}") from error
    return value


def parse_names(text: str) -> tuple[str, ...]:
    """Parse class names from metadata.

    Args:
        text: Literal `{0: 'car', 1: 'tram'}` or `['car', 'tram']`.

    Returns:
        Class names by class number.

    Raises:
        ModelError: The numbers have gaps, or a name is not printable.
    """
    value = parse_literal(text, "names")
    if isinstance(value, dict):
        # JSON has no integer keys, so "0" counts as 0.
        by_number = {
            int(k) if isinstance(k, str) and k.isdecimal() and len(k) < _LONG_NUMBER else k: name
            for k, name in value.items()
        }
        if by_number.keys() != set(range(len(value))):
            raise ModelError(
                f"metadata 'names': expected the keys 0 to {len(value) - 1}, got {shorten(text)}"
            )
        value = [by_number[number] for number in range(len(by_number))]
    if not isinstance(value, list | tuple):
        raise ModelError(f"metadata 'names': expected names by number, got {shorten(text)}")
    try:
        return _checked_names(value)
    except ValueError as error:
        raise ModelError(f"metadata 'names': {error}") from error


def read_names(path: Path) -> tuple[str, ...]:
    """Read a file of class names, one per line.

    Args:
        path: UTF-8 text file.

    Returns:
        Class names by class number; empty lines at the end are ignored.

    Raises:
        NoInputError: The file cannot be read.
        DataError: The file is not a list of class names.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEXT + 1)
    except OSError as error:
        raise NoInputError(f"{path}: cannot read the class names ({error.strerror})") from error
    if len(data) > MAX_TEXT:
        raise DataError(f"{path}: too long for a list of class names, expected at most {MAX_TEXT} bytes")
    try:
        return _checked_names([line.strip() for line in data.decode("utf-8-sig").rstrip().splitlines()])
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8 text, one class name a line") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}; expected one class name a line") from error


def checked_name(name: str) -> str:
    """Return a class name, or raise ValueError if it is empty, too long or not printable."""
    # Names reach terminals and file names, which control characters would corrupt. The two joiners, which
    # Persian and several scripts of India need inside words, count as printable here.
    if not 1 <= len(name) <= MAX_NAME or not name.translate(_JOINERS).isprintable():
        raise ValueError(f"class name {shorten(repr(name))}: expected 1 to {MAX_NAME} printable characters")
    return name


def shorten(text: str, length: int = 60) -> str:
    """Shorten untrusted text to at most `length` characters on one line, printable."""
    text = text if len(text) <= length else f"{text[: length - 3]}..."
    return text if text.isprintable() else repr(text)


def _checked_names(names: Sequence[object]) -> tuple[str, ...]:
    if not 1 <= len(names) <= MAX_CLASSES:
        raise ValueError(f"{len(names)} class names, expected 1 to {MAX_CLASSES}")
    checked = []
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"class name {shorten(repr(name))}: expected text")
        checked.append(checked_name(name))
    return tuple(checked)
