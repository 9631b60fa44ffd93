"""Notifications of systemd, as sd_notify sends them."""

from __future__ import annotations

import logging
import os
import socket

__all__ = ["notify", "watchdog_s"]

log = logging.getLogger(__name__)

_SEND_S = 1.0


def notify(*lines: str) -> bool:
    """Tell systemd about the state of this service.

    Args:
        lines: Assignments, such as "READY=1".

    Returns:
        True if they were sent; False if there is no systemd (`NOTIFY_SOCKET`), or it takes none.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = f"\0{address[1:]}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(_SEND_S)
            sender.sendto("\n".join(lines).encode(), address)
    except OSError as error:
        log.debug("systemd is not told %s: %s", lines, error)
        return False
    return True


def watchdog_s() -> float | None:
    """Seconds after which systemd restarts this process without a sign of life; None for no watchdog."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        seconds = int(os.environ.get("WATCHDOG_USEC", "")) / 1e6
    except ValueError:
        return None
    return seconds if seconds > 0 else None
