"""Local web page for the answers of a person; it serves the sample and nothing else."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Annotated, Literal

import cv2
import numpy as np
from annotated_types import Ge, Len
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from edgeloop.labeling.audit.answers import AnswerBook, Point
from edgeloop.labeling.audit.pictures import render_box, render_frame
from edgeloop.labeling.audit.sample import Sample
from edgeloop.models.errors import EdgeloopError, UnavailableError, first_validation_error

__all__ = ["Page"]

_ADDRESS = "127.0.0.1"
_MAX_BYTES = 64 * 1024
_TIMEOUT_S = 30.0
_BOX_SIDE_PX = 720
_HEADERS = {
    # Inline, because the page is one file.
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; connect-src 'self'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _BoxAnswer(_Strict):
    kind: Literal["box"]
    index: Annotated[int, Ge(0)]
    right: bool


class _FrameAnswer(_Strict):
    kind: Literal["frame"]
    index: Annotated[int, Ge(0)]
    missed: Annotated[tuple[Point, ...], Len(0, 1000)]


class _Done(_Strict):
    kind: Literal["done"]


_Message = TypeAdapter[_BoxAnswer | _FrameAnswer | _Done](
    Annotated[_BoxAnswer | _FrameAnswer | _Done, Field(discriminator="kind")]
)


class _RefusedError(Exception):
    """A refused request: its status and one line."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Page:
    """Serves the sample and receives the answers, until everything is answered or Done is pressed.

    It listens on 127.0.0.1 only, and requests must name it as their host (a foreign name that resolves to
    this machine is refused). The address holds a random key against other users of this machine and other
    pages in the browser. It serves no files: only the page, the state, and images by number.
    """

    def __init__(self, sample: Sample, book: AnswerBook, summary: Callable[[], list[str]], port: int) -> None:
        """Open the port, or any that is free for 0.

        `summary` gives the figures so far as lines of text, shown when the audit ends.

        Raises:
            UnavailableError: The port is taken or may not be used.
        """
        self.sample, self.book, self.summary = sample, book, summary
        self.ended = threading.Event()
        self.picture = lru_cache(maxsize=16)(self._picture)
        try:
            self._server = _Server((_ADDRESS, port), _Handler)
        except OSError as error:
            raise UnavailableError(
                f"port {port}: cannot be listened on ({error.strerror}); name another with --port"
            ) from error
        self._server.page = self
        self.port: int = self._server.server_address[1]
        self.key = secrets.token_urlsafe(16)
        self.hosts = frozenset({f"{_ADDRESS}:{self.port}", f"localhost:{self.port}"})

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{_ADDRESS}:{self.port}/{self.key}/"

    def serve(self) -> None:
        """Answer requests until the audit has ended; KeyboardInterrupt reaches the caller."""
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        try:
            self.ended.wait()
        finally:
            self._server.shutdown()
            self._server.server_close()

    def state(self) -> dict[str, object]:
        """Build the state of the page; without scores, which would bias the person."""
        answers = self.book.answers
        return {
            "dataset": self.sample.dataset.name,
            "boxes": [self.sample.names[box.class_id] for box in self.sample.boxes],
            "frames": [{"width": frame.width, "height": frame.height} for frame in self.sample.frames],
            "classes": list(self.sample.names),
            "answers": {"boxes": answers.boxes, "frames": answers.frames},
        }

    def receive(self, message: bytes) -> dict[str, object]:
        """Handle a JSON message, save its answer, and return `ended`, with the figures if True."""
        try:
            said = _Message.validate_json(message)
            if isinstance(said, _BoxAnswer):
                self.book.answer_box(said.index, said.right)
            elif isinstance(said, _FrameAnswer):
                self._check_points(said)
                self.book.answer_frame(said.index, said.missed)
        except ValidationError as error:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, first_validation_error(error, "message")) from error
        except IndexError as error:
            raise _RefusedError(HTTPStatus.CONFLICT, str(error)) from error
        ended = isinstance(said, _Done) or self.book.complete
        return {"ended": ended, "summary": self.summary() if ended else []}

    def _check_points(self, answer: _FrameAnswer) -> None:
        if answer.index >= len(self.sample.frames):
            raise IndexError(f"frame {answer.index}: there are only {len(self.sample.frames)}")
        frame = self.sample.frames[answer.index]
        if any(x > frame.width or y > frame.height for x, y in answer.missed):
            raise _RefusedError(
                HTTPStatus.BAD_REQUEST, f"missed: outside the frame of {frame.width}x{frame.height}"
            )

    def _picture(self, kind: str, index: int, drawn: bool) -> bytes:
        if kind == "box":
            return _jpeg(render_box(self.sample.boxes[index], _BOX_SIDE_PX, drawn=drawn))
        return _jpeg(render_frame(self.sample.frames[index], self.sample.names, drawn=drawn))


