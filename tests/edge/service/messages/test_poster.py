"""Posting over a connection that stays open."""

from __future__ import annotations

import socket
import threading
from contextlib import closing

import pytest

from edgeloop.edge.service.messages.poster import Poster

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Server:
    """Answers the first request of each connection, and then closes it, or says nothing any more."""

    def __init__(self, *, hangs: bool) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.bodies: list[bytes] = []
        self._hangs, self._held = hangs, list[socket.socket]()
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/events"

    def close(self) -> None:
        self.listener.close()
        for held in self._held:
            held.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            request = b""
            while not request.endswith((b"\r\n\r\n1", b"\r\n\r\n2")):
                request += connection.recv(65536)
            self.bodies.append(request[-1:])
            connection.sendall(ANSWER)
            if self._hangs:
                self._held.append(connection)
            else:
                connection.close()


def test_a_connection_that_the_server_closed_is_opened_again() -> None:
    with closing(Server(hangs=False)) as server, closing(Poster(server.url, {}, 5.0)) as poster:
        assert [poster.post(body, {})[0] for body in (b"1", b"2")] == [200, 200]
        assert server.bodies == [b"1", b"2"]


def test_a_request_without_an_answer_in_time_is_not_made_again_at_once() -> None:
    with closing(Server(hangs=True)) as server, closing(Poster(server.url, {}, 0.2)) as poster:
        assert poster.post(b"1", {})[0] == 200
        with pytest.raises(TimeoutError):
            poster.post(b"2", {})
        assert server.bodies == [b"1"]
