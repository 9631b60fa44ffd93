"""Configuration file of the service: TOML, with secrets from the environment or from files."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError

from edgeloop.edge.service.config.config_conflicts import config_conflicts, config_doubts
from edgeloop.edge.service.config.config_error import config_lines, misplaced_flags, validation_problems
from edgeloop.edge.service.config.toml_lines import KeyPath
from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.source_name import shown_name
from edgeloop.models.errors import DataError, NoInputError

__all__ = ["config_warnings", "read_config"]

MAX_BYTES = 1 << 20
MAX_SECRET_BYTES = 1 << 16

_REFERENCE = re.compile(r"(\$?)\$\{([^}]*)\}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LINE = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL)


def read_config(path: Path) -> ServiceConfig:
    """Read a configuration. Relative paths in it are from its folder.

    Args:
        path: TOML file. In its texts, `${NAME}` is the environment variable of that name, `${file:PATH}` the
            content of a file without its last line break, and `$${` the characters `${`.

    Returns:
        The configuration.

    Raises:
        NoInputError: There is no such file.
        DataError: It is no TOML, something that it refers to is not there, or values are not as expected. The
            message has a line for each fault.
    """
    text = _read_text(path)
    try:
        raw = _parse(path, text)
        reader = _References(path.parent)
        values = reader.expand(raw, ())
        problems = [*reader.problems, *misplaced_flags(raw)]
        unread = {key for key, _ in problems}
        try:
            config = ServiceConfig.model_validate(values, context=path.parent)
            problems += [] if problems else config_conflicts(config)
        except ValidationError as error:
            problems += [each for each in validation_problems(error, raw) if each[0] not in unread]
        if problems:
            raise DataError("\n".join(config_lines(path, text, problems)))
    except RecursionError as error:
        raise DataError(f"{path}: is nested too deeply") from error
    return config


def config_warnings(path: Path, config: ServiceConfig) -> list[str]:
    """List what is hardly meant in a configuration, and secrets that others can read.

    Args:
        path: The file.
        config: Its content, as `read_config` returned it.

    Returns:
        Lines without secrets.
    """
    text = _read_text(path)
    problems = list(config_doubts(config))
    if path.stat().st_mode & stat.S_IROTH:
        clear = next(_clear_secrets(config, _parse(path, text), ()), None)
        if clear is not None:
            problems.append(
                (clear, f"a secret in clear text in a file that everybody can read; chmod o-r {path}")
            )
    return config_lines(path, text, problems)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise NoInputError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > MAX_BYTES:
        raise DataError(f"{path}: expected at most {MAX_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")  # editors on Windows write a byte order mark
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: is not text in UTF-8 ({error.reason})") from error


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # also a number of thousands of digits
        said, line = str(error), 1
        if found := _LINE.fullmatch(said):
            said, line = found[1], int(found[2] or text.count("\n") + 1)
        raise DataError(f"{path}:{line}: is no TOML: {said}") from error


class _References:
    """Puts the values of variables and files into texts.

    Attributes:
        problems: Path of a key, and message, for each reference that leads nowhere.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.problems: list[tuple[KeyPath, str]] = []

    def expand(self, value: Any, key: KeyPath) -> Any:
        if isinstance(value, dict):
            return {name: self.expand(each, (*key, name)) for name, each in value.items()}
        if isinstance(value, list):
            return [self.expand(each, (*key, number)) for number, each in enumerate(value)]
        if not isinstance(value, str):
            return value
        try:
            return _REFERENCE.sub(self._replacement, value)
        except ValueError as error:
            self.problems.append((key, str(error)))
            return value

    def _replacement(self, found: re.Match[str]) -> str:
        escape, name = found.groups()
        if escape:
            return found[0][1:]
        if name.startswith("file:"):
            return self._secret_file(name.removeprefix("file:"))
        if not _VARIABLE.fullmatch(name):
            raise ValueError("expected ${NAME} or ${file:PATH}; $${ is for the characters themselves")
        if name not in os.environ:
            raise ValueError(f"${{{name}}} is not set in the environment")
        return os.environ[name]

    def _secret_file(self, name: str) -> str:
        path = self._folder / name
        try:
            if not path.is_file():
                raise ValueError(f"${{file:{name}}}: no such file")
            with path.open("rb") as file:
                content = file.read(MAX_SECRET_BYTES + 1)
        except OSError as error:
            raise ValueError(f"${{file:{name}}}: cannot be read ({error.strerror})") from error
        if len(content) > MAX_SECRET_BYTES:
            raise ValueError(f"${{file:{name}}}: expected at most {MAX_SECRET_BYTES} bytes")
        try:
            return content.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:  # its text quotes the content
            raise ValueError(f"${{file:{name}}}: is not text in UTF-8") from None


def _clear_secrets(value: object, raw: Any, key: KeyPath) -> Iterator[KeyPath]:
    """Find the secrets that are written in the file itself."""
    if isinstance(raw, str):
        is_secret = isinstance(value, SecretStr) or "://***@" in shown_name(raw)
        if is_secret and not any(not found[1] for found in _REFERENCE.finditer(raw)):
            yield key
    elif isinstance(raw, dict):
        for name, each in raw.items():
            inner = getattr(value, name, None) if isinstance(value, BaseModel) else _item(value, name)
            yield from _clear_secrets(inner, each, (*key, name))
    elif isinstance(raw, list):
        for number, each in enumerate(raw):
            yield from _clear_secrets(_item(value, number), each, (*key, number))


def _item(value: object, key: str | int) -> object:
    return value[key] if isinstance(value, dict | tuple) else None  # type: ignore[index]
