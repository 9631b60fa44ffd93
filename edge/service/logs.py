"""Log of the service on stderr: JSON lines or text, without the secrets of the configuration.

    log.warning("camera %s: %s", name, reason, extra={"event": "camera-lost", "camera": name})

Of `extra`, these are written: `event`, a name for machines that stays if the words change, `camera`, `model`
and `part`. Messages that begin with "camera %s" or "model %s" need not repeat that name. A failure that
lasts is logged once when it begins and once when it is over.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from edgeloop.edge.service.secret_filter import secret_filter
from edgeloop.edge.service.service_config import ServiceConfig

__all__ = ["start_log"]

KEYS = ("event", "camera", "model", "part")
"""Keys of `extra` that are written."""

_JOURNAL_LEVELS = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}

_BEGINNING = re.compile(r"(camera|model) %s")

log = logging.getLogger(__name__)


def start_log(config: ServiceConfig) -> None:
    """Write the messages of edgeloop and the warnings of libraries to stderr, each once."""
    handler = _Stderr(sys.stderr)
    as_line = _json_line if config.log.format == "json" else _text_line
    handler.setFormatter(_Lines(as_line, secret_filter(config)))
    root, own = logging.getLogger(), logging.getLogger("edgeloop")
    own.handlers.clear()  # that of the command line
    own.setLevel(config.log.level.upper())
    root.handlers[:] = [each for each in root.handlers if not isinstance(each, _Stderr)] + [handler]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    threading.excepthook = _log_end_of_thread


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]  # not generic at run time
    """Handler that a later `start_log` replaces."""


class _Lines(logging.Formatter):
    def __init__(self, as_line: Callable[[dict[str, str]], str], hide: Callable[[str], str]) -> None:
        super().__init__()
        self._as_line, self._hide = as_line, hide
        self._to_journal = _is_journal()

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = {"time": time.replace("+00:00", "Z"), "level": record.levelname.lower()}
        fields |= _subject(record)
        fields |= {key: str(record.__dict__[key]) for key in KEYS if key in record.__dict__}
        fields |= {"logger": record.name, "message": self._hide(record.getMessage())}
        if record.exc_info and (error := record.exc_info[1]) is not None:
            fields["error"] = self._hide(_in_one_line(error))
            if os.environ.get("EDGELOOP_DEBUG"):
                fields["traceback"] = self._hide("".join(traceback.format_exception(error)))
        line = self._as_line(fields)
        return f"<{_JOURNAL_LEVELS.get(record.levelname, 6)}>{line}" if self._to_journal else line


def _subject(record: logging.LogRecord) -> dict[str, str]:
    """Name the camera or model with which a message begins."""
    found = _BEGINNING.match(str(record.msg))
    return {found[1]: str(record.args[0])} if found and isinstance(record.args, tuple) and record.args else {}


def _json_line(fields: dict[str, str]) -> str:
    return json.dumps(fields, ensure_ascii=False)


def _text_line(fields: dict[str, str]) -> str:
    shown = f"{fields['message']}: {fields['error']}" if "error" in fields else fields["message"]
    shown = "".join(sign if sign.isprintable() else " " for sign in shown)
    line = f"{fields['time']} {fields['level'].upper():<7} {shown}"
    return f"{line}\n{fields['traceback']}" if "traceback" in fields else line


def _in_one_line(error: BaseException) -> str:
    """Describe an error by its class, its message and its place in the code."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{place}"


def _is_journal() -> bool:
    """True if systemd's journal reads stderr; it takes the level of a line from its prefix."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):  # closed, or no file
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    name = ended.thread.name if ended.thread else "unknown"
    if ended.exc_value is not None and not issubclass(ended.exc_type, SystemExit):
        error = ended.exc_value
        log.error("thread %s ended", name, exc_info=error, extra={"event": "thread-ended", "part": name})
