"""Connection to a Ray cluster that runs already, without a word of Ray's own on the terminal."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray._private import worker as driver

from edgeloop.models.errors import UnavailableError

__all__ = ["connected"]

_CONNECT_S = 5.0
_ADVICE = "start one by `ray start --head --disable-usage-stats`, or use --workers N without --ray"


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Be connected to a cluster; a connection that this process has already is used and stays.

    Args:
        address: HOST:PORT, ray://HOST:PORT, or "auto" for the cluster that runs on this machine.

    Raises:
        UnavailableError: There is no such cluster, or it has another version of Ray or Python.
    """
    if ray.is_initialized():
        yield
        return
    place = os.environ.get("RAY_ADDRESS", address) if address == "auto" else address
    if place != "auto":
        _knock(place)
    with _handlers_kept(), _quiet_driver():
        try:
            ray.init(place, log_to_driver=False, logging_level=logging.CRITICAL)
        except Exception as error:  # of many kinds, and all are about the connection
            raise UnavailableError(f"--ray {address}: {_reason(place, error)}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Refuse at once what Ray would try to reach for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise UnavailableError(f"--ray {address}: expected HOST:PORT, ray://HOST:PORT or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise UnavailableError(
            f"--ray {address}: no Ray cluster answers there ({error}); {_ADVICE}"
        ) from error


def _reason(address: str, error: Exception) -> str:
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if address == "auto" and isinstance(error, ConnectionError):
        return f"no Ray cluster runs on this machine; {_ADVICE}"
    if isinstance(error, ImportError):
        return f"{text}; pip install 'ray[client]'"
    return f"cannot connect: {text}"


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Keep the handler of SIGTERM, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


@contextmanager
def _quiet_driver() -> Iterator[None]:
    """Leave out the thread that prints what nodes report, which `log_to_driver` does not."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    name = "listen_error_messages"
    listen = getattr(driver, name, None)
    setattr(driver, name, lambda *_: None)
    try:
        yield
    finally:
        setattr(driver, name, listen)