class _Server(ThreadingHTTPServer):
    # Threads, because browsers open idle connections ahead of time.
    daemon_threads = True
    page: Page

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore browsers that close a connection early."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "edgeloop"
    sys_version = ""
    timeout = _TIMEOUT_S

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing to the terminal."""

    def _answer(self, make: Callable[[str], tuple[str, bytes]]) -> None:
        """Send the media type and body that `make` gives for the path behind the key."""
        try:
            kind, body = make(self._path_behind_key())
            status = HTTPStatus.OK
        except (_RefusedError, EdgeloopError) as error:
            kind, body = "text/plain; charset=utf-8", str(error).encode()
            failed = HTTPStatus.INTERNAL_SERVER_ERROR
            status = error.status if isinstance(error, _RefusedError) else failed
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _path_behind_key(self) -> str:
        page = self.server.page
        if self.headers.get_all("Host") is None or set(self.headers.get_all("Host", [])) - page.hosts:
            raise _RefusedError(HTTPStatus.FORBIDDEN, f"this page is at {_ADDRESS}:{page.port} only")
        _, key, rest = (*self.path.split("/", 2), "", "")[:3]
        if not secrets.compare_digest(key.encode("utf-8", "replace"), page.key.encode()):
            raise _RefusedError(
                HTTPStatus.NOT_FOUND, "no such page; open the address that the command printed"
            )
        return rest

    def _get(self, path: str) -> tuple[str, bytes]:
        page = self.server.page
        if path == "":
            page_file = files("edgeloop.labeling.audit") / "page.html"
            return "text/html; charset=utf-8", page_file.read_bytes()
        if path == "state":
            return "application/json", json.dumps(page.state()).encode()
        kind, _, rest = path.partition("/")
        number, _, look = rest.partition("/")
        counts = {"box": len(page.sample.boxes), "frame": len(page.sample.frames)}
        known = number.isascii() and number.isdecimal() and len(number) <= 6 and look in {"drawn", "plain"}
        if not known or int(number) >= counts.get(kind, 0):
            raise _RefusedError(HTTPStatus.NOT_FOUND, "no such page")
        return "image/jpeg", page.picture(kind, int(number), look == "drawn")

    def _post(self, path: str) -> tuple[str, bytes]:
        page = self.server.page
        if path != "answer":
            raise _RefusedError(HTTPStatus.NOT_FOUND, "no such page")
        origin = self.headers.get("Origin")
        if origin is not None and origin.removeprefix("http://") not in page.hosts:
            raise _RefusedError(HTTPStatus.FORBIDDEN, "answers are taken from this page only")
        if self.headers.get_content_type() != "application/json":
            raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected application/json")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()) or int(length) > _MAX_BYTES:
            raise _RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"expected a Content-Length of at most {_MAX_BYTES} bytes",
            )
        reply = page.receive(self.rfile.read(int(length)))
        if reply["ended"]:
            self._end_after_reply = True
        return "application/json", json.dumps(reply).encode()

    _end_after_reply = False

    def finish(self) -> None:
        super().finish()
        if self._end_after_reply:
            self.server.page.ended.set()


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 93])[1].tobytes())
