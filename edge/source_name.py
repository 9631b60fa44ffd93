"""Names of sources: their kind, told before they are opened, and their form for people, without secrets.

User, password or token may be in any part of an address: before the host, in the path, in the query. So an
address shows its scheme and host, and the rest only if it consists of words that streams are commonly named
by. Buckets and folders of object storage are no secrets.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

__all__ = ["CAMERA", "STDIN", "hide_secrets", "is_address", "is_footage", "is_pipeline", "shown_name"]

CAMERA = re.compile(
    r"(?:(?:/dev/video)?(?P<index>[0-9]{1,4})|(?P<path>/dev/v4l/by-(?:id|path)/[^?]+))(?:\?(?P<query>.*))?"
)
"""Names of this machine's cameras, with options."""

STDIN = re.compile(r"(?:-|pipe:)(?:\?(?P<query>.*))?")
"""Names of the standard input, with options; a shell's command line cannot begin an argument with `-?`."""

_ADDRESS = re.compile(r"\s*(?P<scheme>[a-z][a-z0-9+.-]+):(?://|/)(?P<place>.*)", re.DOTALL | re.IGNORECASE)
_NETWORK = re.compile(r"\s*(?:https?|rtsps?|rtmps?|srt|udp|tcp|ftp):", re.IGNORECASE)
_HOST = re.compile(r"(?:[\w.-]*|\[[0-9a-f:.]+(?:%\w+)?\])(?::[0-9]{1,5})?", re.IGNORECASE)
_LABEL = re.compile(r"(?P<place>.*)#name=(?P<name>[\w.-]{1,40})", re.DOTALL)
_CREDENTIAL = re.compile(
    r"@|(?<![a-z])(?:user|login|pass|pwd?|token|auth|(?:api_?)?key|secret|sig)\w*[=:]", re.IGNORECASE
)
_ELEMENT = re.compile(r"[a-z][a-z0-9_]*")
_TOKEN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[-_.]")
_SEPARATORS = re.compile(r"[:/?&=#@;,!\s]+")
_HIDDEN = "***"

_STORAGE = frozenset(["abfs", "abfss", "adl", "az", "file", "gcs", "gs", "memory", "oss", "s3", "s3a"])
"""Protocols of object storage and of files, which take credentials from the environment."""

_WORDS = """
    api av avi axis back backdoor bridge cam camera cameras cams cgi ch channel channels clip dash door
    east entrance event events feed flv front frontdoor garage garden gate h hall hevc hls hook hooks
    image images img index isapi jpeg jpg kitchen left line live lobby m main mainstream media mjpeg mjpg
    mkv mov mp mpd mpeg mpg multicast north notify office onvif parking playlist porch profile realmonitor
    recording right rtsp sdp snapshot south stream streaming streams street sub substream subtype test
    track ts u ucast unicast video videos webcam webhook webhooks webm west yard
"""
_COMMON = frozenset(_WORDS.split())
"""Words that paths and queries of streams are made of, and no secret is."""

_KEYS = frozenset(("user", "username", "login", "pass", "password", "pwd", "token", "auth", "key", "secret"))
"""Names of secrets, which no message needs to be cleared of."""


def is_address(text: str) -> bool:
    """True for SCHEME://... that is no existing file."""
    return "://" in text and not os.path.lexists(text)


def is_pipeline(text: str) -> bool:
    """True for a GStreamer pipeline: ELEMENT ! ELEMENT ... that is no existing file."""
    return bool(re.search(r"\s!\s", text)) and not os.path.lexists(text)


def is_footage(text: str) -> bool:
    """True if every frame of a source counts, as far as its name tells.

    Args:
        text: As for `edgeloop.edge.sources.open_source`.

    Returns:
        True for files, folders, globs, the standard input and built-in scenes that are not live. False for
        cameras, pipelines and all addresses: whether a server has a recording is known only once it is open.
    """
    if text.startswith("synth:"):
        return not re.search(r"[?&]fps=", text)
    return not (is_address(text) or is_pipeline(text) or CAMERA.fullmatch(text))


