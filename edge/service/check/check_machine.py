"""Checks of the machine: state folder, port, clock, and the hosts of webhooks."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from edgeloop.edge.host.disk_space import free_mb
from edgeloop.edge.host.folder_lock import locked_folder
from edgeloop.edge.service.service_config import ServiceConfig, WebConfig, WebhookConfig
from edgeloop.edge.source_name import shown_name
from edgeloop.edge.web.server import open_port
from edgeloop.models.errors import DataError, UnavailableError

__all__ = ["check_clock", "check_port", "check_state", "check_webhook"]

TIMEOUT_S = 5.0

OLDEST = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
"""A clock that shows an earlier time was not set since the machine lost power."""


def check_state(config: ServiceConfig) -> str:
    """Write into the folders of state, clips and the ring, and look at the space of their disks.

    Raises:
        UnavailableError: One cannot be written, or its disk is too full.
    """
    needed = config.health.free_mb
    text = f"{config.state}: {_free_mb(config.state, needed):.0f} MB are free"
    for section in (config.clips, config.ring):
        if section is not None and (folder := section.folder) is not None:
            text += f"; {folder}: {_free_mb(folder, needed):.0f} MB are free"
    if config.clips is not None:
        text += f"; clips may take {config.clips.budget_mb:g} MB"
    if config.ring is not None:
        text += f"; the ring may take {config.ring.megabytes:g} MB"
    return text


def _free_mb(folder: Path, needed: float) -> float:
    """Space in MB on the disk of a folder that can be written."""
    try:
        there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        if there == folder:
            tempfile.TemporaryFile(dir=folder).close()
        elif not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        free = free_mb(folder)
    except OSError as error:
        raise UnavailableError(
            f"{folder}: cannot be written ({error.strerror}); name a folder that this user may write"
        ) from error
    if free < needed:
        raise UnavailableError(f"{folder}: {free:.0f} MB are free, health.free_mb asks for {needed:g}")
    return free


def check_port(web: WebConfig, state: Path) -> str:
    """Listen on the port of the page for a moment.

    Raises:
        UnavailableError: The port is taken or may not be used, or the address is none of this machine.
    """
    place = f"{web.host}:{web.port}"
    try:
        open_port(web.host, web.port, "web.port").close()
    except UnavailableError as error:
        is_taken = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE
        if is_taken and _is_in_use(state):
            return f"{place} is in use by the running service"
        raise
    return f"{place} is free"


def check_clock() -> str:
    """Compare the clock of this machine with the age of this program.

    Raises:
        UnavailableError: It was never set.
    """
    now = time.time()
    shown = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M UTC")
    if now < OLDEST:
        raise UnavailableError(f"{shown}: was not set; timedatectl set-ntp true")
    return shown


def check_webhook(hook: WebhookConfig) -> str:
    """Connect to the host of a webhook. Nothing is posted.

    Raises:
        UnavailableError: Nobody answers, or its certificate is not trusted.
    """
    url = hook.url.get_secret_value()
    parts, shown = urlsplit(url), shown_name(url)
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    try:
        with ExitStack() as opened:
            link = socket.create_connection((host, parts.port or (443 if is_tls else 80)), TIMEOUT_S)
            opened.enter_context(link)
            if is_tls:
                opened.enter_context(ssl.create_default_context().wrap_socket(link, server_hostname=host))
    except ssl.SSLCertVerificationError as error:
        raise UnavailableError(f"{shown}: its certificate is not trusted ({error.verify_message})") from error
    except (OSError, ValueError) as error:  # ValueError: a name that cannot be one
        reason = getattr(error, "strerror", None) or error
        raise UnavailableError(f"{shown}: nobody answers ({reason}); is the address right?") from error
    return f"{shown} answers"


def _is_in_use(state: Path) -> bool:
    """True if a service runs on a state folder."""
    try:
        with locked_folder(state, ""):
            return False
    except DataError:
        return True
    except OSError:
        return False
