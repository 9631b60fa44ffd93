"""Removal of the secrets of a configuration from texts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from urllib.parse import quote

from pydantic import BaseModel, SecretStr

from edgeloop.edge.service.service_config import ServiceConfig
from edgeloop.edge.source_name import hide_secrets, is_address

__all__ = ["secret_filter"]

HIDDEN = "***"
MIN_WORD = 8
"""Minimum length of a word of a secret that is hidden also alone, such as that of "Bearer WORD"."""


def secret_filter(config: ServiceConfig) -> Callable[[str], str]:
    """Make a function that clears a text of all secrets of a configuration.

    Args:
        config: The configuration.

    Returns:
        Function that puts stars in place of each secret, also if it is quoted as in an address or in JSON,
        and the shown name in place of each address of a camera or webhook.
    """
    secrets = {secret for secret in _secrets(config) if secret}
    addresses = {secret for secret in secrets if is_address(secret)}
    words = secrets - addresses
    words |= {word for secret in words for word in secret.split() if len(word) >= MIN_WORD}
    forms = {form for word in words for form in _forms(word)}
    pattern = re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True))) or "(?!)")
    sources = [*addresses, *(camera.source for camera in config.cameras.values())]
    return lambda text: pattern.sub(HIDDEN, hide_secrets(text, sources))


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        yield from _secrets(list(value.__dict__.values()))
    elif isinstance(value, dict):
        yield from _secrets(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _secrets(each)


def _forms(secret: str) -> tuple[str, ...]:
    """List a secret as it is, and as it is in an address, in Python and in JSON."""
    in_json = (json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True))
    return secret, quote(secret, safe=""), repr(secret)[1:-1], *in_json