@lru_cache(maxsize=256)
def shown_name(text: str) -> str:
    """Make the name of a source that is safe to print, to write and to name files by.

    Args:
        text: Source as the user wrote it, well-formed or not.

    Returns:
        The text itself if it is a camera, a built-in scene or an existing file, and an address of common
        words, such as `rtsp://127.0.0.1:8554/cam1`. Of other addresses, scheme and host, with stars for what
        may be secret (`rtsp://***@host/***`), or with the name that `#name=door` at the end gives them. Of a
        pipeline, its elements.
    """
    if text.startswith("synth:") or CAMERA.fullmatch(text) or STDIN.fullmatch(text):
        return text
    if os.path.lexists(text):
        return text
    if address := _ADDRESS.fullmatch(text):
        scheme, place = address["scheme"].lower(), address["place"]
        return f"{scheme}://{place if _is_folder(scheme, place) else _shown_place(place)}"
    if is_pipeline(text):
        elements = [part.split(maxsplit=1)[0] for part in text.split("!") if part.strip()]
        return " ! ".join(each if _ELEMENT.fullmatch(each) else _HIDDEN for each in elements)
    if scheme := _NETWORK.match(text):
        return f"{scheme[0].strip()}{_HIDDEN}"
    return _HIDDEN if "://" in text or _CREDENTIAL.search(text) else text


def hide_secrets(message: str, sources: Iterable[str]) -> str:
    """Clear a message of what the names of sources hide.

    Args:
        message: Any text, such as an error of another library that quotes the address.
        sources: Sources as the user wrote them, or other arguments of a command that may be addresses.

    Returns:
        The message with the shown name in place of each source, and stars in place of parts of it.
    """
    for argument in sources:
        text = argument.partition("=")[2] if argument.startswith("--") else argument
        shown = shown_name(text)
        if shown == text:
            continue
        for form in (text, repr(text)[1:-1], str(Path(text))):
            message = message.replace(form, shown)
        for part in _hidden_parts(text, shown):
            message = message.replace(part, _HIDDEN)
    return message


def _is_folder(scheme: str, place: str) -> bool:
    """True for a bucket and folder of object storage, with nothing that may be a secret."""
    named = scheme in _STORAGE and ":" not in place.partition("/")[0]
    return named and "?" not in place and not _CREDENTIAL.search(place)


def _shown_place(place: str) -> str:
    label = ""
    if named := _LABEL.fullmatch(place):
        place, label = named["place"], f"#{named['name']}"
    before, _, rest = _partition(place, "/?#")
    if "@" in rest:  # nobody can tell where the password ends
        return _HIDDEN + label
    user, _, host = before.rpartition("@")
    if not _HOST.fullmatch(host):
        return _HIDDEN + label
    shown = f"{_HIDDEN}@{host}" if user else before
    if label:
        return shown + label
    path, mark, query = _partition(rest, "?#")
    if not _is_common(path):
        return f"{shown}{rest[0]}{_HIDDEN}"
    return shown + path + mark + (query[1:] if _is_common(query[1:]) else _HIDDEN)


def _partition(text: str, marks: str) -> tuple[str, str, str]:
    """Split before the first of some characters: what is before, the character, and the rest with it."""
    found = re.search(f"[{re.escape(marks)}]", text)
    return (text, "", "") if found is None else (text[: found.start()], found[0], text[found.start() :])


def _is_common(text: str) -> bool:
    return all(map(_is_common_word, re.split(r"[/?&=#]", text)))


def _is_common_word(text: str) -> bool:
    tokens = _TOKEN.findall(text)
    return "".join(tokens) == text and all(
        token in "-_." or (token.isdecimal() and len(token) < 4) or token.lower() in _COMMON
        for token in tokens
    )


def _hidden_parts(text: str, shown: str) -> list[str]:
    """List what a source says and its shown name does not, the longest part first."""
    parts = set(_SEPARATORS.split(text))
    if user := re.search(r":/+(.*)@", text, re.DOTALL):
        parts |= {user[1], user[1].partition(":")[2]}
    parts |= {unquote(part) for part in parts}
    kept = {*_SEPARATORS.split(shown), *_KEYS}
    return sorted(
        (part for part in parts if len(part) > 2 and part not in kept and not _is_common_word(part)),
        key=lambda part: (-len(part), part),
    )
