"""Log of the service on stderr: JSON lines or text."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from edgeloop.edge.service.service_config import LogConfig

__all__ = ["start_log"]


def start_log(config: LogConfig) -> None:
    """Write what edgeloop logs to stderr, and nothing twice."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _JsonLines() if config.format == "json" else logging.Formatter("%(levelname)s %(message)s")
    )
    logger = logging.getLogger("edgeloop")
    logger.handlers[:] = [handler]
    logger.setLevel(config.level.upper())


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(line, ensure_ascii=False)
