"""HTTP client that posts JSON to one address over a connection that it keeps open."""

from __future__ import annotations

import re
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import quote, unquote, urlsplit

__all__ = ["Poster"]

MAX_ANSWER = 1 << 16
"""Bytes of an answer that are read; after a longer one the connection is closed."""

MAX_RETRY_AFTER_S = 600.0


class Poster:
    """Client of one address. Redirects are not followed: the headers may hold secrets."""

    def __init__(self, url: str, headers: Mapping[str, str], timeout_s: float) -> None:
        """Prepare to post.

        Args:
            url: http:// or https:// address; a user and password in it are sent as basic authentication.
            headers: Further headers.
            timeout_s: Time in seconds for one request.
        """
        parts = urlsplit(url)
        self._port = parts.port
        self._secure, self._host, self._timeout_s = parts.scheme == "https", parts.hostname or "", timeout_s
        self._target = quote(parts.path or "/", safe="%/:=&~+!$,;'@()*-._") + (
            "?" + quote(parts.query, safe="%/:=&?~+!$,;'@()*-._[]") if parts.query else ""
        )
        self._headers = {"Content-Type": "application/json", "User-Agent": "edgeloop", **headers}
        if parts.username and not any(name.lower() == "authorization" for name in headers):
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
        self._connection: HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._aborted = threading.Event()

    def post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, float]:
        """Post a body, over the connection that is open or a new one.

        Returns:
            Status of the answer, and the seconds for which it asks to wait (0 if it does not).

        Raises:
            OSError: There is no connection, or it was lost.
            HTTPException: The answer is no HTTP.
        """
        try:
            if self._connection is not None:
                with suppress(ConnectionError, HTTPException):  # the server may have closed it since
                    return self._request(self._connection, body, headers)
                self._drop()
            self._connection = self._connect()
            return self._request(self._connection, body, headers)
        except (OSError, HTTPException):
            self._drop()
            raise

    def abort(self) -> None:
        """End the request in hand, from another thread."""
        self._aborted.set()
        self._hang_up()

    def close(self) -> None:
        """Close the connection."""
        self._drop()

    def _connect(self) -> HTTPConnection:
        if self._aborted.is_set():
            raise ConnectionAbortedError("aborted")
        make = HTTPSConnection if self._secure else HTTPConnection
        return make(self._host, self._port, timeout=self._timeout_s)

    def _request(
        self, connection: HTTPConnection, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, float]:
        if connection.sock is None:
            connection.connect()
        # At its limit, as a socket has one for each piece alone, and a server may send piece after piece.
        self._socket, ends_at = connection.sock, time.monotonic() + self._timeout_s
        timer = threading.Timer(self._timeout_s, self._hang_up)
        timer.daemon = True
        timer.start()
        try:
            connection.request("POST", self._target, body, {**self._headers, **headers})
            answer = connection.getresponse()
            answer.read(MAX_ANSWER)
        except (OSError, HTTPException) as error:
            if time.monotonic() >= ends_at:
                raise TimeoutError from error
            raise
        finally:
            timer.cancel()
        if not answer.isclosed():
            self._drop()
        return answer.status, _retry_after_s(answer.getheader("Retry-After"))

    def _hang_up(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _retry_after_s(text: str | None) -> float:
    """Read a Retry-After, which is a number of seconds or a date."""
    if text is None:
        return 0.0
    if re.fullmatch(r"[0-9]{1,9}", text.strip()):
        seconds = float(text)
    else:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)
