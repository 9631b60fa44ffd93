"""Configuration file of the service: TOML, with secrets from the environment."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.models.errors import DataError, NoInputError, first_validation_error

__all__ = ["read_config"]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def read_config(path: Path) -> ServiceConfig:
    """Read a configuration. Relative paths in it are those from its folder.

    Args:
        path: TOML file; `${NAME}` in its strings is the environment variable of that name.

    Returns:
        The configuration.

    Raises:
        NoInputError: There is no such file.
        DataError: It is no TOML, a variable is not set, or a value is not as expected.
    """
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise NoInputError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path}: is no TOML: {error}") from error
    try:
        config = ServiceConfig.model_validate(_expand(values, path))
    except ValidationError as error:
        raise DataError(f"{path}: {first_validation_error(error, 'file')}") from error
    return config


def _expand(value: Any, path: Path) -> Any:
    if isinstance(value, dict):
        return {key: _expand(each, path) for key, each in value.items()}
    if isinstance(value, list):
        return [_expand(each, path) for each in value]
    return _VARIABLE.sub(lambda found: _variable(found[1], path), value) if isinstance(value, str) else value


def _variable(name: str, path: Path) -> str:
    try:
        return os.environ[name]
    except KeyError:
        raise DataError(f"{path}: ${{{name}}} is not set in the environment") from None
